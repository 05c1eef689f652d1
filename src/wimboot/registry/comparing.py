"""Comparing two hives by what they say, not by how they lie in their files."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.registry.hive import Node

__all__ = ["same_but_for"]

Exempt: TypeAlias = "Callable[[str, str | None], bool]"
"""Whether a value (path of its key, name) or, with no name, a key with all below it does not count. Lower case."""


def same_but_for(first: Node, second: Node, exempt: Exempt) -> bool:
    """Whether two keys have the same keys and values below them. Raises HiveDamaged.

    A key that only one has is the same as none, where all that it holds does not count.
    """
    waiting: list[tuple[str, Node | None, Node | None]] = [("", first, second)]
    while waiting:
        path, one, other = waiting.pop()
        if _values(path, one, exempt) != _values(path, other, exempt):
            return False
        left, right = _children(one), _children(other)
        for name in left.keys() | right.keys():
            below = f"{path}\\{name}" if path else name
            if exempt(below, None):
                continue
            if (name in left) != (name in right) and not exempt(below, ""):
                return False
            waiting.append((below, left.get(name), right.get(name)))
    return True


def _values(path: str, key: Node | None, exempt: Exempt) -> dict[str, object]:
    if key is None:
        return {}
    named = ((name.lower(), value) for name, value in key.values())
    return {name: value for name, value in named if not exempt(path, name)}


def _children(key: Node | None) -> dict[str, Node]:
    return {} if key is None else {child.name.lower(): child for child in key.children()}
