"""Make a disk: table, partitions, an empty NTFS volume. The file appears when it is whole, and never replaces another.

VHDs are written natively, in one pass and without holes; the other forms come from a raw scratch file by qemu-img.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.disk.newfile import new_file, refuse_existing
from wimboot.disk.partitioning import NewTable, PartitionKind, lay_out
from wimboot.disk.qemuimg import check_qemu_img, raw_to
from wimboot.disk.vhdcreate import check_vhd, create_vhd, write_zeros
from wimboot.errors import UsageError
from wimboot.events import Emit, Phase
from wimboot.formats.vhdfooter import DiskType
from wimboot.formats.vhdsparse import BLOCK_SIZE
from wimboot.ntfs import copy_formatted, format_volume
from wimboot.ntfs.bootcode import put_boot_code
from wimboot.ntfs.format import check_formattable
from wimboot.ntfs.gathering import gather
from wimboot.ops.creating.shape import MSR_SIZE, DiskForm, DiskShape, MadeDisk
from wimboot.ops.creating.systempartition import check_system_partition, format_system_partition
from wimboot.plan.space import NotEnoughSpace
from wimboot.storage import FileDevice, HostFolder, SliceDevice
from wimboot.storage.scratch import scratch_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wimboot.storage import File, Folder

__all__ = ["DiskForm", "DiskShape", "FormNotFixed", "MadeDisk", "made_of", "make_disk", "plan_disk"]

SECTOR: Final = 512
_STEP: Final = 1 << 20
_FIXED_OPTIONS: Final = {DiskForm.VHDX: "subformat=fixed,block_state_zero=off", DiskForm.QCOW2: "preallocation=full",
                         DiskForm.VDI: "static=on"}


class FormNotFixed(UsageError):
    """A form that has no fixed kind in one file."""

    id = "form-not-fixed"
    sentence = "a {form} disk in one file is never of fixed size"
    advice = "Leave out --fixed, or take another --format."


def plan_disk(path: Path, shape: DiskShape, *, folders: Callable[[Path], Folder] = HostFolder) -> NewTable:
    """The table that a disk of that shape at `path` would have; ids that the shape leaves open are random.

    Raises DiskExists, TableNotPossible, EspTooSmall, VhdNotPossible, FormNotFixed, SizeNotFormattable,
    QemuImgMissing, NotEnoughSpace (a fixed disk), HostError.
    """
    folder = folders(path.parent)
    refuse_existing(folder, path.name, str(path))
    if shape.form is DiskForm.VHD:
        check_vhd(str(path), DiskType.FIXED if shape.fixed else DiskType.DYNAMIC, shape.size, BLOCK_SIZE, None)
    elif shape.fixed and shape.form is not DiskForm.RAW and shape.form not in _FIXED_OPTIONS:
        raise FormNotFixed(form=shape.form.value)
    check_system_partition(shape.esp_size)
    table = lay_out(shape.size, kind=shape.table, esp_size=shape.esp_size, msr_size=MSR_SIZE if shape.msr else 0,
                    tail=shape.tail, disk_id=shape.disk_id)
    check_formattable(table.windows.size, cluster_size=shape.cluster_size, label=shape.label,
                      hidden_sectors=table.windows.start // SECTOR)
    if shape.form not in (DiskForm.VHD, DiskForm.RAW):
        check_qemu_img(shape.form.value)
    needed, free = shape.size * (2 if shape.form in _FIXED_OPTIONS else 1), folder.free_size()
    if shape.fixed and needed > free:
        raise NotEnoughSpace(what="a disk of fixed size", needed=needed, where=str(path.parent), free=free)
    return table


def make_disk(path: Path, shape: DiskShape, emit: Emit, *, folders: Callable[[Path], Folder] = HostFolder,
              final: bool = False) -> MadeDisk:
    """Make the disk. What fails or is interrupted leaves no file.

    `final`: this is the last that the run does, so a Ctrl-C that comes when the file has its name has no effect;
    otherwise it takes the file away.

    Raises what `plan_disk` does, Locked (another run is making it), MkntfsMissing, FormatFailed, QemuImgFailed,
    HostError.
    """
    table = plan_disk(path, shape, folders=folders)
    serial = secrets.randbits(64) if shape.serial is None else shape.serial
    folder, where = folders(path.parent), str(path)

    def fill(file: File) -> None:
        _fill(file, shape, table, serial, emit)

    if shape.form is DiskForm.VHD:
        zeros = _zeros_phase(shape, emit)
        file_size = create_vhd(folder, path.name, kind=DiskType.FIXED if shape.fixed else DiskType.DYNAMIC,
                               size=shape.size, fill=fill, where=where, final=final,
                               counter=None if zeros is None else zeros.counter)
    elif shape.form is DiskForm.RAW:
        with new_file(folder, path.name, where=where, final=final) as file:
            zeros = _zeros_phase(shape, emit)
            if zeros is None:
                file.truncate(shape.size)
            else:
                write_zeros(file, shape.size, zeros.counter)
            fill(file)
        file_size = shape.size
    else:
        file_size = _make_foreign(folder, path, shape, fill, emit, final=final)
    return made_of(path, replace(shape, serial=serial), table, file_size=file_size)


def made_of(path: Path, shape: DiskShape, table: NewTable, *, file_size: int = 0) -> MadeDisk:
    """What there is to know of a disk of that shape and table."""
    return MadeDisk(path=path, form=shape.form, fixed=shape.fixed, table=table, label=shape.label,
                    serial=shape.serial or 0, cluster_size=shape.cluster_size, boots_mbr=bool(shape.boot_code.mbr),
                    boots_volume=bool(shape.boot_code.volume), file_size=file_size)


def _zeros_phase(shape: DiskShape, emit: Emit) -> Phase | None:
    if not shape.fixed:
        return None
    phase = Phase(name="zeros", total=shape.size, unit="bytes")
    emit(phase)
    return phase


def _fill(file: File, shape: DiskShape, table: NewTable, serial: int, emit: Emit) -> None:
    """Write the table and format the partitions."""
    phase = Phase(name="format", unit="bytes")
    emit(phase)
    disk = FileDevice(file)
    for offset, data in table.pieces(shape.boot_code.mbr):
        disk.pwrite(offset, data)
    for partition in table.partitions:
        device = SliceDevice(disk, partition.start, partition.size)
        if partition.kind is PartitionKind.ESP:
            format_system_partition(device, start=partition.start)
        elif partition.kind is PartitionKind.WINDOWS:
            with format_volume(partition.size, cluster_size=shape.cluster_size, label=shape.label, serial=serial,
                               hidden_sectors=partition.start // SECTOR) as fresh:
                if shape.gathered:
                    gather(fresh.file)
                copy_formatted(fresh, device, phase.counter)
            if shape.boot_code.volume:
                put_boot_code(device, shape.boot_code.volume)


def _make_foreign(folder: Folder, path: Path, shape: DiskShape, fill: Callable[[File], None], emit: Emit, *,
                  final: bool) -> int:
    """A form that qemu-img makes; how large its file is.

    It is copied to its place whole, for Windows attaches no VHDX that lies sparse.
    """
    beside = getattr(folder, "path", None) if shape.fixed else None
    with new_file(folder, path.name, where=str(path), final=final) as file, contextlib.ExitStack() as stack:
        raw = scratch_file(beside, size=shape.size)
        stack.callback(raw.close)
        fill(raw)
        emit(Phase(name="qemu-img"))
        made = raw_to(shape.form.value, raw, options=_FIXED_OPTIONS[shape.form] if shape.fixed else "", folder=beside)
        stack.callback(made.close)
        copying = Phase(name="copy", total=made.size(), unit="bytes")
        emit(copying)
        for offset in range(0, copying.total, _STEP):
            part = made.pread(offset, _STEP)
            file.pwrite(offset, part)
            copying.counter.add(len(part))
        return copying.total
