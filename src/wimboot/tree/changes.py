"""What has to happen to one snapshot so that it equals another: the answer of `diff`, and hints from it."""

from __future__ import annotations

from dataclasses import replace
from enum import IntFlag
from typing import TYPE_CHECKING

from wimboot.frozen import Frozen
from wimboot.tree.constants import FileAttribute, StreamFlag, StreamKind

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from wimboot.tree._tree import Tree

__all__ = ["Changes", "MetadataBit", "diff", "moved", "settled"]

# plain numbers where a loop runs per file: an IntFlag's & costs a microsecond
_DIRECTORY = int(FileAttribute.DIRECTORY)
_HASHED = int(StreamFlag.HASHED)


class MetadataBit(IntFlag):
    """Which properties of a file or folder that is kept have to be set anew."""

    TIMES = 1
    ATTRIBUTES = 2
    SECURITY = 4
    REPARSE = 8
    """The reparse tag or data: set those of the new node, or take them away where it has none."""
    EXTRA = 16
    """The object id or the extended attributes."""


class Changes(Frozen):
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


def settled(old: Tree, new: Tree, changes: Changes, ignored: bytes | bytearray | None = None) -> Changes:
    """`diff(old, new, ignored)` anew, now that the hashes of what was unknown in `changes` are known.

    Where that is data, nothing else is compared again.
    """
    if any(old.stream(stream).kind != StreamKind.DATA for _, stream in changes.unknown):
        return diff(old, new, ignored)
    differs = [pair for pair in changes.unknown if new.stream(pair[0]).hash != old.stream(pair[1]).hash]
    return replace(changes, unknown=[], data=[*changes.data, *differs])


def moved(old: Tree, new: Tree, changes: Changes) -> list[tuple[int, int]]:
    """(removed link, added link) that look like one file or folder under another name: hints, each link once.

    Two snapshots of one volume are compared by file id. An image does not keep that: there it is the content of files
    that are not empty, then the time of creation, which a new name leaves alone, where only one of each side has it.
    """
    if not changes.removed_links or not changes.added_links:
        return []
    volumes = bool(old.cluster_size and new.cluster_size)
    gone, come = list(changes.removed_links), list(changes.added_links)
    hints: list[tuple[int, int]] = []
    for key, unique in [(_file_key, False)] if volumes else [(_content_key, False), (_birth_key, True)]:
        here, there = _by_key(old, gone, key), _by_key(new, come, key)
        for found, links in there.items():
            partners = here.get(found, [])
            if not unique or len(links) == len(partners) == 1:
                hints += _same_names_first(old, partners, new, links)
        gone = [link for link in gone if link not in {before for before, _ in hints}] if hints else gone
        come = [link for link in come if link not in {after for _, after in hints}] if hints else come
    return hints


def _by_key(tree: Tree, links: list[int], key: Callable[[Tree, int], object]) -> dict[object, list[int]]:
    out: dict[object, list[int]] = {}
    for link in links:
        if (found := key(tree, tree.link_node(link))) is not None:
            out.setdefault(found, []).append(link)
    return out


def _same_names_first(old: Tree, gone: list[int], new: Tree, come: list[int]) -> list[tuple[int, int]]:
    """Pair what may be the same: a file that kept its name before one that has another."""
    named: dict[bytes, list[int]] = {}
    for link in gone:
        named.setdefault(old.link(link).name, []).append(link)
    pairs = [(named[name].pop(), link) for link in come if named.get(name := new.link(link).name)]
    taken, given = {before for before, _ in pairs}, {after for _, after in pairs}
    rest = (link for link in gone if link not in taken)
    return pairs + list(zip(rest, (link for link in come if link not in given), strict=False))


def _file_key(tree: Tree, node: int) -> object:
    return tree.file_id(node), tree.attributes(node) & _DIRECTORY


def _content_key(tree: Tree, node: int) -> object:
    if tree.attributes(node) & _DIRECTORY or (index := tree.data_stream(node)) < 0:
        return None
    stream = tree.stream(index)
    if not stream.flags & _HASHED or not any(stream.hash):
        return None
    return stream.hash


def _birth_key(tree: Tree, node: int) -> object:
    creation = tree.node(node).creation
    return (creation, tree.attributes(node) & _DIRECTORY) if creation else None
