"""A TOML document that somebody wrote, read strictly: what is not known or not of its type is told with its place.

Each key is taken once; what is left over is refused. tomllib keeps no lines, so the line of a key is looked for when
one is needed: that of the key, else of the table or array around it.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, NoReturn

from wimboot.errors import UsageError

__all__ = ["MAX_PLAN_SIZE", "PlanInvalid", "PlanNotToml", "TomlTable", "line_of", "read_toml"]

MAX_PLAN_SIZE: Final = 1 << 20
"""Bytes of a plan; one with hundreds of systems has some ten thousand."""

Key = str | int
_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_NAME: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_ENTRY: Final = re.compile(rf"\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=")
_PART: Final = re.compile(_NAME)
_LONGEST_LINE: Final = 1000
"""No header or key is looked for beyond: what is told is a line, not worth an hour of a hostile document."""
_FENCE: Final = re.compile('"""|\'\'\'')
_TYPES: Final = {bool: "true or false", int: "a whole number", float: "a number with a point", str: "text",
                 dict: "a table", list: "a list"}


class PlanNotToml(UsageError):
    """A plan that is no TOML document."""

    id = "plan-syntax"
    sentence = "{plan} is not a TOML document: {why}"
    advice = "The README has an example of a plan; https://toml.io tells the rules."


class PlanInvalid(UsageError):
    """A key or value that a plan cannot have: `line` is where, 0 where that cannot be told."""

    id = "plan-invalid"
    sentence = "{plan}{at}: {key}: {why}"
    advice = "`wimboot deploy --help` lists what a plan says."

    def __init__(self, *, plan: str, line: int, key: str, why: str) -> None:
        super().__init__(plan=plan, line=line, key=key, why=why, at=f", line {line}" if line else "")


class TomlTable:
    """One table of a document. `path` leads to it: names, and indices into arrays."""

    def __init__(self, values: dict[str, object], *, path: tuple[Key, ...], text: str, plan: str) -> None:
        self._left = dict(values)
        self._path, self._text, self._plan = path, text, plan

    def fail(self, key: str, why: str) -> NoReturn:
        """Refuse the value of `key`, or the table itself where that is "". Raises PlanInvalid."""
        path = (*self._path, key) if key else self._path
        raise PlanInvalid(plan=self._plan, line=line_of(self._text, path), key=_named(path), why=why)

    def has(self, key: str) -> bool:
        """Whether it is there and was not taken yet."""
        return key in self._left

    def text(self, key: str) -> str | None:
        """A text that says something, in printable characters; None where the key is missing."""
        value = self._take(key, str)
        if isinstance(value, str):
            if not value.strip():
                self.fail(key, "it is empty")
            if not value.isprintable():
                self.fail(key, "it has characters that cannot be seen (is a path in \"...\" meant to be in '...'?)")
            return value
        return None

    def needed_text(self, key: str) -> str:
        """The same, and it has to be there."""
        value = self.text(key)
        return self.fail(key, "it is missing") if value is None else value

    def integer(self, key: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`."""
        value = self._take(key, int)
        if not isinstance(value, int):
            return None
        if not low <= value <= high:
            self.fail(key, f"{value} is not between {low} and {high}")
        return value

    def flag(self, key: str) -> bool | None:
        """true or false."""
        value = self._take(key, bool)
        return value if isinstance(value, bool) else None

    def one_of(self, key: str, words: tuple[str, ...]) -> str | None:
        """One of these words."""
        value = self.text(key)
        if value is not None and value not in words:
            self.fail(key, f"{value!r} is none of {', '.join(words)}")
        return value

    def text_or_integer(self, key: str) -> str | int | None:
        """A text or a whole number that is not negative."""
        if isinstance(self._left.get(key), str):
            return self.text(key)
        if isinstance(self._left.get(key), int) or key not in self._left:
            return self.integer(key, 0, 1 << 62)
        return self.fail(key, f"it is {_kind(self._left[key])}, and text or a whole number is wanted")

    def table(self, key: str) -> TomlTable | None:
        """A table in this one."""
        value = self._take(key, dict)
        return self._inner(value, key) if isinstance(value, dict) else None

    def tables(self, key: str) -> list[TomlTable]:
        """A list of tables, none where the key is missing."""
        value = self._take(key, list)
        found = []
        for index, one in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(one, dict):
                self.fail(key, f"entry {index + 1} is {_kind(one)}, and a table is wanted")
            found.append(self._inner(one, key, index))
        return found

    def done(self) -> None:
        """Refuse what nobody took."""
        for key in self._left:
            self.fail(key, "there is no such key")

    def _inner(self, values: dict[str, object], *below: Key) -> TomlTable:
        return TomlTable(values, path=(*self._path, *below), text=self._text, plan=self._plan)

    def _take(self, key: str, kind: type) -> object:
        value = self._left.pop(key, None)
        if value is not None and type(value) is not kind:
            self.fail(key, f"it is {_kind(value)}, and {_TYPES[kind]} is wanted")
        return value


def read_toml(data: bytes, plan: str) -> TomlTable:
    """The document's root table; `plan` is what its file is called. Raises PlanNotToml."""
    if len(data) > MAX_PLAN_SIZE:
        raise PlanNotToml(plan=plan, why=f"it has more than {MAX_PLAN_SIZE} bytes")
    try:
        text = data.decode("utf-8-sig")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise PlanNotToml(plan=plan, why=f"byte {error.start:,} is not UTF-8") from error
    except (tomllib.TOMLDecodeError, ValueError) as error:   # a year of 0 is a ValueError
        raise PlanNotToml(plan=plan, why=str(error)) from error
    except RecursionError as error:
        raise PlanNotToml(plan=plan, why="its lists and tables are nested too deep") from error
    return TomlTable(values, path=(), text=text, plan=plan)


def line_of(text: str, path: tuple[Key, ...]) -> int:
    """The line, from 1, of a key of a document; of what is around it where it has no line of its own, 0 for nothing."""
    lines = _lines(text)
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 0


def _lines(text: str) -> dict[tuple[Key, ...], int]:
    """Where each table and each key begins, as far as lines tell it."""
    found: dict[tuple[Key, ...], int] = {}
    counts: dict[tuple[Key, ...], int] = {}
    here: tuple[Key, ...] = ()
    fence = ""
    for number, whole in enumerate(text.split("\n"), start=1):
        line = whole[:_LONGEST_LINE]
        if fence:
            fence = "" if fence in whole else fence
            continue
        if header := _HEADER.fullmatch(line):
            here = _resolved(header[2], counts, opens=len(header[1]) > 1)
        elif entry := _ENTRY.match(line):
            found.setdefault((*here, *_parts(entry[1])), number)
            marks = _FENCE.findall(whole)
            fence = marks[0] if len(marks) % 2 else ""
            continue
        else:
            continue
        found.setdefault(here, number)
    return found


def _resolved(header: str, counts: dict[tuple[Key, ...], int], *, opens: bool) -> tuple[Key, ...]:
    """The path that a header means: through an array it leads into its last entry."""
    path: tuple[Key, ...] = ()
    parts = _parts(header)
    for index, part in enumerate(parts):
        path = (*path, part)
        if opens and index == len(parts) - 1:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _named(path: tuple[Key, ...]) -> str:
    """system[2].size: entries of lists are counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the plan"


def _kind(value: object) -> str:
    return _TYPES.get(type(value), "a date or time")
