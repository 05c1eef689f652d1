"""The spare copy of a WIM: how it stands to the WIM, and bringing it up to it byte for byte.

A WIM only grows at its end, so an earlier copy of it is a beginning of it but for the header. The durable steps:

1. An undo record like that of an append (undo.py) is written beside the copy and synced; then what the copy lacks is
   written behind its end, synced, and read back from the disk. A crash here leaves the old copy, after recovery.
2. The record is replaced by one that names the header, the header is written and synced, the record removed.
   A crash here leaves the old or the new copy.

A copy that is missing, or that is no beginning of the WIM, is written whole under another name, synced, read back,
renamed, and the folder synced.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from enum import Enum
from typing import TYPE_CHECKING, Self

from wimboot.errors import Damaged, FormatError, HostError
from wimboot.formats.wimheader import HEADER_SIZE, NO_RESOURCE, WimHeader
from wimboot.storage import durable
from wimboot.storage.durable import temporary_name
from wimboot.wim.errors import WimTruncated
from wimboot.wim.part import Part
from wimboot.wim.recovery import lock_named, put_back, record_name, recover, recover_open, write_record
from wimboot.wim.rights import take_after
from wimboot.wim.staying import check_stays
from wimboot.wim.store import Store
from wimboot.wim.undo import PAGE_SIZE, UndoRecord

if TYPE_CHECKING:
    from types import TracebackType

    from wimboot.events import Counter
    from wimboot.storage.protocol import File, Folder

__all__ = ["Relation", "Spare", "relation", "same_bytes"]

_WINDOW = 8 << 20


class Relation(Enum):
    """How a copy stands to its WIM."""

    MISSING = "missing"
    SAME = "same"
    EARLIER = "earlier"     # the WIM has grown since
    LATER = "later"         # the copy has grown since
    APART = "apart"         # one of the two was rewritten, or both have grown
    OTHER = "other"         # a WIM of another GUID, sound or not
    DAMAGED = "damaged"     # cut short, or not sound in its structures; its header is one of this WIM
    UNKNOWN = "unknown"     # its header is none of a WIM: damaged there, or something else altogether


def relation(source: Store, copy: Store) -> Relation:
    """How `copy` stands to `source`, by their headers, blob tables, XML and integrity tables; no data is read."""
    if source.guid != copy.guid:
        return Relation.OTHER
    if _begins(copy, source):
        same = source.size == copy.size and source.header == copy.header
        return Relation.SAME if same else Relation.EARLIER
    return Relation.LATER if _begins(source, copy) else Relation.APART


def _begins(early: Store, late: Store) -> bool:
    """Whether `late` has the structures of `early` where they lie there: it can only have them because it grew from it.

    A table tells the place and hash of every blob, so a WIM that was written anew does not have it there.
    """
    if early.size > late.size:
        return False
    header = early.header
    return all(
        _file(early).pread(place.offset, place.size_in_wim) == _file(late).pread(place.offset, place.size_in_wim)
        for place in (header.blob_table, header.xml, header.integrity) if place != NO_RESOURCE)


def same_bytes(source: Store, copy: Store, counter: Counter) -> bool:
    """Whether the copy's bytes behind its header are those of the WIM. `counter` counts those that are the same."""
    for at in range(HEADER_SIZE, copy.size, _WINDOW):
        size = min(_WINDOW, copy.size - at)
        ours, theirs = _file(source).pread(at, size), _file(copy).pread(at, size)
        if ours != theirs:
            pairs = enumerate(zip(ours, theirs, strict=False))
            counter.add(next((place for place, (mine, its) in pairs if mine != its), 0))
            return False
        counter.add(size)
    return True


def _file(store: Store) -> File:
    return store.parts[0].file


def _guid_of(file: File) -> bytes | None:
    """Of a header; None where it is none of a WIM."""
    try:
        return WimHeader.parse(file.pread(0, HEADER_SIZE)).guid
    except FormatError:
        return None


class Spare:
    """A copy about to become what the WIM `source` is. Nothing of that is visible before `finish`.

    A context manager: left without `finish` it aborts. One thread owns it.

    Attributes:
        store: the copy as it is; None where there is none, or none that can be read.
        damage: why it cannot be read.
        guid: in its header; None where that is none of a WIM.
    """

    def __init__(self, source: Store, folder: Folder, name: str, *, where: str) -> None:
        """Open and lock the copy, if there is one, finishing or undoing what was interrupted on it.

        Raises WimBusy and what Store.open raises, but for damage.
        """
        self.source = source
        self.folder = folder
        self.where = where
        self.store: Store | None = None
        self.damage: Damaged | None = None
        self.guid: bytes | None = None
        self._name = name
        self._file: File | None = None
        self._new: File | None = None
        self._record: UndoRecord | None = None
        self._header_begun = False
        self._header = source.header.pack()     # the WIM may grow meanwhile; what it was stays
        self._start = 0
        self._digest = b""
        self._old_header = b""
        self._open = True
        recover(folder, name, where=where)
        if folder.exists(name):
            self._file = folder.open(name, write=True)
            try:
                lock_named(folder, name, self._file, where=where)
                recover_open(folder, name, self._file, where=where)
                self._old_header = self._file.pread(0, HEADER_SIZE)
                self._look_at(self._file)
            except BaseException:
                self._file.close()
                raise

    def _look_at(self, file: File) -> None:
        try:
            self.store = Store.open(file, where=self.where)
        except Damaged as error:
            self.damage = error
        self.guid = _guid_of(file) if self.store is None else self.store.guid

    @property
    def relation(self) -> Relation:
        """How the copy stands to the WIM."""
        if self.damage is not None:
            damaged = Relation.DAMAGED if self.guid == self.source.guid else Relation.OTHER
            return Relation.UNKNOWN if self.guid is None else damaged
        return Relation.MISSING if self.store is None else relation(self.source, self.store)

    # ---- writing

    def append(self, counter: Counter) -> None:
        """Step 1 for a copy that is EARLIER: write what it lacks. `counter` counts the bytes. Raises HostError."""
        if self.store is None or self._file is None:
            raise RuntimeError("there is no copy to append to")
        size = self.store.size
        last = size // PAGE_SIZE * PAGE_SIZE
        self._record = UndoRecord(
            old_size=size, old_table_hash=self.store.table_hash, first_page=self._file.pread(0, min(size, PAGE_SIZE)),
            last_page=self._file.pread(last, size - last))
        write_record(self.folder, self._name, self._record)
        self._file.truncate(size)
        self._start = size
        self._copy(self._file, counter)

    def rewrite(self, counter: Counter) -> None:
        """Write the whole WIM into a new file. `counter` counts the bytes. Raises HostError."""
        temporary = temporary_name(self._name)
        if self.folder.exists(temporary):
            self.folder.remove(temporary)
        self._new = self.folder.create(temporary)
        lock_named(self.folder, temporary, self._new, where=temporary)
        take_after(self._new, self._file or _file(self.source))
        self._start = 0
        self._copy(self._new, counter)

    def _copy(self, into: File, counter: Counter) -> None:
        digest = hashlib.sha1(usedforsecurity=False)
        for at in range(self._start, self.source.size, _WINDOW):
            data = self._read(_file(self.source), at, self.source.where)
            if at == 0:
                data = self._header + data[HEADER_SIZE:]
            digest.update(data)
            into.pwrite(at, data)
            counter.add(len(data))
        into.sync()
        self._digest = digest.digest()

    def _read(self, file: File, at: int, where: str) -> bytes:
        size = min(_WINDOW, self.source.size - at)
        data = file.pread(at, size)
        if len(data) != size:
            raise WimTruncated(where=where, problem=f"it ends at {at + len(data):,}")
        return data

    # ---- judging, and making it the copy

    @property
    def _written(self) -> File:
        written = self._new or self._file
        if written is None:
            raise RuntimeError("write first")
        return written

    def reads_back(self, counter: Counter) -> bool:
        """Whether what was written is on the disk as it was read from the WIM. `counter` counts the bytes."""
        written = self._written
        fileno = getattr(written, "fileno", None)
        if fileno is not None:
            os.posix_fadvise(fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        digest = hashlib.sha1(usedforsecurity=False)
        for at in range(self._start, self.source.size, _WINDOW):
            data = self._read(written, at, self.where)
            digest.update(data)
            counter.add(len(data))
        return digest.digest() == self._digest

    def pending(self) -> Store:
        """The copy as it will be, read from what was written, which is what the WIM has: what is damaged, is there."""
        part = Part.open(self._written, where=self.source.where, header_bytes=self._header)
        return Store((part,), where=self.source.where)

    def finish(self) -> None:
        """The copy is the WIM, durably. Raises WimChanged, HostError."""
        written = self._written
        if self._file is not None:
            end = 0 if self._new is not None else self.source.size
            check_stays(self.folder, self._name, self._file, self._old_header, end, where=self.where)
        elif self.folder.exists(self._name):
            raise HostError(what="creating", where=self.where, why="another program made it meanwhile")
        if self._new is not None:
            self.folder.replace(temporary_name(self._name), self._name)
            self._open = False
            try:
                self.folder.sync()
            finally:
                self._close()
            return
        if self._record is None:
            raise RuntimeError("write first")
        self._record = self._record.going_to(self._header, self.source.size, self.source.table_hash)
        write_record(self.folder, self._name, self._record)
        self._header_begun = True
        written.pwrite(0, self._header)
        written.sync()
        durable.remove(self.folder, record_name(self._name))
        self._record = None
        self._open = False
        self._close()

    def abort(self) -> None:
        """Leave the copy as it was; after `finish` this does nothing.

        Where that fails too the undo record stays, and the next run that opens the copy does it.
        """
        if not self._open:
            return
        self._open = False
        try:
            if self._new is not None and self.folder.exists(temporary_name(self._name)):
                self.folder.remove(temporary_name(self._name))
            if self._record is not None and self._file is not None:
                self._undo(self._file, self._record)
        finally:
            self._close()

    def _undo(self, file: File, record: UndoRecord) -> None:
        if self._header_begun:
            write_record(self.folder, self._name, record)   # it may have been removed already
        if self._header_begun or file.pread(0, HEADER_SIZE) == record.old_header:   # else somebody wrote over it
            put_back(file, record)
        if self.folder.exists(record_name(self._name)):
            durable.remove(self.folder, record_name(self._name))

    def _close(self) -> None:
        for file in (self._file, self._new):
            if file is not None:
                file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with contextlib.suppress(*([HostError] if error is not None else [])):     # what stopped the run is told
            self.abort()
