"""What changed from one snapshot to another, as a list for people and programs. Pure."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from wimboot.tree import FileAttribute, StreamKind, Tree
from wimboot.tree.changes import MetadataBit, moved

if TYPE_CHECKING:
    from wimboot.tree.changes import Changes

__all__ = ["Change", "ChangeKind", "changes_since", "count_changes", "totals"]

_PROPERTIES = {
    MetadataBit.TIMES: "times",
    MetadataBit.ATTRIBUTES: "attributes",
    MetadataBit.SECURITY: "security",
    MetadataBit.REPARSE: "reparse point",
    MetadataBit.EXTRA: "object id or extended attributes",
}
# a plain number where a loop runs per file: an IntFlag's & costs a microsecond
_DIRECTORY = int(FileAttribute.DIRECTORY)


class ChangeKind(Enum):
    """What happened to a name."""

    ADDED = "added"
    MODIFIED = "modified"
    REMOVED = "removed"
    MOVED = "moved"
    METADATA = "metadata"


class Change(NamedTuple):
    """One name. Sizes are bytes of all data of the file, None where it is not there, or is a folder.

    `path` is the newer one; `was` the older path of what was moved; `properties` what of a kept file was changed
    besides its data; `within` marks what came, went or moved only because a folder above it did.
    """

    kind: ChangeKind
    path: str
    folder: bool
    was: str | None = None
    size: int | None = None
    old_size: int | None = None
    properties: tuple[str, ...] = ()
    within: bool = False


def changes_since(base: Tree, now: Tree, undo: Changes) -> list[Change]:
    """What happened to `base` that made it `now`, by path; `undo` is `diff(now, base)`, what would bring it back."""
    listing = _Listing(base, now, undo)
    return sorted(listing.all(), key=lambda change: (change.path.casefold(), change.kind.value))


def count_changes(base: Tree, now: Tree, undo: Changes) -> dict[ChangeKind, int]:
    """How many of each kind `changes_since` would list."""
    return _Listing(base, now, undo).counts()


class _Listing:
    def __init__(self, base: Tree, now: Tree, undo: Changes) -> None:
        self._base = base
        self._now = now
        self._undo = undo
        self._path, self._old_path = _Paths(now).of, _Paths(base).of
        self._moved = dict(moved(now, base, undo))
        self._moved_nodes = {(now.link_node(after), base.link_node(before)) for after, before in self._moved.items()}
        self._kept = _kept(base, now, undo)
        self._renamed_short = {now.link_node(after) for after, before in undo.respelled
                               if now.link(after).name == base.link(before).name}
        # what came or went in a folder that only moved did so by itself
        found = set(self._moved.values())
        self._came = {now.link_node(link) for link in undo.removed_links if link not in self._moved}
        self._went = {base.link_node(link) for link in undo.added_links if link not in found}

    def all(self) -> list[Change]:
        """Every change, in no order."""
        data = self._data()
        metadata = dict.fromkeys(self._renamed_short, 0) | {now: mask for _, now, mask in self._undo.metadata}
        out = [*self._names(data, metadata), *self._respelled(metadata)]
        told = {self._now.link_node(link) for link in self._moved}
        for node, old_node in data.items():
            if node not in told:
                out.append(self._changed(ChangeKind.MODIFIED, node, old_node, metadata.pop(node, 0)))
        out += [self._changed(ChangeKind.METADATA, node, self._kept[node], mask)
                for node, mask in metadata.items() if node not in told]
        return out

    def counts(self) -> dict[ChangeKind, int]:
        """How many there are of each kind, no path built."""
        undo, now = self._undo, self._now
        moved = {now.link_node(link) for link in self._moved}
        spelled = {now.link_node(after) for after, before in undo.respelled
                   if now.link(after).name != self._base.link(before).name}
        data = self._data().keys() - moved
        metadata = {node for _, node, _ in undo.metadata} | self._renamed_short
        return {
            ChangeKind.ADDED: len(undo.removed_links) - len(self._moved),
            ChangeKind.MODIFIED: len(data),
            ChangeKind.REMOVED: len(undo.added_links) - len(self._moved),
            ChangeKind.MOVED: len(self._moved) + sum(1 for after, before in undo.respelled
                                                     if now.link(after).name != self._base.link(before).name),
            ChangeKind.METADATA: len(metadata - moved - spelled - data),
        }

    def _data(self) -> dict[int, int]:
        """node of now -> node of base, of files that are kept and whose data differs."""
        out = {node: self._kept[node] for node, _ in self._undo.removed_streams}
        for stream, _ in self._undo.data:
            if self._base.stream(stream).kind == StreamKind.DATA:
                node = self._base.stream_node(stream)
                out[self._undo.pairs[node]] = node
        return out

    def _names(self, data: dict[int, int], metadata: dict[int, int]) -> list[Change]:
        now, base = self._now, self._base
        out = []
        for link in self._undo.removed_links:
            before = self._moved.get(link)
            if before is None:
                out.append(self._single(ChangeKind.ADDED, now, link, self._came))
                continue
            row, old = now.link(link), base.link(before)
            with_folder = (row.parent, old.parent) in self._moved_nodes and row.name == old.name
            out.append(Change(kind=ChangeKind.MOVED, path=self._path(link), was=self._old_path(before),
                              folder=_is_folder(now, row.node), within=with_folder, size=_size(now, row.node),
                              old_size=_size(base, old.node)))
            data.pop(row.node, None)
            metadata.pop(row.node, None)
        found = set(self._moved.values())
        out += [self._single(ChangeKind.REMOVED, base, link, self._went)
                for link in self._undo.added_links if link not in found]
        return out

    def _single(self, kind: ChangeKind, tree: Tree, link: int, same: set[int]) -> Change:
        row = tree.link(link)
        size = _size(tree, row.node)
        old = kind is ChangeKind.REMOVED
        path = self._old_path(link) if old else self._path(link)
        return Change(kind=kind, path=path, folder=_is_folder(tree, row.node), within=row.parent in same,
                      size=None if old else size, old_size=size if old else None)

    def _respelled(self, metadata: dict[int, int]) -> list[Change]:
        """Names of which the case differs."""
        out = []
        for after, before in self._undo.respelled:
            row, old = self._now.link(after), self._base.link(before)
            if row.name != old.name:
                out.append(Change(kind=ChangeKind.MOVED, path=self._path(after), was=self._old_path(before),
                                  folder=_is_folder(self._now, row.node), size=_size(self._now, row.node),
                                  old_size=_size(self._base, old.node)))
                metadata.pop(row.node, None)
        return out

    def _changed(self, kind: ChangeKind, node: int, old_node: int, mask: int) -> Change:
        links = self._now.links_of(node)
        return Change(kind=kind, path=self._path(links[0]), folder=_is_folder(self._now, node),
                      size=_size(self._now, node), old_size=_size(self._base, old_node),
                      properties=_named(mask) + (("short name",) if node in self._renamed_short else ()))


class _Paths:
    """Paths in one tree, those of folders kept: much of what changed lies together."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._folders: dict[int, str] = {}

    def of(self, link: int) -> str:
        """The path of a name, as `Tree.path` gives it."""
        row = self._tree.link(link)
        folder = self._folders.get(row.parent)
        if folder is None:
            names = self._tree.links_of(row.parent)
            if not names:
                return self._tree.path(link)    # which knows what to raise
            folder = self._folders[row.parent] = self._tree.path(names[0]).removesuffix("\\")
        return f"{folder}\\{row.name.decode('utf-16-le', 'surrogatepass')}"


def _kept(base: Tree, now: Tree, undo: Changes) -> dict[int, int]:
    """node of now -> node of base, of the files that are kept and of which something changed."""
    out = {now.link_node(after): base.link_node(before) for after, before in undo.respelled}
    out.update((node, old) for old, node, _ in undo.metadata)
    fewer = {node for node, _ in undo.removed_streams}
    if fewer:
        out.update((node, old) for old, node in enumerate(undo.pairs) if node in fewer)
    return out


@lru_cache(maxsize=32)
def _named(mask: int) -> tuple[str, ...]:
    return tuple(name for bit, name in _PROPERTIES.items() if mask & bit)


def totals(changes: list[Change]) -> dict[ChangeKind, int]:
    """How many of each kind; every kind is there."""
    found = Counter(change.kind for change in changes)
    return {kind: found[kind] for kind in ChangeKind}


def _is_folder(tree: Tree, node: int) -> bool:
    return bool(tree.attributes(node) & _DIRECTORY)


def _size(tree: Tree, node: int) -> int | None:
    if _is_folder(tree, node):
        return None
    return tree.data_size(node)
