"""Growing a WIM: new blobs and images behind the old ones, all of it visible at once or not at all.

The order of the durable steps, for an existing WIM:

1. The undo record (first page, page with the old end, old size, old table's hash) is written and synced.
   A crash here leaves the old WIM.
2. Blobs, metadata, blob table, XML and integrity table are written behind the old end, then synced (`seal`).
   A crash here leaves the old header: recovery puts the old end and size back.
3. The record is replaced by one that names the new header (`finish`).
4. The header is written by one write of 208 bytes, then synced.
   A crash here leaves the old, the new or a torn header; recovery undoes or completes.
5. The record is removed and the folder synced. The WIM is new.

A new WIM is written under another name, synced, renamed, and the folder synced.
"""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from wimboot.errors import HostError
from wimboot.formats.blobtable import ROW_SIZE, BlobRow, BlobTable, add_references, pack_row
from wimboot.formats.wimheader import HEADER_SIZE, NO_RESOURCE, ResourceFlag, ResourceHeader
from wimboot.formats.wimxml import WimXml, parse_xml
from wimboot.storage import durable
from wimboot.storage.durable import temporary_name
from wimboot.wim._codec import Codec
from wimboot.wim._metadata import image_counts, reference_columns, serialise
from wimboot.wim.creating import CreateOptions, check_changeable
from wimboot.wim.errors import BlobDamaged, BlobMissing, WimMissing, WimNotExtendable, WrittenWrong, locating
from wimboot.wim.integrity import extend_integrity
from wimboot.wim.newblobs import NewBlobs
from wimboot.wim.part import Part
from wimboot.wim.pipeline import BlobSource, Pipeline
from wimboot.wim.recovery import (
    lock,
    lock_named,
    put_back,
    record_name,
    recover,
    recover_open,
    write_header,
    write_record,
)
from wimboot.wim.resources import write_resource
from wimboot.wim.staying import check_stays
from wimboot.wim.store import Store
from wimboot.wim.tail import Tail
from wimboot.wim.undo import PAGE_SIZE, UndoRecord
from wimboot.wim.writer import BlobWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from wimboot.events import Counter
    from wimboot.formats.wimheader import WimHeader
    from wimboot.formats.wimxml import ImageXml
    from wimboot.storage.protocol import File, Folder
    from wimboot.tree import Tree

__all__ = ["Append"]

_LEVEL = 50


class Append:
    """One append to a WIM, or the making of a new one. Nothing of it is visible before `finish`.

    A context manager: left without `finish` it aborts. One thread owns it; of a file of the host `sync` is for any.

    Attributes:
        store: the WIM as it was; None where it is new.
        folder: where it lies.
        guid: of the WIM, old or new.
    """

    def __init__(self, folder: Folder, name: str, *, create: CreateOptions | None, where: str,
                 undo: bool = True) -> None:
        """Open and lock a WIM, finishing or undoing an interrupted append first, or prepare a new one.

        `undo` False where another transaction covers the file: no record is kept then.
        Raises WimMissing, CompressionDiffers, WimReadOnly, WimNotExtendable, WimBusy and what Store.open raises.
        """
        self.folder = folder
        self.where = where
        self._name = name
        self._undo = undo
        self._record: UndoRecord | None = None
        self._images: list[bytes] = []
        self._metadata: dict[int, bytes] = {}   # rows of older images' metadata that was stored anew, by index
        self._referred, self._counts = bytearray(), array("I")      # hashes of 20 bytes, and by how many names
        self._sealed: WimHeader | None = None
        self._header_begun = False
        self._open = True
        self._written_xml = b""
        self.table_hash = b""
        self.store: Store | None = None
        if folder.exists(name):
            self._open_old(create)
        elif create is None:
            raise WimMissing(where=where)
        else:
            self._create_new(create)
        self._blobs = NewBlobs(self.store.parts[0].table if self.store else None)

    def _open_old(self, create: CreateOptions | None) -> None:
        self._file: File = self.folder.open(self._name, write=True)
        try:
            lock_named(self.folder, self._name, self._file, where=self.where)
            recover_open(self.folder, self._name, self._file, where=self.where)
            self.store = store = Store.open(self._file, where=self.where)
            check_changeable(store, WimNotExtendable)
            if create is not None:
                create.check_fits(store)
        except BaseException:
            self._file.close()
            raise
        self._header = store.header
        self._xml = parse_xml(store.parts[0].xml)
        self._tail = Tail(self._file, store.size, self._begin)

    def _create_new(self, create: CreateOptions) -> None:
        recover(self.folder, self._name, where=self.where)
        self._header = create.header()
        self._xml = WimXml()
        self._file = self.folder.create(temporary_name(self._name))
        lock(self._file, where=self.where)
        self._tail = Tail(self._file, HEADER_SIZE, lambda: None)

    def _begin(self) -> None:
        """Before the first write to an existing WIM: its undo record, and what lies past its end is cut."""
        if self.store is None:
            return
        size = self._tail.start
        if self._undo:
            last = size // PAGE_SIZE * PAGE_SIZE
            self._record = UndoRecord(
                old_size=size, old_table_hash=self.store.table_hash,
                first_page=self._file.pread(0, min(size, PAGE_SIZE)), last_page=self._file.pread(last, size - last))
            write_record(self.folder, self._name, self._record)
        if self._file.size() > size:
            self._file.truncate(size)

    # ---- adding

    @property
    def in_doubt(self) -> bool:
        """Whether a failed `finish` may have made it: no, `abort` takes it back."""
        return False

    @property
    def guid(self) -> bytes:
        """Of the WIM."""
        return self._header.guid

    @property
    def new_hashes(self) -> list[bytes]:
        """The blobs of this append: what `pending().check_blobs` is to read back."""
        return self._blobs.hashes

    @property
    def growth(self) -> int:
        """Bytes written so far."""
        return self._tail.end - self._tail.start

    def has(self, sha1: bytes) -> bool:
        """Whether the blob is in the WIM already, or was added."""
        return sha1 in self._blobs

    def lacking(self, digests: bytes) -> list[int]:
        """Of hashes of 20 bytes, one after the other, the positions of those that are neither here nor were added."""
        return self._blobs.lacking(digests)

    def writer(self, level: int = _LEVEL) -> BlobWriter:
        """What puts blobs into this WIM, compressed at that level of libwim's."""
        self._check_open()
        return BlobWriter(self._blobs, self._tail, Codec(self._header.compression, self._header.chunk_size, level))

    def add_streams(self, tree: Tree, reader: BlobSource, streams: array[int], *, counter: Counter, threads: int,
                    level: int = _LEVEL) -> None:
        """Hash every stream (noting it in the tree) and add what the WIM lacks; `counter` counts bytes read.

        A stream whose hash is known and whose blob is here is not read. Raises SourceFailed, HostError.
        """
        Pipeline(tree, reader, self.writer(level), counter).run(streams, threads)

    def add_blob(self, data: bytes) -> bytes:
        """Add one small blob; its SHA-1 (zeros for an empty one)."""
        if not data:
            return bytes(20)
        sha1 = hashlib.sha1(data, usedforsecurity=False).digest()
        if self._blobs.begin(sha1):
            offset, size_in_wim, compressed = write_resource(self.writer(), data, threads=1)
            self._blobs.place(sha1, offset=offset, size_in_wim=size_in_wim, size=len(data), compressed=compressed)
        return sha1

    def replace(self, hashes: Iterable[bytes]) -> None:
        """Let these blobs, whose bytes here are damaged, be added anew; those that are not stay where they are.

        What is damaged becomes garbage until the WIM is rewritten. Older images and pointers refer by hash.
        """
        self._blobs.replace(hashes)

    def keep(self, references: Mapping[bytes, int]) -> None:
        """Keep blobs of this run that no image of this run has: {hash: how often older images, or files, refer}."""
        for sha1, count in references.items():
            self._refer(sha1, array("I", [count]))

    def replace_metadata(self, image: int, metadata: bytes | bytearray, *, threads: int = 2) -> None:
        """Store the list of files of an older image anew, whose bytes here are damaged. Raises BlobDamaged."""
        table = self._old_table()
        row = table.row(table.metadata[image - 1])
        if hashlib.sha1(metadata, usedforsecurity=False).digest() != row.sha1:
            raise BlobDamaged(where=self.where, offset=row.offset, sha1=row.sha1.hex(), problem="has other contents")
        offset, size_in_wim, compressed = write_resource(self.writer(), metadata, threads=threads)
        self._metadata[image - 1] = pack_row(row._replace(
            size_in_wim=size_in_wim, offset=offset, size=len(metadata),
            flags=ResourceFlag.METADATA | (ResourceFlag.COMPRESSED if compressed else 0)))

    def add_image(self, tree: Tree, image: ImageXml, excluded: bytes | bytearray | None = None) -> int:
        """Add an image of the tree (links marked in `excluded` left out); its number.

        Every stream's hash must be known and its blob here. Raises BlobMissing, NotStorable.
        """
        digests, counts = reference_columns(tree, excluded)
        for at in self._blobs.lacking(digests):
            raise BlobMissing(where=self.where, sha1=digests[20 * at:20 * at + 20].hex())
        metadata = serialise(tree, excluded)
        offset, size_in_wim, compressed = write_resource(self.writer(), metadata, threads=2)
        flags = ResourceFlag.METADATA | (ResourceFlag.COMPRESSED if compressed else 0)
        self._images.append(pack_row(BlobRow(size_in_wim, flags, offset, len(metadata), 1, 1, hashlib.sha1(
            metadata, usedforsecurity=False).digest())))
        self._refer(digests, counts)
        directories, files, total, hard_link_bytes = image_counts(tree, excluded)
        self._xml = self._xml.add_image(replace(image, directory_count=directories, file_count=files,
                                                total_bytes=total, hard_link_bytes=hard_link_bytes))
        return self._header.image_count + len(self._images)

    def _refer(self, digests: bytes, counts: array[int]) -> None:
        self._referred += digests
        self._counts.extend(counts)

    # ---- making it durable

    def seal(self) -> None:
        """Write table, XML and integrity table, and sync. The header, and so the WIM, is still the old one."""
        self._check_open()
        table = self._table()
        offset = self._tail.append(table)
        integrity = NO_RESOURCE
        with locating(self.where):
            xml = self._xml.with_total_bytes(self._tail.end).pack()
            xml_offset = self._tail.append(xml)
            if self._header.integrity != NO_RESOURCE:
                pieces = extend_integrity(self._file, self._header, offset + len(table), self._garbage())
                integrity = ResourceHeader.plain(self._tail.append(pieces), pieces)
        self._written_xml = xml
        self._sealed = replace(
            self._header, image_count=self._header.image_count + len(self._images), integrity=integrity,
            blob_table=ResourceHeader.plain(offset, table, ResourceFlag.METADATA),
            xml=ResourceHeader.plain(xml_offset, xml, ResourceFlag.METADATA))
        self.table_hash = hashlib.sha1(table, usedforsecurity=False).digest()
        self._file.sync()

    def _garbage(self) -> list[tuple[int, int]]:
        """Where the damaged bytes lie that were replaced: (first byte, size)."""
        table = self._old_table()
        rows = [table.index[sha1] for sha1 in self._blobs.replaced] + [table.metadata[at] for at in self._metadata]
        return [(row.offset, row.size_in_wim) for row in map(table.row, rows)]

    def _old_table(self) -> BlobTable:
        if self.store is None:
            raise RuntimeError("a new WIM has nothing to replace")
        return self.store.parts[0].table

    def _table(self) -> bytes:
        """Metadata in the order of the images, then the blobs, those of this run behind the others."""
        metadata, old = self._old_table().kept_rows() if self.store else ([], b"")
        metadata = [self._metadata.get(number, row) for number, row in enumerate(metadata)]
        rows = bytearray(self._blobs.moved(old) + self._blobs.rows())
        add_references(rows, self._referred, self._counts)
        fresh = (rows[at:at + ROW_SIZE] for at in range(len(old), len(rows), ROW_SIZE))
        used = (row for row in fresh if any(row[26:30]))
        return b"".join((*metadata, *self._images, rows[:len(old)], *used))

    def written(self) -> Store:
        """The WIM as it was with this run's blobs so far, none of them in place of a damaged one: for reading back
        before `seal`, what is written next notwithstanding. Raises RuntimeError for a new WIM.
        """
        if self.store is None:
            raise RuntimeError("a new WIM is read back when it is sealed")
        table = BlobTable.parse(self._blobs.rows())
        new = replace(self.store.parts[0], table=table, size=self._tail.end)
        return Store((*self.store.parts, new), where=self.where)

    def sync(self) -> None:
        """What was written so far is on the disk, and can be read back from there."""
        self._file.sync()

    def pending(self) -> Store:
        """The WIM as it will be, read from the file; for reading back before `finish`. Needs `seal`.

        Raises WrittenWrong where its table or its XML is not what was written, and what Part.open raises.
        """
        part = Part.open(self._file, where=self.where, header_bytes=self._new_header())
        if part.table_hash != self.table_hash or part.xml != self._written_xml:
            raise WrittenWrong(where=self.where)
        return Store((part,), where=self.where)

    def _new_header(self) -> bytes:
        if self._sealed is None:
            raise RuntimeError("seal first")
        return self._sealed.pack()

    def finish(self) -> None:
        """Steps 3 to 5: the WIM is the new one, durably. Seals first where that was not done. Raises WimChanged."""
        self._check_open()
        if self._sealed is None:
            self.seal()
        header = self._new_header()
        if self.store is None:
            self._finish_new(header)
        else:
            if self._record is not None:
                check_stays(self.folder, self._name, self._file, self._record.old_header, self._tail.end,
                            where=self.where)
                self._record = self._record.going_to(header, self._tail.end, self.table_hash)
                write_record(self.folder, self._name, self._record)
            self._header_begun = True
            write_header(self._file, header, where=self.where)
            self._drop_record()
        self._open = False
        self._file.close()

    def _finish_new(self, header: bytes) -> None:
        write_header(self._file, header, where=self.where)
        if self.folder.exists(self._name):
            raise HostError(what="creating", where=self.where, why="another program made it meanwhile")
        self.folder.replace(temporary_name(self._name), self._name)
        self.folder.sync()

    def _drop_record(self) -> None:
        if self._record is not None:
            if self.folder.exists(record_name(self._name)):
                durable.remove(self.folder, record_name(self._name))
            self._record = None

    def abort(self) -> None:
        """Leave the WIM as it was; a second call, or one after `finish`, does nothing.

        Where that fails too, the undo record stays and the next run that opens the WIM does it.
        """
        if not self._open:
            return
        self._open = False
        try:
            if self.store is None:
                if self.folder.exists(temporary_name(self._name)):
                    self.folder.remove(temporary_name(self._name))
            elif self._tail.begun or self._record is not None:
                self._undo_all()
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Give the WIM up to the transaction that covers it (`undo` False), which is dropped or has been committed."""
        self._open = False
        self._file.close()

    def _undo_all(self) -> None:
        if self._header_begun and self._record is not None:
            write_record(self.folder, self._name, self._record)     # it may have been removed already
            put_back(self._file, self._record)
        elif self._record is None or self._file.pread(0, HEADER_SIZE) == self._record.old_header:
            self._file.truncate(self._tail.start)   # else somebody wrote over it: what it is now is not ours to cut
            self._file.sync()
        self._drop_record()

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("the append is over")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with contextlib.suppress(*([HostError] if error is not None else [])):     # what stopped the run is told
            self.abort()
