r"""Which names the capture lists leave out, and which files they keep real, with the rule that says so.

A path is compared without regard to case, as NTFS compares names. An absolute pattern goes component by
component from the root and, once used up, holds for everything below; a relative one is compared with the
last component only.

    excluded      an exclusion matches and no exception does, or the folder above is excluded
    exception     also matches what lies on the way to an absolute one: `\a` for `\a\b\keep.txt`
    kept          an exception of our own: for the named file alone, never for the folders above it
    forbidden     an exclusion that no exception overrides
    real          any name of the file matches; one name is enough for the whole file

The root is never excluded; DOS names are not compared. `select` decides about a whole Tree in one compiled walk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from wimboot.formats.names import encode_name
from wimboot.frozen import Frozen
from wimboot.tree._selection import RuleSet, survey
from wimboot.tree._tree import fold

if TYPE_CHECKING:
    from array import array

    from wimboot.formats.ini import Pattern
    from wimboot.tree._tree import Tree

__all__ = ["ListKind", "Lists", "Rule", "Selection", "select"]

NO_RULE: Final = -1


class ListKind(IntEnum):
    """What a rule is for; the numbers are those of `_selection.pyx`."""

    EXCLUSION = 0
    EXCEPTION = 1
    KEPT = 2
    REAL = 3
    FORBIDDEN = 4


class Rule(Frozen):
    """One pattern of one list, and where it comes from. `line` 0: it is built in. `detail` tells more than that."""

    kind: ListKind
    pattern: Pattern
    origin: str
    line: int = 0
    detail: str = ""

    @property
    def where(self) -> str:
        """The list as a person would look for it: "X.ini, line 12"."""
        if self.line:
            return f"{self.origin}, line {self.line}"
        return f"{self.origin}: {self.detail}" if self.detail else self.origin

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


class Selection(Frozen):
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

    def _rule(self, index: int) -> Rule | None:
        return None if index == NO_RULE else self.lists.rules[index]


def select(tree: Tree, lists: Lists) -> Selection:
    """Decide about every name of a tree. Raises FormatError for folders nested beyond reason."""
    excluded, excluded_by, real_by = survey(tree, lists.compiled())
    return Selection(lists=lists, excluded=excluded, excluded_by=excluded_by, real_by=real_by)
