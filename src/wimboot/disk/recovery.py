"""After a crash: a log that waits is finished or dropped before anything else reads the target.

What is found decides: no mark, or a damaged log without a commit - dropped, the target's used pages are
old, and what it grew by is cut off. Prepared for a WIM that is there as named - committed now. Committed - every
sector of the pages must be what `disk.comparison` allows; then the copying is finished. Anything else is refused and
the log kept. Recovery may itself be cut off at any point and started again.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wimboot.disk.comparison import Comparison
from wimboot.disk.copying import Copying
from wimboot.disk.errors import LogDamaged, LogOfOtherVersion, TargetChanged
from wimboot.disk.growth import undo_growth
from wimboot.disk.log import MARKS, NOTES, PAGE, VERSION, Header, Index, Kind, Mark, StoreMark, version_of
from wimboot.errors import FormatError
from wimboot.frozen import Frozen

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
    LogDamaged, LogOfOtherVersion (the log is kept and the target untouched), CommitUnfinished, HostError.
    """
    if not peek(folder, name):
        return Recovered.NOTHING
    log = folder.open(name, write=True)
    try:
        found = _read(log, where)
        done = found is not None and _complete(found, log, file, where, store_is)
        if not done:
            undo_growth(log, file, where)
    finally:
        log.close()
    folder.remove(name)
    folder.sync()
    return Recovered.COMPLETED if done else Recovered.DROPPED


class _Found(Frozen):
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
    """The log as far as it got; None where nothing was decided. Raises LogDamaged, LogOfOtherVersion, HostError."""
    marks = _marks(log)
    decided = any(mark.kind is not Kind.PREPARED for mark in marks)
    try:
        header = Header.parse(log.pread(0, PAGE))
        size = min(header.index_size, max(0, log.size() - header.index_offset))
        index = Index.parse(log.pread(header.index_offset, size), header)
    except FormatError as error:
        version = version_of(log) if marks else None
        if version is not None and version != VERSION:
            raise LogOfOtherVersion(where=where, version=version, known=VERSION) from error
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
        if not store_is(store) or file.size() != header.target_size:
            return False
        if not Comparison(log, file, header, found.index, where).untouched():
            return False
        copying.mark_committed()
        copying.run(copying.first_batch, where)
        return True
    if file.size() != header.target_size:
        raise TargetChanged(where=where, why="its size is another")
    batch = copying.first_batch if found.batch is None else found.batch
    if not copying.first_batch <= batch <= copying.last_batch:
        raise LogDamaged(where=where)
    finding = Comparison(log, file, header, found.index, where).find(batch, copying)
    if finding.torn_guard is not None:
        copying.mend(finding.torn_guard, batch, where)
    if finding.restart:
        if not finding.window_known:
            copying.copy(0 if batch == copying.last_batch else batch, where)
        batch = copying.first_batch
        copying.note(batch)
    copying.run(batch, where)
    return True
