"""The file allocation table: which cluster follows which, and which are free.

Entry n belongs to cluster n (source: Microsoft, FAT32 File System Specification 1.03, "FAT Data Structure")::

    0                  free
    2 to the last one  the cluster that follows
    ...F7              bad
    ...F8 to ...FF     the last one of a file
    entry 0            the media byte and ones
    entry 1            ones; on FAT16 bit 15, on FAT32 bit 27 is clear while the volume is not unmounted, bit 14 or 26
                       where reading or writing it failed

12 bits lie low half first: entry 2n in the lower 12 bits of three bytes, entry 2n + 1 in the upper ones. Of 32 bits the
upper four are reserved, and kept.

Changes are kept until `flush`, which writes the pages that changed into every FAT that is in use.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NoReturn

from wimboot.fat.refusals import FatDamaged, FatFull
from wimboot.formats.fatboot import FatKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wimboot.formats.fatboot import FatBoot
    from wimboot.storage import Device, File

__all__ = ["Fat", "extents"]

_FIRST_CLUSTER: Final = 2
_CHUNK: Final = 96 << 10    # whole entries of 12, 16 and 32 bits, and whole pages
_PAGE: Final = 4096
_MOST_CHUNKS: Final = 256
_CLEAN: Final = {FatKind.FAT12: 0, FatKind.FAT16: 3 << 14, FatKind.FAT32: 3 << 26}
_UNMOUNTED: Final = {FatKind.FAT16: 1 << 15, FatKind.FAT32: 1 << 27}
_MASK: Final = {FatKind.FAT12: 0xFFF, FatKind.FAT16: 0xFFFF, FatKind.FAT32: 0x0FFF_FFFF}


class Fat:
    """The table of one volume. `count_free` comes before anything that takes or gives clusters."""

    def __init__(self, device: Device | File, boot: FatBoot, where: str) -> None:
        self._device = device
        self._boot = boot
        self._where = where
        self._kind = boot.kind
        self._mask = _MASK[boot.kind]
        self._last = boot.cluster_count + _FIRST_CLUSTER - 1
        self._chunks: dict[int, bytearray] = {}
        self._changed: set[int] = set()
        self._used = bytearray()
        self._next = _FIRST_CLUSTER
        self.free_clusters = 0

    @property
    def is_dirty(self) -> bool:
        """Whether entry 1 says that the volume was not unmounted, or has errors."""
        clean = _CLEAN[self._kind]
        return self.get(1) & clean != clean

    @property
    def next_free(self) -> int:
        """From where to look for free clusters."""
        return self._next

    def dirty_marks(self) -> list[tuple[int, bytes]]:
        """Bytes of the volume, and what they are where it is not unmounted."""
        if self._kind is FatKind.FAT12:
            return []
        size = self._kind // 8
        value = self._raw(1) & ~_UNMOUNTED[self._kind]
        return [(offset + size, value.to_bytes(size, "little")) for offset in self._offsets()]

    def get(self, cluster: int) -> int:
        """What the entry says, reserved bits taken off."""
        return self._raw(cluster) & self._mask

    def chain(self, first: int, path: str, most: int) -> list[int]:
        """The clusters of a file or folder from its first one on. More than `most` are no more looked at.

        Raises FatDamaged where they lead to what is none, or in a circle.
        """
        found: list[int] = []
        seen: set[int] = set()
        cluster = first
        while len(found) < most:
            if not _FIRST_CLUSTER <= cluster <= self._last:
                self._damaged(path, f"cluster {cluster} of {self._last}, which is none" if cluster else
                              "a cluster that belongs to it is free")
            if cluster in seen:
                self._damaged(path, f"its clusters lead in a circle, to {cluster}")
            seen.add(cluster)
            found.append(cluster)
            cluster = self.get(cluster)
            if cluster >= self._mask - 7:
                break
        return found

    def count_free(self, *, compare: bool = True) -> None:
        """Look at every entry. Raises FatDamaged where the FATs in use are not the same, if they are compared."""
        self._used = bytearray()
        entries = self._boot.cluster_count + _FIRST_CLUSTER
        offsets = self._offsets()
        for number in range(-(-self._size // _CHUNK)):
            chunk = self._read(offsets[0], number)
            for other in offsets[1:] if compare else ():
                if self._read(other, number) != chunk:
                    self._damaged("\\", "its two FATs are not the same")
            self._used += bytes(map(bool, self._values(chunk)))
        del self._used[entries:]
        self._used[:_FIRST_CLUSTER] = b"\1" * _FIRST_CLUSTER
        self.free_clusters = self._used.count(0)
        self._next = max(_FIRST_CLUSTER, self._used.find(0))

    def extend(self, chain: list[int], count: int) -> list[int]:
        """Add `count` free clusters behind a chain, an empty one for a new file; the new ones. Raises FatFull."""
        if count > self.free_clusters:
            size = self._boot.cluster_size
            raise FatFull(where=self._where, needed=count * size, free=self.free_clusters * size)
        if not count:
            return []
        found = self._find(count, chain[-1] + 1 if chain else self._next)
        previous = chain[-1] if chain else 0
        for cluster in found:
            if previous:
                self._set(previous, cluster)
            self._used[cluster] = 1
            previous = cluster
        self._set(previous, self._mask)
        self.free_clusters -= count
        self._next = found[-1] + 1 if found[-1] < self._last else _FIRST_CLUSTER
        return found

    def cut(self, chain: Sequence[int], count: int) -> None:
        """Keep the first `count` clusters of a chain and free the others."""
        for cluster in chain[count:]:
            self._set(cluster, 0)
            self._used[cluster] = 0
        if chain[count:]:
            self.free_clusters += len(chain) - count
            self._next = min(self._next, *chain[count:])
            if count:
                self._set(chain[count - 1], self._mask)

    def flush(self) -> None:
        """Write what changed."""
        for offset in self._offsets():
            for page in sorted(self._changed):
                number, inside = divmod(page * _PAGE, _CHUNK)
                end = min(_PAGE, self._size - page * _PAGE)
                self._device.pwrite(offset + page * _PAGE, self._chunks[number][inside:inside + end])
        self._changed.clear()

    def _find(self, count: int, near: int) -> list[int]:
        """Free clusters: in one piece if there is one, from `near` on if possible."""
        wanted = bytes(count)
        for start in (near, _FIRST_CLUSTER):
            found = self._used.find(wanted, start)
            if found >= 0:
                return list(range(found, found + count))
        clusters: list[int] = []
        at = self._used.find(0)
        while len(clusters) < count:
            clusters.append(at)
            at = self._used.find(0, at + 1)
        return clusters

    @property
    def _size(self) -> int:
        """Bytes of the entries in use, up to a whole page."""
        bits = (self._boot.cluster_count + _FIRST_CLUSTER) * self._kind
        return min(-(-bits // (8 * _PAGE)) * _PAGE, self._boot.fat_size)

    def _offsets(self) -> list[int]:
        """Where the FATs in use begin."""
        return [self._boot.fat_offset + number * self._boot.fat_size for number in self._boot.active_fats]

    def _read(self, offset: int, number: int) -> bytes:
        size = min(_CHUNK, self._size - number * _CHUNK)
        data = self._device.pread(offset + number * _CHUNK, size)
        if len(data) != size:
            self._damaged("\\", "its FAT is cut short")
        return data

    def _chunk(self, number: int) -> bytearray:
        chunk = self._chunks.get(number)
        if chunk is None:
            if len(self._chunks) >= _MOST_CHUNKS and not self._changed:
                self._chunks.clear()
            chunk = self._chunks[number] = bytearray(self._read(self._offsets()[0], number))
        return chunk

    def _place(self, cluster: int) -> tuple[int, int]:
        """Chunk and byte in it at which the entry begins; of 12 bits the byte that holds its lower ones."""
        return divmod(cluster * self._kind // 8, _CHUNK)

    def _raw(self, cluster: int) -> int:
        number, inside = self._place(cluster)
        chunk = self._chunk(number)
        if self._kind is not FatKind.FAT12:
            return int.from_bytes(chunk[inside:inside + self._kind // 8], "little")
        pair = int.from_bytes(chunk[inside:inside + 2], "little")
        return pair >> 4 if cluster & 1 else pair & 0xFFF

    def _set(self, cluster: int, value: int) -> None:
        number, inside = self._place(cluster)
        chunk = self._chunk(number)
        size = 2
        if self._kind is FatKind.FAT12:
            pair = int.from_bytes(chunk[inside:inside + 2], "little")
            value = pair & 0xF | value << 4 if cluster & 1 else pair & 0xF000 | value
        elif self._kind is FatKind.FAT32:
            size = 4
            value |= self._raw(cluster) & 0xF000_0000
        chunk[inside:inside + size] = value.to_bytes(size, "little")
        at = number * _CHUNK + inside
        self._changed.update((at // _PAGE, (at + size - 1) // _PAGE))

    def _values(self, chunk: bytes) -> Iterator[int]:
        """The entries of a chunk, reserved bits taken off."""
        if self._kind is FatKind.FAT12:
            for place in range(0, len(chunk), 3):   # the last one may have half a byte missing
                three = int.from_bytes(chunk[place:place + 3], "little")
                yield three & 0xFFF
                yield three >> 12
            return
        form = "<H" if self._kind is FatKind.FAT16 else "<I"
        for (value,) in struct.iter_unpack(form, chunk):
            yield value & self._mask

    def _damaged(self, path: str, why: str) -> NoReturn:
        raise FatDamaged(where=self._where, path=path, why=why)


def extents(boot: FatBoot, clusters: Sequence[int]) -> list[tuple[int, int]]:
    """Byte on the volume and size of clusters, those that lie one behind the other taken together."""
    size = boot.cluster_size
    return [(boot.data_offset + (first - _FIRST_CLUSTER) * size, count * size) for first, count in _runs(clusters)]


def _runs(clusters: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and number of clusters that lie one behind the other."""
    start = 0
    for place in range(1, len(clusters) + 1):
        if place == len(clusters) or clusters[place] != clusters[place - 1] + 1:
            yield clusters[start], place - start
            start = place
