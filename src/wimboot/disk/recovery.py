"""After a crash: a log that waits is finished or dropped before anything else reads the target.

What is found decides: no mark, or a damaged log without a commit - dropped, the target's used pages are
old. Prepared for a WIM that is there as named - committed now. Committed - every sector of the pages must
be old or new, or the guard's, except in the batch that was being copied; then the copying is finished.
Anything else is refused and the log kept. Recovery may itself be cut off at any point and started again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from wimboot.disk._overlay import hash_of
from wimboot.disk._replay import check_pages
from wimboot.disk.copying import Copying
from wimboot.disk.errors import LogDamaged, TargetChanged
from wimboot.disk.log import (
    DATA_OFFSET,
    MARKS,
    NOTES,
    PAGE,
    RECORD_SIZE,
    Header,
    Index,
    Kind,
    Mark,
    StoreMark,
)
from wimboot.errors import FormatError
from wimboot.storage import FileDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.storage import File, Folder

__all__ = ["Recovered", "peek", "recover"]


class Recovered(Enum):
    """What was found, and done."""

    NOTHING = "nothing"
    DROPPED = "dropped"
    COMPLETED = "completed"


def peek(folder: Folder, name: str) -> bool:
    """Whether a log waits. Opens nothing."""
    return folder.exists(name)


def recover(file: File, folder: Folder, name: str, *, where: str,
            store_is: Callable[[StoreMark], bool] | None = None) -> Recovered:
    """Finish or drop what an interrupted run left; `file` is the whole target, open for writing.

    `store_is` tells whether the WIM with this GUID is found with this table. Raises TargetChanged,
    LogDamaged (the log is kept and the target untouched), CommitUnfinished, HostError.
    """
    if not peek(folder, name):
        return Recovered.NOTHING
    log = folder.open(name, write=True)
    try:
        found = _read(log, where)
        done = found is not None and _complete(found, log, file, where, store_is)
    finally:
        log.close()
    folder.remove(name)
    folder.sync()
    return Recovered.COMPLETED if done else Recovered.DROPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A whole log that was prepared. `note` is the newest one, where the commit was marked."""

    header: Header
    index: Index
    committed: bool
    batch: int | None
    sequence: int


def _marks(log: File) -> list[Mark]:
    """The whole marks in the log."""
    marks = []
    for kind, offset in [*MARKS.items(), *((Kind.NOTE, offset) for offset in NOTES)]:
        try:
            mark = Mark.parse(log.pread(offset, PAGE))
        except FormatError:
            continue
        if mark.kind is kind:
            marks.append(mark)
    return marks


def _read(log: File, where: str) -> _Found | None:
    """The log as far as it got; None where nothing was decided. Raises LogDamaged, HostError."""
    marks = _marks(log)
    decided = any(mark.kind is not Kind.PREPARED for mark in marks)
    try:
        header = Header.parse(log.pread(0, PAGE))
        size = min(header.index_size, max(0, log.size() - header.index_offset))
        index = Index.parse(log.pread(header.index_offset, size), header)
    except FormatError as error:
        if decided:
            raise LogDamaged(where=where) from error
        return None
    marks = [mark for mark in marks if (mark.guid, mark.digest) == (header.guid, header.digest)]
    if not marks:
        return None
    notes = [mark for mark in marks if mark.kind is Kind.NOTE]
    newest = max(notes, key=lambda mark: mark.sequence, default=None)
    return _Found(header=header, index=index, committed=any(mark.kind is not Kind.PREPARED for mark in marks),
                  batch=newest.batch if newest else None, sequence=newest.sequence if newest else 0)


def _complete(found: _Found, log: File, file: File, where: str,
              store_is: Callable[[StoreMark], bool] | None) -> bool:
    """Finish the log where that is right; False where it is to be dropped."""
    header = found.header
    copying = Copying(log, file, header, found.index, sequence=found.sequence)
    if not found.committed:
        if header.store_guid is None or store_is is None:
            return False
        store = StoreMark(guid=header.store_guid, table_hash=header.table_hash, place=found.index.place)
        if not store_is(store) or not _untouched(found, log, file):
            return False
        copying.mark_committed()
        copying.run(copying.first_batch, where)
        return True
    if file.size() != header.target_size:
        raise TargetChanged(where=where, why="its size is another")
    batch = copying.first_batch if found.batch is None else found.batch
    if not copying.first_batch <= batch <= copying.last_batch:
        raise LogDamaged(where=where)
    if _Comparison(found, log, file).must_restart(batch, copying, where):
        copying.copy(0 if batch == copying.last_batch else batch, where)
        batch = copying.first_batch
        copying.note(batch)
    copying.run(batch, where)
    return True


def _untouched(found: _Found, log: File, file: File) -> bool:
    """Whether a prepared, undecided log still fits its target and is whole."""
    if file.size() != found.header.target_size:
        return False
    comparison = _Comparison(found, log, file)
    damaged, foreign, _ = comparison.look(0, found.header.page_count)
    return damaged < 0 and not foreign and comparison.guards_whole() and comparison.missing_witness() is None


class _Comparison:
    """The log against its target, before anything is written."""

    def __init__(self, found: _Found, log: File, file: File) -> None:
        self._found = found
        self._log = log
        self._file = file
        self._devices = FileDevice(log), FileDevice(file)

    def look(self, first: int, end: int, *, limit: int = 1) -> tuple[int, list[int], int]:
        """As `check_pages`, of these records."""
        return check_pages(*self._devices, self._found.index.records, first, end, DATA_OFFSET, limit)

    def guards_whole(self) -> bool:
        """Whether the log's guard pages are as they were written."""
        return all(hash_of(self._guard_page(number)) == digest
                   for number, (_, digest) in enumerate(self._found.index.guards))

    def _guard_page(self, number: int) -> bytes:
        return self._log.pread(DATA_OFFSET + (self._found.header.page_count + number) * PAGE, PAGE)

    def missing_witness(self) -> int | None:
        """A page that was written straight and does not hold that any more."""
        return next((page for page, digest in self._found.index.witnesses
                     if hash_of(self._file.pread(page * PAGE, PAGE).ljust(PAGE, b"\0")) != digest), None)

    def must_restart(self, batch: int, copying: Copying, where: str) -> bool:
        """Whether pages of batches that were done are old again, or guards are missing: the target was put back to a
        state before the commit, and copying begins at its first batch. Raises LogDamaged, TargetChanged.
        """
        plain, end = self._found.header.plain_count, self._found.header.page_count
        torn_first, torn_end = copying.records_of(batch)
        restart = False
        for first, stop in ((0, min(torn_first, plain)), (min(torn_end, plain), plain)):
            damaged, foreign, not_new = self.look(first, stop)
            if damaged >= 0:
                raise LogDamaged(where=where)
            if foreign:
                page = int.from_bytes(self._found.index.records[foreign[0] * RECORD_SIZE:][:8], "little")
                raise TargetChanged(where=where, why=f"the 4 KiB at byte {page * PAGE} are neither old nor new")
            restart |= stop <= torn_first and not_new < stop
        # of the batch in flight and of the guarded pages only what the log holds must be sound
        for first, stop in ((torn_first, torn_end), (plain, end)):
            if self.look(first, stop, limit=stop + 1)[0] >= 0:
                raise LogDamaged(where=where)
        if not self.guards_whole():
            raise LogDamaged(where=where)
        missing = self.missing_witness()
        if missing is not None:
            raise TargetChanged(where=where, why=f"new data is missing at byte {missing * PAGE}")
        if torn_first < plain:
            restart |= not self._guards_stand(plain, where)
        return restart and batch != copying.first_batch

    def _guards_stand(self, plain: int, where: str) -> bool:
        """Whether each guarded page holds its guard. Raises TargetChanged where one is neither that nor old nor new."""
        stand = True
        for number, (page, _) in enumerate(self._found.index.guards):
            room = min(PAGE, self._found.header.target_size - page * PAGE)
            if self._guard_page(number)[:room] == self._file.pread(page * PAGE, room):
                continue
            stand = False
            if self.look(plain + number, plain + number + 1)[1]:
                raise TargetChanged(where=where, why=f"the guarded 4 KiB at byte {page * PAGE} are foreign")
        return stand
