"""What a restore leaves alone on a volume: what no image holds, and what the user wants kept as it is."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wimboot.errors import Refused, UsageError
from wimboot.ops.deploying.hivelogs import keep_logs
from wimboot.tree import ROOT, FileAttribute, StreamFlag, Tree, passes
from wimboot.tree.changes import MetadataBit
from wimboot.tree.globs import matching, with_all_below, with_all_names
from wimboot.tree.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wimboot.ops.deploying.viewing import ImageView
    from wimboot.ops.opening.volume import Opened
    from wimboot.tree.changes import Changes
    from wimboot.tree.selection import Lists

__all__ = ["EncryptedWouldGo", "NothingKept", "Spared", "leave_out", "left_alone", "refuse_encrypted"]


class EncryptedWouldGo(Refused):
    """Formatting a volume whose encrypted files no image can hold."""

    id = "encrypted-would-go"
    sentence = "{where} has {count} encrypted files ({first}, ...), which no image holds and formatting would destroy"
    advice = "Decrypt or move them under Windows first, or leave out --format: what is changed in place keeps them."


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


@dataclass(slots=True, kw_only=True)
class Spared:
    """What a restore leaves as it is. `ignored` has one byte a link of the volume, 1 where it is left alone.

    `kept` are links of the volume that --keep saves. `absent` are links of the image that --keep names and that the
    volume does not have: it is not to get them.
    """

    ignored: bytearray
    kept: set[int]
    absent: set[int]

    def release(self, tree: Tree, links: Iterable[int]) -> set[int]:
        """Leave these files alone no more; the links of the folders around them that were ignored, which must stay."""
        folders = set()
        for link in links:
            row = tree.link(link)
            above = tree.links_of(row.parent)[0]
            if self.ignored[above]:
                folders.add(above)
                self.ignored[above] = 0
            for name in tree.links_of(row.node):
                self.ignored[name] = 0
                self.kept.discard(name)
        return folders


def left_alone(tree: Tree, view: ImageView, keep: Sequence[str], standing: Lists | None = None) -> Spared:
    """What of the volume is left alone.

    That is what today's list excludes, what the list of the capture excluded, and what that of the image excluded on
    which the volume stands now (`standing`), as long as the image has nothing there; encrypted files, which no image
    holds; what `keep` says, with all that is in such a folder, all names of such a file, and the logs of such a hive.
    Raises NothingKept.
    """
    ignored = bytearray(tree.link_count)
    for lists in (view.lists, view.captured_with, standing):
        excluded = b"" if lists is None else select(tree, lists).excluded
        for link in (link for link, out in enumerate(excluded) if out):
            ignored[link] = ignored[link] or view.tree.find(tree.path(link)) < 0
    for stream in passes.flagged_streams(tree, StreamFlag.ENCRYPTED):
        for link in tree.links_of(tree.stream_node(stream)):
            ignored[link] = 1
    kept, absent = _kept(tree, view.tree, keep) if keep else (set(), set())
    for link in kept:
        ignored[link] = 1
    ignored[ROOT] = 0
    return Spared(ignored=ignored, kept=kept, absent=absent)


def leave_out(changes: Changes, tree: Tree, image: Tree, absent: set[int], staying: set[int]) -> Changes:
    """The same, without making `absent` links of the image and without removing `staying` folders of the volume; and
    no folder becomes a link to another as long as something stays in it.
    """
    turned = _turned_with_contents(changes, tree, image)
    if not (absent or staying or turned):
        return changes
    added = array("I", (link for link in changes.added_links if link not in absent))
    made = {image.link(link).node for link in added}
    return replace(
        changes,
        added_links=added,
        created=array("I", (node for node in changes.created if node in made)),
        removed_links=array("I", (link for link in changes.removed_links if link not in staying)),
        metadata=[(new, old, mask & ~MetadataBit.REPARSE if new in turned else mask)
                  for new, old, mask in changes.metadata],
    )


def _turned_with_contents(changes: Changes, tree: Tree, image: Tree) -> set[int]:
    """Folders that the image has as reparse points, and in which something of the volume is to stay."""
    turned = [(new, old) for new, old, mask in changes.metadata
              if mask & MetadataBit.REPARSE and image.attributes(new) & FileAttribute.DIRECTORY
              and image.node(new).reparse_tag]
    if not turned:
        return set()
    removed = set(changes.removed_links)
    return {new for new, old in turned if not removed.issuperset(tree.children(old))}


def _kept(tree: Tree, image: Tree, keep: Sequence[str]) -> tuple[set[int], set[int]]:
    """What the globs match on the volume, and what only in the image."""
    found = matching(tree, keep)
    for glob, links in zip(keep, found, strict=True):
        if not links - {ROOT}:
            raise NothingKept(glob=glob)
    kept = with_all_names(tree, with_all_below(tree, set().union(*found) - {ROOT}))
    wanted = with_all_below(image, set().union(*matching(image, keep)) - {ROOT})
    absent = {link for link in wanted if tree.find(image.path(link)) < 0}
    keep_logs(tree, image, kept, absent)
    return with_all_names(tree, kept), absent
