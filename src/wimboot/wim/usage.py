"""How much of a WIM each of its users needs, alone or together with others: volumes by their pointers, images.

Sizes in the WIM are those of the compressed blobs; an image's own list of files is not among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType

from wimboot.formats.wimheader import VERSION_SOLID
from wimboot.frozen import Frozen
from wimboot.wim import _usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.tree import Tree
    from wimboot.wim.store import Store

__all__ = ["Blobs", "Marks", "PointerUse", "Sums", "Usage", "pointers_of"]

Marks = NewType("Marks", list[bytearray])
"""The blobs of one user: for each part of the WIM a byte for each row of its table."""


class Blobs(Frozen):
    """Some blobs: how many, their bytes, and their bytes in the WIM."""

    count: int = 0
    size: int = 0
    in_wim: int = 0

    def __add__(self, other: Blobs) -> Blobs:
        """Of blobs that have none in common."""
        return Blobs(count=self.count + other.count, size=self.size + other.size, in_wim=self.in_wim + other.in_wim)


class PointerUse(Frozen):
    """What the pointers of one data source need.

    `seen` is what Windows sees through them, `apart` what they would take in the WIM had each its own blob, `missing`
    how many name a blob that is not in the WIM.
    """

    marks: Marks
    pointers: int
    seen: int
    apart: int
    missing: int


class Sums(Frozen):
    """Of several users: what each one needs, what of that no other one does, what they need together; and all blobs."""

    each: tuple[Blobs, ...]
    alone: tuple[Blobs, ...]
    together: Blobs
    everything: Blobs

    @property
    def shared(self) -> int:
        """Bytes in the WIM that would be there more, had each user its own WIM."""
        return sum(one.in_wim for one in self.each) - self.together.in_wim


class Usage:
    """Of one open WIM. `solid` says that blobs have no size of their own in it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indexes = [part.table.index for part in store.parts]
        self.solid = any(part.table.run_of for part in store.parts)

    def _marks(self) -> Marks:
        return Marks([bytearray(len(part.table)) for part in self._store.parts])

    def pointers(self, tree: Tree, data_source_id: int) -> PointerUse:
        """The pointers of a volume that name this data source."""
        marks = self._marks()
        pointers, seen, apart, missing = _usage.mark_pointers(tree, self._indexes, marks, data_source_id)
        return PointerUse(marks=marks, pointers=pointers, seen=seen, apart=apart, missing=missing)

    def image(self, number: int) -> Marks:
        """What an image (from 1) refers to. Raises as `Store.load_tree` does."""
        marks = self._marks()
        _usage.mark_streams(self._store.load_tree(number, allow_missing=True), self._indexes, marks)
        return marks

    def sums(self, users: Sequence[Marks]) -> Sums:
        """Add up, over all parts."""
        solid_version = self._store.header.version == VERSION_SOLID
        totals = [Blobs()] * (2 * len(users) + 2)
        for number, index in enumerate(self._indexes):
            rows = _usage.tally(index, [marks[number] for marks in users], solid_version)
            found = [Blobs(count=row[0], size=row[1], in_wim=row[2]) for row in rows]
            found += [Blobs(count=row[3], size=row[4], in_wim=row[5]) for row in rows[:len(users)]]
            totals = [one + other for one, other in zip(totals, found, strict=True)]
        count = len(users)
        return Sums(each=tuple(totals[:count]), together=totals[count], everything=totals[count + 1],
                    alone=tuple(totals[count + 2:]))


def pointers_of(tree: Tree, data_source_id: int) -> tuple[int, int]:
    """The pointers of a data source, and what Windows sees through them; needs no WIM."""
    pointers, seen, _, _ = _usage.mark_pointers(tree, [], [], data_source_id)
    return pointers, seen
