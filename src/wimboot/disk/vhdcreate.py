"""New VHDs: fixed, dynamic, or differencing on a parent, as Windows makes them.

They are written under another name and take their own when they are durable. No byte of them is left out: Windows
attaches no VHD that lies sparse on NTFS.
"""

from __future__ import annotations

import secrets
import time
from array import array
from typing import TYPE_CHECKING

from wimboot.disk.newfile import new_file, refuse_existing
from wimboot.disk.newvhd import TABLE_OFFSET, NewVhdDisk
from wimboot.disk.vhdlayout import read_layout
from wimboot.errors import HostError, Internal, UsageError
from wimboot.formats.vhdfooter import (
    FOOTER_SIZE,
    MAX_DISK_SIZE,
    NO_OFFSET,
    SECTOR,
    DiskType,
    Footer,
    from_unix_seconds,
    geometry_of,
)
from wimboot.formats.vhdsparse import (
    BLOCK_SIZE,
    UNUSED,
    W2KU,
    W2RU,
    Locator,
    SparseHeader,
    pack_table,
)
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.events import Counter
    from wimboot.storage import Data, File, Folder

__all__ = ["ParentPlace", "VhdNotPossible", "check_vhd", "create_vhd", "write_zeros"]

_STEP = 1 << 20
_SMALLEST = 3 << 20
"""Windows makes none below 3 MB ("create vdisk" of diskpart)."""
_NAME_SIZE = 512
_BLOCK_SIZES = (512 << 10, 2 << 20)


class VhdNotPossible(UsageError):
    """A size, block size or parent that a VHD cannot have."""

    id = "vhd-not-possible"
    sentence = "the VHD {where} cannot be made: {why}"
    advice = "Give another size or parent."


class ParentPlace(Frozen):
    """What a differencing disk stands on: `file` is the parent's, `relative` its path from the child's folder as
    Windows writes it, ".", a backslash and the name, `absolute` the one with a drive letter where that is known.
    `unix_time` is when the file was changed last, by which the child knows that it was not since; 0: nobody compares.
    """

    file: File
    relative: str
    absolute: str = ""
    unix_time: int = 0


def create_vhd(folder: Folder, name: str, *, kind: DiskType, size: int | None = None, block_size: int = BLOCK_SIZE,
               parent: ParentPlace | None = None, unique_id: bytes | None = None, unix_time: int | None = None,
               counter: Counter | None = None, fill: Callable[[File], None] | None = None, where: str = "",
               final: bool = False) -> int:
    """Make the VHD `name` in `folder`, of `size` bytes, whose disk reads as zeros, or as the parent.

    Returns how many bytes the file has.

    Args:
        folder: where; the temporary file lies there, too.
        name: the file's name.
        kind: fixed disks are written whole.
        size: of the disk in bytes, whole sectors; None: that of the parent.
        block_size: by which a disk that is not fixed grows; older tools know only what Windows uses.
        parent: of a differencing disk, else None.
        unique_id: 16 bytes; None: random.
        unix_time: of creation; None: now.
        counter: counts the zeros written to a fixed disk.
        fill: writes to the disk, given as a File of its size, before it has its name; not for a differencing one.
        where: what messages call it; the name, unless something better is known.
        final: as in `new_file`.

    Raises:
        DiskExists, VhdNotPossible, Locked, HostError; for the parent FormatError, VhdKind, VhdSaved.
    """
    where = where or name
    refuse_existing(folder, name, where)
    footer_of_parent = None if parent is None else read_layout(parent.file, "the parent").footer
    if size is None and footer_of_parent is not None:
        size = footer_of_parent.size
    check_vhd(where, kind, size or 0, block_size, footer_of_parent)
    footer = Footer(type=kind, size=size or 0, original_size=size or 0, geometry=geometry_of(size or 0),
                    unique_id=unique_id or secrets.token_bytes(16),
                    data_offset=NO_OFFSET if kind is DiskType.FIXED else FOOTER_SIZE,
                    time=from_unix_seconds(int(time.time()) if unix_time is None else unix_time))
    with new_file(folder, name, where=where, final=final) as file:
        if kind is DiskType.FIXED:
            write_zeros(file, footer.size, counter)
            if fill is not None:
                fill(_Front(file, footer.size))
            file.pwrite(footer.size, footer.pack())
        elif kind is DiskType.DYNAMIC:
            disk = NewVhdDisk(file, footer, block_size)
            if fill is not None:
                fill(disk)
            disk.finish()
        else:
            file.pwrite(0, _start(footer, block_size, parent, footer_of_parent))
            file.pwrite(file.size(), footer.pack())
        return file.size()


def check_vhd(where: str, kind: DiskType, size: int, block_size: int, parent: Footer | None) -> None:
    """Raises VhdNotPossible."""
    why = None
    if (kind is DiskType.DIFFERENCING) != (parent is not None):
        why = "a differencing disk, and no other, has a parent"
    elif parent is not None and parent.type == DiskType.DIFFERENCING:
        why = "its parent is a differencing disk itself, and Windows starts from chains of two at most"
    elif parent is not None and size != parent.size:
        why = f"its parent has {parent.size:,} bytes"
    elif size % SECTOR:
        why = f"{size:,} bytes are not whole sectors"
    elif not _SMALLEST <= size <= MAX_DISK_SIZE:
        why = f"{size:,} bytes; Windows uses VHDs of 3 MiB to 2040 GiB"
    elif block_size not in _BLOCK_SIZES:
        why = f"blocks of {block_size:,} bytes; Windows uses 2 MiB or 512 KiB"
    if why is not None:
        raise VhdNotPossible(where=where, why=why)


def write_zeros(file: File, size: int, counter: Counter | None = None) -> None:
    """Give a new file `size` bytes of which none is a hole. `counter` counts them. Raises HostError."""
    zeros = bytes(_STEP)
    for offset in range(0, size, _STEP):
        part = min(_STEP, size - offset)
        file.pwrite(offset, zeros[:part])
        if counter is not None:
            counter.add(part)


class _Front:
    """The first `size` bytes of a file, as a file that cannot grow."""

    def __init__(self, file: File, size: int) -> None:
        self._file = file
        self._size = size

    def pread(self, offset: int, size: int) -> bytes:
        return self._file.pread(offset, max(0, min(size, self._size - offset)))

    def pwrite(self, offset: int, data: Data) -> None:
        if offset + memoryview(data).nbytes > self._size:
            raise Internal(what="a write past the end of a new disk")
        self._file.pwrite(offset, data)

    def truncate(self, size: int) -> None:
        raise HostError(what="resizing", where="a new disk", why=f"it has {self._size:,} bytes, not {size:,}")

    def sync(self) -> None:
        self._file.sync()

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        """The file belongs to whoever made it."""


def _start(footer: Footer, block_size: int, parent: ParentPlace | None, footer_of_parent: Footer | None) -> bytes:
    """Everything before the footer: its copy, the header, the table, where the parent lies."""
    entries = -(-footer.size // block_size)
    table = pack_table(array("I", [UNUSED]) * entries)
    header = SparseHeader(table_offset=TABLE_OFFSET, entries=entries, block_size=block_size)
    places = b""
    if parent is not None and footer_of_parent is not None:
        locators, places = _locators(parent, TABLE_OFFSET + len(table))
        name = (parent.absolute or parent.relative.rpartition("\\")[2]).encode("utf-16-be", "surrogatepass")
        header = SparseHeader(table_offset=TABLE_OFFSET, entries=entries, block_size=block_size,
                              parent_id=footer_of_parent.unique_id, locators=locators,
                              parent_time=from_unix_seconds(parent.unix_time),
                              parent_name_utf16=name[:_NAME_SIZE].ljust(_NAME_SIZE, b"\0"))
    return footer.pack() + header.pack() + table + places


def _locators(parent: ParentPlace, offset: int) -> tuple[tuple[Locator, ...], bytes]:
    """The entries of the header, and the paths themselves, which lie at `offset`."""
    locators, data = [], b""
    for kind, path in ((W2KU, parent.absolute), (W2RU, parent.relative)):
        if path:
            raw = path.encode("utf-16-le", "surrogatepass")
            room = -(-len(raw) // SECTOR) * SECTOR
            locators.append(Locator(kind=kind, space=room, length=len(raw), offset=offset + len(data)))
            data += raw.ljust(room, b"\0")
    return (*locators, *(Locator(),) * (8 - len(locators))), data
