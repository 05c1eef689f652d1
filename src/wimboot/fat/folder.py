"""A folder of a FAT volume: its entries, long names with their short ones, and changes of them.

The entries lie in the clusters of the folder, on FAT12 and FAT16 those of the root in a place of their own. An entry
whose first byte is 0 ends the folder, whatever lies behind it: whoever writes there ends it again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.fat.refusals import FatDamaged, FatRootFull
from wimboot.fat.table import extents
from wimboot.formats.fatboot import FatKind
from wimboot.formats.fatdir import (
    ENTRY_SIZE,
    LONG_NAME,
    UNUSED,
    DirEntry,
    DosAttribute,
    LongPart,
    join_long,
    split_long,
)
from wimboot.formats.fatname import plain_short, short_alias, short_text
from wimboot.formats.names import decode_name, encode_name, fold_text
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wimboot.fat.table import Fat
    from wimboot.formats.fatboot import FatBoot
    from wimboot.storage import Device, File

__all__ = ["Folder", "Listed", "dot_entries", "slots_for"]

_DOTS: Final = (b".          ", b"..         ")
_MOST_SLOTS: Final = 1 << 16
_NOT_IN_NAMES: Final = frozenset("/\\\0")


class Listed(Frozen):
    """A name in a folder: how it is shown, its short one, the entry, and the slots of 32 bytes that it takes."""

    name: str
    short_name: str
    entry: DirEntry
    first_slot: int
    slot: int
    cluster: int


class Folder:
    """A folder, read as a whole. `first` is its first cluster, 0 for the root of FAT12 and FAT16."""

    def __init__(self, device: Device | File, boot: FatBoot, fat: Fat, first: int, *, path: str, where: str) -> None:
        """Raises FatDamaged where its clusters lead nowhere, or on without end."""
        self._device = device
        self._boot = boot
        self._fat = fat
        self.first = first
        self.path = path
        self._where = where
        self.clusters: list[int] = []
        if first:
            most = _MOST_SLOTS * ENTRY_SIZE // boot.cluster_size or 1
            self.clusters = fat.chain(first, path, most + 1)
            if len(self.clusters) > most:
                raise FatDamaged(where=where, path=path, why=f"a folder of more than {_MOST_SLOTS} entries")
        self._listed: list[Listed] | None = None
        self._names: dict[str, Listed] = {}
        self._data = bytearray()
        for offset, size in self._extents():
            part = device.pread(offset, size)
            if len(part) != size:
                raise FatDamaged(where=where, path=path, why="the volume is cut short")
            self._data += part

    def __iter__(self) -> Iterator[Listed]:
        """The files and folders in it, as they stand there. Raises FatDamaged for names that no file can have."""
        if self._listed is None:
            self._listed = list(self._parse())
        return iter(self._listed)

    def _parse(self) -> Iterator[Listed]:
        parts: list[LongPart] = []
        first_slot = 0
        for slot in range(self._slots):
            raw = bytes(self._data[slot * ENTRY_SIZE:slot * ENTRY_SIZE + ENTRY_SIZE])
            if raw[0] == 0:
                return
            if raw[0] != UNUSED and raw[11] & 0x3F == LONG_NAME:
                part = LongPart.parse(raw)
                if part.is_last:    # it stands first; what is before it was left behind by something else
                    parts, first_slot = [], slot
                parts.append(part)
                continue
            entry = DirEntry.parse(raw)
            long_parts, parts = parts, []
            if raw[0] == UNUSED or entry.is_label or entry.name in _DOTS:
                continue
            short = short_text(entry.name, entry.case)
            units = join_long(long_parts, entry.name)
            name = short if units is None else decode_name(units)
            if _NOT_IN_NAMES & set(name + short) or not name.strip(". ") or not short:
                raise FatDamaged(where=self._where, path=self.path, why=f"it has an entry {name!r}, which is no name")
            cluster = entry.cluster if self._boot.kind is FatKind.FAT32 else entry.cluster & 0xFFFF
            yield Listed(name=name, short_name=short_text(entry.name), entry=entry, slot=slot,
                         first_slot=slot if units is None else first_slot, cluster=cluster)

    def find(self, name: str) -> Listed | None:
        """The entry of that name, long or short, in whatever case."""
        if not self._names:
            for listed in self:
                for one in (listed.name, listed.short_name):
                    self._names.setdefault(fold_text(one), listed)
        return self._names.get(fold_text(name))

    def room_needed(self, names: Iterable[str]) -> int:
        """Clusters that the folder has to grow by for new names. Raises FatRootFull where it cannot."""
        unused = self._unused()
        for name in names:
            count = slots_for(name)
            slot = _place(unused, count)
            unused[slot:slot + count] = bytes(count)
        if len(unused) > self._slots and (not self.first or len(unused) > _MOST_SLOTS):
            raise FatRootFull(where=self._where, path=self.path)
        return -(-(len(unused) - self._slots) * ENTRY_SIZE // self._boot.cluster_size)

    def add(self, name: str, entry: DirEntry) -> None:
        """Make a new name, its short one chosen here. Raises FatFull, FatRootFull."""
        plain = plain_short(name)
        if plain is None:
            taken = {listed.entry.name for listed in self}
            short = short_alias(name, taken)
            if short is None:
                raise FatRootFull(where=self._where, path=self.path)
            entry = replace(entry, name=short)
            parts = split_long(encode_name(name), short)
        else:
            entry = replace(entry, name=plain[0], case=plain[1])
            parts = ()
        raw = b"".join(part.pack() for part in parts) + entry.pack()
        count = len(raw) // ENTRY_SIZE
        slot = _place(self._unused(), count)
        if slot + count > self._slots:
            self._grow(slot + count - self._slots)
        ends = slot + count > self._end()
        self._write(slot, raw)
        if ends and slot + count < self._slots:
            self._write(slot + count, bytes(ENTRY_SIZE))

    def change(self, listed: Listed, entry: DirEntry) -> None:
        """Give a name another entry."""
        self._write(listed.slot, entry.pack())

    def drop(self, listed: Listed) -> None:
        """Remove a name."""
        for slot in range(listed.first_slot, listed.slot + 1):
            at = slot * ENTRY_SIZE
            self._write(slot, bytes([UNUSED]) + bytes(self._data[at + 1:at + ENTRY_SIZE]))

    @property
    def _slots(self) -> int:
        return len(self._data) // ENTRY_SIZE

    def _end(self) -> int:
        """The slot that ends the folder."""
        for slot in range(self._slots):
            if not self._data[slot * ENTRY_SIZE]:
                return slot
        return self._slots

    def _unused(self) -> bytearray:
        """For each slot, whether it is."""
        end = self._end()
        return bytearray(slot >= end or self._data[slot * ENTRY_SIZE] == UNUSED for slot in range(self._slots))

    def _grow(self, slots: int) -> None:
        if not self.first or self._slots + slots > _MOST_SLOTS:
            raise FatRootFull(where=self._where, path=self.path)
        size = self._boot.cluster_size
        added = self._fat.extend(self.clusters, -(-slots * ENTRY_SIZE // size))
        self.clusters += added
        self._data += bytes(len(added) * size)
        for offset, length in extents(self._boot, added):
            self._device.pwrite(offset, bytes(length))

    def _write(self, slot: int, raw: bytes) -> None:
        """Change slots here and on the volume, where they may lie in several clusters."""
        at, end = slot * ENTRY_SIZE, slot * ENTRY_SIZE + len(raw)
        self._data[at:end] = raw
        self._listed = None
        self._names.clear()
        base = 0
        for offset, size in self._extents():
            start, stop = max(at, base), min(end, base + size)
            if start < stop:
                self._device.pwrite(offset + start - base, bytes(self._data[start:stop]))
            base += size

    def _extents(self) -> list[tuple[int, int]]:
        """Byte on the volume and size of its pieces."""
        if not self.first:
            return [(self._boot.root_offset, self._boot.root_entries * ENTRY_SIZE)]
        return extents(self._boot, self.clusters)


def _place(unused: bytearray, count: int) -> int:
    """The first of so many unused slots in a row; they may go beyond the last one."""
    found = unused.find(b"\1" * count)
    return found if found >= 0 else len(unused.rstrip(b"\1"))


def slots_for(name: str) -> int:
    """Entries that a name takes."""
    return 1 if plain_short(name) else 1 + len(split_long(encode_name(name), bytes(11)))


def dot_entries(cluster: int, parent: int, entry: DirEntry) -> bytes:
    """The first two entries of a new folder; `parent` is 0 where that is the root."""
    dots = [replace(entry, name=name, cluster=to, attributes=DosAttribute.FOLDER, size=0, case=0)
            for name, to in zip(_DOTS, (cluster, parent), strict=True)]
    return b"".join(dot.pack() for dot in dots)
