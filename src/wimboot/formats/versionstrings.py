"""The strings of a version resource: who made a program, and what it was called.

VS_VERSIONINFO (verrsrc.h and the documents of its structures) is a tree of blocks, each

    0   2   length of the whole block
    2   2   length of its value: in bytes, of strings in characters
    4   2   type: 1 text, 0 binary
    6       key, UTF-16 with NUL, then padding to 4 bytes from the block's start
            the value, padding, then the blocks below

The root has VS_FIXEDFILEINFO as its value; below it StringFileInfo, in it a StringTable for each language, in those the
strings.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["version_strings"]

_HEAD: Final = struct.Struct("<HHH")
_MAX_STRINGS: Final = 256
"""In all tables; real drivers have ten for each language."""


def version_strings(block: bytes) -> dict[str, str]:
    """Name -> string, of the first language that has it. Raises FormatError."""
    found: dict[str, str] = {}
    root = _Block(block, 0, len(block))
    for info in root.below():
        if info.key != "StringFileInfo":
            continue
        for table in info.below():
            for string in table.below():
                found.setdefault(string.key, string.text())
                if len(found) > _MAX_STRINGS:
                    raise FormatError("version resource", string.start, f"there are over {_MAX_STRINGS} strings")
    return found


class _Block:
    """One block, which lies within `end`."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        if end - start < _HEAD.size:
            raise FormatError("version resource", start, "a block ends inside its head")
        length, self.value_size, self.type = _HEAD.unpack_from(data, start)
        if not _HEAD.size <= length <= end - start:
            raise FormatError("version resource", start, f"a block of {length:,} bytes does not fit")
        self.data, self.start, self.end = data, start, start + length
        at = start + _HEAD.size
        while data[at:at + 2] != b"\0\0":
            at += 2
            if at + 2 > self.end:
                raise FormatError("version resource", start, "a block's key has no end")
        self.key = data[start + _HEAD.size:at].decode("utf-16-le", "replace")
        self.value = _aligned(start, at + 2)

    def text(self) -> str:
        """The value as a string up to its NUL; some compilers count it in bytes, so the block's end counts too."""
        end = min(self.value + 2 * self.value_size, self.end)
        raw = self.data[self.value:end]
        return raw[:len(raw) & ~1].decode("utf-16-le", "replace").partition("\0")[0]

    def below(self) -> Iterator[_Block]:
        """The blocks in it."""
        size = self.value_size if self.type == 0 else 2 * self.value_size
        at = _aligned(self.start, self.value + size)
        while at + _HEAD.size <= self.end:
            if self.data[at:at + 2] == b"\0\0":     # padding
                return
            block = _Block(self.data, at, self.end)
            yield block
            at = _aligned(self.start, block.end)


def _aligned(start: int, at: int) -> int:
    """The next multiple of 4 bytes, counted from the start of a block."""
    return at + -(at - start) % 4
