"""Make a volume equal to an image: carry out the Changes between their two Trees. An empty volume is the simplest case.

Runs inside the volume's transaction, so the order below is what libntfs-3g needs, not what a crash needs:

1. names that the image does not have go, deepest first;
2. names that differ in case or in their DOS name are spelled anew;
3. folders, then files, then further names are made; a file is made under the name that has its DOS name;
4. reparse points that change go; data that differs is pointed;
5. attributes, security, object ids and extended attributes;
6. other data that differs is written, in the order in which it lies in the WIM;
7. reparse points: a file can have one and data too, which is written while it is still a plain file;
8. times: of files at once, of folders at the very end, when nothing in them changes any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.formats.reparse import COMPACT_STREAM, PointerMaker, Reparse
from wimboot.plan.forms import RESIDENT_LIMIT
from wimboot.tree import FileAttribute, StreamFlag, StreamKind, Tree, passes
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
# plain numbers where a loop runs per file: an IntFlag's & costs a microsecond
_DIRECTORY = int(FileAttribute.DIRECTORY)
_SPARSE = int(FileAttribute.SPARSE_FILE)
_COMPRESSED = int(FileAttribute.COMPRESSED)
# columns of a row of `creation_rows`
_NODE: Final = 1
_PARENT: Final = 2
_NAME: Final = 3
_SHORT_NAME: Final = 4
_ATTRIBUTES: Final = 5
_MORE: Final = 8

_COMPRESSIBLE: Final = 4096
"""Bytes of the largest clusters with which NTFS compresses."""

_HOLE_SIZE: Final = 64 << 10
"""Of a sparse file a named stream may be the sparse one; an image does not tell. Smaller ones have no holes."""

_SMALL_FILES_AT_ONCE = 200_000
"""Their data is held in memory while they are made: at most 80 MB."""


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
        # without a data source the plan has no pointers, and this is never called
        self._pack = PointerMaker(data_source_id or 0, store.table_hash).pack
        self._counter = counter
        self._ids = [0] * new.node_count
        self._settled = bytearray(row >= 0 for row in forms.rows)  # nodes whose unnamed data comes with their making
        self._small: dict[int, bytes] = {}
        self._security: dict[int, int] = {}
        self._writes: list[tuple[tuple[int, int], int, int]] = []  # (part and offset in the WIM, node, stream)
        self._reparse: list[int] = []  # nodes that become reparse points, or other ones
        self._touched: set[int] = set()  # nodes whose times must be set at the end
        for node, old_node in enumerate(changes.pairs):
            if old_node >= 0:
                self._ids[node] = old.file_id(old_node)

    def run(self) -> None:
        """Carry everything out. Raises what the volume and the store raise; the transaction is the caller's."""
        self._remove()
        self._respell()
        self._create()
        self._drop_reparse_points()
        self._change_data()
        self._change_metadata()
        self._write_data()
        for node in self._reparse:
            self._set_reparse(node, self._new.node(node))
        self._set_times()

    # ---- names

    def _remove(self) -> None:
        old = self._old
        for link in self._changes.removed_links:
            row = old.link(link)
            parent = old.file_id(row.parent)
            if old.attributes(row.node) & _DIRECTORY:
                self._volume.remove_folder(old.file_id(row.node), parent, row.name)
            else:
                self._volume.unlink(old.file_id(row.node), parent, row.name)
            self._counter.add(1)

    def _respell(self) -> None:
        """DOS names go before others come: two files may have changed theirs with each other."""
        links = [(self._old.link(old_link), self._new.link(new_link)) for old_link, new_link in self._changes.respelled]
        for before, after in links:
            if before.short_name and before.short_name != after.short_name:
                self._volume.set_short_name(self._ids[after.node], self._ids[after.parent], before.name, b"")
        for before, after in links:
            file_id, parent = self._ids[after.node], self._ids[after.parent]
            if before.name != after.name:
                self._volume.rename(file_id, parent, before.name, parent, after.name, after.short_name)
            elif after.short_name:
                self._volume.set_short_name(file_id, parent, after.name, after.short_name)
            self._touched.update((after.node, after.parent))
            self._counter.add(1)

    def _create(self) -> None:
        """Folders come before what is in them; a file of several names waits until all their folders are there."""
        later: dict[int, list[passes.CreationRow]] = {}
        self._read_small()
        for row in passes.creation_rows(self._new, self._changes.added_links, self._settled):
            if row[_ATTRIBUTES] & _DIRECTORY or not row[_MORE]:
                self._make(row)
            else:
                later.setdefault(row[_NODE], []).append(row)
        for node, rows in later.items():
            rows.sort(key=lambda row: not row[_SHORT_NAME])     # the DOS name can only be given to the first name
            if not self._ids[node]:
                self._make(rows.pop(0))
            for row in rows:
                self._volume.link(self._ids[node], self._ids[row[_PARENT]], row[_NAME])
                self._touched.add(node)
            self._counter.done += len(rows)

    def _read_small(self) -> None:
        """The data of new files so small that it comes with their making."""
        wanted = passes.small_files(self._new, self._changes.created, RESIDENT_LIMIT)[:_SMALL_FILES_AT_ONCE]
        contents = self._store.read_small({sha1 for _, sha1 in wanted})
        self._small = {node: contents[sha1] for node, sha1 in wanted if sha1 in contents}
        for node in self._small:
            self._settled[node] = 1

    def _make(self, row: passes.CreationRow) -> None:
        _, node, parent, name, short_name, attributes, times, security, more = row
        folder = self._ids[parent]
        security_id = 0 if security < 0 else self._security.get(security) or self._security_of(security)
        place = self._forms.pointer(node)
        if attributes & _DIRECTORY:
            self._ids[node] = self._volume.create_folder(folder, name, short_name, attributes, times, security_id)
        elif place is None:
            self._ids[node] = self._volume.create_file(
                folder, name, short_name, attributes, times, security_id, self._small.get(node, b"")
            )
        else:
            self._ids[node] = self._volume.create_pointer(
                folder, name, short_name, attributes, times, security_id, place[1], self._pack(*place)
            )
        if more:
            self._finish_made(node, self._new.node(node))
        self._counter.done += 1

    def _finish_made(self, node: int, facts: NodeRow) -> None:
        """What a new file or folder has beyond its names: streams, reparse point, object id, extended attributes."""
        for stream in self._new.streams_of(node):
            unnamed = stream.kind == StreamKind.DATA and not stream.name
            if stream.kind == StreamKind.DATA and not (unnamed and (self._settled[node] or not stream.size)):
                self._write_later(node, stream.index)
        if facts.reparse_tag:
            self._reparse.append(node)
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
            place = None if stream.name else self._forms.pointer(node)
            if place is not None:
                self._volume.point(self._ids[node], self._pack(*place), stream.size)
                self._counter.add(1)
            else:
                self._write_later(node, new_stream)

    def _drop_reparse_points(self) -> None:
        """A link that is to become a file, or another link, gives up what it was before anything is written to it."""
        for node, old_node, mask in self._changes.metadata:
            if mask & MetadataBit.REPARSE and self._old.node(old_node).reparse_tag:
                self._volume.remove_reparse(self._ids[node])
                self._touched.add(node)

    def _drop_overlay(self, node: int, old_stream: int) -> None:
        self._volume.remove_reparse(self._ids[node])
        if self._old.stream(old_stream).flags & StreamFlag.COMPACT:
            self._volume.remove_stream(self._ids[node], COMPACT_STREAM)

    def _write_later(self, node: int, stream: int) -> None:
        row = self._new.stream(stream)
        blob = self._store.blob(row.hash) if row.size else None
        self._writes.append(((0, 0) if blob is None else (blob.part, blob.offset), node, stream))

    def _write_data(self) -> None:
        self._writes.sort()
        for _, node, stream in self._writes:
            row = self._new.stream(stream)
            attributes = self._new.attributes(node)
            holes = not row.name or row.size >= _HOLE_SIZE
            parts = self._store.read_parts(row.hash) if row.size else iter(())
            self._volume.write_data(
                self._ids[node],
                row.name,
                parts,
                row.size,
                sparse=bool(attributes & _SPARSE) and holes,
                compressed=bool(attributes & _COMPRESSED) and not row.name,
            )
            self._touched.add(node)
            self._counter.add(1)

    # ---- everything else

    def _change_metadata(self) -> None:
        written = {stream for stream, _ in self._changes.data}
        for node, old_node, mask in self._changes.metadata:
            facts = self._new.node(node)
            file_id = self._ids[node]
            stored_anew = False
            if mask & MetadataBit.REPARSE and facts.reparse_tag:
                self._reparse.append(node)
            if mask & MetadataBit.ATTRIBUTES:
                self._volume.set_attributes(file_id, facts.attributes)
                stored_anew = self._is_stored_otherwise(node, old_node, written)
            if mask & MetadataBit.SECURITY:
                self._volume.set_security(file_id, 0 if facts.security < 0 else self._security_of(facts.security))
            if mask & MetadataBit.EXTRA:
                self._set_extra(node, facts)
            self._touched.add(node)
            if stored_anew:
                self._write_later(node, self._new.data_stream(node))    # which counts it
            else:
                self._counter.add(1)

    def _is_stored_otherwise(self, node: int, old_node: int, written: set[int]) -> bool:
        """Whether data that stays the same is to be sparse or compressed, or no longer: it is written again."""
        stream, old_stream = self._new.data_stream(node), self._old.data_stream(old_node)
        attributes = self._new.attributes(node)
        if stream < 0 or stream in written or attributes & _DIRECTORY or self._forms.is_pointer(node):
            return False
        if old_stream >= 0 and self._old.stream(old_stream).flags & _OVERLAID:
            return False
        kinds = _SPARSE | _COMPRESSED if self._volume.cluster_size <= _COMPRESSIBLE else _SPARSE
        return bool((attributes ^ self._old.attributes(old_node)) & kinds)

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
        for node in self._touched:
            if self._is_folder(node):
                folders.append(node)
            else:
                self._stamp(node)
        for node in folders:
            self._stamp(node)

    def _is_folder(self, node: int) -> bool:
        return bool(self._new.attributes(node) & _DIRECTORY)

    def _stamp(self, node: int) -> None:
        facts = self._new.node(node)
        if self._ids[node]:
            self._volume.set_times(self._ids[node], facts.creation, facts.last_write, facts.last_access)

    def _security_of(self, index: int) -> int:
        """The id in $Secure of a descriptor of the image."""
        found = self._security[index] = self._volume.security_id(self._new.securities[index])
        return found
