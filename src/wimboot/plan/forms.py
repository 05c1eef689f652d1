"""Which files of an image stand as pointers on a volume that is made equal to it, and which hold their data. Pure."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.plan.pointing import class_reason
from wimboot.tree import Tree, passes
from wimboot.windows.whyreal import WhyReal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RESIDENT_LIMIT", "Forms", "PlaceColumns", "plan_forms"]

PlaceColumns: TypeAlias = "Callable[[bytes], array[int]]"

RESIDENT_LIMIT = 400
"""Files up to this size find room in a 1 KiB MFT record beside their names and a security id, so a pointer would save
nothing; larger ones may have to leave it, and cost a pointer no more than their data."""


class Forms(Frozen):
    """Which files stand as pointers, and where their blobs lie; `real` counts why others do not, `full_size` is the
    bytes of data that these hold outside their records.

    `rows` has for each node of the image its place in the columns, -1 where no pointer stands for its unnamed data;
    `places` has two numbers each.
    """

    rows: array[int]
    hashes: bytes
    sizes: array[int]
    places: array[int]
    pointed: int
    real: Counter[WhyReal]
    full_size: int

    def is_pointer(self, node: int) -> bool:
        """Whether a pointer stands for a file's unnamed data."""
        return self.rows[node] >= 0

    def pointer(self, node: int) -> tuple[bytes, int, int, int] | None:
        """What it says: (SHA-1, size, size in the WIM, offset); None where the file holds its data."""
        row = self.rows[node]
        if row < 0:
            return None
        offset, size_in_wim = self.places[2 * row:2 * row + 2]
        return self.hashes[20 * row:20 * row + 20], self.sizes[row], size_in_wim, offset


def plan_forms(image: Tree, *, pointers: bool, ruled_by: array[int], places: PlaceColumns) -> Forms:
    """Decide the form of every file of an image.

    Args:
        image: its files, with hashes and sizes.
        pointers: whether the volume is to have pointers at all.
        ruled_by: for each node the rule that keeps it real, -1 for none.
        places: for each 20 bytes of hashes an offset and a size in the WIM; 0 where no pointer can lead to such a blob.
    """
    classes = passes.classify(image, MAX_POINTER_SIZE)
    real = Counter({class_reason(kind): count for kind, count in Counter(filter(None, classes)).items()})
    rows = array("i", [-1]) * image.node_count
    candidates = passes.choose(classes, b"\1" * image.node_count, rows)[0]
    hashes, sizes = passes.data_columns(image, candidates)
    if not pointers:
        return Forms(rows=rows, hashes=b"", sizes=array("Q"), places=array("Q"), pointed=0, real=real,
                     full_size=sum(sizes))
    found = places(hashes)
    pointed, ruled, resident, lacking, full_size = passes.decide(
        candidates, sizes, found, ruled_by, RESIDENT_LIMIT, rows)
    real.update({WhyReal.RULE: ruled, WhyReal.RESIDENT: resident, WhyReal.NOT_IN_WIM: lacking})
    return Forms(rows=rows, hashes=hashes, sizes=sizes, places=found, pointed=pointed, real=+real, full_size=full_size)
