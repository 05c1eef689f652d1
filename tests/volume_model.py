"""A volume as plain dictionaries, on which Changes are carried out the slow and obvious way."""

from __future__ import annotations

from dataclasses import replace

from tree_strategies import Facts, node_facts
from wimboot.tree import ROOT, FileAttribute, StreamKind, Tree
from wimboot.tree.changes import Changes, MetadataBit

__all__ = ["Model"]

Key = tuple[str, int]


class Model:
    """`names`: (folder, name) -> (file, short name); `files`: file -> Facts. A key says where a file is from."""

    def __init__(self, old: Tree) -> None:
        self.old = old
        self.files: dict[Key, Facts] = {("old", node): node_facts(old, node) for node in range(old.node_count)}
        self.names: dict[tuple[Key, str], tuple[Key, str]] = {}
        for row in map(old.link, range(1, old.link_count)):
            self.names[("old", row.parent), _text(row.name)] = ("old", row.node), _text(row.short_name)

    def apply(self, new: Tree, changes: Changes) -> None:
        """Carry the changes out in the order of their fields; asserts what a volume would insist on."""
        self.new, self.pairs = new, changes.pairs
        for link in changes.removed_links:
            self._remove(link)
        for node in changes.created:
            self.files[self._key(node)] = node_facts(new, node)
        made: set[Key] = {("old", node) for node in range(self.old.node_count)}
        for link in changes.added_links:
            row = new.link(link)
            parent, name = self._key(row.parent), _text(row.name)
            assert parent in made, "a folder is made before what is in it"
            assert (parent, name) not in self.names, "the place is free"
            assert self._key(row.node) in self.files, "what gets a name exists"
            self.names[parent, name] = self._key(row.node), _text(row.short_name)
            made.add(self._key(row.node))
        self._respell(changes)
        self._change_content(changes)

    def _key(self, node: int) -> Key:
        return ("old", self.pairs[node]) if self.pairs[node] >= 0 else ("new", node)

    def _remove(self, link: int) -> None:
        row = self.old.link(link)
        if self.old.attributes(row.node) & FileAttribute.DIRECTORY:
            assert all(parent != ("old", row.node) for parent, _ in self.names), "a removed folder is empty"
        del self.names[("old", row.parent), _text(row.name)]

    def _respell(self, changes: Changes) -> None:
        for old_link, new_link in changes.respelled:
            before, after = self.old.link(old_link), self.new.link(new_link)
            assert self._key(after.parent) == ("old", before.parent)
            key, _ = self.names.pop((("old", before.parent), _text(before.name)))
            assert key == ("old", before.node) == self._key(after.node)
            self.names[("old", before.parent), _text(after.name)] = key, _text(after.short_name)

    def _change_content(self, changes: Changes) -> None:
        for node, stream in changes.removed_streams:
            facts = self.files["old", node]
            row = self.old.stream(stream)
            gone = (row.kind, row.name.decode("utf-16-le"), row.hash)
            assert gone in facts.streams
            self.files["old", node] = replace(facts, streams=facts.streams - {gone})
        for stream, _ in changes.data:
            self._write(stream)
        for node, old_node, mask in changes.metadata:
            assert self.pairs[node] == old_node
            self._set(node, old_node, MetadataBit(mask))

    def _write(self, stream: int) -> None:
        key = self._key(self.new.stream_node(stream))
        row = self.new.stream(stream)
        kept = {part for part in self.files[key].streams if part[:2] != (row.kind, row.name.decode("utf-16-le"))}
        self.files[key] = replace(self.files[key], streams=frozenset(
            kept | {(row.kind, row.name.decode("utf-16-le"), row.hash)}))

    def _set(self, node: int, old_node: int, mask: MetadataBit) -> None:
        facts, wanted = self.files["old", old_node], node_facts(self.new, node)
        reparse = FileAttribute.REPARSE_POINT
        if mask & MetadataBit.TIMES:
            facts = replace(facts, times=wanted.times)
        if mask & MetadataBit.ATTRIBUTES:
            facts = replace(facts, attributes=wanted.attributes & ~reparse | facts.attributes & reparse)
        if mask & MetadataBit.SECURITY:
            facts = replace(facts, security=wanted.security)
        if mask & MetadataBit.EXTRA:
            facts = replace(facts, extra=wanted.extra)
        if mask & MetadataBit.REPARSE:
            streams = {part for part in facts.streams if part[0] != StreamKind.REPARSE}
            streams |= {part for part in wanted.streams if part[0] == StreamKind.REPARSE}
            facts = replace(facts, streams=frozenset(streams), reparse_tag=wanted.reparse_tag,
                            attributes=facts.attributes & ~reparse | wanted.attributes & reparse)
        self.files["old", old_node] = facts

    def by_path(self) -> dict[tuple[str, ...], tuple[Key, str]]:
        """Every name from the root on: the file and the short name."""
        below: dict[Key, list[tuple[str, Key, str]]] = {}
        for (parent, name), (key, short) in self.names.items():
            below.setdefault(parent, []).append((name, key, short))
        found: dict[tuple[str, ...], tuple[Key, str]] = {(): (("old", ROOT), "")}
        waiting: list[tuple[tuple[str, ...], Key]] = [((), ("old", ROOT))]
        while waiting:
            path, folder = waiting.pop()
            for name, key, short in below.get(folder, []):
                found[*path, name] = key, short
                if self.files[key].attributes & FileAttribute.DIRECTORY:
                    waiting.append(((*path, name), key))
        return found


def _text(name: bytes) -> str:
    return name.decode("utf-16-le", "surrogatepass")
