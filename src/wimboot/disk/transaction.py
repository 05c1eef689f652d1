"""All or nothing for a whole target: a volume, a disk image, a block device.

Writes to pages that were in use when the transaction began go to a log (a redo log); writes to pages that
were free go straight to the target, for nothing refers to them until the commit. The order of durable
steps, and what a crash leaves:

 0. where the target grows: its size to the log; sync the log, sync its folder; from here on a crash before the
    commit leaves a longer target, which recovery cuts to that size
 1. straight writes and log pages, in any order - a crash here leaves every used page old; the log has no
    mark: dropped
 2. sync the target - the same
 3. guard pages, index, header and the prepared mark to the log; sync the log, sync its folder - a crash
    before the end leaves the old state; after it, recovery completes the transaction only where a WIM was
    named and is found as named
 4. (the caller makes the WIM durable) - a crash after it leaves the new state, by recovery
 5. the committed mark and the first note; sync the log - **the commit**: a crash from here on leaves the
    new state
 6. guard pages to the target, each synced - a crash leaves pages old, and the guard's (the volume says that it
    is dirty)
 7. note the next batch, sync the log; copy the batch, sync the target; again - a crash leaves pages old or
    new, and torn ones in the batch that the note names; recovery writes that batch again and goes on
 8. the final content of the guarded pages, as the last batch, one after the other, each synced
 9. remove the log, sync its folder - a crash before the end leaves the new state, with a log that recovery
    finds done

A failed sync is final: before step 5 is over the transaction is given up, after it the log stays for
recovery.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Self

from wimboot.disk._logindex import index_of
from wimboot.disk._mapped import MappedDisk
from wimboot.disk._overlay import Overlay, hash_of
from wimboot.disk._vhd import SparseDisk
from wimboot.disk.copying import Copying
from wimboot.disk.errors import CommitUnfinished, LogWaits
from wimboot.disk.growth import note_growth
from wimboot.disk.interrupts import uninterrupted
from wimboot.disk.log import DATA_OFFSET, PAGE, Header, Index, Kind, Mark, StoreMark, encode_text
from wimboot.disk.witness import bystanders
from wimboot.errors import HostError, Internal
from wimboot.formats.vhdfooter import UNREADY_COOKIE
from wimboot.storage import FileDevice

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from wimboot.events import Counter
    from wimboot.storage import Device, File, Folder

__all__ = ["BATCH_PAGES", "StoreMark", "Transaction"]

BATCH_PAGES = 2048
"""At most 8 MiB between two syncs: of a batch in flight recovery cannot tell a torn page from a foreign one."""
_LEAST_BATCH = 16
_BATCHES = 16
"""A small log is copied in as many batches, where they do not become smaller than the least."""


class _State(Enum):
    OPEN = "open"
    PREPARED = "prepared"
    COMMITTED = "committed"
    CLOSED = "closed"


class Transaction:
    """A change of `file`, through `device`. As a context manager: leaving it without `commit` aborts.

    The log is `name` in `folder`. `where` names the target in messages. One thread writes through `device`;
    whoever wrote through it (a mounted libntfs-3g volume) must have flushed before `prepare`. Afterwards
    `device` reads on.
    """

    def __init__(self, file: File, folder: Folder, name: str, *, where: str, batch_pages: int | None = None,
                 disk: Callable[[Device], Device] | None = None) -> None:
        """`batch_pages`: None for what suits the log's size. `disk` makes the disk of a file that has a format of its
        own (a VHD) from the file as the transaction sees it; None where the file is the disk.

        Raises LogWaits where a log lies there already, HostError.
        """
        if folder.exists(name):
            raise LogWaits(where=where)
        self._file = file
        self._folder = folder
        self._name = name
        self._where = where
        self._batch_pages = batch_pages
        self._guards: dict[int, bytearray] = {}
        self._base = FileDevice(file)
        self._copying: Copying | None = None
        self._names_store = False
        self._old_size: int | None = None
        self._unguarded = False
        self._state = _State.CLOSED
        try:
            with uninterrupted():
                self._log = folder.create(name)
                self._state = _State.OPEN
            self._log.pwrite(0, bytes(DATA_OFFSET))
            self._overlay = Overlay(self._base, self._log, DATA_OFFSET)
            self._overlay.where, self._overlay.log_where = where, f"the log of the change ({name})"
            self._overlay.before_growth = self._note_growth
            self._device: Device = self._overlay if disk is None else disk(self._overlay)
            if isinstance(self._device, (SparseDisk, MappedDisk)):
                self._device.mend()
        except BaseException:
            self.abort()
            raise

    @property
    def device(self) -> Device:
        """The target's disk as the transaction sees it."""
        return self._device

    @property
    def is_open(self) -> bool:
        """Whether more can be written."""
        return self._state is _State.OPEN

    @property
    def logged_bytes(self) -> int:
        """Bytes of pages in the log so far."""
        return self._overlay.logged_pages * PAGE

    @property
    def straight_bytes(self) -> int:
        """Bytes that went straight to free pages so far."""
        return self._overlay.straight_size

    def set_free(self, start: int, unit_size: int, bitmap: bytes, count: int) -> None:
        """Say what was free when the transaction began: `count` units of `unit_size` bytes from `start` on,
        one bit each, low bit first, clear where free (as in NTFS' $Bitmap). A page that is logged already
        stays logged. May be called for several areas; a page is free where one map says so.
        """
        if isinstance(self._device, (SparseDisk, MappedDisk)):
            bitmap, count = self._device.free_pages(start, unit_size, bitmap, count)
            start, unit_size = 0, PAGE
        self._overlay.set_free(start, unit_size, bitmap, count)

    def guard(self, offset: int, dirty: bytes) -> None:
        """While pages are copied the range at `offset` holds `dirty`; its final content is written last of
        all, that of the range guarded first behind the others'. Where a VHD has nothing there, its parent has: then
        the file is none that could be attached meanwhile.
        """
        if self._state is not _State.OPEN or offset < 0 or offset + len(dirty) > self._device.size():
            raise Internal(what="a guard came too late or lies outside the target")
        if not isinstance(self._device, (SparseDisk, MappedDisk)):
            self._guard_bytes(offset, dirty)
            return
        places = self._device.places(offset, len(dirty))
        if places is None:
            self._unguarded = True
            return
        for place, size in places:
            self._guard_bytes(place, dirty[:size])
            dirty = dirty[size:]

    def _guard_bytes(self, offset: int, dirty: bytes) -> None:
        """The same for bytes of the file."""
        while dirty:
            page, inside = divmod(offset, PAGE)
            part = dirty[:PAGE - inside]
            if page not in self._guards:
                self._guards[page] = bytearray(self._base.pread(page * PAGE, PAGE).ljust(PAGE, b"\0"))
            image = self._guards[page]
            image[inside:inside + len(part)] = part
            dirty = dirty[len(part):]
            offset += len(part)

    def prepare(self, store: StoreMark | None = None) -> None:
        """Make everything durable but the decision. Raises HostError, after which only `abort` is left."""
        if self._state is not _State.OPEN:
            raise Internal(what="a transaction was prepared twice")
        if self._overlay.broken:
            self._overlay.check(self._overlay.broken, "writing")
        if self._unguarded and isinstance(self._device, SparseDisk):
            for footer in (0, self._device.footer_offset):
                self._guard_bytes(footer, UNREADY_COOKIE)
        guards = self._guards if self._overlay.logged_pages else {}
        for page in guards:
            self._overlay.hold(page)
        self._overlay.spill_tail()
        self._overlay.seal()
        self._file.sync()
        header, index = self._describe(guards, store)
        images = b"".join(map(bytes, guards.values()))
        self._log.pwrite(DATA_OFFSET + header.page_count * PAGE, images + index.pack())
        mark = Mark(kind=Kind.PREPARED, guid=header.guid, digest=header.digest)
        self._log.pwrite(0, header.pack() + mark.pack())
        self._log.sync()
        if self._old_size is None:      # else its name is durable since the target grew
            self._folder.sync()
        self._copying = Copying(self._log, self._file, header, index)
        self._names_store = store is not None
        self._state = _State.PREPARED

    def _describe(self, guards: dict[int, bytearray], store: StoreMark | None) -> tuple[Header, Index]:
        """Header and index of the log as it stands."""
        records = index_of(self._overlay, list(guards))
        size = self._base.size()
        witnesses = tuple((page, hash_of(self._base.pread(page * PAGE, PAGE).ljust(PAGE, b"\0")))
                          for page in sorted({*self._overlay.straight_pages(), *bystanders(records, guards, size)}))
        batch = min(BATCH_PAGES, max(_LEAST_BATCH, self._overlay.logged_pages // _BATCHES))
        index = Index(records=records,
                      guards=tuple((page, hash_of(guards[page])) for page in guards), witnesses=witnesses,
                      place=store.place if store else "", where=self._where)
        header = Header(guid=secrets.token_bytes(16), target_size=size,
                        page_count=self._overlay.logged_pages, guard_count=len(guards),
                        batch_pages=self._batch_pages or batch, index_size=len(index.pack()),
                        store_guid=store.guid if store else None,
                        table_hash=store.table_hash if store else bytes(20),
                        place_size=len(encode_text(index.place)), where_size=len(encode_text(self._where)),
                        witness_count=len(witnesses))
        return replace(header, digest=header.digest_with(index.pack())), index

    def commit(self, counter: Counter | None = None) -> None:
        """Decide, and write the pages to their places. `counter` counts the bytes copied, of `logged_bytes`.

        Ctrl-C meanwhile has no effect: the change is decided, and over in a moment. Raises HostError where
        the decision could not be made durable (the transaction is aborted, the old state stands),
        CommitUnfinished where it was, or a WIM that is durable made it, but the copying failed.
        """
        if self._state is _State.OPEN:
            self.prepare()
        if self._state is not _State.PREPARED or self._copying is None:
            raise Internal(what="a transaction that was given up was committed")
        with uninterrupted(forget=True):
            try:
                self._copying.mark_committed()
            except BaseException as error:
                if not self._names_store:
                    self.abort()
                    raise
                self.leave()    # the WIM is the new one by now, so recovery goes forward
                if isinstance(error, HostError):
                    raise CommitUnfinished(where=self._where, why=str(error)) from error
                raise
            self._state = _State.COMMITTED
            self._copying.run(self._copying.first_batch, self._where, counter)
            try:
                self._drop()
            except HostError as error:
                raise CommitUnfinished(where=self._where, why=str(error)) from error

    def _note_growth(self, size: int) -> None:
        """The target is about to grow from `size` bytes. Raises HostError."""
        head = self._device.head_size if isinstance(self._device, SparseDisk) else 0
        note_growth(self._log, self._file, size, head)
        self._folder.sync()
        self._old_size = size

    def abort(self) -> None:
        """Give up: used pages of the target are as they were, and it is as long as it was. Does nothing when already
        over. Never raises: a log that could not be removed is dropped by the next recovery, which cuts off what the
        target grew by, if that failed, too.
        """
        if self._state in (_State.OPEN, _State.PREPARED):
            with contextlib.suppress(HostError), uninterrupted():
                if self._old_size is not None:
                    self._file.truncate(self._old_size)
                    self._file.sync()
                self._drop()
        self._release()

    def leave(self) -> None:
        """Give the target of a prepared transaction back and keep the log: recovery decides, by the WIM that it finds.

        For a WIM of which cannot be told whether it became the new one.
        """
        if self._state is _State.PREPARED:
            self._release()

    def _drop(self) -> None:
        """Remove the log durably."""
        with uninterrupted():
            self._release()
            self._folder.remove(self._name)
            self._folder.sync()

    def _release(self) -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            if hasattr(self, "_overlay"):
                self._overlay.seal()
                self._overlay.forget()
                self._overlay.before_growth = None
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.abort()
