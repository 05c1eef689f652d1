"""What a Windows program file says of itself: its machine, and the VS_FIXEDFILEINFO of its version resource.

    Off        Field (Microsoft's "PE Format"; winnt.h, verrsrc.h)
    0          "MZ"; at 60 the offset of "PE\\0\\0"
    PE + 4     machine, sections, ..., at 20 size of the optional header
    PE + 24    optional header: 0x10B (32 bit) or 0x20B (64 bit); at 68 the subsystem; at 92 or 108 the number
               of directories, each address and size, the third being the resources
    behind it  sections of 40 bytes: at 8 virtual size, address, raw size, raw offset

Resources are a tree of three levels (type, of which 16 is "version", then id, then language): 16 bytes, of
which 12 and 14 count the entries by name and by id, then 8 bytes each: name or id, offset, whose top bit
marks another level. Its leaves give address and size. A version resource is VS_VERSIONINFO: three u16
(length, length of value, type), the key "VS_VERSION_INFO", padding to 4 bytes, the value:

    0   4   0xFEEF04BD
    8   8   file version: minor | major << 16, revision | build << 16
    16  8   product version, likewise
    36  4   file type: 1 program, 2 library, 3 driver

and behind it the strings (`formats.versionstrings`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from wimboot.errors import FormatError
from wimboot.formats.versionstrings import version_strings
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FixedVersion", "Machine", "ProgramFile"]

_VERSION_RESOURCE = 16
_KEY = "VS_VERSION_INFO\0".encode("utf-16-le")
_SIGNATURE = 0xFEEF04BD
_MAX_SECTIONS = 96      # as Windows' loader


class Machine(IntEnum):
    """IMAGE_FILE_MACHINE_*; other numbers occur and are kept."""

    X86 = 0x14C
    ARM = 0x1C0
    ARM_NT = 0x1C4
    IA64 = 0x200
    AMD64 = 0x8664
    ARM64 = 0xAA64


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedVersion:
    """Versions are (major, minor, build, revision)."""

    file: tuple[int, int, int, int]
    product: tuple[int, int, int, int]
    file_type: int
    block: bytes = field(default=b"", repr=False)
    """The whole resource."""

    def strings(self) -> Mapping[str, str]:
        """What it says in words: "CompanyName", "OriginalFilename", ... Raises FormatError."""
        return version_strings(self.block)


class ProgramFile(Frozen):
    """A program, library or driver. `version` is None where it has no version resource."""

    machine: int
    subsystem: int
    version: FixedVersion | None

    @classmethod
    def parse(cls, data: bytes) -> ProgramFile:
        """Read a whole program file. Raises FormatError."""
        reader = _Reader(data)
        if reader.take(0, "2s")[0] != b"MZ":
            raise FormatError("program file", 0, "the signature is not 'MZ'")
        start = reader.number(60)
        if reader.take(start, "4s")[0] != b"PE\0\0":
            raise FormatError("program file", start, "the signature is not 'PE'")
        machine, sections, optional_size = *reader.take(start + 4, "HH"), reader.take(start + 20, "H")[0]
        optional = start + 24
        kind = reader.take(optional, "H")[0] if optional_size >= 2 else 0
        if kind not in {0x10B, 0x20B}:
            raise FormatError("program file", optional, f"the optional header has the unknown kind {kind:#x}")
        if sections > _MAX_SECTIONS:
            raise FormatError("program file", start + 6, f"{sections} sections are more than {_MAX_SECTIONS}")
        reader.read_sections(optional + optional_size, sections)
        directories = optional + (92 if kind == 0x10B else 108)
        version = None
        if directories + 28 <= optional + optional_size and reader.number(directories) >= 3:
            root, size = reader.take(directories + 20, "II")
            if root and size:
                version = _version(reader, root)
        return cls(machine=machine, subsystem=reader.take(optional + 68, "H")[0], version=version)


class _Reader:
    """Bounds-checked reads by offset in the file and, once the sections are known, by address."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sections: list[tuple[int, int, int]] = []

    def take(self, offset: int, fields: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + fields)
        if not 0 <= offset <= len(self.data) - size:
            raise FormatError("program file", offset, f"it ends before {size:,} bytes there")
        return struct.unpack_from("<" + fields, self.data, offset)

    def number(self, offset: int) -> int:
        return int(self.take(offset, "I")[0])

    def read_sections(self, offset: int, count: int) -> None:
        for index in range(count):
            virtual_size, address, raw_size, raw = self.take(offset + 40 * index + 8, "IIII")
            self.sections.append((address, min(raw_size, virtual_size or raw_size), raw))

    def place(self, address: int, size: int) -> int:
        """Where `size` bytes at an address lie in the file."""
        for start, length, raw in self.sections:
            if start <= address and address + size <= start + length:
                return raw + address - start
        raise FormatError("program file", address, "this address lies in no section")


def _version(reader: _Reader, root: int) -> FixedVersion | None:
    """The first version resource of the tree at address `root`."""
    at = root
    for level in range(3):
        entry = _entry(reader, root, at, _VERSION_RESOURCE if level == 0 else None)
        if entry is None:
            return None
        if bool(entry >> 31) != (level < 2):
            raise FormatError("resource tree", at, "its levels are not type, name, language")
        at = root + (entry & 0x7FFFFFFF)
    address, size = reader.take(reader.place(at, 16), "II")
    return _fixed(reader, reader.place(address, size), size)


def _entry(reader: _Reader, root: int, at: int, wanted: int | None) -> int | None:
    """The target of the entry with an id, or of the first one; `at` and `root` are addresses."""
    named, numbered = reader.take(reader.place(at, 16) + 12, "HH")
    if at < root:
        raise FormatError("resource tree", at, "a level lies before the tree")
    for index in range(named + numbered):
        name, target = reader.take(reader.place(at + 16 + 8 * index, 8), "II")
        if wanted is None or name == wanted:
            return int(target)
    return None


def _fixed(reader: _Reader, start: int, size: int) -> FixedVersion | None:
    length, value_size, _ = reader.take(start, "HHH")
    if length > size or reader.data[start + 6:start + 6 + len(_KEY)] != _KEY:
        raise FormatError("version resource", start, "it does not begin with VS_VERSION_INFO")
    if value_size == 0:
        return None
    value = start + 6 + len(_KEY)
    value += -(6 + len(_KEY)) % 4
    if value_size < 52 or value + value_size > start + length:
        raise FormatError("version resource", start, f"a fixed part of {value_size:,} bytes does not fit")
    signature, _, *numbers = reader.take(value, "IIIIII")
    if signature != _SIGNATURE:
        raise FormatError("version resource", value, f"the signature {signature:#x} is not {_SIGNATURE:#x}")
    file, product = [(high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF)
                     for high, low in (numbers[:2], numbers[2:])]
    return FixedVersion(file=file, product=product, file_type=reader.number(value + 36),
                        block=reader.data[start:start + length])
