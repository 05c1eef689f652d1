"""A WIM at a path of the host, or inside a volume that is not mounted (`PATH#N:/dir/x.wim`): its folder, either way."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wimboot.disk.inside import BadInside, Inside, parse_inside
from wimboot.events import silent
from wimboot.frozen import Frozen
from wimboot.ntfs.folder import VolumeFolder
from wimboot.ops.opening.disks import OpenDisk, Slot, find_disk, open_disk
from wimboot.ops.options import TargetOptions
from wimboot.storage import HostFolder
from wimboot.wim import Append, CreateOptions, real_path
from wimboot.windows.security import ADMINISTRATORS_ONLY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.disk import Place
    from wimboot.ops.options import Folders
    from wimboot.storage import Folder

__all__ = [
    "WimFolder", "disk_of", "free_size", "growing_wim", "read_beside", "wim_exists", "wim_folder",
]


class WimFolder(Frozen):
    """Where a WIM called `name` lies. `slot` is its volume; None where it is a file of the host.

    `path` is that within its volume.
    """

    folder: Folder
    name: str
    slot: Slot | None = None
    path: str = ""

    def belongs(self) -> None:
        """Note that the file is a WIM that this run uses: its volume neither captures it nor gives it up."""
        if self.slot is not None:
            self.slot.wims.add(self.path)

    @property
    def disk(self) -> OpenDisk | None:
        """The disk whose transaction covers it."""
        return None if self.slot is None else self.slot.disk


@contextmanager
def wim_folder(path: Path, target: TargetOptions, *, write: bool) -> Iterator[WimFolder]:
    """The folder of a WIM. Inside a volume its disk is open meanwhile: shared, or opened and locked for this.

    `target` tells how the host's folders are opened and where a device's log lies. Raises what opening a target and
    mounting a volume raise, BadInside.
    """
    real = real_path(path)
    inside = parse_inside(real)
    if inside is None:
        yield WimFolder(folder=target.folders(real.parent), name=real.name)
        return
    if not inside.parts:
        raise BadInside(where=str(path), why="it is the root folder")
    options = TargetOptions(place=str(inside.volume), log_folder=target.log_folder, folders=target.folders)
    with open_disk(options, silent, write=write) as disk:
        slot = _slot(disk, inside.volume)
        if write:
            slot.allow_writing()
        slot.for_reading()
        yield WimFolder(folder=_folder(slot, inside.parent), name=inside.parts[-1], slot=slot, path=inside.path)


@contextmanager
def growing_wim(path: Path, target: TargetOptions, create: CreateOptions | None) -> Iterator[Append]:
    """A WIM that is about to grow, or to be made; leaving without a commit leaves it as it was.

    Inside a volume the transaction of its disk covers it: `storing.commit_all` finishes both. Raises what `wim_folder`
    and `Append` raise.
    """
    with wim_folder(path, target, write=True) as place:
        if place.disk is None:
            with Append(place.folder, place.name, where=str(path), create=create) as append:
                yield append
            return
        append = Append(place.folder, place.name, where=str(path), create=create, undo=False)
        place.belongs()
        place.disk.appends.append(append)
        try:
            yield append
        finally:
            place.disk.appends.remove(append)
            append.abandon()


def _slot(disk: OpenDisk, volume: Place) -> Slot:
    start, size = disk.target.slice(volume.partition)
    return disk.slot(start, size, str(volume))


def _folder(slot: Slot, folder: Inside) -> VolumeFolder:
    return VolumeFolder(slot, folder.parts, where=str(folder), security=ADMINISTRATORS_ONLY)


def disk_of(path: Path) -> OpenDisk | None:
    """The open disk that holds a WIM; None for a WIM that is a file of the host, or whose disk is not open."""
    inside = parse_inside(real_path(path))
    return None if inside is None else find_disk(str(inside.volume))


def wim_exists(path: Path, folders: Folders = HostFolder) -> bool:
    """Whether there is such a file. Raises what opening its volume raises."""
    with wim_folder(path, TargetOptions(place="", folders=folders), write=False) as place:
        return place.folder.exists(place.name)


def free_size(path: Path, folders: Folders = HostFolder) -> int:
    """Bytes by which a WIM at that path can grow. Raises what opening its volume raises."""
    with wim_folder(path, TargetOptions(place="", folders=folders), write=False) as place:
        return place.folder.free_size()


def read_beside(wim: Path, name: str, limit: int) -> tuple[bytes, str] | None:
    """At most `limit` bytes of the file called `name` beside a WIM in a volume whose disk is open, and what to call it.

    None where there is none, and for a WIM that is a file of the host. Raises what reading raises.
    """
    inside = parse_inside(real_path(wim))
    disk = None if inside is None else find_disk(str(inside.volume))
    if inside is None or disk is None:
        return None
    beside = inside.parent.of(name)
    data = _slot(disk, inside.volume).for_reading().read_path(beside.path, limit)
    return None if data is None else (data, str(beside))
