"""Finishing or undoing an append to a WIM that was interrupted."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from wimboot.errors import FormatError, HostError
from wimboot.formats.wimheader import HEADER_SIZE, WimHeader
from wimboot.frozen import Frozen
from wimboot.storage import durable
from wimboot.storage.durable import temporary_name
from wimboot.wim.errors import NotTheWimItWas, UndoRecordDamaged, WimBusy
from wimboot.wim.staying import has_name
from wimboot.wim.undo import PAGE_SIZE, UndoRecord

if TYPE_CHECKING:
    from wimboot.storage.protocol import File, Folder

__all__ = [
    "Outcome", "Recovered", "lock", "lock_named", "lock_shared", "put_back", "record_name", "recover", "recover_open",
    "temporary_names", "write_header", "write_record",
]

_MAX_RECORD_SIZE = 16384


class Outcome(Enum):
    """What recovery found to do."""

    NOTHING = "nothing"
    COMPLETED = "completed"     # the append was whole; only its record was left
    UNDONE = "undone"           # the WIM is byte for byte what it was


class Recovered(Frozen):
    """What recovery did. `removed` are files beside the WIM that an unfinished run left and nobody needs."""

    outcome: Outcome
    removed: tuple[str, ...] = ()


def record_name(name: str) -> str:
    """The undo record of a WIM, beside it."""
    return f"{name}.wimboot-undo"


def temporary_names(name: str) -> tuple[str, str]:
    """What a WIM, and its undo record, are called while they are written."""
    return temporary_name(name), temporary_name(record_name(name))


def lock(file: File, *, where: str) -> None:
    """Take the WIM for this process until the file is closed; wimlib takes the same lock. Raises WimBusy."""
    fileno = getattr(file, "fileno", None)
    if fileno is None:
        return
    try:
        fcntl.flock(fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise WimBusy(where=where) from error


def lock_shared(folder: Folder, name: str, file: File, *, where: str) -> None:
    """Keep the WIM from growing and being rewritten until the file is closed; others may read and do the same.

    Nothing where the host's file system has no locks. Raises WimBusy.
    """
    fileno = getattr(file, "fileno", None)
    if fileno is None:
        return
    try:
        fcntl.flock(fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise WimBusy(where=where) from error
    except OSError:
        return
    if not has_name(folder, name, file):
        raise WimBusy(where=where)


def lock_named(folder: Folder, name: str, file: File, *, where: str) -> None:
    """The same for the file that has this name, lest one be taken that another process has just replaced.

    Raises WimBusy.
    """
    lock(file, where=where)
    if not has_name(folder, name, file):
        raise WimBusy(where=where)


def write_header(file: File, header: bytes, *, where: str) -> None:
    """Make this the header of a WIM, durably, and read it back. Raises HostError."""
    file.pwrite(0, header)
    file.sync()
    if file.pread(0, len(header)) != header:
        raise HostError(what="writing", where=where, why="its header does not read back as what was written")


def write_record(folder: Folder, name: str, record: UndoRecord) -> None:
    """Make the record durable, over an older one; a crash leaves the older record, none where there was none, or this.

    Raises HostError; what is left is as after a crash.
    """
    durable.replace(folder, record_name(name), record.pack())


def recover(folder: Folder, name: str, *, where: str) -> Recovered:
    """Bring a WIM whose append was interrupted to its old or new state; remove what an unfinished new WIM left.

    Raises NotTheWimItWas and UndoRecordDamaged where that cannot be done safely, WimBusy while another process writes.
    """
    removed = _remove_temporaries(folder, name)
    if not folder.exists(record_name(name)):
        return Recovered(outcome=Outcome.NOTHING, removed=removed)
    if not folder.exists(name):
        raise NotTheWimItWas(where=where, record=record_name(name), problem="it is gone")
    file = folder.open(name, write=True)
    try:
        lock(file, where=where)
        return replace(recover_open(folder, name, file, where=where), removed=removed)
    finally:
        file.close()


def recover_open(folder: Folder, name: str, file: File, *, where: str) -> Recovered:
    """The same for a WIM that is open for writing and locked.

    What is put back, or the header that was found, is synced before the record is removed; a crash between leaves
    the record, and the same is done again.
    """
    if not folder.exists(record_name(name)):
        return Recovered(outcome=Outcome.NOTHING)
    record = _read_record(folder, name, where)
    outcome, problem = _judge(file, record)
    if problem:
        raise NotTheWimItWas(where=where, record=record_name(name), problem=problem)
    if outcome is Outcome.UNDONE:
        put_back(file, record)
    else:
        file.pwrite(0, record.new_header or b"")    # it may only be in the host's cache, or its sync have failed
        file.sync()
    durable.remove(folder, record_name(name))
    return Recovered(outcome=outcome)


def put_back(file: File, record: UndoRecord) -> None:
    """Make the WIM the old one, durably. The record must stay until this is done."""
    file.pwrite(0, record.first_page)
    if record.last_page:
        file.pwrite(record.last_page_offset, record.last_page)
    file.truncate(record.old_size)
    file.sync()


def _read_record(folder: Folder, name: str, where: str) -> UndoRecord:
    file = folder.open(record_name(name))
    try:
        data = file.pread(0, _MAX_RECORD_SIZE)
    finally:
        file.close()
    try:
        return UndoRecord.parse(data)
    except FormatError as error:
        raise UndoRecordDamaged(where=where, record=record_name(name), problem=error.facts["problem"]) from error


def _judge(file: File, record: UndoRecord) -> tuple[Outcome, str]:
    """What to do, or why nothing may be done."""
    header = file.pread(0, HEADER_SIZE)
    size = file.size()
    if record.new_header is not None and header == record.new_header:
        if size < record.new_size or _table_hash(file, header) != record.new_table_hash:
            return Outcome.NOTHING, "its new blob table is not what was written"
        return Outcome.COMPLETED, ""
    if header != record.old_header and not _is_torn(header, record):
        return Outcome.NOTHING, "its header is neither the one before nor the one that was being written"
    if size < record.old_size:
        return Outcome.NOTHING, f"it has {size:,} bytes, fewer than the {record.old_size:,} before"
    if record.new_header is not None and size > record.new_size:
        return Outcome.NOTHING, f"it has {size:,} bytes, more than the {record.new_size:,} that were written"
    if _old_table_hash(file, record) != record.old_table_hash:
        return Outcome.NOTHING, "its old blob table is not where it was"
    return Outcome.UNDONE, ""


def _is_torn(header: bytes, record: UndoRecord) -> bool:
    """Whether a header that is neither old nor new is what a write cut off by power loss leaves."""
    in_written_page = record.new_header is not None or record.old_size < PAGE_SIZE
    if not in_written_page or len(header) < HEADER_SIZE:
        return False
    new = record.new_header or record.old_header
    if all(byte in pair for byte, pair in zip(header, zip(record.old_header, new, strict=True), strict=True)):
        return True
    try:
        WimHeader.parse(header)
    except FormatError:
        return True     # no program wrote that
    return False


def _table_hash(file: File, header: bytes) -> bytes:
    place = WimHeader.parse(header).blob_table
    return _hash(file.pread(place.offset, place.size) if place.end <= file.size() else b"")


def _old_table_hash(file: File, record: UndoRecord) -> bytes:
    """The old table as it will be with the record's pages put back: it may reach into them."""
    place = WimHeader.parse(record.old_header).blob_table
    data = bytearray(file.pread(place.offset, place.size))
    for start, page in ((0, record.first_page), (record.last_page_offset, record.last_page)):
        low, high = max(start, place.offset), min(start + len(page), place.offset + len(data))
        if low < high:
            data[low - place.offset:high - place.offset] = page[low - start:high - start]
    return _hash(data)


def _hash(data: bytes | bytearray) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def _remove_temporaries(folder: Folder, name: str) -> tuple[str, ...]:
    """An unfinished new WIM is nobody's, unless a process has it locked; nor is an unfinished record, which is not
    locked itself, unless a process has the WIM locked. Those that were removed.
    """
    removed = []
    whole, record = temporary_names(name)
    for temporary, locked in ((whole, whole), (record, name)):
        if not folder.exists(temporary):
            continue
        with contextlib.suppress(HostError, WimBusy):
            file = folder.open(locked, write=True)
            try:
                lock_named(folder, locked, file, where=locked)
                folder.remove(temporary)
                removed.append(temporary)
            finally:
                file.close()
    return tuple(removed)
