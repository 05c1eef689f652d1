r"""Names that people write for paths of a volume: `\Users\*`, `/users/ann/`, `*.docx`.

A glob that begins with a slash begins at the root, with or without a drive (`C:\Users`); any other matches the end of
a path, from a slash on. Both slashes are one, a last one says nothing, case does not matter, as in NTFS. `*` stands
for anything, folders in between too; `?` for one character; all others, brackets too, for themselves. A folder that
matches stands for all that is in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wimboot.formats.names import fold_text
from wimboot.tree.constants import FileAttribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wimboot.tree._tree import Tree

__all__ = ["matching", "with_all_below", "with_all_names"]

_DRIVE: Final = re.compile(r"[A-Za-z]:(?=[\\/])")
_ANY: Final = {"*": ".*", "?": "."}


def matching(tree: Tree, globs: Sequence[str]) -> list[set[int]]:
    """For each glob the links that match by themselves; the root matches a lone slash."""
    patterns = [_compiled(glob) for glob in globs]
    paths = [fold_text(tree.path(link)) for link in range(tree.link_count)] if patterns else []
    return [{link for link, path in enumerate(paths) if pattern.fullmatch(path)} for pattern in patterns]


def with_all_below(tree: Tree, links: Iterable[int]) -> set[int]:
    """These links, and those of everything in the folders among them."""
    found = set(links)
    waiting = list(found)
    while waiting:
        node = tree.link(waiting.pop()).node
        if tree.attributes(node) & FileAttribute.DIRECTORY:
            inner = [link for link in tree.children(node) if link not in found]
            found.update(inner)
            waiting += inner
    return found


def with_all_names(tree: Tree, links: Iterable[int]) -> set[int]:
    """These links, and the other names of the same files."""
    return {name for node in {tree.link(link).node for link in links} for name in tree.links_of(node)}


def _compiled(glob: str) -> re.Pattern[str]:
    text = _DRIVE.sub("", glob, count=1).replace("/", "\\")
    rooted = text.startswith("\\")
    text = "\\".join(filter(None, text.split("\\")))
    pattern = "".join(_ANY.get(character) or re.escape(character) for character in fold_text(text))
    return re.compile(("" if rooted else r"(?:.*)") + r"\\" + pattern, re.DOTALL)
