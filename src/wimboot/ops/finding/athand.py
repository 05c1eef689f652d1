"""The partitions at hand on which the WIM of a volume may lie: its own disk, attached disks, disk images beside it.

A partition that is mounted is looked at through its mount point; an NTFS one that is not, through libntfs-3g.
"""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Protocol, Self

from wimboot.disk import HOST, Host, Place, origin_of
from wimboot.disk.inside import Inside
from wimboot.disk.lookup import Disk, attached_disks, disk_bytes, disk_in, mount_points, path_in_mount
from wimboot.disk.table import TableKind
from wimboot.errors import Error, HostError
from wimboot.formats.names import MAX_NAME_UNITS, encode_name, split_path
from wimboot.ntfs import Volume
from wimboot.ops.opening.wimfiles import WimFile, host_wim, host_wims, volume_wim, volume_wims
from wimboot.storage import SliceDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from wimboot.disk import Partition
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import Folders
    from wimboot.windows.wimplace import WimPlace

__all__ = ["AtHand", "How", "Look", "safe_parts"]

_NOT_IN_NAMES = frozenset('<>:"|?*/\0')
_MOST_FILES = 10_000
"""Files of one folder that are looked at for a partition table; a folder of disk images has fewer."""
_LEAST_DISK = 1 << 20


class How(Enum):
    """How a WIM was found, for people and programs."""

    SAME_VOLUME = "same-volume"
    SAME_DISK = "same-disk"
    ATTACHED_DISK = "attached-disk"
    DISK_IMAGE = "disk-image"
    SEARCHED = "search"
    WIM_FOLDER = "wim-folder"
    BESIDE_TARGET = "beside-target"
    ABOVE_TARGET = "above-target"
    CURRENT_FOLDER = "current-folder"


class Look(Protocol):
    """A partition that can be looked at; `name` is for people."""

    how: How
    name: str

    def wim(self, parts: Sequence[str]) -> WimFile | None:
        """The file at a path, whatever it is; None where there is none."""
        ...

    def wims(self, parts: Sequence[str]) -> Iterator[WimFile]:
        """The WIMs in a folder."""
        ...


def safe_parts(path: str) -> tuple[str, ...] | None:
    """The names of a path that a volume tells, drive letter dropped; None where it is no path of a Windows volume."""
    parts = split_path(path[2:] if path[1:2] == ":" and path[:1].isalpha() else path)
    for part in parts:
        if part in (".", "..") or _NOT_IN_NAMES & set(part) or len(encode_name(part)) > 2 * MAX_NAME_UNITS:
            return None
    return parts or None


class _Unmounted:
    """An NTFS volume that nobody has mounted; also the one that is at hand itself."""

    def __init__(self, volume: Callable[[], Volume], place: Place, how: How, folders: Folders) -> None:
        self._volume, self._place, self._folders = volume, place, folders
        self.how = how
        self.name = str(place)

    def _path(self, parts: Sequence[str]) -> Path:
        return Inside(volume=self._place, parts=tuple(parts)).as_path()

    def wim(self, parts: Sequence[str]) -> WimFile | None:
        return volume_wim(self._volume(), parts, self._path(parts), self._folders)

    def wims(self, parts: Sequence[str]) -> Iterator[WimFile]:
        yield from volume_wims(self._volume(), parts, self._path(parts), self._folders)


class _Mounted:
    """A partition with a mount point."""

    def __init__(self, points: Sequence[tuple[Path, str]], name: str, how: How, folders: Folders) -> None:
        self._points, self._folders = points, folders
        self.how = how
        self.name = f"{name}, mounted at {points[0][0]}"

    def wim(self, parts: Sequence[str]) -> WimFile | None:
        for point, root in self._points:
            path = path_in_mount(point, root, parts)
            if path is not None and path.is_file():
                return host_wim(path, self._folders)
        return None

    def wims(self, parts: Sequence[str]) -> Iterator[WimFile]:
        for point, root in self._points:
            folder = path_in_mount(point, root, parts)
            if folder is not None and folder.is_dir():
                try:
                    yield from host_wims(folder, self._folders)
                except OSError:
                    continue


class AtHand:
    """What is at hand for one volume. A context manager; leaving it closes the volumes that were opened.

    `unread` says what was there and could not be looked at.
    """

    def __init__(self, opened: Opened, host: Host = HOST) -> None:
        self._opened = opened
        self._host = host
        self._stack = ExitStack()
        self._looks: dict[object, Look | None] = {}
        self._images: list[Disk] | None = None
        self._own_place = _place_of(opened)
        self._own_origin = origin_of(opened.target.path, opened.start, host)
        self.own = self._own_look()
        attached = attached_disks(host)
        self.unread = [f"{path} (cannot be read)" for path in attached.unread]
        self._attached = attached.found
        self._mine = self._own_disks()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def _own_look(self) -> Look:
        opened = self._opened       # its volume may be mounted anew meanwhile
        return _Unmounted(lambda: opened.volume, self._own_place, How.SAME_VOLUME, opened.options.folders)

    def _own_disks(self) -> list[Disk]:
        """The disk that the volume is a partition of: the target, or the attached disk that has it."""
        target = self._opened.target
        own = [disk for disk in self._attached
               if any(origin_of(disk.path, part.start, self._host) == self._own_origin is not None
                      for part in disk.table.partitions)]
        if target.table.kind is not TableKind.NONE:
            own.append(Disk(path=target.path, table=target.table))
        return own

    def registered(self, place: WimPlace) -> Iterator[Look]:
        """The partitions that Windows would take for the one of this place, each once.

        Where the volume's own disk has it, it is that one alone: other disks with it are copies of this one.
        """
        seen: list[Look] = []
        of_own = False
        for disks, how in ((lambda: self._mine, How.SAME_DISK), (lambda: self._in_container(place), How.DISK_IMAGE),
                           (lambda: self._attached, How.ATTACHED_DISK), (self._beside, How.DISK_IMAGE)):
            if of_own:
                return
            for disk in disks():
                partition = disk.partition(place.style, place.disk_id, place.partition_id)
                of_own = of_own or (how is How.SAME_DISK and partition is not None)
                look = None if partition is None else self._look(disk, partition, how)
                if look is not None and look not in seen:
                    seen.append(look)
                    yield look

    def siblings(self) -> Iterator[Look]:
        """The other partitions of the volume's own disk that can be looked at."""
        for disk in self._mine:
            for partition in disk.table.partitions:
                look = self._look(disk, partition, How.SAME_DISK, quiet=True)
                if look is not None and look is not self.own:
                    yield look

    def _beside(self) -> list[Disk]:
        """Disk images in the target's folder and in those of --search; each file is opened once."""
        if self._images is None:
            target = self._opened.target
            folders = [*([] if target.is_device else [target.path.parent]), *self._opened.options.search]
            self._images = list(_disks_in(folders, besides=target.path))
        return self._images

    def _in_container(self, place: WimPlace) -> Iterator[Disk]:
        """The disk in the VHD of a place in one, where that VHD is at hand and can be read."""
        outer = place.container
        parts = None if outer is None else safe_parts(outer.path)
        if outer is None or parts is None or outer.container is not None:
            return
        for look in list(self.registered(outer)):
            file = look.wim(parts)
            if file is None:
                continue
            try:
                disk = disk_in(file.path)
            except HostError:
                disk = None
            if disk is None:
                self.unread.append(f"{file.path} (is no disk that can be read as it is)")
            else:
                yield disk

    def _look(self, disk: Disk, partition: Partition, how: How, *, quiet: bool = False) -> Look | None:
        """A partition, opened once under whatever name; `quiet` where nobody said that the WIM lies on it."""
        origin = origin_of(disk.path, partition.start, self._host) or (disk.path, partition.start)
        if origin == self._own_origin:
            return self.own
        if origin not in self._looks:
            self._looks[origin] = self._open(disk, partition, how)
        look = self._looks[origin]
        if look is None and not quiet:
            self.unread.append(f"{Place(disk.path, partition.number)} (neither mounted nor a sound NTFS volume)")
        return look

    def _open(self, disk: Disk, partition: Partition, how: How) -> Look | None:
        folders = self._opened.options.folders
        place = Place(disk.path, partition.number)
        points = mount_points(disk, partition, self._host)
        if points:
            return _Mounted(points, str(place), how, folders)
        if not partition.ntfs:
            return None
        try:
            own = disk.path == self._opened.target.path
            base = self._opened.target.disk if own else self._stack.enter_context(disk_bytes(disk.path))
            device = SliceDevice(base, partition.start, partition.size)
            volume = self._stack.enter_context(Volume(device, write=False, where=str(place), inspect=True))
        except Error:
            return None
        return _Unmounted(lambda: volume, place, how, folders)


def _place_of(opened: Opened) -> Place:
    """The volume as PATH or PATH#N, whatever the user called it."""
    target = opened.target
    number = next((part.number for part in target.table.partitions if part.start == opened.start), None)
    return Place(target.path, number)


def _disks_in(folders: Iterable[Path], besides: Path) -> Iterator[Disk]:
    for folder in folders:
        try:
            paths = sorted(islice(folder.iterdir(), _MOST_FILES))
        except OSError:
            continue
        for path in paths:
            try:
                if path.is_file() and path.stat().st_size >= _LEAST_DISK and path.resolve() != besides:
                    found = disk_in(path)
                    if found is not None:
                        yield found
            except (OSError, RuntimeError, HostError):
                continue
