"""Extended attributes (EAs), in the two forms in which they are stored.

NTFS, the value of $EA (attribute 0xE0): entries one after another, each padded to 4 bytes.

    offset  size  field
    0       4     offset to the next entry, in the last one to the end (ntfs-3g ea.c; a 0 is accepted)
    4       1     flags: 0x80 FILE_NEED_EA
    5       1     size of the name, bytes
    6       2     size of the value, bytes
    8             name, a NUL, value, padding to 4

WIM, the tagged item 2 of a directory entry (DISM since Windows 10 1607; wimlib xattr.h): no padding.

    offset  size  field
    0       2     size of the value, bytes
    2       1     size of the name, bytes
    3       1     flags
    4             name, a NUL, value
"""

from __future__ import annotations

import struct

from wimboot.errors import FormatError

__all__ = ["Ea", "from_ntfs", "from_wim", "to_ntfs", "to_wim"]

Ea = tuple[bytes, int, bytes]
"""Name, flags, value."""

_NTFS = struct.Struct("<IBBH")
_WIM = struct.Struct("<HBB")


def from_ntfs(value: bytes) -> list[Ea]:
    """The entries of a $EA value. Raises FormatError."""
    entries: list[Ea] = []
    at = 0
    while at < len(value):
        if len(value) - at < _NTFS.size:
            raise FormatError("$EA", at, "an entry is cut off")
        step, flags, name_size, value_size = _NTFS.unpack_from(value, at)
        size = _NTFS.size + name_size + 1 + value_size
        name, content = _name_value("$EA", value, at + _NTFS.size, name_size, value_size)
        entries.append((name, flags, content))
        if step == 0:
            if len(value) - at > (size + 3) & ~3:
                raise FormatError("$EA", at, "data follow the last entry")
            break
        if step < size or step % 4 or step > (len(value) - at + 3) & ~3:
            raise FormatError("$EA", at, f"the next entry lies {step:,} bytes on, this one has {size:,}")
        at += step
    return entries


def to_ntfs(entries: list[Ea]) -> bytes:
    """A $EA value."""
    out = bytearray()
    for name, flags, value in entries:
        size = _NTFS.size + len(name) + 1 + len(value)
        step = (size + 3) & ~3
        out += _NTFS.pack(step, flags, len(name), len(value)) + name + b"\0" + value + bytes(step - size)
    return bytes(out)


def from_wim(item: bytes) -> list[Ea]:
    """The entries of a tagged item 2. Raises FormatError."""
    entries: list[Ea] = []
    at = 0
    while at < len(item):
        if len(item) - at < _WIM.size:
            raise FormatError("EA item", at, "an entry is cut off")
        value_size, name_size, flags = _WIM.unpack_from(item, at)
        name, value = _name_value("EA item", item, at + _WIM.size, name_size, value_size)
        entries.append((name, flags, value))
        at += _WIM.size + name_size + 1 + value_size
    return entries


def to_wim(entries: list[Ea]) -> bytes:
    """The data of a tagged item 2."""
    return b"".join(_WIM.pack(len(value), len(name), flags) + name + b"\0" + value
                    for name, flags, value in entries)


def _name_value(structure: str, data: bytes, at: int, name_size: int, value_size: int) -> tuple[bytes, bytes]:
    end = at + name_size + 1 + value_size
    if end > len(data):
        raise FormatError(structure, at, "an entry reaches past the end")
    name = data[at:at + name_size]
    if not name or 0 in name or data[at + name_size] != 0:
        raise FormatError(structure, at, "a name is empty, holds a NUL or does not end in one")
    return name, data[at + name_size + 1:end]
