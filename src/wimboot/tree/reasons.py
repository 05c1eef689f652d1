"""The real files of a volume, grouped by what keeps each one real."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from wimboot.frozen import Frozen
from wimboot.tree import _passes, _reasons

if TYPE_CHECKING:
    from wimboot.tree._tree import Tree
    from wimboot.tree.selection import Rule, Selection

__all__ = ["Keeps", "RealGroup", "real_groups"]


class Keeps(IntEnum):
    """What keeps the files of a group real, where their own kind does not."""

    NOTHING = _reasons.FREE
    EXCLUSION = _reasons.EXCLUDED
    RULE = _reasons.RULED


class RealGroup(Frozen):
    """Files that are real for one reason: their kind (of `passes.classify`), else what the lists say.

    `seen` are their bytes as Windows sees them, `occupied` those of their clusters; `largest` is the node of the
    largest one, of `largest_size` bytes.
    """

    kind: int
    keeps: Keeps
    rule: Rule | None
    files: int
    seen: int
    occupied: int
    largest: int
    largest_size: int


def real_groups(tree: Tree, selection: Selection, size_limit: int) -> list[RealGroup]:
    """Every file that is neither a folder nor a pointer, in groups; the one with the most clusters first."""
    classes = _passes.classify(tree, size_limit)
    rules = selection.lists.rules
    rows = _reasons.real_groups(tree, classes, selection.excluded, selection.excluded_by, selection.real_by, len(rules))
    groups = [
        RealGroup(kind=kind, keeps=Keeps(keeps), rule=None if rule < 0 else rules[rule], files=files, seen=seen,
                  occupied=occupied, largest=largest, largest_size=largest_size)
        for kind, keeps, rule, files, seen, occupied, largest_size, largest in rows
    ]
    return sorted(groups, key=lambda group: (-group.occupied, -group.seen))
