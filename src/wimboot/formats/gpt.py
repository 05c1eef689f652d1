"""The GUID partition table.

Header, in sector 1 and again in the last sector (source: UEFI specification 2.10, section 5.3.2)::

    offset  size  field
    0       8     "EFI PART"
    8       4     revision, 00010000
    12      4     size of the header, 92 up to a sector
    16      4     CRC-32 of the header with this field zero
    20      4     zero
    24      8     sector of this header
    32      8     sector of the other header
    40      8     first sector that partitions may use
    48      8     last sector that partitions may use
    56      16    disk GUID
    72      8     first sector of the array of entries
    80      4     number of entries
    84      4     size of an entry, 128 times a power of two
    88      4     CRC-32 of the array

Entry (section 5.3.3)::

    0       16    type GUID; zeros: unused
    16      16    partition GUID
    32      8     first sector
    40      8     last sector, included
    48      8     attributes
    56      72    name, UTF-16LE, filled with zeros

GUIDs are kept in their stored form (`formats.guid`).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.guid import NIL
from wimboot.formats.mbr import MAX_SECTORS, NO_CHS, PROTECTIVE_TYPE, MbrEntry, chs_of
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ENTRIES_SIZE", "Gpt", "GptEntry", "GptHeader", "pack_gpt", "protective_entry", "read_gpt"]

_MAGIC = b"EFI PART"
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY = struct.Struct("<16s16sQQQ72s")
_CRC_OFFSET = 16
_REVISION = 0x10000
MAX_ARRAY_SIZE = 1 << 20
"""64 times what the specification asks for; tools write 128 entries of 128 bytes."""
ENTRIES_SIZE = 128 * 128
"""Bytes of the array that is written."""
_FIRST_ENTRY_SECTOR = 2


class GptEntry(Frozen):
    """One entry; `number` counts from 1, unused ones included."""

    number: int
    type_guid: bytes
    guid: bytes
    first_sector: int
    last_sector: int
    attributes: int = 0
    name: str = ""

    @property
    def sectors(self) -> int:
        return self.last_sector - self.first_sector + 1

    def pack(self) -> bytes:
        """128 bytes. Raises FormatError for a name of more than 36 UTF-16 units."""
        name = self.name.encode("utf-16-le", "surrogatepass")
        if len(name) > 72:
            raise FormatError("GPT entry", 56, "the name is longer than 36 characters")
        return _ENTRY.pack(self.type_guid, self.guid, self.first_sector, self.last_sector, self.attributes,
                           name)

    @classmethod
    def parse(cls, data: bytes, offset: int, number: int) -> GptEntry:
        """`data` holds the whole entry."""
        kind, guid, first, last, attributes, raw = _ENTRY.unpack_from(data, offset)
        name = raw.decode("utf-16-le", "surrogatepass").partition("\0")[0]
        return cls(number=number, type_guid=kind, guid=guid, first_sector=first, last_sector=last,
                   attributes=attributes, name=name)


class GptHeader(Frozen):
    """One of the two headers."""

    sector: int
    other_sector: int
    first_usable: int
    last_usable: int
    disk_guid: bytes
    entries_sector: int
    entry_count: int = 128
    entry_size: int = 128
    entries_crc: int = 0

    def pack(self) -> bytes:
        """92 bytes with their CRC."""
        data = bytearray(_HEADER.pack(
            _MAGIC, _REVISION, _HEADER.size, 0, 0, self.sector, self.other_sector, self.first_usable,
            self.last_usable, self.disk_guid, self.entries_sector, self.entry_count, self.entry_size,
            self.entries_crc))
        data[_CRC_OFFSET:_CRC_OFFSET + 4] = zlib.crc32(data).to_bytes(4, "little")
        return bytes(data)

    @classmethod
    def parse(cls, data: bytes) -> GptHeader:
        """One sector. Raises FormatError."""
        if len(data) < _HEADER.size or data[:8] != _MAGIC:
            raise FormatError("GPT header", 0, "no EFI PART")
        (_, revision, size, crc, _, sector, other, first, last, guid, entries, count, entry_size,
         entries_crc) = _HEADER.unpack_from(data)
        if revision >> 16 != 1 or not _HEADER.size <= size <= len(data):
            raise FormatError("GPT header", 8, f"revision {revision:08X} with {size:,} bytes")
        if zlib.crc32(data[:_CRC_OFFSET] + bytes(4) + data[_CRC_OFFSET + 4:size]) != crc:
            raise FormatError("GPT header", _CRC_OFFSET, "its CRC is wrong")
        if entry_size < 128 or entry_size & (entry_size - 1) or count * entry_size > MAX_ARRAY_SIZE:
            raise FormatError("GPT header", 80, f"{count:,} entries of {entry_size:,} bytes")
        if first > last:
            raise FormatError("GPT header", 40, "no sector is usable")
        return cls(sector=sector, other_sector=other, first_usable=first, last_usable=last, disk_guid=guid,
                   entries_sector=entries, entry_count=count, entry_size=entry_size, entries_crc=entries_crc)


class Gpt(Frozen):
    """A table that was read. `why` the first one would not do, where this is the backup; else empty."""

    header: GptHeader
    entries: tuple[GptEntry, ...]
    why: str = ""


def read_gpt(read: Callable[[int, int], bytes], disk_sectors: int, sector_size: int = 512) -> Gpt:
    """The table of a disk; `read(sector, count)` gives whole sectors. Only used entries are returned.

    The backup is used where the first table is damaged. Raises FormatError, for the first one, where both
    are.
    """
    try:
        return _read_one(read, 1, disk_sectors, sector_size)
    except FormatError as first:
        try:
            found = _read_one(read, disk_sectors - 1, disk_sectors, sector_size)
        except FormatError:
            raise first from None
        return Gpt(header=found.header, entries=found.entries, why=str(first))


def _read_one(read: Callable[[int, int], bytes], sector: int, disk_sectors: int, sector_size: int) -> Gpt:
    if disk_sectors < 6:
        raise FormatError("GPT header", 0, "the disk is too small for one")
    header = GptHeader.parse(read(sector, 1))
    if header.sector != sector:
        raise FormatError("GPT header", 24, f"it says that it lies in sector {header.sector}, not {sector}")
    array_sectors = -(-header.entry_count * header.entry_size // sector_size)
    if not 2 <= header.entries_sector <= disk_sectors - array_sectors:
        raise FormatError("GPT header", 72, "the entries do not lie on the disk")
    if header.last_usable >= disk_sectors:
        raise FormatError("GPT header", 48, "the usable sectors reach past the disk")
    size = header.entry_count * header.entry_size
    array = read(header.entries_sector, array_sectors)[:size]
    if len(array) != size or zlib.crc32(array) != header.entries_crc:
        raise FormatError("GPT entries", 0, "their CRC is wrong")
    entries = tuple(GptEntry.parse(array, number * header.entry_size, number + 1)
                    for number in range(header.entry_count)
                    if array[number * header.entry_size:number * header.entry_size + 16] != NIL)
    _check_places(header, entries)
    return Gpt(header=header, entries=entries)


def _check_places(header: GptHeader, entries: tuple[GptEntry, ...]) -> None:
    """Every partition lies in the usable sectors, and no two share one."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.first_sector):
        offset = (entry.number - 1) * header.entry_size
        if not header.first_usable <= entry.first_sector <= entry.last_sector <= header.last_usable:
            raise FormatError("GPT entries", offset + 32, f"partition {entry.number} is not on the disk")
        if entry.first_sector < end:
            raise FormatError("GPT entries", offset + 32, f"partition {entry.number} overlaps another")
        end = entry.last_sector + 1


def protective_entry(disk_sectors: int) -> MbrEntry:
    """The entry of the MBR of a disk with a GPT: everything behind it, as far as its fields reach (section 5.2.3)."""
    last = chs_of(disk_sectors - 1)
    return MbrEntry(first_chs=chs_of(1), type=PROTECTIVE_TYPE, first_sector=1,
                    last_chs=b"\xff\xff\xff" if last == NO_CHS else last, sectors=min(disk_sectors - 1, MAX_SECTORS))


def pack_gpt(disk_guid: bytes, entries: Iterable[GptEntry], disk_sectors: int,
             sector_size: int = 512) -> tuple[tuple[int, bytes], ...]:
    """Both tables of a disk as (sector, bytes), the protective MBR not among them.

    Raises FormatError where two entries share a number or a sector, or one lies where the tables are.
    """
    count = ENTRIES_SIZE // 128
    array_sectors = -(-ENTRIES_SIZE // sector_size)
    first, last = _FIRST_ENTRY_SECTOR + array_sectors, disk_sectors - array_sectors - 2
    if first > last:
        raise FormatError("GPT header", 40, "the disk is too small for one")
    packed = bytearray(ENTRIES_SIZE)
    kept = tuple(entries)
    if len({entry.number for entry in kept}) != len(kept) or not all(1 <= entry.number <= count for entry in kept):
        raise FormatError("GPT entries", 0, f"they are not numbered from 1 to {count}, each once")
    for entry in kept:
        packed[128 * (entry.number - 1):128 * entry.number] = entry.pack()
    head = GptHeader(sector=1, other_sector=disk_sectors - 1, first_usable=first, last_usable=last,
                     disk_guid=disk_guid, entries_sector=_FIRST_ENTRY_SECTOR, entry_count=count,
                     entries_crc=zlib.crc32(packed))
    tail = replace(head, sector=disk_sectors - 1, other_sector=1, entries_sector=disk_sectors - 1 - array_sectors)
    _check_places(head, kept)
    array = bytes(packed).ljust(array_sectors * sector_size, b"\0")
    return ((1, head.pack().ljust(sector_size, b"\0")), (head.entries_sector, array),
            (tail.entries_sector, array), (tail.sector, tail.pack().ljust(sector_size, b"\0")))
