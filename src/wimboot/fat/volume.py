r"""A FAT volume: files and folders by path, `\EFI\Microsoft\Boot\BCD`, either slash, in whatever case.

What is written goes to the device at once, the FATs and FSInfo with `flush`. Nothing here outlives a power cut by
itself: the device is that of a transaction, which makes all of it durable or nothing. So a file is replaced in its own
clusters, and a change that fails half-way leaves a volume that is only good to be given up.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self

from wimboot.errors import FormatError
from wimboot.fat.check import check_volume
from wimboot.fat.folder import dot_entries
from wimboot.fat.ground import Ground
from wimboot.fat.refusals import (
    FatClosed,
    FatDirty,
    FatFileTooLarge,
    FatFolderNotEmpty,
    FatFull,
    FatNameNotPossible,
    FatNotAFile,
    FatNotAFolder,
    FatReadOnly,
    FatTooLarge,
)
from wimboot.fat.table import extents
from wimboot.formats.fatboot import FsInfo
from wimboot.formats.fatdir import DirEntry, DosAttribute, dos_time
from wimboot.formats.fatname import fat_name_problem
from wimboot.formats.names import join_path, split_path
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType

    from wimboot.fat.folder import Folder
    from wimboot.storage import Device, File

__all__ = ["FatEntry", "FatVolume"]

_NEEDS_CHECK: Final = 3
_MOST_CLUSTERS: Final = 1 << 24
_MOST_SIZE: Final = 0xFFFF_FFFF
_SETTABLE: Final = DosAttribute.READ_ONLY | DosAttribute.HIDDEN | DosAttribute.SYSTEM | DosAttribute.ARCHIVE


class FatEntry(Frozen):
    """One name in a folder; `size` 0 for a folder."""

    name: str
    is_folder: bool
    size: int
    attributes: int


def _local_now() -> datetime:
    return datetime.now().astimezone()


class FatVolume:
    """A volume, opened with every check that has to come before it is touched. One thread owns it.

    Opening raises NotFat, ExFat, FatDamaged, HostError, and, to write, FatDirty and FatTooLarge. `now` gives the local
    time for what is written. Leaving it as a context manager writes what is left, unless an error leaves it.
    """

    def __init__(
        self, device: Device | File, *, write: bool = False, where: str = "the volume",
        now: Callable[[], datetime] = _local_now,
    ) -> None:
        self.where = where
        self._ground = Ground(device, where)
        self.boot = self._ground.boot
        self._now = now
        self._writable = write
        self._torn = False
        self.dirty = bool(self.boot.state & _NEEDS_CHECK) or self._ground.fat.is_dirty
        self._checked_whole = False
        if write:
            self._check_whole()

    def _check_whole(self) -> None:
        """See that it can be written to. Raises FatDirty, FatTooLarge, FatDamaged."""
        if self._checked_whole:
            return
        if self.dirty:
            raise FatDirty(where=self.where)
        if self.boot.cluster_count > _MOST_CLUSTERS:
            raise FatTooLarge(where=self.where, clusters=self.boot.cluster_count)
        self._ground.fat.count_free()
        check_volume(self._ground.device, self.boot, self._ground.fat, self.where)
        self._checked_whole = True

    @property
    def free_size(self) -> int:
        """Bytes of free clusters; of a volume that is only read they are counted now."""
        if not self._checked_whole:
            self._ground.fat.count_free(compare=False)
        return self._ground.fat.free_clusters * self.boot.cluster_size

    @property
    def dirty_marks(self) -> tuple[tuple[int, bytes], ...]:
        """What to hold where while a transaction copies its pages: it says that the volume was not unmounted."""
        state = bytes([self.boot.state | 1])
        return (self.boot.state_offset, state), *self._ground.fat.dirty_marks()

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return self.is_folder(path) or self._ground.find(path) is not None

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder; the root is one."""
        return self._ground.folder(split_path(path)) is not None

    def size(self, path: str) -> int | None:
        """Of a file; None where there is none."""
        listed = self._ground.find(path)
        return None if listed is None or listed.entry.is_folder else listed.entry.size

    def read(self, path: str, limit: int = 256 << 20) -> bytes | None:
        """The whole file; None where there is none. Raises FatFileTooLarge beyond `limit`, FatDamaged."""
        listed = self._ground.find(path)
        if listed is None or listed.entry.is_folder:
            return None
        size = listed.entry.size
        if size > limit:
            raise FatFileTooLarge(where=self.where, path=path, size=size)
        return self._ground.read(self._ground.clusters(listed, path), size)

    def list(self, path: str = "") -> tuple[FatEntry, ...]:
        """What is in a folder, as it stands there; nothing where there is no such folder."""
        folder = self._ground.folder(split_path(path))
        if folder is None:
            return ()
        return tuple(FatEntry(name=listed.name, is_folder=listed.entry.is_folder, attributes=listed.entry.attributes,
                              size=0 if listed.entry.is_folder else listed.entry.size) for listed in folder)

    def make_folder(self, path: str) -> None:
        """Make it and those on the way to it, as far as they are missing. Raises FatNotAFolder, FatFull, FatRootFull,
        FatNameNotPossible.
        """
        parts = self._checked(path)
        self._require(self._ground.room_for({}, (path,)))
        self._make(parts)

    def write(self, path: str, data: bytes, *, attributes: int | None = None) -> None:
        """Make a file, and the folders on the way to it, or replace its content.

        `attributes` None: those that it has, else archive. Raises FatNotAFolder, FatNotAFile, FatFull, FatRootFull,
        FatNameNotPossible, FatFileTooLarge; the room is looked up before anything is written.
        """
        parts = self._checked(path)
        if not parts:
            raise FatNotAFile(where=self.where, path="\\")
        if len(data) > _MOST_SIZE:
            raise FatFileTooLarge(where=self.where, path=path, size=len(data))
        self.require_room({path: len(data)})
        folder = self._make(parts[:-1])
        listed = folder.find(parts[-1])
        if listed is not None and listed.entry.is_folder:
            raise FatNotAFile(where=self.where, path=path)
        with self._changing():
            clusters = self._ground.fill(self._ground.clusters(listed, path), data)
            entry = self._dated(listed.entry if listed is not None else None)
            kept = DosAttribute.ARCHIVE if listed is None else entry.attributes
            entry = replace(entry, cluster=clusters[0] if clusters else 0, size=len(data),
                            attributes=int(kept if attributes is None else attributes & _SETTABLE))
            if listed is None:
                folder.add(parts[-1], entry)
            else:
                folder.change(listed, entry)

    def remove(self, path: str) -> None:
        """Remove a file or an empty folder; nothing where there is none. Raises FatFolderNotEmpty."""
        parts = self._checked(path)
        parent = self._ground.folder(parts[:-1]) if parts else None
        listed = None if parent is None else parent.find(parts[-1])
        if parent is None or listed is None:
            if not parts:
                raise FatFolderNotEmpty(where=self.where, path="\\")
            return
        if listed.entry.is_folder:
            folder = self._ground.inner(listed, parts)
            if next(iter(folder), None) is not None:
                raise FatFolderNotEmpty(where=self.where, path=path)
            self._ground.forget(folder)
            clusters = folder.clusters
        else:
            clusters = self._ground.clusters(listed, path)
        with self._changing():
            parent.drop(listed)
            self._ground.fat.cut(clusters, 0)

    def require_room(self, files: Mapping[str, int]) -> None:
        """See that files of these sizes could be written at these paths, replacing what is there.

        A volume that is only read is looked at as one that is to be written. Raises FatFull, FatRootFull, FatDirty,
        FatTooLarge, FatDamaged, FatNameNotPossible.
        """
        self._check_whole()
        for path in files:
            _checked_names(path)
        self._require(self._ground.room_for(files))

    def _require(self, needed: int) -> None:
        """See that there are so many free clusters. Raises FatFull."""
        if needed > self._ground.fat.free_clusters:
            size = self.boot.cluster_size
            raise FatFull(where=self.where, needed=needed * size, free=self._ground.fat.free_clusters * size)

    def flush(self) -> None:
        """Hand the device what is left: the FATs and FSInfo."""
        self._check_writable()
        with self._changing():
            self._ground.fat.flush()
            sector = self.boot.fsinfo_sector
            if sector is not None:
                self._write_fsinfo(sector)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        if error is None and self._writable:
            self.flush()

    def _check_writable(self) -> None:
        if not self._writable:
            raise FatReadOnly(where=self.where)
        if self._torn:
            raise FatClosed(where=self.where)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """What fails in here leaves the volume half-changed."""
        self._check_writable()
        self._torn = True
        yield
        self._torn = False

    def _checked(self, path: str) -> tuple[str, ...]:
        self._check_writable()
        return _checked_names(path)

    def _make(self, parts: tuple[str, ...]) -> Folder:
        """The folder, made where it is missing."""
        folder = self._ground.root()
        for depth, part in enumerate(parts, start=1):
            path = join_path(parts[:depth])
            listed = folder.find(part)
            if listed is None:
                folder = self._make_in(folder, part, path, is_top=depth == 1)
            elif listed.entry.is_folder:
                folder = self._ground.inner(listed, parts[:depth])
            else:
                raise FatNotAFolder(where=self.where, path=path)
        return folder

    def _make_in(self, parent: Folder, name: str, path: str, *, is_top: bool) -> Folder:
        with self._changing():
            (cluster,) = self._ground.fat.extend([], 1)
            entry = replace(self._dated(None), cluster=cluster, attributes=DosAttribute.FOLDER)
            dots = dot_entries(cluster, 0 if is_top else parent.first, entry)
            ((offset, size),) = extents(self.boot, [cluster])
            self._ground.device.pwrite(offset, dots.ljust(size, b"\0"))
            parent.add(name, entry)
        return self._ground.open(cluster, path)

    def _dated(self, entry: DirEntry | None) -> DirEntry:
        """An entry that is written now, or made now."""
        day, time, hundredths = dos_time(self._now())
        if entry is None:
            entry = DirEntry(name=bytes(11), attributes=0, created=time, created_day=day, created_10ms=hundredths)
        return replace(entry, written=time, written_day=day, accessed_day=day)

    def _write_fsinfo(self, sector: int) -> None:
        """Tell what is free, where there is such a sector that is sound; systems that read it check its marks too."""
        offset = sector * self.boot.sector_size
        try:
            old = FsInfo.parse(self._ground.device.pread(offset, FsInfo.SIZE))
        except FormatError:
            return
        new = replace(old, free_clusters=self._ground.fat.free_clusters, next_free=self._ground.fat.next_free)
        if new != old:
            self._ground.device.pwrite(offset, new.pack())


def _checked_names(path: str) -> tuple[str, ...]:
    """The names on the way to a path. Raises FatNameNotPossible."""
    parts = split_path(path)
    for part in parts:
        why = fat_name_problem(part)
        if why:
            raise FatNameNotPossible(name=part, why=why)
    return parts
