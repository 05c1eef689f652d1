"""Make a volume equal to an image: carry out the Changes between their two Trees. An empty volume is the simplest case.

Runs inside the volume's transaction, so the order below is what libntfs-3g needs, not what a crash needs:

1. names that the image does not have go, deepest first;
2. names that differ in case or in their DOS name are spelled anew;
3. folders, then files, then further names are made; a file is made under the name that has its DOS name;
4. data that differs is written, in the order in which it lies in the WIM, or a pointer is set;
5. attributes, security, reparse points, object ids and extended attributes;
6. times: of files at once, of folders at the very end, when nothing in them changes any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.reparse import PointerMaker, Reparse
from wimboot.tree import FileAttribute, StreamFlag, StreamKind, Tree
from wimboot.tree.changes import MetadataBit

if TYPE_CHECKING:
    from wimboot.events import Counter
    from wimboot.ntfs import Volume
    from wimboot.plan.forms import Forms
    from wimboot.tree import NodeRow
    from wimboot.tree.changes import Changes
    from wimboot.wim import Store

__all__ = ["Checkout"]

_OVERLAID = StreamFlag.POINTER | StreamFlag.COMPACT
_COMPACT_STREAM = "WofCompressedData".encode("utf-16-le")


class Checkout:
    """One run. `old` is the volume's tree, `new` the image's; `data_source_id` None where nothing becomes a pointer."""

    def __init__(
        self,
        volume: Volume,
        old: Tree,
        new: Tree,
        changes: Changes,
        forms: Forms,
        store: Store,
        data_source_id: int | None,
        counter: Counter,
    ) -> None:
        self._volume = volume
        self._old = old
        self._new = new
        self._changes = changes
        self._forms = forms
        self._store = store
        self._pack = None if data_source_id is None else PointerMaker(data_source_id, store.table_hash).pack
        self._counter = counter
        self._ids = [0] * new.node_count
        self._security: dict[int, int] = {}
        self._writes: list[tuple[tuple[int, int], int, int]] = []  # (part and offset in the WIM, node, stream)
        self._touched: set[int] = set()  # nodes whose times must be set at the end
        self._made: set[int] = set()
        for node, old_node in enumerate(changes.pairs):
            if old_node >= 0:
                self._ids[node] = old.file_id(old_node)

    def run(self) -> None:
        """Carry everything out. Raises what the volume and the store raise; the transaction is the caller's."""
        self._remove()
        self._respell()
        self._create()
        self._change_data()
        self._change_metadata()
        self._write_data()
        self._set_times()

    # ---- names

    def _remove(self) -> None:
        old = self._old
        for link in self._changes.removed_links:
            row = old.link(link)
            parent = old.file_id(row.parent)
            if old.attributes(row.node) & FileAttribute.DIRECTORY:
                self._volume.remove_folder(old.file_id(row.node), parent, row.name)
            else:
                self._volume.unlink(old.file_id(row.node), parent, row.name)
            self._counter.add(1)

    def _respell(self) -> None:
        for old_link, new_link in self._changes.respelled:
            before, after = self._old.link(old_link), self._new.link(new_link)
            file_id, parent = self._ids[after.node], self._ids[after.parent]
            if before.name != after.name:
                self._volume.rename(file_id, parent, before.name, parent, after.name, after.short_name)
            else:
                self._volume.set_short_name(file_id, parent, after.name, after.short_name)
            self._touched.update((after.node, after.parent))
            self._counter.add(1)

    def _create(self) -> None:
        new, ids = self._new, self._ids
        files: dict[int, list[int]] = {}
        for link in self._changes.added_links:
            row = new.link(link)
            self._touched.add(row.parent)
            if new.attributes(row.node) & FileAttribute.DIRECTORY:
                self._make_folder(link)
            else:
                files.setdefault(row.node, []).append(link)
        for node, links in files.items():
            if not ids[node]:
                if len(links) > 1:
                    links.sort(key=lambda link: not new.link(link).short_name)
                self._make_file(node, links.pop(0))
            for link in links:
                row = new.link(link)
                self._volume.link(ids[node], ids[row.parent], row.name)
                self._touched.add(node)
            self._counter.add(1)

    def _make_folder(self, link: int) -> None:
        row = self._new.link(link)
        facts = self._new.node(row.node)
        self._ids[row.node] = self._volume.create_folder(
            self._ids[row.parent],
            row.name,
            row.short_name,
            facts.attributes,
            (facts.creation, facts.last_write, facts.last_access),
            self._security_of(facts),
        )
        self._finish_made(row.node, facts)
        self._counter.add(1)

    def _make_file(self, node: int, link: int) -> None:
        new = self._new
        row, facts = new.link(link), new.node(node)
        times = (facts.creation, facts.last_write, facts.last_access)
        security = self._security_of(facts)
        parent = self._ids[row.parent]
        if self._forms.pointer[node]:
            stream = new.stream(new.data_stream(node))
            self._ids[node] = self._volume.create_pointer(
                parent,
                row.name,
                row.short_name,
                facts.attributes,
                times,
                security,
                stream.size,
                self._reparse_value(stream.hash, stream.size),
            )
        else:
            self._ids[node] = self._volume.create_file(
                parent, row.name, row.short_name, facts.attributes, times, security
            )
        self._finish_made(node, facts)

    def _finish_made(self, node: int, facts: NodeRow) -> None:
        """What a new file or folder has beyond its names: streams, reparse point, object id, extended attributes."""
        self._made.add(node)
        for stream in self._new.streams_of(node):
            unnamed = stream.kind == StreamKind.DATA and not stream.name
            if stream.kind == StreamKind.DATA and not (unnamed and (self._forms.pointer[node] or not stream.size)):
                self._write_later(node, stream.index)
        if facts.reparse_tag:
            self._set_reparse(node, facts)
        if facts.extra >= 0:
            self._set_extra(node, facts)

    # ---- data

    def _change_data(self) -> None:
        for old_node, old_stream in self._changes.removed_streams:
            self._volume.remove_stream(self._old.file_id(old_node), self._old.stream(old_stream).name)
        for new_stream, old_stream in self._changes.data:
            node = self._new.stream_node(new_stream)
            stream = self._new.stream(new_stream)
            self._touched.add(node)
            if stream.kind != StreamKind.DATA:
                continue  # reparse data goes with the metadata
            if old_stream >= 0 and self._old.stream(old_stream).flags & _OVERLAID:
                self._drop_overlay(node, old_stream)
            if not stream.name and self._forms.pointer[node]:
                self._volume.point(self._ids[node], self._reparse_value(stream.hash, stream.size), stream.size)
                self._counter.add(1)
            else:
                self._write_later(node, new_stream)

    def _drop_overlay(self, node: int, old_stream: int) -> None:
        self._volume.remove_reparse(self._ids[node])
        if self._old.stream(old_stream).flags & StreamFlag.COMPACT:
            self._volume.remove_stream(self._ids[node], _COMPACT_STREAM)

    def _write_later(self, node: int, stream: int) -> None:
        row = self._new.stream(stream)
        blob = self._store.blob(row.hash) if row.size else None
        self._writes.append(((0, 0) if blob is None else (blob.part, blob.offset), node, stream))

    def _write_data(self) -> None:
        self._writes.sort()
        for _, node, stream in self._writes:
            row = self._new.stream(stream)
            attributes = self._new.attributes(node)
            parts = self._store.read_parts(row.hash) if row.size else iter(())
            self._volume.write_data(
                self._ids[node],
                row.name,
                parts,
                row.size,
                sparse=bool(attributes & FileAttribute.SPARSE_FILE) and not row.name,
                compressed=bool(attributes & FileAttribute.COMPRESSED) and not row.name,
            )
            self._touched.add(node)
            self._counter.add(1)

    # ---- everything else

    def _change_metadata(self) -> None:
        for node, _old_node, mask in self._changes.metadata:
            facts = self._new.node(node)
            file_id = self._ids[node]
            if mask & MetadataBit.REPARSE:
                if self._old.node(_old_node).reparse_tag:
                    self._volume.remove_reparse(file_id)
                if facts.reparse_tag:
                    self._set_reparse(node, facts)
            if mask & MetadataBit.ATTRIBUTES:
                self._volume.set_attributes(file_id, facts.attributes)
            if mask & MetadataBit.SECURITY:
                self._volume.set_security(file_id, self._security_of(facts))
            if mask & MetadataBit.EXTRA:
                self._set_extra(node, facts)
            self._touched.add(node)
            self._counter.add(1)

    def _set_reparse(self, node: int, facts: NodeRow) -> None:
        data = b""
        for stream in self._new.streams_of(node):
            if stream.kind == StreamKind.REPARSE and stream.size:
                data = self._store.read(stream.hash)
        value = Reparse.of_image(facts.reparse_tag, data, reserved=facts.reparse_extra & 0xFFFF)
        self._volume.set_reparse(self._ids[node], value.pack())
        self._touched.add(node)

    def _set_extra(self, node: int, facts: NodeRow) -> None:
        object_id, eas = self._new.extras[facts.extra] if facts.extra >= 0 else (b"", b"")
        self._volume.set_object_id(self._ids[node], object_id)
        self._volume.set_eas(self._ids[node], eas)
        self._touched.add(node)

    def _set_times(self) -> None:
        """Times last: what came before moved them. Folders after files, for setting nothing in them moves theirs."""
        folders = []
        for node in self._touched | {node for node in self._made if self._is_folder(node)}:
            if self._is_folder(node):
                folders.append(node)
            else:
                self._stamp(node)
        for node in folders:
            self._stamp(node)

    def _is_folder(self, node: int) -> bool:
        return bool(self._new.attributes(node) & FileAttribute.DIRECTORY)

    def _stamp(self, node: int) -> None:
        facts = self._new.node(node)
        if self._ids[node]:
            self._volume.set_times(self._ids[node], facts.creation, facts.last_write, facts.last_access)

    def _security_of(self, facts: NodeRow) -> int:
        """The id in $Secure of a node's descriptor, 0 where it has none."""
        if facts.security < 0:
            return 0
        found = self._security.get(facts.security)
        if found is None:
            found = self._volume.security_id(self._new.securities[facts.security])
            self._security[facts.security] = found
        return found

    def _reparse_value(self, sha1: bytes, size: int) -> bytes:
        if self._pack is None:
            raise ValueError("a pointer without a data source")
        place = self._store.pointer_places((sha1,))[0]
        if place is None:
            raise ValueError("a pointer to a blob that cannot have one")
        return self._pack(sha1, size, place[1], place[0])
