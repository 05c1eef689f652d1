"""INF files: what the maker of a driver tells Windows to install.

Text in sections (Microsoft's "General Syntax Rules for INF Files"): `[Name]`, then `key = value, value, ...` or values
alone; a comment begins with `;`, a line that ends in a backslash goes on in the next; quotes keep blanks, commas and
semicolons, a doubled one in them is one; `%token%` is a string of [Strings], `%%` a percent sign, and `%12%` a number
of a folder, which stays as it is. Names of sections, keys and tokens have no case; sections of one name are one. UTF-16
with its mark, or 8 bits a character.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_INF_SIZE", "Inf", "InfLine"]

MAX_INF_SIZE: Final = 1 << 20
_TOKEN: Final = re.compile(r"%([^%]*)%")
_MAX_VALUE: Final = 4096


class InfLine(Frozen):
    """One line of a section; `key` is empty where it has values alone."""

    key: str
    values: tuple[str, ...]
    number: int

    def value(self, index: int) -> str:
        """A value by its place, empty where the line has fewer."""
        return self.values[index] if index < len(self.values) else ""


class Inf(Frozen):
    """The sections by their names in lower case, strings put in."""

    sections: dict[str, tuple[InfLine, ...]]

    @classmethod
    def parse(cls, data: bytes) -> Inf:
        """Read a whole file. Raises FormatError."""
        if len(data) > MAX_INF_SIZE:
            raise FormatError("INF", 0, f"it has over {MAX_INF_SIZE:,} bytes")
        raw = _sections(_decoded(data))
        strings = {_plain(key).lower(): _plain(values[0]) for key, values, _ in raw.get("strings", []) if values}
        found = {name: tuple(
            InfLine(key=_filled(key, strings, number), number=number,
                    values=tuple(_filled(value, strings, number) for value in values))
            for key, values, number in lines) for name, lines in raw.items() if name != "strings"}
        return cls(sections=found)

    def section(self, name: str) -> tuple[InfLine, ...]:
        """The lines of a section, none where there is no such."""
        return self.sections.get(name.lower(), ())

    def get(self, section: str, key: str) -> InfLine | None:
        """The first line of a section with that key."""
        return next((line for line in self.section(section) if line.key.lower() == key.lower()), None)

    def text(self, section: str, key: str) -> str:
        """The first value of such a line, empty where there is none."""
        line = self.get(section, key)
        return "" if line is None else line.value(0)


def _decoded(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if data[:3] == b"\xef\xbb\xbf":
        return data[3:].decode("utf-8", "replace")
    return data.decode("cp1252", "replace")


def _sections(text: str) -> dict[str, list[tuple[str, list[str], int]]]:
    """By name: (key, values, line), quotes still in."""
    found: dict[str, list[tuple[str, list[str], int]]] = {}
    lines: list[tuple[str, list[str], int]] | None = None
    for number, line in _logical_lines(text):
        if line.startswith("["):
            name, end, rest = line[1:].partition("]")
            if not end or rest.strip() or not name.strip():
                raise FormatError("INF", number, f"line {number} is no section")
            lines = found.setdefault(_plain(name.strip()).lower(), [])
        elif lines is None:
            raise FormatError("INF", number, f"line {number} stands before any section")
        else:
            lines.append(_entry(line, number))
    return found


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, joined where one goes on; with the number of the first."""
    parts: list[str] = []
    first = 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = "".join(_outside(raw, number)).strip()
        first = first or number
        if line.endswith("\\") and line.count('"') % 2 == 0 and not line.startswith("["):
            parts.append(line[:-1])
            continue
        joined = "".join((*parts, line)).strip()
        if joined:
            yield first, joined
        parts, first = [], 0
    if "".join(parts).strip():
        raise FormatError("INF", first, f"line {first} goes on behind the end")


def _outside(line: str, number: int) -> Iterator[str]:
    """The characters before a comment."""
    quoted = False
    for character in line:
        if character == '"':
            quoted = not quoted
        elif character == ";" and not quoted:
            return
        elif character == "\0":
            raise FormatError("INF", number, f"line {number} holds NUL")
        yield character
    if quoted:
        raise FormatError("INF", number, f"the quote in line {number} has no end")


def _entry(line: str, number: int) -> tuple[str, list[str], int]:
    key, values = "", line
    place = _unquoted(line, "=")
    if place >= 0:
        key, values = line[:place].strip(), line[place + 1:]
    parts = []
    while (comma := _unquoted(values, ",")) >= 0:
        parts.append(values[:comma].strip())
        values = values[comma + 1:]
    parts.append(values.strip())
    return key, parts, number


def _unquoted(text: str, wanted: str) -> int:
    """The first place of a character outside quotes; -1 for none."""
    quoted = False
    for place, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == wanted and not quoted:
            return place
    return -1


def _plain(text: str) -> str:
    """Without quotes; a doubled one inside stays as one."""
    parts = text.split('"')
    return text if len(parts) == 1 else text.replace('""', "\0").replace('"', "").replace("\0", '"')


def _filled(text: str, strings: dict[str, str], number: int) -> str:
    """With strings in the places of their tokens; numbers of folders stay."""
    def of(match: re.Match[str]) -> str:
        token = match[1]
        if not token:
            return "%"
        if token.isdecimal():
            return match[0]
        if token.lower() not in strings:
            raise FormatError("INF", number, f"line {number} uses %{token}%, which [Strings] does not have")
        return strings[token.lower()]

    filled = _TOKEN.sub(of, _plain(text))
    if len(filled) > _MAX_VALUE:
        raise FormatError("INF", number, f"a value of line {number} has over {_MAX_VALUE} characters")
    return filled
