"""What a restore leaves alone on a volume, although the image has nothing there."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from wimboot.errors import Refused, UsageError
from wimboot.tree import ROOT, StreamFlag, Tree, passes
from wimboot.tree.selection import select

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.ops.opening import Opened
    from wimboot.ops.viewing import ImageView

__all__ = ["EncryptedWouldGo", "NothingKept", "left_alone", "refuse_encrypted"]


class EncryptedWouldGo(Refused):
    """Formatting a volume whose encrypted files no image can hold."""

    id = "encrypted-would-go"
    sentence = "{where} has {count} encrypted files ({first}, ...), which no image holds and formatting would destroy"
    advice = "Decrypt or move them under Windows first, or convert in place, without --format: then they stay."


class NothingKept(UsageError):
    """A --keep that would have kept nothing: a slip of the pen would cost the files that it was to save."""

    id = "nothing-kept"
    sentence = "--keep '{glob}' matches nothing on the volume"
    advice = "Globs begin at the volume's root or match the end of a path ('*.docx'); case does not matter."


def refuse_encrypted(opened: Opened) -> None:
    """Before formatting. Raises EncryptedWouldGo."""
    tree = opened.tree
    nodes = sorted({tree.stream_node(stream) for stream in passes.flagged_streams(tree, StreamFlag.ENCRYPTED)})
    if nodes:
        first = tree.path(tree.links_of(nodes[0])[0])
        raise EncryptedWouldGo(where=opened.where, count=len(nodes), first=first)


def left_alone(tree: Tree, view: ImageView, keep: Sequence[str]) -> tuple[bytearray, tuple[str, ...]]:
    """One byte a name of the volume: 1 where it is left alone, and the paths that `keep` saved.

    Left alone is what today's list excludes and what the list of the capture excluded, as long as the image has
    nothing there; encrypted files, which no image holds; what `keep` says, with all names of such a file. Raises
    NothingKept.
    """
    ignored = bytearray(tree.link_count)
    for lists in (view.lists, view.captured_with):
        excluded = b"" if lists is None else select(tree, lists).excluded
        for link in (link for link, out in enumerate(excluded) if out):
            ignored[link] = ignored[link] or view.tree.find(tree.path(link)) < 0
    for stream in passes.flagged_streams(tree, StreamFlag.ENCRYPTED):
        for link in tree.links_of(tree.stream_node(stream)):
            ignored[link] = 1
    kept = sorted(_kept(tree, keep))
    for link in kept:
        ignored[link] = 1
    ignored[ROOT] = 0
    return ignored, tuple(tree.path(link) for link in kept)


def _kept(tree: Tree, keep: Sequence[str]) -> set[int]:
    """The names that the globs match, and the other names of the same files: their data is one."""
    found: set[int] = set()
    paths = [tree.path(link).casefold() for link in range(tree.link_count)] if keep else []
    for glob in keep:
        pattern = glob.replace("/", "\\").casefold()
        pattern = pattern.rstrip("\\") or pattern
        if not pattern.startswith("\\"):
            pattern = "*\\" + pattern
        mine = {link for link, path in enumerate(paths) if link != ROOT and fnmatch.fnmatchcase(path, pattern)}
        if not mine:
            raise NothingKept(glob=glob)
        found |= mine
    return {name for link in found for name in tree.links_of(tree.link(link).node)}
