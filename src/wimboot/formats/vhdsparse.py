"""A VHD that grows: its header, its table of blocks, and where its parent is said to lie.

All integers are big-endian. Source: Virtual Hard Disk Image Format Specification 1.0, "Dynamic Disk Header Format",
"Block Allocation Table and Data Blocks"; what is said of lengths was seen in disks that Windows made.

Header, 1024 bytes::

    offset  size  field
    0       8     "cxsparse"
    8       8     all bits set
    16      8     offset of the table
    24      4     version, 00010000
    28      4     entries of the table: blocks of the disk
    32      4     size of a block's data, 00200000
    36      4     checksum, as the footer's
    40      16    unique id of the parent
    56      4     time of the parent, as the footer's times; 0 in disks of newer versions of Windows
    60      4     zero
    64      512   name of the parent, UTF-16BE, filled with zeros
    576     8x24  where the parent lies
    768     256   zeros

Place of the parent::

    0       4     kind: "W2ku" an absolute path, "W2ru" one from the child's folder, both UTF-16LE without a NUL
    4       4     room for it: sectors by the specification, bytes in what Windows writes
    8       4     its length in bytes
    12      4     zero
    16      8     its offset in the file

Table: 32 bits a block, the sector of the file at which the block begins, all bits set where there is none. A block is a
bitmap of its sectors, highest bit first, filled up to whole sectors, and then its data. In a differencing disk a set
bit says that the sector is here, a clear one that the parent has it. In a dynamic disk it says that the sector was
written; what was not is zeros, so a reader need not look.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.vhdfooter import NO_OFFSET, SECTOR, checksum
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BLOCK_SIZE", "MAX_LOCATOR_SIZE", "SPARSE_HEADER_SIZE", "UNUSED", "W2KU", "W2RU", "Locator", "SparseHeader",
    "bitmap_size", "check_places", "pack_table", "parse_table",
]

SPARSE_HEADER_SIZE = 1024
BLOCK_SIZE = 2 << 20
"""What Windows uses."""
UNUSED = 0xFFFF_FFFF
W2KU = b"W2ku"
W2RU = b"W2ru"
MAX_LOCATOR_SIZE = 64 << 10
"""Twice the longest path that Windows has."""

_HEADER = struct.Struct(">8sQQIIII16sI4s512s192s256s")
_LOCATOR = struct.Struct(">4sII4sQ")
_COOKIE = b"cxsparse"
_CHECKSUM_OFFSET = 36
_VERSION = 0x0001_0000
_SMALLEST_BLOCK = 4096
_LARGEST_BLOCK = 256 << 20
_MAX_ENTRIES = 1 << 22
"""Those of 2040 GiB in blocks of 512 KiB, the smallest that Windows makes."""


class Locator(Frozen):
    """One place where the parent is said to lie; an unused one has a kind of zeros."""

    kind: bytes = bytes(4)
    space: int = 0
    length: int = 0
    reserved: bytes = bytes(4)
    offset: int = 0

    def pack(self) -> bytes:
        return _LOCATOR.pack(self.kind, self.space, self.length, self.reserved, self.offset)

    @classmethod
    def parse(cls, data: bytes, offset: int) -> Locator:
        kind, space, length, reserved, place = _LOCATOR.unpack_from(data, offset)
        return cls(kind=kind, space=space, length=length, reserved=reserved, offset=place)


_NO_LOCATORS = (Locator(),) * 8


class SparseHeader(Frozen):
    """The header of a dynamic or differencing disk. `parent_name_utf16` is the field as it stands."""

    table_offset: int
    entries: int
    block_size: int = BLOCK_SIZE
    parent_id: bytes = bytes(16)
    parent_time: int = 0
    parent_name_utf16: bytes = bytes(512)
    locators: tuple[Locator, ...] = _NO_LOCATORS
    data_offset: int = NO_OFFSET
    version: int = _VERSION
    reserved: bytes = bytes(4)
    tail: bytes = bytes(256)

    @property
    def table_size(self) -> int:
        """Bytes of the table's entries."""
        return 4 * self.entries

    @property
    def parent_name(self) -> str:
        """The parent's name; a path where Windows wrote it."""
        return self.parent_name_utf16.decode("utf-16-be", "replace").partition("\0")[0]

    def pack(self) -> bytes:
        """1024 bytes with their checksum."""
        data = bytearray(_HEADER.pack(
            _COOKIE, self.data_offset, self.table_offset, self.version, self.entries, self.block_size, 0,
            self.parent_id, self.parent_time, self.reserved, self.parent_name_utf16,
            b"".join(locator.pack() for locator in self.locators), self.tail))
        data[_CHECKSUM_OFFSET:_CHECKSUM_OFFSET + 4] = checksum(data, _CHECKSUM_OFFSET).to_bytes(4, "big")
        return bytes(data)

    @classmethod
    def parse(cls, data: bytes) -> SparseHeader:
        """The first 1024 bytes of `data`. Raises FormatError."""
        if len(data) < SPARSE_HEADER_SIZE or data[:8] != _COOKIE:
            raise FormatError("VHD header", 0, "no cxsparse")
        data = data[:SPARSE_HEADER_SIZE]
        (_, data_offset, table_offset, version, entries, block_size, stored, parent_id, parent_time, reserved, name,
         locators, tail) = _HEADER.unpack(data)
        if version >> 16 != _VERSION >> 16:
            raise FormatError("VHD header", 24, f"version {version:08X}")
        if stored != checksum(data, _CHECKSUM_OFFSET):
            raise FormatError("VHD header", _CHECKSUM_OFFSET, "its checksum is wrong")
        if block_size & (block_size - 1) or not _SMALLEST_BLOCK <= block_size <= _LARGEST_BLOCK:
            raise FormatError("VHD header", 32, f"blocks of {block_size:,} bytes")
        if not 0 < entries <= _MAX_ENTRIES:
            raise FormatError("VHD header", 28, f"a table of {entries} entries")
        if table_offset >> 62:
            raise FormatError("VHD header", 16, "the table lies past every file")
        return cls(table_offset=table_offset, entries=entries, block_size=block_size, parent_id=parent_id,
                   parent_time=parent_time, parent_name_utf16=name,
                   locators=tuple(Locator.parse(locators, 24 * number) for number in range(8)),
                   data_offset=data_offset, version=version, reserved=reserved, tail=tail)


def bitmap_size(block_size: int) -> int:
    """Bytes of a block's bitmap: one bit a sector, whole sectors."""
    return -(-block_size // (8 * SECTOR * SECTOR)) * SECTOR


def parse_table(data: bytes, entries: int) -> array[int]:
    """The table's entries. Raises FormatError where `data` is too short."""
    if len(data) < 4 * entries:
        raise FormatError("VHD table", len(data), "it is cut off")
    return _swapped(array("I", data[:4 * entries]))


def pack_table(table: array[int]) -> bytes:
    """The table as it is stored, filled up to whole sectors with set bits."""
    data = _swapped(array("I", table)).tobytes()
    return data + b"\xff" * (-len(data) % SECTOR)


def _swapped(values: array[int]) -> array[int]:
    if sys.byteorder == "little":
        values.byteswap()
    return values


def check_places(table: array[int], block_size: int, others: Iterable[tuple[int, int]], end: int) -> int:
    """Where the last block ends: no block reaches past `end` (an offset) nor shares a byte with another one or with
    the structures at `others` (offset and size). Raises FormatError.
    """
    sectors = (bitmap_size(block_size) + block_size) // SECTOR
    count = len(table) - table.count(UNUSED)
    if count * sectors * SECTOR > end:      # before a list of them is made
        raise FormatError("VHD table", 0, f"{count:,} blocks are more than the file has room for")
    used = sorted(entry for entry in table if entry != UNUSED)
    for one, two in pairwise(used):
        if two - one < sectors:
            raise FormatError("VHD table", 4 * table.index(two), f"two blocks share the sectors from {two} on")
    if used and (used[-1] + sectors) * SECTOR > end:
        raise FormatError("VHD table", 4 * table.index(used[-1]), f"a block at sector {used[-1]} is not in the file")
    for offset, size in others:
        last = -(-(offset + size) // SECTOR)
        before = bisect_right(used, last - 1) - 1
        if size and before >= 0 and (used[before] + sectors) * SECTOR > offset:
            raise FormatError("VHD table", 4 * table.index(used[before]), f"a block at sector {used[before]} lies over "
                                                                          f"the structure at byte {offset:,}")
    return (used[-1] + sectors) * SECTOR if used else 0
