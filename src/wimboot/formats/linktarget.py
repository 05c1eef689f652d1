r"""Where symbolic links and junctions lead: the data of their reparse points.

[MS-FSCC] 2.1.2.4 and 2.1.2.5, behind the header of 8 bytes; all numbers little-endian, offsets counted from PathBuffer:

    offset size  field
    0      2     SubstituteNameOffset
    2      2     SubstituteNameLength    bytes; the name that the system follows
    4      2     PrintNameOffset
    6      2     PrintNameLength         bytes; the name that people see
    8      4     Flags                   1: relative. Symbolic links only; a junction has its PathBuffer here
    12     -     PathBuffer              UTF-16LE

A symbolic link of Windows' Linux subsystem (tag 0xA000001D; seen in volumes it wrote): u32 2, then UTF-8 to the end.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from wimboot.errors import FormatError
from wimboot.formats.names import decode_name
from wimboot.frozen import Frozen

__all__ = ["LINK_TAGS", "LinkTarget"]

JUNCTION: Final = 0xA000_0003
SYMBOLIC_LINK: Final = 0xA000_000C
LINUX_LINK: Final = 0xA000_001D
LINK_TAGS: Final = frozenset({JUNCTION, SYMBOLIC_LINK, LINUX_LINK})

_NAMES = Struct("<HHHH")
_FLAGS = Struct("<I")
_RELATIVE: Final = 1
_LINUX_VERSION: Final = 2
_WHAT: Final = "the reparse data of a link"


class LinkTarget(Frozen):
    r"""`path` as the system follows it, `\??\C:\Users` or, where `relative`, `..\Users`."""

    path: str
    relative: bool

    @classmethod
    def parse(cls, tag: int, data: bytes) -> LinkTarget:
        """Read what follows the 8-byte header. Raises FormatError, also for another tag."""
        if tag == LINUX_LINK:
            return cls._parse_linux(data)
        if tag not in LINK_TAGS:
            raise FormatError(_WHAT, 0, f"the tag {tag:#010x} is no link's")
        buffer = _NAMES.size + (_FLAGS.size if tag == SYMBOLIC_LINK else 0)
        if len(data) < buffer:
            raise FormatError(_WHAT, len(data) + 8, "it is cut short")
        offset, size, _, _ = _NAMES.unpack_from(data)
        if size % 2 or offset + size > len(data) - buffer:
            raise FormatError(_WHAT, 8, f"its name of {size:,} bytes at {offset:,} leaves it")
        path = decode_name(data[buffer + offset:buffer + offset + size])
        relative = tag == SYMBOLIC_LINK and bool(_FLAGS.unpack_from(data, _NAMES.size)[0] & _RELATIVE)
        return cls(path=path, relative=relative)

    @classmethod
    def _parse_linux(cls, data: bytes) -> LinkTarget:
        if len(data) < _FLAGS.size or _FLAGS.unpack_from(data)[0] != _LINUX_VERSION:
            raise FormatError(_WHAT, 8, "it is of a version that is not known")
        path = data[_FLAGS.size:].decode("utf-8", "surrogateescape")
        return cls(path=path, relative=not path.startswith("/"))
