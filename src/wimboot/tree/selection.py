r"""Which names the capture lists leave out, and which files they keep real, with the rule that says so.

A path is compared without regard to case, as NTFS compares names. An absolute pattern goes component by
component from the root and, once used up, holds for everything below; a relative one is compared with the
last component only.

    excluded      an exclusion matches and no exception does, or the folder above is excluded
    exception     also matches what lies on the way to an absolute one: `\a` for `\a\b\keep.txt`
    kept          an exception of our own: for the named file alone, never for the folders above it
    forbidden     an exclusion that no exception overrides
    real          any name of the file matches; one name is enough for the whole file

The root is never excluded; DOS names are not compared. `select` decides about a whole Tree in one compiled
walk, `explain_path` about a single path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from wimboot.formats.names import encode_name, split_path
from wimboot.tree._selection import RuleSet, survey
from wimboot.tree._tree import fold

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable

    from wimboot.formats.ini import Pattern
    from wimboot.tree._tree import Tree

__all__ = [
    "ListKind", "Lists", "PathVerdict", "Rule", "Selection", "excluded_links", "explain_path", "real_nodes",
    "select",
]

NO_RULE: Final = -1


class ListKind(IntEnum):
    """What a rule is for; the numbers are those of `_selection.pyx`."""

    EXCLUSION = 0
    EXCEPTION = 1
    KEPT = 2
    REAL = 3
    FORBIDDEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern of one list, and where it comes from. `line` 0: it is built in."""

    kind: ListKind
    pattern: Pattern
    origin: str
    line: int = 0

    @property
    def where(self) -> str:
        """The list as a person would look for it: "X.ini, line 12"."""
        return f"{self.origin}, line {self.line}" if self.line else self.origin

    def __str__(self) -> str:
        """The pattern and its place."""
        return f"{self.pattern.normal} ({self.where})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """All rules in the order in which they are named when several match."""

    rules: tuple[Rule, ...] = ()
    _compiled: list[RuleSet] = field(default_factory=list, compare=False, repr=False)

    def of(self, kind: ListKind) -> tuple[Rule, ...]:
        """The rules of one list."""
        return tuple(rule for rule in self.rules if rule.kind == kind)

    def compiled(self) -> RuleSet:
        """The form that `select` walks with; made once."""
        if not self._compiled:
            self._compiled.append(RuleSet([
                (rule.kind, rule.pattern.absolute,
                 [fold(encode_name(part)) for part in rule.pattern.components])
                for rule in self.rules
            ]))
        return self._compiled[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What the lists say of a Tree. The arrays hold indices into `lists.rules`, -1 for none."""

    lists: Lists
    excluded: bytearray         # 1 for each link that is left out, by itself or with a folder above it
    excluded_by: array[int]     # link -> rule
    real_by: array[int]         # node -> rule

    def exclusion(self, link: int) -> Rule | None:
        """The rule that leaves a name out."""
        return self._rule(self.excluded_by[link])

    def real(self, node: int) -> Rule | None:
        """The rule that keeps a file real."""
        return self._rule(self.real_by[node])

    def real_nodes(self) -> dict[int, Rule]:
        """The nodes that a rule keeps real, with that rule."""
        rules = self.lists.rules
        return {node: rules[rule] for node, rule in enumerate(self.real_by) if rule != NO_RULE}

    def _rule(self, index: int) -> Rule | None:
        return None if index == NO_RULE else self.lists.rules[index]


def select(tree: Tree, lists: Lists) -> Selection:
    """Decide about every name of a tree. Raises FormatError for folders nested beyond reason."""
    excluded, excluded_by, real_by = survey(tree, lists.compiled())
    return Selection(lists=lists, excluded=excluded, excluded_by=excluded_by, real_by=real_by)


def excluded_links(tree: Tree, lists: Lists) -> bytearray:
    """1 for each link that is left out, the contents of excluded folders included."""
    return select(tree, lists).excluded


def real_nodes(tree: Tree, lists: Lists) -> dict[int, Rule]:
    """The nodes that a rule keeps real, with that rule."""
    return select(tree, lists).real_nodes()


@dataclass(frozen=True, slots=True, kw_only=True)
class PathVerdict:
    """What the lists say of one path: the rules that leave it out, or keep it real; None where none does."""

    excluded_by: Rule | None
    real_by: Rule | None


def explain_path(path: str, lists: Lists) -> PathVerdict:
    """Decide about one path. The slow twin of `select`."""
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
