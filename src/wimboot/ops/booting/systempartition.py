"""Opening the system partition: a FAT or NTFS volume in an image, a disk or a device, or a folder of the host."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wimboot.disk import parse_place
from wimboot.errors import Refused
from wimboot.ops.booting.hostfolder import FolderPartition
from wimboot.ops.booting.identity import identity_of_folder
from wimboot.ops.booting.partition import PartitionId, PartitionKind, SystemEntry, SystemPartition
from wimboot.storage import HostFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.options import Folders

__all__ = [
    "NoSystemPartition", "PartitionId", "PartitionKind", "SystemEntry", "SystemPartition", "open_system_partition",
]


class NoSystemPartition(Refused):
    """Nothing that a system could be started from."""

    id = "no-system-partition"
    sentence = "{where} is no system partition: {why}"
    advice = "Give a FAT or NTFS volume (an image, a disk as PATH#N, a device), or the folder where it is mounted."


@contextmanager
def open_system_partition(
    place: str, emit: Emit, *, write: bool, log_folder: Path | None = None, folders: Folders = HostFolder
) -> Iterator[SystemPartition]:
    """The system partition at `place`: PATH, PATH#N, or a folder of the host. Of a disk without #N it is the EFI system
    partition, on an MBR disk else the active one.

    Leaving without its `commit` changes nothing. A volume on a disk that this run has open shares its transaction, so a
    disk whose system is to be read and whose system partition is to be written is opened by this first; committing this
    one then commits the disk. `log_folder` is where a device's log lies. Raises NoSystemPartition, PartitionNeeded,
    what opening and mounting a volume raises.
    """
    del emit, write, log_folder
    path = parse_place(place).path
    if not path.is_dir():
        raise NoSystemPartition(where=place, why="volumes are not there yet")
    yield FolderPartition(path.resolve(), place, folders, lambda: identity_of_folder(path))
