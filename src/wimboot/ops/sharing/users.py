"""Who uses a WIM: found by looking, for nothing is kept about it anywhere.

Looked at are disk images beside the WIM, or a link to it, and in folders below (and in those named), the volumes of
attached disks, and NTFS volumes that the host has mounted, through their mounts. A volume uses the WIM where its
WimOverlay.dat names it.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk import (
    HOST,
    BitLocker,
    Host,
    LogWaits,
    NotADisk,
    attached_volumes,
    mounts_of_ntfs,
    open_target,
    origin_of,
    parse_place,
    peek,
    read_table,
)
from wimboot.disk.inside import parse_inside
from wimboot.errors import Error, FormatError, Unsupported
from wimboot.formats.overlaydat import MAX_FILE_SIZE
from wimboot.frozen import Frozen
from wimboot.ntfs import Volume
from wimboot.storage import HostFile, SliceDevice
from wimboot.wim import real_path
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wimboot.disk import Mount, Target
    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.opening.disks import OpenDisk
    from wimboot.ops.opening.volume import Opened

__all__ = ["Unread", "User", "Users", "users_of"]

_DEPTH = 3
"""Folders below the WIM's that are looked into."""
_MOST_FILES = 10_000
"""Of one folder and those below it; more is no place for disk images."""
_LEAST_SIZE = 1 << 20
"""Of an NTFS volume that mkntfs makes."""
_SECTOR = 512

_Origin = tuple[int, int, int]


class User(Frozen):
    """A volume that uses the WIM: `place` names it as a TARGET, `source` is the record that does; `origin` tells two
    volumes apart whatever they are called.
    """

    place: str
    source: DataSource
    origin: _Origin | None


class Unread(Frozen):
    """A disk or volume that could not be looked at, and why."""

    place: str
    why: str
    origin: _Origin | None


class Users(Frozen):
    """What was found; `complete` is False where there was more than is looked at."""

    guid: bytes
    found: tuple[User, ...] = ()
    unread: tuple[Unread, ...] = ()
    complete: bool = True

    def but(self, opened: Sequence[Opened], disk: OpenDisk | None = None) -> Users:
        """Without these volumes, which the caller has open, and may have locked; other volumes of their disks stay.

        So do all of `disk`, which is open because the WIM lies in one of its volumes.
        """
        here = {origin_of(one.target.path, one.start) for one in opened}
        targets = [one.target for one in opened] + ([] if disk is None else [disk.target])
        disks = {origin_of(target.path): target for target in targets}
        search = _Search(guid=self.guid, host=HOST, seen={*here, *(user.origin for user in self.found)})
        for unread in self.unread:
            if unread.origin in disks:
                _look_at_volumes(disks[unread.origin], search)
            elif unread.origin not in here:
                search.unread.append(unread)
        found = (user for user in self.found if user.origin not in here)
        return Users(guid=self.guid, found=(*found, *search.found), unread=tuple(search.unread),
                     complete=self.complete)


@dataclass(slots=True)
class _Search:
    """A search under way; `seen` are the volumes and files that were looked at already."""

    guid: bytes
    host: Host
    found: list[User] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    seen: set[_Origin | None] = field(default_factory=set)
    complete: bool = True

    def fail(self, place: str, why: object, origin: _Origin | None) -> None:
        self.unread.append(Unread(place=place, why=str(why), origin=origin))

    def note(self, place: str, sources: Sequence[DataSource], origin: _Origin | None) -> None:
        mine = [source for source in sources if source.wim_guid == self.guid]
        if mine:
            self.found.append(User(place=place, source=mine[-1], origin=origin))


def users_of(guid: bytes, wim: Path, folders: Sequence[Path] = (), *, host: Host = HOST) -> Users:
    """The volumes that name the WIM with this GUID, wherever one can be found without being told.

    Changes nothing, and finishes no interrupted run: a volume that waits for that is among the unread.
    """
    search = _Search(guid=guid, host=host)
    for mount in mounts_of_ntfs(host):
        _look_through(mount, search)
    inside = parse_inside(real_path(wim))
    beside = real_path(wim).parent if inside is None else inside.volume.path.parent
    linked = [wim.absolute().parent] if inside is None else []
    for path in _files(list(dict.fromkeys([beside, *linked, *folders])), search):
        if _is_disk(path):
            _look_at(path, search)
    for path in attached_volumes(host):
        if _is_disk(path):
            _look_at(path, search)
    return Users(guid=guid, found=tuple(search.found), unread=tuple(search.unread), complete=search.complete)


def _files(folders: Sequence[Path], search: _Search) -> Iterator[Path]:
    """Regular files that could be disks, breadth first, links to folders not followed."""
    waiting = [(folder, 0) for folder in folders]
    count = 0
    while waiting:
        folder, depth = waiting.pop(0)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            count += 1
            if count > _MOST_FILES:
                search.complete = False
                return
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < _DEPTH:
                        waiting.append((folder / entry.name, depth + 1))
                elif entry.is_file() and _could_be(entry.stat().st_size):
                    yield folder / entry.name
            except OSError:
                continue


def _could_be(size: int) -> bool:
    return size >= _LEAST_SIZE and size % _SECTOR == 0


def _is_disk(path: Path) -> bool:
    """Whether it may hold NTFS volumes: of a disk in a form that is not raw its opener has to tell."""
    try:
        file = HostFile.open(path)
    except Error:
        return False
    try:
        table = read_table(file, where=str(path))
    except (NotADisk, FormatError):
        return False
    except Unsupported:
        return True
    except Error:
        return False
    finally:
        file.close()
    return not table.partitions or any(partition.ntfs for partition in table.partitions)


def _look_at(path: Path, search: _Search) -> None:
    """Each NTFS volume of a disk image or device."""
    origin = origin_of(path, 0, search.host)
    if origin in search.seen:
        return
    search.seen.add(origin)
    try:
        with open_target(parse_place(str(path)), write=False, host=search.host) as target:
            if peek(target.folder, target.log_name):
                raise LogWaits(where=str(path))
            search.seen.discard(origin)
            _look_at_volumes(target, search)
    except (NotADisk, BitLocker):
        return      # another file system, or one that nobody made pointers on as it is
    except Error as error:
        search.fail(str(path), error, origin)


def _look_at_volumes(target: Target, search: _Search) -> None:
    numbers = [partition.number for partition in target.partitions if partition.ntfs]
    for number in numbers if target.partitions else [None]:
        _look_into(target, number, search)


def _look_into(target: Target, number: int | None, search: _Search) -> None:
    place = str(target.path) if number is None else f"{target.path}#{number}"
    start, size = target.slice(number)
    origin = origin_of(target.path, start, search.host)
    if origin in search.seen:
        return
    search.seen.add(origin)
    try:
        with Volume(SliceDevice(target.disk, start, size), write=False, where=place,
                    inspect=True) as volume:
            sources = read_sources(lambda path: volume.read_path(path, MAX_FILE_SIZE))
    except Error as error:
        search.fail(place, error, origin)
        return
    search.note(place, sources.all, origin)


def _look_through(mount: Mount, search: _Search) -> None:
    """A mounted volume: what writes to it now is its driver, so it is asked."""
    source = Path(mount.source)
    origin = origin_of(source, 0, search.host)
    if origin is None or origin in search.seen or source.is_dir():
        return

    def read(path: str) -> bytes | None:
        file = mount.point.joinpath(*path.strip("\\").split("\\"))
        if not os.path.lexists(file):
            return None
        opened = HostFile.open(file)
        try:
            return opened.pread(0, MAX_FILE_SIZE)
        finally:
            opened.close()

    try:
        next(mount.point.iterdir(), None)
        sources = read_sources(read)
    except (OSError, Error) as error:
        if _is_dead(mount, search.host):
            return
        why = error.strerror if isinstance(error, OSError) else error
        search.fail(mount.source, f"it is mounted at {mount.point}: {why}", origin)
    else:
        search.note(mount.source, sources.all, origin)
    search.seen.add(origin)


def _is_dead(mount: Mount, host: Host) -> bool:
    """Whether the driver has ended, or the volume was unmounted meanwhile: then its source is looked at by itself."""
    try:
        mount.point.stat()
    except OSError as error:
        return error.errno == errno.ENOTCONN or mount not in mounts_of_ntfs(host)
    return mount not in mounts_of_ntfs(host)
