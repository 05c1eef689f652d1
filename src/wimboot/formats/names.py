"""Names and paths as Windows stores them: UTF-16LE units, unpaired surrogates allowed, case ignored.

A name in `str` holds an unpaired surrogate as such a code point, so nothing is lost on the way back.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from wimboot.formats.upcase import upcase_table

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MAX_NAME_UNITS", "MAX_PATH_UNITS", "NOT_IN_NAMES", "decode_name", "encode_name", "fold_text", "join_path",
    "name_problem", "split_path",
]

MAX_NAME_UNITS = 255
MAX_PATH_UNITS = 32_767
NOT_IN_NAMES: Final = frozenset('<>:"|?*') | {chr(code) for code in range(32)}
"""What Win32 takes in no name, slashes aside (source: Microsoft, "Naming Files, Paths, and Namespaces")."""


def encode_name(text: str) -> bytes:
    """The UTF-16LE units of a name."""
    return text.encode("utf-16-le", "surrogatepass")


def decode_name(units: bytes) -> str:
    """The text of UTF-16LE units. Raises ValueError for half a unit."""
    if len(units) % 2:
        raise ValueError("UTF-16 has two bytes a unit")
    return units.decode("utf-16-le", "surrogatepass")


def split_path(path: str) -> tuple[str, ...]:
    r"""The components of `\Windows\System32`, either slash, empty ones dropped."""
    return tuple(part for part in path.replace("/", "\\").split("\\") if part)


def join_path(parts: Iterable[str]) -> str:
    r"""The path of components, `\Windows\System32`; a backslash for none."""
    return "\\" + "\\".join(parts)


@lru_cache(maxsize=1)
def _upper_case() -> dict[int, int]:
    """What `str.translate` wants: the units that have another upper case."""
    return {unit: upper for unit, upper in enumerate(upcase_table()) if unit != upper}


def fold_text(text: str) -> str:
    """The case in which NTFS compares names, one character to one; the same as `tree.fold` on units."""
    return text.upper() if text.isascii() else text.translate(_upper_case())


def name_problem(name: bytes) -> str:
    r"""Why UTF-16LE `name` cannot be one file's name on NTFS, "" if it can.

    Refused: empty, `.`, `..`, over 255 units, half a unit, NUL, `/` and `\`. The other characters that
    Win32 refuses are possible in the POSIX namespace and do occur.
    """
    if not name:
        return "it is empty"
    if len(name) % 2:
        return "it holds half a UTF-16 unit"
    if len(name) > 2 * MAX_NAME_UNITS:
        return f"it is longer than {MAX_NAME_UNITS} units"
    if name in (b".\0", b".\0.\0"):
        return "it stands for a folder above"
    for character, what in (("\0", "a NUL"), ("/", "a slash"), ("\\", "a backslash")):
        if character in decode_name(name):
            return f"it contains {what}"
    return ""
