r"""Names on FAT: the short ones, 8 and 3 bytes, and which long name needs which.

Source: Microsoft, FAT32 File System Specification 1.03, "Name Limits and Character Sets", "The Basis-Name Generation
Algorithm". A short name is stored in upper case, in the code page of the system that wrote it, which the volume does
not name: what is not ASCII is shown as code page 437 has it and never written. `BOOTMGR` with the case byte 18 is shown
as `bootmgr`, as Windows does it; any other name that is not just upper case has a long one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wimboot.formats.fatdir import LABEL_SIZE, MAX_LONG_UNITS
from wimboot.formats.names import NOT_IN_NAMES, encode_name

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["fat_name_problem", "label_bytes", "plain_short", "short_alias", "short_text"]

_NAME_LOWER: Final = 0x08
_EXTENSION_LOWER: Final = 0x10
_CODE_PAGE: Final = "cp437"
_E5: Final = b"\xe5"
_SHORT: Final = r"[A-Z0-9!#$%&'()@^_`{}~-]"
_PLAIN: Final = re.compile(rf"({_SHORT}{{1,8}})(?:\.({_SHORT}{{1,3}}))?")
_NOT_SHORT: Final = re.compile(r"[^A-Z0-9!#$%&'()@^_`{}~-]")
_NOT_IN_LONG: Final = NOT_IN_NAMES | frozenset("/\\\x7f")
_NOT_IN_LABELS: Final = frozenset('"*+,./:;<=>?[\\]|') | {chr(code) for code in range(32)} | {"\x7f"}
_DEVICES: Final = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT")
                                                            for number in range(1, 10))})
_MOST_ALIASES: Final = 999_999


def fat_name_problem(name: str) -> str:
    """Why `name` cannot be that of a file or folder, "" if it can."""
    if not name:
        return "it is empty"
    if name in (".", ".."):
        return "it stands for a folder above"
    if len(encode_name(name)) > 2 * MAX_LONG_UNITS:
        return f"it is longer than {MAX_LONG_UNITS} units"
    bad = sorted(_NOT_IN_LONG & set(name))
    if bad:
        return f"it contains {bad[0]!r}"
    if name[-1] in " .":
        return "it ends in a dot or a blank"
    if name.partition(".")[0].rstrip().upper() in _DEVICES:
        return "Windows keeps it for a device"
    return ""


def short_text(name: bytes, case: int = 0) -> str:
    """How a stored short name is shown."""
    raw = _E5 + name[1:] if name[:1] == b"\x05" else name
    stem, extension = (raw[start:end].rstrip(b" ").decode(_CODE_PAGE) for start, end in ((0, 8), (8, 11)))
    if case & _NAME_LOWER:
        stem = stem.lower()
    if case & _EXTENSION_LOWER:
        extension = extension.lower()
    return f"{stem}.{extension}" if extension else stem


def plain_short(name: str) -> tuple[bytes, int] | None:
    """The short name and case byte of a name that needs no long one; None where it needs one."""
    stem, _, extension = name.partition(".")
    found = _PLAIN.fullmatch(name.upper()) if name.isascii() else None
    if found is None or not all(part in (part.upper(), part.lower()) for part in (stem, extension)):
        return None
    case = (_NAME_LOWER if stem != stem.upper() else 0) | (_EXTENSION_LOWER if extension != extension.upper() else 0)
    return _stored(stem.upper(), extension.upper()), case


def short_alias(name: str, taken: Container[bytes]) -> bytes | None:
    """A short name for one that has a long one, other than those `taken`; None where there is none left."""
    bare = name.upper().replace(" ", "").lstrip(".")
    stem, _, extension = bare.rpartition(".") if "." in bare else (bare, "", "")
    stem = _NOT_SHORT.sub("_", stem.replace(".", ""))
    extension = _NOT_SHORT.sub("_", extension)[:3]
    for number in range(1, _MOST_ALIASES + 1):
        tail = f"~{number}"
        stored = _stored(stem[:8 - len(tail)] + tail, extension)
        if stored not in taken:
            return stored
    return None


def label_bytes(label: str) -> bytes | None:
    """How a volume's label is stored; None where it cannot be."""
    upper = label.upper()
    if not upper.isascii() or len(upper) > LABEL_SIZE or _NOT_IN_LABELS & set(upper) or upper != upper.strip():
        return None
    return upper.encode("ascii").ljust(LABEL_SIZE)


def _stored(stem: str, extension: str) -> bytes:
    return (stem.ljust(8) + extension.ljust(3)).encode("ascii")
