"""What an error code of Windows, its boot manager, wimlib or this program means here, and what to do.

Sources: Windows' headers for names and numbers; wof.sys' behaviour from a public disassembly; wimlib.h;
the advice from what was tried. "Perhaps" marks what nobody could try.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from wimboot.errors import UsageError
from wimboot.frozen import Frozen
from wimboot.windows.codetable import ROWS

__all__ = ["Code", "Family", "NotACode", "UnknownCode", "explain_code", "known_codes", "parse_code"]

_NT_AS_HRESULT: Final = 0x1000_0000
_WIN32_AS_HRESULT: Final = 0x8007_0000
_HEX_DIGITS: Final = 8
_WRITTEN: Final = re.compile(
    r"[(\[\s]*(?:[a-z][a-z ]*[=: ]\s*)?(-?)(0x(?=[0-9a-f])|(?=[0-9]|[0-9a-f]{8}))([0-9a-f]+)h?[)\]. :]*", re.ASCII)
"""A number, alone or behind words such as "status=". Plain hexadecimal begins with a digit or has 8: "dead" is a word.
"""


class UnknownCode(UsageError):
    """A code that is not in the table."""

    id = "unknown-code"
    sentence = "{text!r} is not a code that is known here"
    advice = "Codes look like c000046e, 0xC000046E, 1314 or 50; `wimboot explain` lists those that are known."


class NotACode(UnknownCode):
    """A word, or the name of a file that is not there. The ids of our own messages are words: they explain themselves.
    """

    id = "not-a-code"
    sentence = "{text!r} is not a code"
    advice = (
        "Codes are numbers like c000046e, 0xC000046E, 1314 or 50; `wimboot explain` lists those that are known. The "
        "word that --json calls the id of an error or a note is for programs: what it means is said in the message. "
        "For a file: `wimboot explain TARGET PATH`."
    )


class Family(Enum):
    """Who numbers; one number may mean something in several."""

    NTSTATUS = "NTSTATUS (Windows kernel, boot manager)"
    WIN32 = "Win32 error"
    STOP = "blue screen"
    WIMLIB = "exit code of wimlib-imagex"
    GRUB4DOS = "grub4dos error"
    OURS = "exit code of wimboot"


class Code(Frozen):
    """One meaning of a number."""

    family: Family
    number: int
    name: str
    when: str
    advice: str

    @property
    def text(self) -> str:
        """The number as its family writes it."""
        return f"0x{self.number:08X}" if self.family in (Family.NTSTATUS, Family.STOP) else str(self.number)


def known_codes() -> tuple[Code, ...]:
    """Every code, those of a family together."""
    return tuple(Code(family=Family[family], number=number, name=name, when=when, advice=advice)
                 for family, number, name, when, advice in ROWS)


def _table() -> dict[int, tuple[Code, ...]]:
    table: dict[int, tuple[Code, ...]] = {}
    for code in known_codes():
        table[code.number] = (*table.get(code.number, ()), code)
    return table


_CODES: Final = _table()


def parse_code(text: str) -> int:
    """The number in "c000046e", "0xC000046E", "err=1314", "-1073740690". Raises NotACode."""
    match = _WRITTEN.fullmatch(text.strip().lower())
    if match is None or len(match[3]) > 2 * _HEX_DIGITS:
        raise NotACode(text=text)
    digits = match[3]
    hexadecimal = bool(match[2]) or not digits.isdecimal() or (
        len(digits) == _HEX_DIGITS and int(digits) not in _CODES)
    number = int(digits, 16 if hexadecimal else 10)
    return (-number if match[1] else number) & 0xFFFF_FFFF


def explain_code(text: str) -> tuple[Code, ...]:
    """Every meaning of a code, the likeliest first. Raises NotACode, UnknownCode."""
    number = parse_code(text)
    candidates = [number]
    if number & 0xFFFF_0000 == _WIN32_AS_HRESULT:
        candidates.append(number & 0xFFFF)
    if number >> 28 == 0xD:
        candidates.append(number & ~_NT_AS_HRESULT)
    found = tuple(code for candidate in candidates for code in _CODES.get(candidate, ()))
    if not found:
        raise UnknownCode(text=text)
    return found
