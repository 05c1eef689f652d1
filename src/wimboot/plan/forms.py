"""Which files of an image stand as pointers on a volume that is made equal to it, and which hold their data. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.plan.pointing import class_reason
from wimboot.tree import Tree, passes
from wimboot.windows.whyreal import WhyReal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.plan.pointing import Places

__all__ = ["RESIDENT_LIMIT", "Forms", "plan_forms"]

RESIDENT_LIMIT = 400
"""Files up to this size find room in a 1 KiB MFT record beside their names and a security id, so a pointer would save
nothing; larger ones may have to leave it, and cost a pointer no more than their data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """`pointer` has one byte a node of the image: 1 where a pointer stands for its unnamed data.

    `places` are (SHA-1, size, size in the WIM, offset) of those nodes' data.
    """

    pointer: bytearray
    places: dict[int, tuple[bytes, int, int, int]]
    real: Counter[WhyReal]
    full_size: int

    @property
    def pointed(self) -> int:
        """Number of files that become pointers."""
        return len(self.places)


def plan_forms(image: Tree, *, pointers: bool, ruled_by: Sequence[int], places: Places) -> Forms:
    """Decide the form of every file of an image.

    Args:
        image: its files, with hashes and sizes.
        pointers: whether the volume is to have pointers at all.
        ruled_by: for each node the rule that keeps it real, -1 for none.
        places: for each of these hashes (offset, size in the WIM), None where no pointer can lead to such a blob.
    """
    classes = passes.classify(image, MAX_POINTER_SIZE)
    pointer = bytearray(image.node_count)
    real: Counter[WhyReal] = Counter()
    full_size = ruled = resident = 0
    candidates = [node for node, kind in enumerate(classes) if not kind]
    for kind, count in Counter(filter(None, classes)).items():
        real[class_reason(kind)] += count
    rows = passes.data_rows(image, candidates)
    found = places([sha1 for _, sha1, _ in rows])
    pointed: dict[int, tuple[bytes, int, int, int]] = {}
    for node, (_, sha1, size), place in zip(candidates, rows, found, strict=True):
        if not pointers:
            full_size += size
        elif ruled_by[node] >= 0:
            ruled += 1
            full_size += size
        elif size <= RESIDENT_LIMIT:
            resident += 1
        elif place is None:
            real[WhyReal.NOT_IN_WIM] += 1
            full_size += size
        else:
            pointer[node] = 1
            pointed[node] = (sha1, size, place[1], place[0])
    real = +(real + Counter({WhyReal.RULE: ruled, WhyReal.RESIDENT: resident}))
    return Forms(pointer=pointer, places=pointed, real=real, full_size=full_size)
