"""Copying a committed log to its target, batch by batch. Commit and recovery run this same code.

Batch 0 writes the guard pages one by one, the last batch the final content of the guarded pages, one by one in
the other order, so that the page guarded first is the first and the last to change. Those between write the
other pages in the order of their place. While a batch is copied the log's newest note names it; a note is
durable before its batch begins, and the batch before it is durable on the target before the note is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk._replay import copy_pages
from wimboot.disk.errors import CommitUnfinished, LogDamaged
from wimboot.disk.log import DATA_OFFSET, NOTES, PAGE, Kind, Mark
from wimboot.errors import HostError
from wimboot.storage import FileDevice

if TYPE_CHECKING:
    from wimboot.disk.log import Header, Index
    from wimboot.events import Counter
    from wimboot.storage import File

__all__ = ["Copying"]


class Copying:
    """The copying of one log. `sequence` is that of the newest note in the log, 0 where there is none."""

    def __init__(self, log: File, target: File, header: Header, index: Index, *, sequence: int = 0) -> None:
        self._log = log
        self._target = target
        self._header = header
        self._index = index
        self._sequence = sequence
        self._log_device = FileDevice(log)
        self._target_device = FileDevice(target)

    @property
    def last_batch(self) -> int:
        """The number of the last batch, that of the guarded pages."""
        return 1 + -(-self._header.plain_count // self._header.batch_pages)

    @property
    def first_batch(self) -> int:
        """Where copying begins: without guards there is no batch 0."""
        return 0 if self._header.guard_count else 1

    def records_of(self, batch: int) -> tuple[int, int]:
        """The records, first and end, whose pages this batch may leave torn."""
        if batch in (0, self.last_batch):
            return self._header.plain_count, self._header.page_count
        first = (batch - 1) * self._header.batch_pages
        return first, min(first + self._header.batch_pages, self._header.plain_count)

    def guard_page(self, number: int) -> bytes:
        """The page that stands in for guarded page `number`."""
        return self._log.pread(DATA_OFFSET + (self._header.page_count + number) * PAGE, PAGE)

    def mark_committed(self) -> None:
        """The commit itself: durable when this returns. The note beside the mark says the same, should a
        sector rot.
        """
        mark = Mark(kind=Kind.COMMITTED, guid=self._header.guid, digest=self._header.digest)
        self._log.pwrite(2 * PAGE, mark.pack())
        self.note(self.first_batch)

    def note(self, batch: int) -> None:
        """Say, durably, that `batch` is being copied."""
        self._sequence += 1
        mark = Mark(kind=Kind.NOTE, guid=self._header.guid, digest=self._header.digest, batch=batch,
                    sequence=self._sequence)
        self._log.pwrite(NOTES[self._sequence % 2], mark.pack())
        self._log.sync()

    def copy(self, batch: int, where: str) -> int:
        """Copy one batch and make it durable. Returns the bytes copied. Raises HostError, LogDamaged."""
        first, end = self.records_of(batch)
        if first == end:
            return 0
        if batch == 0:
            for number, (page, _) in enumerate(self._index.guards):
                self._write_guard(number, page)
                self._target.sync()
            return 0
        singles = [(place, place + 1) for place in reversed(range(first, end))]
        for start, stop in singles if batch == self.last_batch else [(first, end)]:
            self._copy_records(start, stop, where)
            self._target.sync()
        return (end - first) * PAGE

    def mend(self, number: int, batch: int, where: str) -> None:
        """Make a torn guarded page whole before others are written: while these are, one of them may be torn, and
        no more than one ever is. Raises HostError, LogDamaged.
        """
        place = self._header.plain_count + number
        if batch == self.last_batch:
            self._copy_records(place, place + 1, where)
        else:
            self._write_guard(number, self._index.guards[number][0])
        self._target.sync()

    def _copy_records(self, first: int, end: int, where: str) -> None:
        if not copy_pages(self._log_device, self._target_device, self._index.records, first, end, DATA_OFFSET):
            raise LogDamaged(where=where)

    def _write_guard(self, number: int, page: int) -> None:
        self._target.pwrite(page * PAGE, self.guard_page(number)[:self._header.target_size - page * PAGE])

    def run(self, batch: int, where: str, counter: Counter | None = None) -> None:
        """Copy from `batch`, which the newest note names, to the last. Raises CommitUnfinished."""
        try:
            while True:
                copied = self.copy(batch, where)
                if counter is not None:
                    counter.add(copied)
                batch += 1
                if batch > self.last_batch:
                    return
                if self.records_of(batch)[0] < self.records_of(batch)[1]:
                    self.note(batch)
        except HostError as error:
            raise CommitUnfinished(where=where, why=str(error)) from error
