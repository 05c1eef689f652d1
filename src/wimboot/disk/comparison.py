"""A committed log against its target, before recovery writes anything: what may be torn, what must be known.

A page is *known* where each of its sectors is the old or the new one. Everything the log names must be known,
but for what the power may have cut off in the writing:

- the guarded pages are written one by one, each synced: while they are in flight one of them may be torn;
- of the other pages those of the batch in flight, and of them only where all guards stand: the first of them is
  written after the last guard is durable.

The witnesses, pages that the copying never touches, must be what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk._overlay import hash_of
from wimboot.disk._replay import check_pages
from wimboot.disk.errors import LogDamaged, TargetChanged
from wimboot.disk.log import DATA_OFFSET, PAGE, RECORD_SIZE
from wimboot.frozen import Frozen
from wimboot.storage import FileDevice

if TYPE_CHECKING:
    from wimboot.disk.copying import Copying
    from wimboot.disk.log import Header, Index
    from wimboot.storage import File

__all__ = ["Comparison", "Finding"]


class Finding(Frozen):
    """How the copying goes on. `restart`: pages of batches that were done are old again, or guards are missing, so
    it begins at its first batch; `window_known`: no page of the batch in flight is torn; `torn_guard`: the number
    of the one guarded page that is.
    """

    restart: bool
    window_known: bool
    torn_guard: int | None


class Comparison:
    """Of one log and one target. `where` names the target in messages."""

    def __init__(self, log: File, file: File, header: Header, index: Index, where: str) -> None:
        self._log = log
        self._file = file
        self._header = header
        self._index = index
        self._where = where
        self._devices = FileDevice(log), FileDevice(file)

    def untouched(self) -> bool:
        """Whether the target is the old one throughout, or new in places, and the log whole."""
        damaged, foreign, _ = self._look(0, self._header.page_count)
        return damaged < 0 and not foreign and self._guards_whole() and self._missing_witness() is None

    def find(self, batch: int, copying: Copying) -> Finding:
        """With `batch` in flight. Raises LogDamaged, TargetChanged."""
        plain = self._header.plain_count
        first, end = copying.records_of(batch)
        count = self._header.page_count
        if not self._guards_whole() or self._look(0, count, limit=count + 1)[0] >= 0:
            raise LogDamaged(where=self._where)
        missing = self._missing_witness()
        if missing is not None:
            raise TargetChanged(where=self._where,
                                why=f"the 4 KiB at byte {missing * PAGE:,} are not what this run left there")
        stand, torn = self._guarded(in_flight=first >= plain)
        not_new = self._check_known(0, min(first, plain))
        self._check_known(min(end, plain), plain)
        if first < plain and not stand:
            self._check_known(first, end)
        restart = not_new < min(first, plain) or (first < plain and not stand)
        return Finding(restart=restart and batch != copying.first_batch, window_known=not stand and first < plain,
                       torn_guard=torn)

    def _look(self, first: int, end: int, *, limit: int = 1) -> tuple[int, list[int], int]:
        """As `check_pages`, of these records."""
        return check_pages(*self._devices, self._index.records, first, end, DATA_OFFSET, limit)

    def _check_known(self, first: int, end: int) -> int:
        """The first of these records that is not new, else `end`. Raises TargetChanged where one is not known."""
        _, foreign, not_new = self._look(first, end)
        if foreign:
            page = int.from_bytes(self._index.records[foreign[0] * RECORD_SIZE:][:8], "little")
            raise TargetChanged(where=self._where, why=f"the 4 KiB at byte {page * PAGE:,} are neither old nor new")
        return not_new

    def _guarded(self, *, in_flight: bool) -> tuple[bool, int | None]:
        """Whether each guarded page holds its guard, and which one is torn. Raises TargetChanged where more are
        neither guard nor known than a power cut tears.
        """
        stand, torn = True, None
        plain = self._header.plain_count
        for number, (page, _) in enumerate(self._index.guards):
            room = min(PAGE, self._header.target_size - page * PAGE)
            if self._guard_page(number)[:room] == self._file.pread(page * PAGE, room):
                continue
            stand = False
            if self._look(plain + number, plain + number + 1)[1]:
                if not in_flight or torn is not None:
                    raise TargetChanged(where=self._where, why=f"the guarded 4 KiB at byte {page * PAGE:,} are foreign")
                torn = number
        return stand, torn

    def _guards_whole(self) -> bool:
        """Whether the log's guard pages are as they were written."""
        return all(hash_of(self._guard_page(number)) == digest
                   for number, (_, digest) in enumerate(self._index.guards))

    def _guard_page(self, number: int) -> bytes:
        return self._log.pread(DATA_OFFSET + (self._header.page_count + number) * PAGE, PAGE)

    def _missing_witness(self) -> int | None:
        """A page that the copying does not touch and that does not hold what it did."""
        return next((page for page, digest in self._index.witnesses
                     if hash_of(self._file.pread(page * PAGE, PAGE).ljust(PAGE, b"\0")) != digest), None)
