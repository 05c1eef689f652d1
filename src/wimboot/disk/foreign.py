"""Disks in the forms of virtual machines, used as they lie: VHDX, QCOW2, VMDK, VDI.

They are read where each byte of the disk has one place in the file, or none and is zero; they are written where each
has a place that no other shares, so that nothing but these bytes changes (and the ids in a VHDX's header, which tell
its children that it is another). Whatever else such a file may be is refused, with the command that makes a VHD of it.
"""

from __future__ import annotations

import secrets
import shlex
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from wimboot.disk._mapped import MappedDisk
from wimboot.disk.qemumap import check_qcow2, read_map
from wimboot.disk.table import DiskFormat, container_of
from wimboot.errors import FormatError, Refused
from wimboot.formats.diskheads import HEAD_SIZE, DiskHead, parse_qcow2, parse_vdi, parse_vmdk
from wimboot.formats.guid import NIL
from wimboot.formats.vhdx import HEADERS, parse_block_table, read_vhdx
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk.qemumap import Extent
    from wimboot.formats.vhdx import VhdxLayout
    from wimboot.storage import Device, File

__all__ = ["Foreign", "ForeignNotWritable", "ForeignUnreadable", "open_foreign"]

_FORMS: Final = ("VHDX", "QCOW2", "VMDK", "VDI")


class ForeignUnreadable(DiskFormat):
    """A disk that has more to it than bytes in places."""

    id = "disk-not-readable"
    sentence = "{where} is a {format} disk that cannot be read as it lies: {why}"
    advice = "Make a VHD of it, and use that: {command}"


class ForeignNotWritable(Refused):
    """A disk that cannot be written in place."""

    id = "disk-not-writable"
    sentence = "{where} is a {format} disk that cannot be changed as it lies: {why}"
    advice = "Make a VHD of it, and use that: {command}"


class Foreign(Frozen):
    """Where the bytes of such a disk lie. `head` has to be written at `head_offset` when the disk is changed;
    `unwritable` says why it cannot be.
    """

    form: str
    size: int
    extents: tuple[Extent, ...]
    unwritable: str = ""
    head: bytes = b""
    head_offset: int = 0

    @property
    def mapped_size(self) -> int:
        """Bytes of the disk that have a place in the file."""
        return sum(size for _, size, place in self.extents if place is not None)

    def refuse_writing(self, file: File, path: Path, *, where: str) -> None:
        """Raises ForeignNotWritable where it cannot be written in place; QemuImgNeeded, MapNotUsable, HostError."""
        if self.unwritable:
            raise ForeignNotWritable(where=where, format=self.form, why=self.unwritable, command=_command(where))
        if self.form == "QCOW2":
            check_qcow2(file, path, where=where)

    def over(self, base: Device) -> MappedDisk:
        """The disk inside, `base` being the file's bytes."""
        return MappedDisk(base, self.size, self.extents, self.head, self.head_offset)


def open_foreign(file: File, path: Path, *, where: str, write: bool) -> Foreign | None:
    """What lies where; None of a file that is in none of these forms.

    Raises ForeignUnreadable, ForeignNotWritable, QemuImgNeeded, MapNotUsable, FormatError, HostError.
    """
    form = container_of(file.pread(0, HEAD_SIZE))
    if form not in _FORMS:
        return None
    try:
        if form == "VHDX":
            found, head = _vhdx(file, where)
        else:
            head = _head_of(form, file)
            _check(form, head.unreadable, where)
            extents = tuple(read_map(form, file, path, size=head.size, where=where))
            found = Foreign(form=form, size=head.size, extents=extents)
    except FormatError as error:
        raise ForeignUnreadable(where=where, format=form, why=str(error), command=_command(where)) from error
    if any(place is not None and place + size > file.size() for _, size, place in found.extents):
        _check(form, "some of its data lies behind the file's end", where)
    found = replace(found, unwritable=head.unwritable or _why_not_writable(found, head.data_offset))
    if write:
        found.refuse_writing(file, path, where=where)
    return found


def _command(where: str) -> str:
    """That makes a VHD of the disk."""
    return (f"qemu-img convert -O vpc -o subformat=dynamic,force_size=on {shlex.quote(where)} "
            f"{shlex.quote(where + '.vhd')}")


def _check(form: str, why: str, where: str) -> None:
    if why:
        raise ForeignUnreadable(where=where, format=form, why=why, command=_command(where))


def _head_of(form: str, file: File) -> DiskHead:
    data = file.pread(0, HEAD_SIZE)
    if form == "VMDK" and data[:4] != b"KDMV":
        return DiskHead(size=0, data_offset=0, unreadable="its data lies in other files")
    if form == "VMDK":
        return parse_vmdk(data, file.pread)
    return parse_qcow2(data) if form == "QCOW2" else parse_vdi(data)


def _vhdx(file: File, where: str) -> tuple[Foreign, DiskHead]:
    """By its own tables: qemu-img tells no places of a VHDX. Raises ForeignUnreadable, FormatError, HostError."""
    layout = read_vhdx(file.pread)
    why = ("it stands on another disk" if layout.has_parent else
           "its log holds changes that are not made yet" if layout.header.log_id != NIL else "")
    _check("VHDX", why, where)
    table = file.pread(layout.table_offset, min(layout.table_size, 8 * (layout.blocks + layout.blocks
                                                                        // layout.chunk_blocks + 1)))
    extents: list[Extent] = []
    for block, place in enumerate(parse_block_table(layout, table)):
        start = block * layout.block_size
        size = min(layout.block_size, layout.size - start)
        last = extents[-1] if extents else None
        if last is not None and place == (None if last[2] is None else last[2] + last[1]):
            extents[-1] = last[0], last[1] + size, last[2]
        else:
            extents.append((start, size, place))
    head, offset = _next_header(layout)
    found = Foreign(form="VHDX", size=layout.size, extents=tuple(extents), head=head, head_offset=offset)
    return found, DiskHead(size=layout.size, data_offset=layout.data_offset)


def _next_header(layout: VhdxLayout) -> tuple[bytes, int]:
    """The header that says that the disk was changed: it stands where the older one does, which no longer counts."""
    header = replace(layout.header, sequence=(layout.header.sequence + 1) % (1 << 64),
                     file_write_id=secrets.token_bytes(16), data_write_id=secrets.token_bytes(16))
    return header.pack(), HEADERS[0] if layout.header_offset == HEADERS[1] else HEADERS[1]


def _why_not_writable(found: Foreign, data_offset: int) -> str:
    """Why a change of the disk would need more than a change of these bytes; empty where it does not."""
    if found.mapped_size < found.size:
        return f"it grows as it is written, and {found.size - found.mapped_size:,} bytes of it have no place yet"
    places = sorted((place, place + size) for _, size, place in found.extents if place is not None)
    if any(one[1] > two[0] for one, two in pairwise(places)):
        return "two parts of it share their place"
    if places and places[0][0] < data_offset:
        return "some of it lies where the file's own tables are"
    return ""
