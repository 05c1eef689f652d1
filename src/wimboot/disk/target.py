"""The target of a command: `PATH` or `PATH#N`, opened and locked.

A host file's transaction log lies beside it, so every command that opens the file finds it. A device's log
lies in a folder that the caller gives, under the name that udev keeps for that device whatever letter it
gets. The partition table is read when first asked for: an interrupted transaction may have to be finished
before it can be.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wimboot.disk.errors import LogWaits
from wimboot.disk.locking import Locked, ReadOnlyTarget, device_number, lock
from wimboot.disk.loops import backing_of, identity_of
from wimboot.disk.mounts import HOST, Host, mount_of
from wimboot.disk.table import SECTOR, NotADisk, TableKind, container_of, read_table
from wimboot.disk.use import Mounted, refuse_if_used, related_devices
from wimboot.disk.vhd import Vhd, open_vhd
from wimboot.disk.vhdchildren import refuse_children
from wimboot.disk.vhdlayout import is_vhd
from wimboot.disk.waiting import LOG_SUFFIX
from wimboot.disk.writers import other_writer
from wimboot.errors import HostError, Refused, UsageError
from wimboot.formats.vhdfooter import DiskType
from wimboot.storage import FileDevice, HostFolder, host_error, resolved
from wimboot.storage.memory import MemoryFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from wimboot.disk.foreign import Foreign
    from wimboot.disk.table import Partition, Table
    from wimboot.storage import Device, File, Folder

__all__ = [
    "LOG_SUFFIX", "Locked", "LogFolderNeeded", "LogVolatile", "NoPartition", "NotATarget", "PartitionNeeded", "Place",
    "ReadOnlyTarget", "Target", "TargetMissing", "open_target", "parse_place",
]

_SECTOR_SIZE_OF = 0x1268
"""BLKSSZGET of linux/fs.h: the logical sector size of a block device."""
_VOLATILE = frozenset({"tmpfs", "devtmpfs", "ramfs"})


class TargetMissing(UsageError):
    """There is no such file."""

    id = "no-target"
    sentence = "{where} does not exist"
    advice = "Name a disk image, a volume image or a device, PATH#N for partition N of it."


class NotATarget(UsageError):
    """Something that holds no disk."""

    id = "not-a-target"
    sentence = "{where} is neither a file nor a block device"
    advice = "Name a disk image, a volume image or a device."


class NoPartition(UsageError):
    """A number that the disk does not have."""

    id = "no-partition"
    sentence = "{where} has no partition {number:d}; it has {numbers}"
    advice = "`wimboot info {where}` lists the partitions of that disk."


class PartitionNeeded(UsageError):
    """A disk was named where a volume is meant."""

    id = "which-partition"
    sentence = "{where} is a disk, and its partition was not named; it has {numbers}"
    advice = "Name one: {where}#N."


class LogFolderNeeded(UsageError):
    """A device has no folder beside it."""

    id = "log-folder"
    sentence = "writing to the device {where} needs a folder for the log of the change"
    advice = "Give one on another disk: --log DIR."


class LogVolatile(Refused):
    """A log in memory would be lost with the power."""

    id = "log-volatile"
    sentence = ("the log of the change cannot lie in {folder}: that is {kind}, which forgets everything at a "
                "power cut")
    advice = "Give a folder on a disk: --log DIR."


@dataclass(frozen=True, slots=True)
class Place:
    """What the user named: a path, and a partition of it or none."""

    path: Path
    partition: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.partition is None else f"{self.path}#{self.partition}"


def parse_place(text: str) -> Place:
    """`PATH` or `PATH#N`. A path that exists as it stands is one, whatever it ends in. Raises UsageError."""
    path, mark, number = text.rpartition("#")
    if not mark or not path or not (number.isascii() and number.isdigit()) or os.path.lexists(text):
        if not text or "\0" in text:
            raise UsageError(what=f"{text!r} is not a path")
        return Place(Path(text))
    if not 1 <= len(number) <= 3 or not int(number):
        raise UsageError(what=f"{text!r}: partitions are numbered from 1")
    return Place(Path(path), int(number))


class Target:
    """An opened target. `file` is the whole file or device, `folder` and `log_name` say where its log lies; `disk` is
    the disk in it, which is the file itself unless that is a VHD.

    `partition` is the number the user gave. A context manager; leaving it gives lock and handle back.
    """

    def __init__(self, *, place: Place, path: Path, file: File, folder: Folder, log_name: str,
                 locks: contextlib.ExitStack, sector_size: int | None,
                 vhd_opener: Callable[[File], Vhd] | None = None,
                 foreign_opener: Callable[[File], Foreign | None] | None = None) -> None:
        self.place = place
        self.path = path
        self.partition = place.partition
        self.file = file
        self.folder = folder
        self.log_name = log_name
        self._locks = locks
        self._sector_size = sector_size
        self._table: Table | None = None
        self._vhd_opener = vhd_opener
        self._vhd: Vhd | None = None
        self._foreign_opener = foreign_opener
        self._foreign: Foreign | None = None
        self._disk: Device | None = None

    @property
    def vhd(self) -> Vhd | None:
        """The VHD that the file is, if it is one; never on a block device. Read, with its parent, when first asked for.

        Raises what `open_vhd` raises.
        """
        if self._vhd_opener is not None:
            if is_vhd(self.file):
                self._vhd = self._vhd_opener(self.file)
            self._vhd_opener = None
        return self._vhd

    @property
    def foreign(self) -> Foreign | None:
        """Where the disk's bytes lie in a VHDX, QCOW2, VMDK or VDI, if the file is one; never on a block device.

        Raises what `open_foreign` raises, DiskHasOverlay where the file is to be written, and as `vhd`.
        """
        if self._foreign_opener is not None:
            if self.vhd is None:
                self._foreign = self._foreign_opener(self.file)
            self._foreign_opener = None
        return self._foreign

    @property
    def disk(self) -> Device:
        """The disk, for reading only where it has a form of its own. Raises as `foreign`."""
        if self._disk is None:
            self._disk = self.over(FileDevice(self.file))
        return self._disk

    def over(self, base: Device) -> Device:
        """The disk, `base` being the file as somebody else sees it. Raises as `foreign`."""
        form = self.vhd or self.foreign
        return base if form is None else form.over(base)

    @property
    def room(self) -> int | None:
        """Bytes that the disk can hold at most, where that depends on the room for the file: it is a VHD that grows.
        Raises as `vhd`, HostError.
        """
        if self.vhd is None or self.vhd.kind is DiskType.FIXED:
            return None
        return self.vhd.allocated_size + self.folder.free_size()

    @property
    def is_device(self) -> bool:
        """Whether it is a block device."""
        return self._sector_size is not None

    @property
    def sector_size(self) -> int | None:
        """Of a block device, its logical one; None where an image does not tell."""
        return self._sector_size

    @property
    def table(self) -> Table:
        """Raises NotADisk, DiskFormat, BitLocker, FormatError, HostError, and as `vhd`."""
        if self._table is None:
            self._table = read_table(self.disk, where=str(self.place.path), sector_size=self._sector_size)
        return self._table

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Empty for a bare volume. Raises as `table`."""
        return self.table.partitions

    @property
    def disk_id(self) -> bytes | None:
        """What Windows knows the disk by, 16 bytes; None for a bare volume. Raises as `table`."""
        return self.table.disk_id

    def slice(self, partition: int | None) -> tuple[int, int]:
        """Start and size of a partition in bytes. For None those of everything, a volume or blank, but not
        of a disk with partitions.

        Raises NoPartition, PartitionNeeded, and as `table`.
        """
        if partition is None:
            with contextlib.suppress(NotADisk):
                if self.table.kind is not TableKind.NONE:
                    raise PartitionNeeded(where=str(self.place.path), numbers=self._numbers())
            return 0, self.disk.size()
        for one in self.partitions:
            if one.number == partition:
                return one.start, one.size
        raise NoPartition(where=str(self.place.path), number=partition, numbers=self._numbers())

    def _numbers(self) -> str:
        return ", ".join(str(one.number) for one in self.partitions) or "none"

    def refuse_writing(self) -> None:
        """Refuse, of a target that is open to be read, what opening it to be written refuses of its form, and of what
        stands on it. Raises VhdHasChildren, DiskHasOverlay, ForeignNotWritable, and as `foreign`.
        """
        where = str(self.place.path)
        if self.vhd is not None:
            refuse_children(self.vhd.unique_id, self.path, where=where)
        elif not self.is_device:
            from wimboot.disk.overlays import refuse_overlays

            if self.foreign is not None:
                self.foreign.refuse_writing(self.file, self.path, where=where)
            refuse_overlays(self.file, self.path, where=where)

    def close(self) -> None:
        """A second call does nothing."""
        if self._vhd is not None:
            self._vhd.close()
        self.file.close()
        self._locks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def open_target(place: Place, *, write: bool, log_folder: Path | None = None,
                opener: Callable[[Path], Folder] = HostFolder, host: Host = HOST, parents: bool = True) -> Target:
    """Open and lock a target; shared where it is only read, alone where it is written.

    `log_folder` is where a device's log lies; a file's lies beside it. `opener` gives the folder of a host
    path; a test gives one that records or fails. Without `parents` a differencing VHD's parent is left alone, and its
    disk cannot be read.

    Raises:
        TargetMissing, NotATarget, ReadOnlyTarget, Mounted, Locked, LogFolderNeeded, LogVolatile, LogWaits
        (a run on the disk of this partition, or on a partition of this disk, was interrupted), HostError.
    """
    try:
        path = place.path.resolve(strict=True)
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise TargetMissing(where=str(place.path)) from error
    except RuntimeError as error:    # links in a circle, up to Python 3.12
        raise HostError(what="opening", where=str(place.path), why=str(error)) from error
    except OSError as error:
        raise host_error("opening", place.path, error) from error
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise NotATarget(where=str(place.path))
    refuse_if_used(path, write=write, host=host)
    is_device = stat.S_ISBLK(mode)
    folder = _log_folder(place, log_folder, opener, host, write=write) if is_device else opener(path.parent)
    if is_device:
        for device in related_devices(path, host):
            if folder.exists(_device_name(device, host) + LOG_SUFFIX):
                raise LogWaits(where=str(device))
    with contextlib.ExitStack() as undo:
        sector_size = _lock_all(path, place, undo, write=write, is_device=is_device, host=host)
        file = opener(path.parent).open(path.name, write=write)
        name = _device_name(path, host) if is_device else path.name

        def parent(path: Path) -> Target:
            return _open_parent(path, opener, host)

        def vhd(file: File) -> Vhd:
            return open_vhd(file, path, where=str(place.path), write=write, opener=opener, host=host,
                            parent_opener=parent if parents else None)

        def foreign(file: File) -> Foreign | None:
            found = None
            if container_of(file.pread(0, SECTOR)) is not None:
                from wimboot.disk.foreign import open_foreign  # few disks need what it brings along

                found = open_foreign(file, path, where=str(place.path), write=write)
            if write:
                from wimboot.disk.overlays import refuse_overlays  # who only reads does not need it

                refuse_overlays(file, path, where=str(place.path))
            return found

        return Target(place=place, path=path, file=file, folder=folder, log_name=name + LOG_SUFFIX,
                      locks=undo.pop_all(), sector_size=sector_size, vhd_opener=None if is_device else vhd,
                      foreign_opener=None if is_device else foreign)


def _open_parent(path: Path, opener: Callable[[Path], Folder], host: Host) -> Target:
    """The parent of a differencing VHD, whose own parent is left alone. Raises as `open_target`."""
    target = open_target(Place(path), write=False, opener=opener, host=host, parents=False)
    if target.folder.exists(target.log_name):
        target.close()
        raise LogWaits(where=str(path))
    return target


def _lock_all(path: Path, place: Place, undo: contextlib.ExitStack, *, write: bool, is_device: bool,
              host: Host) -> int | None:
    """Lock the target, and the file under a loop device: who opens that one changes the same bytes. Returns a device's
    sector size. Raises Locked, ReadOnlyTarget, Mounted, LogWaits, HostError.
    """
    descriptor = lock(path, str(place), write=write, is_device=is_device)
    undo.callback(os.close, descriptor)
    sector_size = device_number(descriptor, _SECTOR_SIZE_OF) if is_device else None
    loop = backing_of(path, host) if is_device else None
    file = Path(loop.backing) if loop else path
    if loop and identity_of(file) == loop.identity is not None:
        if os.path.lexists(loop.backing + LOG_SUFFIX):
            raise LogWaits(where=loop.backing)
        # who may use the device need not be allowed to open the file
        with contextlib.suppress(HostError):
            undo.callback(os.close, lock(file, str(place), write=write, is_device=False))
    identity = loop.identity if loop else None if is_device else identity_of(path)
    writer = other_writer(identity, host) if identity else None
    if writer:
        raise Mounted(where=str(place), what=f"{writer} has it open for writing")
    return sector_size


def _log_folder(place: Place, folder: Path | None, opener: Callable[[Path], Folder], host: Host, *,
                write: bool) -> Folder:
    """The folder of a device's log."""
    if folder is None:
        if write:
            raise LogFolderNeeded(where=str(place.path))
        return MemoryFolder()
    try:
        folder = resolved(folder, str(folder)).resolve(strict=True)
    except OSError as error:
        raise host_error("opening", folder, error) from error
    mount = mount_of(folder, host)
    if write and mount is not None and mount.kind in _VOLATILE:
        raise LogVolatile(folder=str(folder), kind=mount.kind)
    return opener(folder)


def _device_name(path: Path, host: Host) -> str:
    """The name that stays with a device: udev's, else the kernel's."""
    names = []
    with contextlib.suppress(OSError):
        names = [link.name for link in (host.dev / "disk" / "by-id").iterdir() if link.resolve() == path]
    return min(names, default=path.name, key=lambda name: (name.startswith(("wwn-", "dm-", "lvm-")), name))
