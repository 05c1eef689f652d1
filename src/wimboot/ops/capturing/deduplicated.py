"""Deduplicated files: reparse points whose data Windows Server keeps in System Volume Information, for many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.formats.reparse import REPARSE_TAG_DEDUP
from wimboot.tree import passes

if TYPE_CHECKING:
    from wimboot.ops.opening.volume import Opened
    from wimboot.tree import Tree

__all__ = ["DeduplicatedWouldGo", "deduplicated", "refuse_deduplicated"]


class DeduplicatedWouldGo(Refused):
    """Formatting a volume on which deduplicated files have their data where no image takes it from."""

    id = "deduplicated-would-go"
    sentence = "{where} has {count} deduplicated files ({first}, ...), whose data would be gone: no image holds it"
    advice = "Undo deduplication under Windows first (Start-DedupJob -Type Unoptimization), or leave out --format."


def deduplicated(tree: Tree, excluded: bytearray | None = None) -> list[str]:
    """The paths of such files, those that a list excludes left out."""
    return [
        tree.path(link)
        for node in passes.tagged_nodes(tree, REPARSE_TAG_DEDUP)
        for link in tree.links_of(node)
        if excluded is None or not excluded[link]
    ]


def refuse_deduplicated(opened: Opened) -> None:
    """Before formatting a volume whose files are to be had again. Raises DeduplicatedWouldGo."""
    paths = deduplicated(opened.tree)
    if paths:
        raise DeduplicatedWouldGo(where=opened.where, count=len(paths), first=paths[0])
