"""What stays of a WIM when only some of its images do: which blobs, how often they are referred to, how large."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.formats.blobtable import ROW_SIZE
from wimboot.formats.wimheader import HEADER_SIZE
from wimboot.frozen import Frozen
from wimboot.wim._metadata import references
from wimboot.wim.creating import check_changeable
from wimboot.wim.errors import WimSplit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.wim.store import Store

__all__ = ["Kept", "WimNotRewritable", "check_rewritable", "keep_images"]


class WimNotRewritable(Refused):
    """A kind of WIM whose blobs cannot be taken out one by one."""

    id = "wim-not-rewritable"
    sentence = "images cannot be dropped from {where}: {why}"
    advice = "Nothing was changed. wimlib can do it: wimlib-imagex delete {where} IMAGE"


class Kept(Frozen):
    """The images that stay (their numbers, ascending) and what they need.

    `references` counts every name of a file, as the blob table does; `rows` are the table's rows of blobs and of the
    images' metadata by where they lie; `size` is what these take in the WIM.
    """

    images: tuple[int, ...]
    references: Counter[bytes]
    rows: tuple[int, ...]
    size: int
    dropped_blobs: int

    @property
    def file_size(self) -> int:
        """Of the WIM with nothing else in it, about: XML and integrity table are small."""
        return HEADER_SIZE + self.size + ROW_SIZE * len(self.rows)


def check_rewritable(store: Store) -> None:
    """Raises WimReadOnly, WimSplit, WimNotRewritable where no image can be taken out of a WIM."""
    if len(store.parts) > 1:
        raise WimSplit(where=store.where, part=1, parts=len(store.parts))
    check_changeable(store, WimNotRewritable)


def keep_images(store: Store, images: Sequence[int]) -> Kept:
    """What these images of a store need. Raises BlobMissing, BlobDamaged, WimDamaged: nothing is built on those."""
    table = store.parts[0].table
    counts: Counter[bytes] = Counter()
    for number in sorted(images):
        counts.update(references(store.load_tree(number)))
    blobs = [table.index[sha1] for sha1 in counts]
    rows = table.in_file_order([*blobs, *(table.metadata[number - 1] for number in images)])
    return Kept(images=tuple(sorted(images)), references=counts, rows=tuple(rows),
                size=sum(table.row(row).size_in_wim for row in rows), dropped_blobs=len(table.index) - len(blobs))
