"""The base block of a registry hive: its first 4096 bytes, of which 512 are checked and copied into logs.

Offsets from the registry file format specification of M. Suhanov; checksum and states measured on hives of
Windows 7, 8.1 and 10:

    Off   Size  Field
    0     4     "regf"
    4     4     sequence 1, raised before a write
    8     4     sequence 2, made equal after it
    12    8     FILETIME of the last write (not kept up to date since Windows 8.1)
    20    4+4   version: major 1, minor 3 to 6
    28    4     file type: 0 hive, 1 and 2 old log, 6 new log
    32    4     format 1
    36    4     root cell, from the end of the base block
    40    4     bytes of hive bins behind the base block, a multiple of 4096
    44    4     clustering: sector size / 512
    48    64    end of the file's path, UTF-16LE
    112   32    GUIDs of the resource manager and its log
    144   4     flags: 1 the transaction manager holds the hive
    148   360   more, kept as it is
    508   4     XOR of the 127 words before; 0 is written 1, 0xFFFFFFFF is written 0xFFFFFFFE

A hive whose sequences differ or whose checksum does not fit is *dirty*: its newest state lies in its logs
(`reglog`). Windows 8 and later leave hives dirty as a rule.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = [
    "BASE_BLOCK_SIZE", "HEADER_SIZE", "MAX_HIVE_SIZE", "PAGE_SIZE", "BaseBlock", "FileType", "checksum",
    "is_regf",
]

BASE_BLOCK_SIZE = 4096
"""Bytes before the hive bins."""

HEADER_SIZE = 512
"""Bytes of the base block that have a meaning on disk; a log holds a copy of these."""

PAGE_SIZE = 4096
"""Hive bins are multiples of it."""

MAX_HIVE_SIZE = 1 << 29
"""Larger hives are refused before memory is taken; the largest of real systems (SOFTWARE, COMPONENTS) have
150 MB."""

_SIGNATURE = b"regf"
_FIELDS = struct.Struct("<4sIIQIIIIIII64s32sI360sI")
_WORDS = struct.Struct("<127I")


class FileType(IntEnum):
    """What a file with a base block is; other numbers occur and are kept."""

    PRIMARY = 0
    OLD_LOG = 1
    OLDEST_LOG = 2
    NEW_LOG = 6


class BaseBlock(Frozen):
    """The first 512 bytes of a hive or of one of its logs. `sound`: the checksum read fits."""

    sequence1: int
    sequence2: int
    written: int = 0
    major: int = 1
    minor: int = 5
    file_type: int = FileType.PRIMARY
    file_format: int = 1
    root_cell: int = 0x20
    bins_size: int
    clustering: int = 1
    name: bytes = bytes(64)
    manager_ids: bytes = bytes(32)
    flags: int = 0
    rest: bytes = bytes(360)
    sound: bool = True

    @property
    def dirty(self) -> bool:
        """Whether a hive that begins so needs its logs."""
        return not self.sound or self.sequence1 != self.sequence2

    @classmethod
    def parse(cls, data: bytes | bytearray | memoryview) -> BaseBlock:
        """Read the start of a hive or log. Raises FormatError."""
        if len(data) < HEADER_SIZE:
            raise FormatError("registry base block", len(data), f"ends before {HEADER_SIZE} bytes")
        head = bytes(data[:HEADER_SIZE])
        (signature, sequence1, sequence2, written, major, minor, file_type, file_format, root_cell, bins_size,
         clustering, name, manager_ids, flags, rest, stored) = _FIELDS.unpack(head)
        if signature != _SIGNATURE:
            raise FormatError("registry base block", 0, "the signature is not 'regf'")
        if major != 1:
            raise FormatError("registry base block", 20, f"the major version is {major}, not 1")
        return cls(sequence1=sequence1, sequence2=sequence2, written=written, major=major, minor=minor,
                   file_type=file_type, file_format=file_format, root_cell=root_cell, bins_size=bins_size,
                   clustering=clustering, name=name, manager_ids=manager_ids, flags=flags, rest=rest,
                   sound=stored == checksum(head))

    def pack(self) -> bytes:
        """The 512 bytes, with a checksum that fits."""
        head = _FIELDS.pack(_SIGNATURE, self.sequence1, self.sequence2, self.written, self.major, self.minor,
                            self.file_type, self.file_format, self.root_cell, self.bins_size, self.clustering,
                            self.name, self.manager_ids, self.flags, self.rest, 0)
        return head[:-4] + checksum(head).to_bytes(4, "little")

    def check_primary(self, size: int) -> None:
        """Refuse what cannot be a hive of `size` bytes. Raises FormatError."""
        if size > MAX_HIVE_SIZE:
            raise FormatError("registry hive", 0, f"{size:,} bytes are more than the {MAX_HIVE_SIZE:,} allowed")
        if self.file_type != FileType.PRIMARY:
            raise FormatError("registry base block", 28, f"file type {self.file_type} is not a hive's")
        if self.file_format != 1:
            raise FormatError("registry base block", 32, f"format {self.file_format} is unknown")
        if self.bins_size % PAGE_SIZE or not self.bins_size:
            raise FormatError("registry base block", 40,
                              f"{self.bins_size:,} bytes of hive bins are not whole pages")
        if self.bins_size > size - BASE_BLOCK_SIZE:
            raise FormatError("registry base block", 40,
                              f"{self.bins_size:,} bytes of hive bins do not fit in a file of {size:,}")
        if not 0x20 <= self.root_cell <= self.bins_size - 4:
            raise FormatError("registry base block", 36, f"the root cell {self.root_cell:#x} lies outside")


def checksum(head: bytes) -> int:
    """The checksum of the first 508 bytes of `head`."""
    found = 0
    for word in _WORDS.unpack_from(head):
        found ^= word
    if found == 0:
        return 1
    return 0xFFFFFFFE if found == 0xFFFFFFFF else found


def is_regf(data: bytes) -> bool:
    """Whether these bytes begin as a hive or one of its logs does."""
    return data[:4] == _SIGNATURE
