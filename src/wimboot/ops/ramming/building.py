"""The disk while it is built: a dynamic VHD beside the image that it becomes, which is gone afterwards.

Whoever builds it holds the new image's file, so that no other run takes it for what a killed one left.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final

from wimboot.disk import uninterrupted
from wimboot.disk.target import LOG_SUFFIX
from wimboot.errors import HostError
from wimboot.ops.creating.making import make_disk
from wimboot.ops.creating.shape import DiskForm, DiskShape
from wimboot.storage import durable
from wimboot.storage.fleeting import FleetingFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.creating.shape import MadeDisk
    from wimboot.ops.options import Folders
    from wimboot.ops.ramming.options import RamOptions
    from wimboot.ops.ramming.source import RamSource
    from wimboot.storage import Folder

__all__ = ["TAIL", "built_disk", "fleeting"]

TAIL: Final = 1 << 20
"""Of the disk's end belongs to no partition: the driver that finds the disk in memory hides its last sector."""
_BUILDING: Final = ".building"


@contextlib.contextmanager
def built_disk(options: RamOptions, source: RamSource, place: Path, emit: Emit) -> Iterator[MadeDisk]:
    """An empty disk of that size in the folder `place`, with an id that none of the disks around it has.

    Raises what `make_disk` does.
    """
    folder, path = options.folders(place), place / (options.out.name + _BUILDING)
    _clear(folder, path.name)
    disk_id = secrets.token_bytes(4) + bytes(12)
    while disk_id in source.disks or not any(disk_id):
        disk_id = secrets.token_bytes(4) + bytes(12)
    shape = DiskShape(size=options.size, form=DiskForm.VHD, tail=TAIL, label=options.label, disk_id=disk_id,
                      gathered=True)
    try:
        yield make_disk(path, shape, emit, folders=fleeting(options.folders))
    finally:
        _clear(folder, path.name)


def fleeting(folders: Folders) -> Folders:
    """The same folders, for what is built in them and gone before the run ends: nothing of it need be durable."""
    return lambda path: FleetingFolder(folders(path))


def _clear(folder: Folder, name: str) -> None:
    """What a run that was killed left, or this one made."""
    with uninterrupted():
        for one in (name, name + LOG_SUFFIX, durable.temporary_name(name)):
            if folder.exists(one):
                with contextlib.suppress(HostError):
                    folder.remove(one)
