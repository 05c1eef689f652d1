"""What has to happen to one snapshot so that it equals another: the answer of `diff`, and hints from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING

from wimboot.tree.constants import FileAttribute, StreamFlag

if TYPE_CHECKING:
    from array import array

    from wimboot.tree._tree import Tree

__all__ = ["Changes", "MetadataBit", "diff", "moved"]


class MetadataBit(IntFlag):
    """Which properties of a file or folder that is kept have to be set anew."""

    TIMES = 1
    ATTRIBUTES = 2
    SECURITY = 4
    REPARSE = 8
    """The reparse tag or data: set those of the new node, or take them away where it has none."""
    EXTRA = 16
    """The object id or the extended attributes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Rows of the old and of the new Tree. The columns can be carried out in the order of the fields."""

    pairs: array[int]
    """By node of new: the node of old that it keeps, or -1. An old node is kept at most once."""
    removed_links: array[int]
    """Links of old to remove; a folder's own after all those in it."""
    created: array[int]
    """Nodes of new to make, with all their streams and properties, at the first of their added links."""
    added_links: array[int]
    """Links of new to make, a folder's own before those in it; the first one of a created node creates it."""
    respelled: list[tuple[int, int]]
    """(old link, new link) in the same folder: the case or the short name differs."""
    removed_streams: list[tuple[int, int]]
    """(old node, old stream) that the kept node does not have."""
    data: list[tuple[int, int]]
    """(new stream, old stream or -1) of kept nodes: the content differs, or the stream is missing."""
    metadata: list[tuple[int, int, int]]
    """(new node, old node, bits of MetadataBit) of kept nodes."""
    unknown: list[tuple[int, int]]
    """(new stream, old stream) of kept nodes: of equal size, a hash missing. Hash, `set_hash`, diff again."""
    skipped: array[int]
    """Links of new whose place is held by something of old that is ignored: left out, with all below them."""

    def __bool__(self) -> bool:
        """Whether anything has to be done, as far as is known."""
        return any((self.removed_links, self.added_links, self.respelled, self.removed_streams, self.data,
                    self.metadata))


def diff(old: Tree, new: Tree, ignored: bytes | bytearray | None = None, *, last_access: bool = False) -> Changes:
    """What must happen to `old` so that it equals `new`.

    Args:
        old: the volume.
        new: the image.
        ignored: one byte for each link of old: what is marked is neither compared nor removed, nor is anything below
            it, and the folders above it stay. A file that has another name too is compared under that.
        last_access: whether the time of last access counts.

    Raises FormatError for a folder with two names.
    """
    from wimboot.tree import _diff

    return _diff.diff(old, new, ignored, last_access=last_access)


def moved(old: Tree, new: Tree, changes: Changes) -> list[tuple[int, int]]:
    """(removed link, added link) that look like one file under another name: hints, each link once.

    Two snapshots of one volume are compared by file id, else by content, of files that are not empty.
    """
    if not changes.removed_links or not changes.added_links:
        return []
    key = _file_key if old.cluster_size and new.cluster_size else _content_key
    gone: dict[object, list[int]] = {}
    for link in reversed(changes.removed_links):
        if (found := key(old, old.link(link).node)) is not None:
            gone.setdefault(found, []).append(link)
    hints = []
    for link in changes.added_links:
        if (found := key(new, new.link(link).node)) is not None and gone.get(found):
            hints.append((gone[found].pop(), link))
    return hints


def _file_key(tree: Tree, node: int) -> object:
    return tree.file_id(node), tree.attributes(node) & FileAttribute.DIRECTORY


def _content_key(tree: Tree, node: int) -> object:
    if tree.attributes(node) & FileAttribute.DIRECTORY or (index := tree.data_stream(node)) < 0:
        return None
    stream = tree.stream(index)
    if not stream.flags & StreamFlag.HASHED or not any(stream.hash):
        return None
    return stream.hash
