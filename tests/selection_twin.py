"""What the lists say of one path, decided slowly and plainly: the twin of wimboot.tree.selection's compiled walk."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from wimboot.formats.ini import Pattern
from wimboot.formats.names import encode_name, split_path
from wimboot.tree import fold
from wimboot.tree.selection import ListKind, Lists, Rule

__all__ = ["PathVerdict", "explain_path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathVerdict:
    """What the lists say of one path: the rules that leave it out, or keep it real; None where none does."""

    excluded_by: Rule | None
    real_by: Rule | None


def explain_path(path: str, lists: Lists) -> PathVerdict:
    """Decide about one path."""
    parts = [_units(fold(encode_name(part))) for part in split_path(path)]
    excluded_by: Rule | None = None
    for depth in range(1, len(parts) + 1):
        excluded_by = _exclusion(parts[:depth], lists)
        if excluded_by is not None:
            break
    return PathVerdict(excluded_by=excluded_by, real_by=_first(parts, lists.of(ListKind.REAL)))


def _exclusion(parts: list[str], lists: Lists) -> Rule | None:
    """The rule that leaves out this path itself, its folders not asked."""
    forbidden = _first(parts, lists.of(ListKind.FORBIDDEN))
    if forbidden is not None:
        return forbidden
    rule = _first(parts, lists.of(ListKind.EXCLUSION))
    exceptions = lists.of(ListKind.EXCEPTION)
    if rule is None or _first(parts, lists.of(ListKind.KEPT)) or _first(parts, exceptions):
        return None
    return None if any(_on_the_way(parts, exception.pattern) for exception in exceptions) else rule


def _first(parts: list[str], rules: Iterable[Rule]) -> Rule | None:
    return next((rule for rule in rules if _matches(parts, rule.pattern)), None)


def _matches(parts: list[str], pattern: Pattern) -> bool:
    """Whether a pattern matches, everything below a used-up absolute pattern included."""
    if not parts:
        return False
    if not pattern.absolute:
        return _glob(_folded(pattern.components[0]), parts[-1])
    return len(parts) >= len(pattern.components) and _along(parts, pattern)


def _on_the_way(parts: list[str], pattern: Pattern) -> bool:
    """Whether an absolute pattern lies below this path."""
    return pattern.absolute and len(parts) < len(pattern.components) and _along(parts, pattern)


def _along(parts: list[str], pattern: Pattern) -> bool:
    return all(_glob(_folded(component), part)
               for component, part in zip(pattern.components, parts, strict=False))


def _units(name: bytes) -> str:
    """UTF-16 units as characters, so that `?` means one unit."""
    return "".join(chr(name[i] | name[i + 1] << 8) for i in range(0, len(name) - 1, 2))


@lru_cache(maxsize=4096)
def _folded(component: str) -> str:
    return _units(fold(encode_name(component)))


def _glob(pattern: str, name: str) -> bool:
    """Whether a folded name matches; only the last star is ever tried again, so that it cannot explode."""
    at = position = 0
    star, resume = -1, 0
    while position < len(name):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", name[position]):
            at += 1
            position += 1
        elif star >= 0:
            resume += 1
            at, position = star + 1, resume
        else:
            return False
    return not pattern[at:].strip("*")
