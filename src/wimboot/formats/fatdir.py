"""Entries of a FAT folder: 32 bytes each, a long name's before that of its short name, and their times.

Entry (source: Microsoft, FAT32 File System Specification 1.03, "FAT Directory Structure"; the case byte: Windows'
fastfat, Linux, fs/fat/fat.h). Little-endian::

    offset  size  field
    0       11    short name, 8 and 3 bytes padded with blanks; first byte E5: unused, 00: this one and all behind it,
                  05 stands for E5
    11      1     attributes: read-only 1, hidden 2, system 4, label 8, folder 10, archive 20; 0F: part of a long name
    12      1     case: 8 the name, 10 the extension is shown in lower case
    13      1     10 ms of the creation, 0 to 199
    14      2, 2  creation: time, date
    18      2     last access: date
    20      2     upper half of the first cluster; FAT32 only
    22      2, 2  last write: time, date
    26      2     lower half of the first cluster; 0 for no data and for the root folder
    28      4     size in bytes, 0 for a folder

Part of a long name (the same source, "FAT Long Directory Entries"), the last part first::

    0       1     number of the part from 1; 40 is set in the last one
    1       10    UTF-16LE units 1-5
    11      1     0F
    12      1     0
    13      1     checksum of the short name
    14      12    units 6-11
    26      2     0
    28      4     units 12-13; behind the end one 0000, then FFFF

Times are local ones without a zone. Date: day, 5 bits; month, 4 bits; years since 1980, 7 bits. Time: 2 s, 5 bits;
minutes, 6 bits; hours, 5 bits.
"""

from __future__ import annotations

import struct
from enum import IntFlag
from typing import TYPE_CHECKING, ClassVar, Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "ENTRY_SIZE", "LABEL_SIZE", "LONG_NAME", "MAX_LONG_UNITS", "UNUSED", "DirEntry", "DosAttribute", "LongPart",
    "checksum", "dos_time", "join_long", "split_long",
]

ENTRY_SIZE: Final = 32
LABEL_SIZE: Final = 11
LONG_NAME: Final = 0x0F
UNUSED: Final = 0xE5
MAX_LONG_UNITS: Final = 255
_LAST_PART: Final = 0x40
_PART_UNITS: Final = 13
_MOST_PARTS: Final = 20
_ENTRY = struct.Struct("<11sBBBHHHHHHHI")
_LONG = struct.Struct("<B10sBBB12sH4s")


class DosAttribute(IntFlag):
    """The attributes of an entry."""

    READ_ONLY = 0x01
    HIDDEN = 0x02
    SYSTEM = 0x04
    LABEL = 0x08
    FOLDER = 0x10
    ARCHIVE = 0x20


class DirEntry(Frozen):
    """An entry with its short name as it is stored. `cluster` has the upper half that only FAT32 means."""

    name: bytes
    attributes: int
    case: int = 0
    created_10ms: int = 0
    created: int = 0
    created_day: int = 0
    accessed_day: int = 0
    cluster: int = 0
    written: int = 0
    written_day: int = 0
    size: int = 0

    @property
    def is_folder(self) -> bool:
        return bool(self.attributes & DosAttribute.FOLDER)

    @property
    def is_label(self) -> bool:
        """Whether it names the volume, not a file."""
        return bool(self.attributes & DosAttribute.LABEL)

    def pack(self) -> bytes:
        """The 32 bytes."""
        return _ENTRY.pack(self.name, self.attributes, self.case, self.created_10ms, self.created, self.created_day,
                           self.accessed_day, self.cluster >> 16, self.written, self.written_day,
                           self.cluster & 0xFFFF, self.size)

    @classmethod
    def parse(cls, data: bytes, offset: int = 0) -> DirEntry:
        """Any 32 bytes are an entry. Raises FormatError where there are fewer."""
        if len(data) - offset < ENTRY_SIZE:
            raise FormatError("FAT folder entry", offset, "it is cut short")
        (name, attributes, case, created_10ms, created, created_day, accessed_day, upper, written, written_day, lower,
         size) = _ENTRY.unpack_from(data, offset)
        return cls(name=name, attributes=attributes, case=case, created_10ms=created_10ms, created=created,
                   created_day=created_day, accessed_day=accessed_day, cluster=upper << 16 | lower, written=written,
                   written_day=written_day, size=size)


class LongPart(Frozen):
    """A part of a long name as it stands: `order` with the mark of the last one, 13 units with their padding."""

    STRUCTURE: ClassVar[str] = "FAT long name"

    order: int
    units: bytes
    checksum: int
    kind: int = 0
    cluster: int = 0

    @property
    def number(self) -> int:
        """From 1."""
        return self.order & ~_LAST_PART

    @property
    def is_last(self) -> bool:
        """Whether the name ends in it; it stands first."""
        return bool(self.order & _LAST_PART)

    def pack(self) -> bytes:
        """The 32 bytes."""
        return _LONG.pack(self.order, self.units[:10], LONG_NAME, self.kind, self.checksum, self.units[10:22],
                          self.cluster, self.units[22:])

    @classmethod
    def parse(cls, data: bytes, offset: int = 0) -> LongPart:
        """Raises FormatError where it is none."""
        if len(data) - offset < ENTRY_SIZE:
            raise FormatError(cls.STRUCTURE, offset, "it is cut short")
        order, first, attributes, kind, sum_, second, cluster, third = _LONG.unpack_from(data, offset)
        if attributes & 0x3F != LONG_NAME:
            raise FormatError(cls.STRUCTURE, offset + 11, f"{attributes:#x} as attributes")
        return cls(order=order, units=first + second + third, checksum=sum_, kind=kind, cluster=cluster)


def checksum(short_name: bytes) -> int:
    """What ties the parts of a long name to the 11 bytes of its short one."""
    total = 0
    for byte in short_name:
        total = ((total >> 1 | total << 7) + byte) & 0xFF
    return total


def split_long(name: bytes, short_name: bytes) -> tuple[LongPart, ...]:
    """The parts of the UTF-16LE `name` in the order in which they stand, before the entry of `short_name`."""
    if not name or len(name) % 2 or len(name) > 2 * MAX_LONG_UNITS:
        raise ValueError(f"a long name of {len(name):,} bytes")
    sum_ = checksum(short_name)
    size = 2 * _PART_UNITS
    padded = name if len(name) % size == 0 else (name + b"\0\0").ljust(-(-len(name) // size) * size, b"\xff")
    count = len(padded) // size
    return tuple(LongPart(order=number | (_LAST_PART if number == count else 0), checksum=sum_,
                          units=padded[number * size - size:number * size]) for number in range(count, 0, -1))


def join_long(parts: list[LongPart], short_name: bytes) -> bytes | None:
    """The UTF-16LE name of parts in the order in which they stand; None where they are not one name, or another's.

    Such parts are left behind by systems that know no long names, and mean nothing then.
    """
    count = len(parts)
    if not 1 <= count <= _MOST_PARTS or not parts[0].is_last:
        return None
    sum_ = checksum(short_name)
    for place, part in enumerate(parts):
        if part.number != count - place or part.checksum != sum_ or (part.is_last and place):
            return None
    units = b"".join(part.units for part in reversed(parts))
    for end in range(0, len(units), 2):
        if units[end:end + 2] == b"\0\0":
            units = units[:end]
            break
    return units if 0 < len(units) <= 2 * MAX_LONG_UNITS else None


def dos_time(moment: datetime) -> tuple[int, int, int]:
    """Date, time and 10 ms of a local time; what lies outside of 1980 to 2107 becomes the first or last that fits."""
    year = moment.year
    if year < 1980:
        return 1 << 5 | 1, 0, 0
    if year > 2107:
        return 127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29, 199
    day = year - 1980 << 9 | moment.month << 5 | moment.day
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    return day, time, moment.second % 2 * 100 + moment.microsecond // 10_000
