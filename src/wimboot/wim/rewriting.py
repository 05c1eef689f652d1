"""Writing a WIM anew with some of its images, without the blobs that only the others used.

The order of the durable steps:

1. The kept resources are copied as they are, in the order in which they lie, into a new file beside the WIM; blob
   table, XML, integrity table and header follow; it is synced (`write`). A crash here leaves the old WIM, and a file
   of no use that the next opening removes.
2. Everything that was written is read back from the disk and hashed (`check`). The same.
3. The new file takes the WIM's name (`finish`). A crash here leaves the old or the new WIM.
4. The folder is synced. The WIM is the new one.

The GUID stays, for volumes have registered it; every blob has another place, so their pointers have to follow.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from wimboot.errors import HostError
from wimboot.formats.blobtable import ROW_SIZE
from wimboot.formats.wimheader import HEADER_SIZE, NO_RESOURCE, ResourceFlag, ResourceHeader, WimHeader
from wimboot.formats.wimxml import parse_xml
from wimboot.storage.durable import temporary_name
from wimboot.wim.errors import WimMissing, WimTruncated, locating
from wimboot.wim.integrity import make_integrity
from wimboot.wim.keeping import check_rewritable
from wimboot.wim.part import Part
from wimboot.wim.recovery import lock_named, recover, recover_open
from wimboot.wim.rights import take_after
from wimboot.wim.staying import check_stays
from wimboot.wim.store import Store
from wimboot.wim.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from wimboot.events import Counter
    from wimboot.storage.protocol import File, Folder
    from wimboot.wim.check import BlobProblem
    from wimboot.wim.keeping import Kept

__all__ = ["Rewrite"]

_WINDOW = 8 << 20
_METADATA = ResourceFlag.METADATA


class Rewrite:
    """One rewriting of a WIM, which is locked meanwhile. Nothing of it is visible before `finish`.

    A context manager: left without `finish` it aborts. One thread owns it.

    Attributes:
        store: the WIM as it is.
        guid: its GUID, and that of the new one.
        table_hash: of the new one, once it is written.
        in_doubt: whether `finish` failed, and the WIM may be the new one all the same.
    """

    def __init__(self, folder: Folder, name: str, *, where: str) -> None:
        """Open and lock the WIM, finishing or undoing an interrupted append first.

        Raises WimMissing, WimReadOnly, WimNotRewritable, WimBusy and what Store.open raises.
        """
        self.folder = folder
        self.where = where
        self._name = name
        self._new: File | None = None
        self._open = True
        self.table_hash = b""
        self.in_doubt = False
        recover(folder, name, where=where)
        if not folder.exists(name):
            raise WimMissing(where=where)
        self._old = folder.open(name, write=True)
        try:
            lock_named(folder, name, self._old, where=where)
            recover_open(folder, name, self._old, where=where)
            self.store = Store.open(self._old, where=where)
            check_rewritable(self.store)
            self._old_header = self._old.pread(0, HEADER_SIZE)
        except BaseException:
            self._old.close()
            raise
        self.guid = self.store.guid

    # ---- writing

    def write(self, kept: Kept, counter: Counter) -> None:
        """Step 1: the whole new file, synced. `counter` counts the bytes copied, of `kept.size`.

        Raises WimTruncated, HostError.
        """
        temporary = temporary_name(self._name)
        if self.folder.exists(temporary):
            self.folder.remove(temporary)
        self._new = new = self.folder.create(temporary)
        lock_named(self.folder, temporary, new, where=temporary)
        take_after(new, self._old)
        tail = Tail(new, HEADER_SIZE, lambda: None)
        places = self._copy(kept, tail, counter)
        new.pwrite(0, self._finish_file(kept, tail, places))
        new.sync()

    def _copy(self, kept: Kept, tail: Tail, counter: Counter) -> dict[int, int]:
        """Copy the rows' resources; row -> its new offset."""
        places: dict[int, int] = {}
        for start, end, rows in self._runs(kept.rows):
            first = tail.end
            for at in range(start, end, _WINDOW):
                size = min(_WINDOW, end - at)
                data = self._old.pread(at, size)
                if len(data) != size:
                    raise WimTruncated(where=self.where, problem=f"it ends at {at + len(data):,}")
                tail.append(data)
                counter.add(size)
            for row, offset in rows:
                places[row] = first + offset - start
        return places

    def _runs(self, rows: tuple[int, ...]) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
        """(start, end, rows with their offsets) of what lies end to end in the old file."""
        table = self.store.parts[0].table
        start = end = -1
        run: list[tuple[int, int]] = []
        for number in rows:
            row = table.row(number)
            if row.offset != end:
                if run:
                    yield start, end, run
                start, end, run = row.offset, row.offset, []
            run.append((number, row.offset))
            end += row.size_in_wim
        if run:
            yield start, end, run

    def _finish_file(self, kept: Kept, tail: Tail, places: dict[int, int]) -> bytes:
        """Append table, XML and integrity table; the header."""
        table = self._table(kept, places)
        self.table_hash = hashlib.sha1(table, usedforsecurity=False).digest()
        offset = tail.append(table)
        old, xml = self.store.header, parse_xml(self.store.parts[0].xml)
        for number in range(len(self.store.images), 0, -1):
            if number not in kept.images:
                xml = xml.remove_image(number)
        with locating(self.where):
            text = xml.with_total_bytes(tail.end).pack()
            xml_offset = tail.append(text)
            integrity = NO_RESOURCE
            if old.integrity != NO_RESOURCE:
                pieces = make_integrity(tail.file, offset + len(table))
                integrity = ResourceHeader.plain(tail.append(pieces), pieces)
        header = replace(
            old, image_count=len(kept.images), integrity=integrity,
            blob_table=ResourceHeader.plain(offset, table, _METADATA),
            xml=ResourceHeader.plain(xml_offset, text, _METADATA), boot_index=0, boot_metadata=NO_RESOURCE)
        return self._with_boot_image(header, kept, places).pack()

    def _with_boot_image(self, header: WimHeader, kept: Kept, places: dict[int, int]) -> WimHeader:
        boot = self.store.header.boot_index
        if boot not in kept.images:
            return header
        number = self.store.parts[0].table.metadata[boot - 1]
        metadata = self.store.parts[0].table.row(number).resource
        return replace(header, boot_index=kept.images.index(boot) + 1,
                       boot_metadata=replace(metadata, offset=places[number]))

    def _table(self, kept: Kept, places: dict[int, int]) -> bytes:
        """Metadata in the order of the images, then the blobs as they lie."""
        table = self.store.parts[0].table
        metadata = [table.metadata[number - 1] for number in kept.images]
        apart = frozenset(metadata)
        parts = []
        for number in [*metadata, *(row for row in kept.rows if row not in apart)]:
            entry = table.raw[number * ROW_SIZE:(number + 1) * ROW_SIZE]
            count = 1 if number in apart else min(kept.references[entry[30:]], 0xFFFFFFFF)
            parts.append(entry[:8] + places[number].to_bytes(8, "little") + entry[16:26] +
                         count.to_bytes(4, "little") + entry[30:])
        return b"".join(parts)

    # ---- judging, and making it the WIM

    def pending(self) -> Store:
        """The WIM as it will be. Needs `write`."""
        if self._new is None:
            raise RuntimeError("write first")
        return Store((Part.open(self._new, where=self.where),), where=self.where)

    def check(self, kept: Kept, counter: Counter, threads: int) -> list[BlobProblem]:
        """Step 2: read everything back from the disk; a problem for each blob that is not what its hash says.

        `counter` counts uncompressed bytes. Raises BlobMissing, BlobDamaged where an image could not be read any more.
        """
        pending = self.pending()
        problems = pending.check_blobs(None, counter, threads)
        if not problems:
            for number in range(1, len(kept.images) + 1):
                pending.load_tree(number)
        return problems

    def finish(self) -> None:
        """Steps 3 and 4: the WIM is the new one, durably. Raises WimChanged, HostError."""
        if self._new is None or not self._open:
            raise RuntimeError("write first")
        check_stays(self.folder, self._name, self._old, self._old_header, self.store.size, where=self.where)
        temporary = temporary_name(self._name)
        try:
            self.folder.replace(temporary, self._name)
            self._open = False
            self.folder.sync()
        except BaseException:
            self.in_doubt = not self.folder.exists(temporary)
            raise
        finally:
            if not self._open:
                self._close()

    def abort(self) -> None:
        """Leave the WIM as it is; after `finish` this does nothing."""
        if not self._open:
            return
        self._open = False
        try:
            if self._new is not None and self.folder.exists(temporary_name(self._name)):
                self.folder.remove(temporary_name(self._name))
        finally:
            self._close()

    def _close(self) -> None:
        self._old.close()
        if self._new is not None:
            self._new.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        with contextlib.suppress(*([HostError] if error is not None else [])):     # what stopped the run is told
            self.abort()
