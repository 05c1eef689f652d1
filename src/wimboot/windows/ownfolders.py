"""What lies on a volume because somebody put it there, and what Windows makes by itself on any volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.tree import ROOT

if TYPE_CHECKING:
    from wimboot.tree import Tree

__all__ = ["somebodys"]

_OF_NO_ACCOUNT: Final = frozenset({"system volume information", "$recycle.bin", "recycler"})


def somebodys(tree: Tree) -> dict[str, int]:
    """The names in the root that somebody put there, and their nodes."""
    names = ((tree.path(link)[1:], link) for link in tree.children(ROOT))
    return {name: tree.link(link).node for name, link in names if name.casefold() not in _OF_NO_ACCOUNT}
