"""What of a disk its volumes do not use, by their bitmaps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from wimboot.errors import Internal
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["FreeMap", "unused_runs", "used_runs"]


class FreeMap(Frozen):
    """`count` units of `unit_size` bytes from byte `start` of a disk on; a clear bit of `bitmap`, low bit first, says
    that the unit is free (as in NTFS' $Bitmap, and as `Transaction.set_free` takes it).
    """

    start: int
    unit_size: int
    bitmap: bytes
    count: int

    def __post_init__(self) -> None:
        if self.start < 0 or self.unit_size <= 0 or not 0 <= self.count <= 8 * len(self.bitmap):
            raise Internal(what="a map of free clusters is not one")

    @property
    def end(self) -> int:
        """Where the last unit ends."""
        return self.start + self.count * self.unit_size

    @property
    def used_end(self) -> int:
        """Where the last unit in use ends; `start` where none is."""
        whole, left = divmod(self.count, 8)
        last = self.bitmap[whole] & (1 << left) - 1 if left else 0
        used = (self.bitmap[:whole] + bytes((last,))).rstrip(b"\0")
        units = 8 * (len(used) - 1) + used[-1].bit_length() if used else 0
        return self.start + units * self.unit_size

    def used_units(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        """Runs of units in use among those from `first` to `end`, as first and end."""
        while first < end:
            first = self._next(first, end, used=True)
            if first < end:
                behind = self._next(first, end, used=False)
                yield first, behind
                first = behind

    def _next(self, unit: int, end: int, *, used: bool) -> int:
        """The first unit from `unit` on that is in use, or is not; `end` where there is none before."""
        while unit < end:
            byte = self.bitmap[unit >> 3] ^ (0 if used else 0xFF)
            byte &= 0xFF << (unit & 7) & 0xFF
            if byte:
                return min(end, (unit & ~7) + (byte & -byte).bit_length() - 1)
            unit = self._skip((unit >> 3) + 1, end, used=used)
        return end

    def _skip(self, byte: int, end: int, *, used: bool) -> int:
        """The unit of the first byte from `byte` on in which there is such a unit, or the last one before `end`."""
        filler = b"\0" if used else b"\xff"
        last = (end + 7) >> 3
        while byte < last:
            piece = self.bitmap[byte:min(last, byte + _PIECE)]
            left = len(piece.lstrip(filler))
            if left:
                return (byte + len(piece) - left) << 3
            byte += len(piece)
        return end


_PIECE = 1 << 16


def used_runs(maps: Sequence[FreeMap], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Runs of bytes between `start` and `end` that are not free, in their order; neighbours may touch.

    What no map covers is in use. The maps lie in their order. Raises Internal where two of them overlap.
    """
    if any(one.end > two.start for one, two in pairwise(maps)):
        raise Internal(what="two maps of free clusters overlap")
    for area in maps:
        if start < min(end, area.start):
            yield start, min(end, area.start)
            start = area.start
        if start >= end:
            return
        if start < area.end:
            stop = min(end, area.end)
            first, behind = (start - area.start) // area.unit_size, -(-(stop - area.start) // area.unit_size)
            for one, two in area.used_units(first, behind):
                yield (max(start, area.start + one * area.unit_size), min(stop, area.start + two * area.unit_size))
            start = stop
    if start < end:
        yield start, end


def unused_runs(maps: Sequence[FreeMap], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The free runs between those. Raises Internal where two maps overlap."""
    for one, two in used_runs(maps, start, end):
        if start < one:
            yield start, one
        start = two
    if start < end:
        yield start, end
