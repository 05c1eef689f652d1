"""Opening the system partition: a FAT or NTFS volume in an image, a disk or a device, or a folder of the host."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.disk import DECIDED, NotADisk, PartitionNeeded, TableKind, parse_place
from wimboot.disk.folderlock import folder_lock
from wimboot.disk.table import fat_name
from wimboot.errors import UsageError
from wimboot.fat.refusals import ExFat
from wimboot.ops.booting.fatpartition import FatPartition
from wimboot.ops.booting.hostfolder import FolderPartition
from wimboot.ops.booting.identity import ESP_TYPES, identity_of, identity_of_folder, identity_of_volume
from wimboot.ops.booting.ntfspartition import NtfsPartition
from wimboot.ops.booting.partition import PartitionId, PartitionKind, SystemEntry, SystemPartition
from wimboot.ops.opening.disks import open_disk
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import TargetOptions
from wimboot.storage import HostFolder, SliceDevice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.disk import Partition, Target
    from wimboot.events import Emit
    from wimboot.ops.options import Folders

__all__ = [
    "NoSystemPartition", "PartitionId", "PartitionKind", "SystemEntry", "SystemPartition", "open_system_partition",
]

_HEAD: Final = 512
_LOCK: Final = "boot"


class NoSystemPartition(UsageError):
    """Nothing that a system could be started from."""

    id = "no-system-partition"
    sentence = "{where} is no system partition: {why}"
    advice = "Give a FAT or NTFS volume (an image, a disk as PATH#N, a device), or the folder where it is mounted."


@contextmanager
def open_system_partition(
    place: str, emit: Emit, *, write: bool, log_folder: Path | None = None, folders: Folders = HostFolder,
    dry_run: bool = False
) -> Iterator[SystemPartition]:
    """The system partition at `place`: PATH, PATH#N, or a folder of the host. Of a disk without #N it is the EFI system
    partition, on an MBR disk else the active one.

    Leaving without its `commit` changes nothing. A volume on a disk that this run has open shares its transaction, so a
    disk whose system is to be read and whose system partition is to be written is opened by this first; committing this
    one then commits the disk. A folder that is to be written is this run's alone until then; for another one it waits
    up to a second. `log_folder` is where a device's log lies. With `dry_run` a disk that is only read is refused where
    writing it would be. Raises Locked, NoSystemPartition, PartitionNeeded, what opening and mounting a volume raises.
    """
    path = parse_place(place).path
    if path.is_dir():
        root = path.resolve()
        with folder_lock(root, _LOCK, place) if write else nullcontext(enter_result=False) as alone:
            yield FolderPartition(root, place, folders, lambda: identity_of_folder(path), alone=alone)
        return
    DECIDED.clear()
    options = TargetOptions(place=place, log_folder=log_folder, folders=folders, dry_run=dry_run)
    with open_disk(options, emit, write=write) as disk:
        if dry_run:
            disk.target.refuse_writing()
        partition = _choose(disk.target, place)
        identity = (identity_of_volume(disk.target.path) if partition is None else
                    identity_of(disk.target.table, partition))
        where = place if partition is None or "#" in place else f"{place}#{partition.number}"
        start, size = disk.target.slice(None if partition is None else partition.number)
        head = disk.device.pread(start, _HEAD)
        if _is_fat(head, size, where):
            device = SliceDevice(disk.device, start, size)
            yield FatPartition(device, start, where, disk.transaction if write else None, identity)
            return
        with open_volume(replace(options, place=where), emit, write=write, windows=False) as opened:
            yield NtfsPartition(opened, identity)


def _is_fat(head: bytes, size: int, where: str) -> bool:
    """Whether it is FAT; else it is NTFS. Raises ExFat, NoSystemPartition."""
    if fat_name(head, size):
        return True
    if head[3:11] == b"EXFAT   ":
        raise ExFat(where=where)
    if head[3:11] != b"NTFS    ":
        raise NoSystemPartition(where=where, why="it holds neither a FAT nor an NTFS volume")
    return False


def _choose(target: Target, place: str) -> Partition | None:
    """The partition that is meant; None for a bare volume. Raises NoSystemPartition, PartitionNeeded, NoPartition."""
    number = parse_place(place).partition
    try:
        if target.table.kind is TableKind.NONE and number is None:
            return None
    except NotADisk as error:
        if number is None and fat_name(target.disk.pread(0, _HEAD), target.disk.size()):
            return None
        if target.disk.pread(3, 8) == b"EXFAT   ":
            raise ExFat(where=place) from error
        raise NoSystemPartition(where=place, why=str(error.facts["why"])) from error
    if number is not None:
        target.slice(number)
        return next(one for one in target.partitions if one.number == number)
    wanted = [one for one in target.partitions if one.type in ESP_TYPES] or [
        one for one in target.partitions if one.active]
    if len(wanted) != 1:
        numbers = ", ".join(str(one.number) for one in target.partitions) or "none"
        raise PartitionNeeded(where=place, numbers=numbers)
    return wanted[0]
