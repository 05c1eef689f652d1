"""A folder of a mounted volume and large files in it, as `storage.protocol` has them: where a WIM can lie and grow.

Nothing here is durable by itself: the transaction of the volume makes it so, all of it or nothing. So `sync` only puts
in order what the volume shows, and a rename needs no care.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Final, Protocol

from wimboot.errors import HostError
from wimboot.formats.filetime import from_unix_ns
from wimboot.formats.names import decode_name, encode_name, join_path
from wimboot.ntfs._filedata import FileData
from wimboot.ntfs._listing import list_folder
from wimboot.ntfs.refusals import LinkOnTheWay, NotAFile, NotAFolder
from wimboot.ntfs.volume import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wimboot.ntfs.volume import Volume
    from wimboot.storage import Data

__all__ = ["MountedVolume", "VolumeFile", "VolumeFolder"]

_ARCHIVE: Final = 0x20
_DIRECTORY: Final = 0x10
_MOST_NAMES: Final = 100_000


class MountedVolume(Protocol):
    """Gives the volume; it may be another object at each call, for a volume may have been unmounted meanwhile."""

    def for_reading(self) -> Volume:
        """The volume as it will be, nothing of it to be changed."""

    def for_writing(self) -> Volume:
        """The same, about to be changed."""

    def forget_cached(self, places: Iterable[tuple[int, int]]) -> None:
        """Make reads of these (byte on the volume, bytes) come from the disk, as far as the host lets us."""


class VolumeFile:
    """A plain file. Its size is kept here while it grows: on the volume it has room to spare until `sync`.

    Threads may read together while nobody writes to the volume.
    """

    reads_together: Final = True

    def __init__(self, mounted: MountedVolume, file_id: int, name: str) -> None:
        """Raises NotPlain, NotAFile, FileNotFound."""
        self._mounted = mounted
        self._file_id = file_id
        self.name = name
        self._volume: Volume | None = None
        self._data: FileData
        self._size = self._bound(mounted.for_reading()).size

    def _bound(self, volume: Volume) -> FileData:
        if self._volume is not volume:
            self._data = FileData(volume, self._file_id)
            self._volume = volume
        return self._data

    def pread(self, offset: int, size: int) -> bytes:
        there = max(0, min(size, self._size - offset))
        data = self._bound(self._mounted.for_reading()).read(offset, there)
        return data + bytes(there - len(data)) if len(data) < there else data

    def pwrite(self, offset: int, data: Data) -> None:
        size = memoryview(data).nbytes
        if size:    # nothing, written behind the end, moves no file's end
            self._bound(self._mounted.for_writing()).write(offset, data, from_unix_ns(time.time_ns()))
            self._size = max(self._size, offset + size)

    def truncate(self, size: int) -> None:
        self._bound(self._mounted.for_writing()).cut(size)
        self._size = size

    def sync(self) -> None:
        """Give back the room that was taken ahead."""
        if self._data.size != self._size:
            self._bound(self._mounted.for_writing()).cut(self._size)

    def size(self) -> int:
        return self._size

    def forget_cached(self) -> None:
        """Make the reads that follow come from the disk, as far as the host lets us."""
        self._mounted.forget_cached(self._bound(self._mounted.for_reading()).places())

    def close(self) -> None:
        """Nothing is held."""


class VolumeFolder:
    """The folder that `parts` lead to from the root. It need not be there; making a file makes it."""

    def __init__(self, mounted: MountedVolume, parts: Sequence[str], *, where: str, security: bytes) -> None:
        """`security` is the descriptor of what is made here; `where` names the folder in messages."""
        self._mounted = mounted
        self._parts = tuple(parts)
        self._security = security
        self.where = where

    def _path(self, name: str) -> str:
        return f"{self.where.rstrip('/')}/{name}"

    def _failed(self, what: str, name: str, code: int) -> HostError:
        return HostError(what=what, where=self._path(name), why=os.strerror(code), errno=code)

    def _folder(self, volume: Volume, *, make: bool = False) -> int | None:
        """Raises NotAFolder, LinkOnTheWay."""
        at = ROOT
        for depth, part in enumerate(self._parts, start=1):
            found = volume.lookup(at, encode_name(part))
            if found is None:
                if not make:
                    return None
                now = from_unix_ns(time.time_ns())
                found = volume.create_folder(at, encode_name(part), b"", _DIRECTORY, (now, now, now),
                                             volume.security_id(self._security))
            way = join_path(self._parts[:depth])
            if not volume.is_folder(found):
                raise NotAFolder(where=volume.where, file=way)
            if volume.reparse(found):
                raise LinkOnTheWay(where=volume.where, file=way)
            at = found
        return at

    def _find(self, volume: Volume, name: str) -> tuple[int, int | None]:
        """The folder (0 where it is missing), and the file in it."""
        folder = self._folder(volume)
        return folder or 0, None if folder is None else volume.lookup(folder, encode_name(name))

    def open(self, name: str, *, write: bool = False) -> VolumeFile:  # noqa: ARG002 - the volume's mount decides
        """Raises HostError where it is missing, NotAFile, NotPlain where it is compressed, a pointer, ..."""
        volume = self._mounted.for_reading()
        _, file = self._find(volume, name)
        if file is None:
            raise self._failed("opening", name, errno.ENOENT)
        if volume.is_folder(file):
            raise NotAFile(where=volume.where, file=join_path((*self._parts, name)))
        return VolumeFile(self._mounted, file, self._path(name))

    def create(self, name: str) -> VolumeFile:
        """A new file; the folders on the way to it are made too. Raises HostError where the name exists."""
        volume = self._mounted.for_writing()
        folder = self._folder(volume, make=True) or ROOT
        if volume.lookup(folder, encode_name(name)) is not None:
            raise self._failed("creating", name, errno.EEXIST)
        now = from_unix_ns(time.time_ns())
        file = volume.create_file(folder, encode_name(name), b"", _ARCHIVE, (now, now, now),
                                  volume.security_id(self._security))
        return VolumeFile(self._mounted, file, self._path(name))

    def replace(self, old: str, new: str) -> None:
        volume = self._mounted.for_writing()
        folder, file = self._find(volume, old)
        if file is None:
            raise self._failed("renaming", old, errno.ENOENT)
        if volume.lookup(folder, encode_name(new)) not in (None, file):
            self.remove(new)
        volume.rename(file, folder, self._spelled(volume, folder, file, old), folder, encode_name(new))

    def rename_new(self, old: str, new: str) -> None:
        if self.exists(new):
            raise self._failed("renaming", old, errno.EEXIST)
        self.replace(old, new)

    def remove(self, name: str) -> None:
        volume = self._mounted.for_writing()
        folder, file = self._find(volume, name)
        if file is None:
            raise self._failed("removing", name, errno.ENOENT)
        volume.unlink(file, folder, self._spelled(volume, folder, file, name))

    def _spelled(self, volume: Volume, folder: int, file: int, name: str) -> bytes:
        """A name as the folder has it: other programs may have written it in another case."""
        wanted = encode_name(name)
        names = [entry for entry, found in list_folder(volume, folder, _MOST_NAMES)[0] if found == file]
        alike = [entry for entry in names if decode_name(entry).casefold() == name.casefold()]
        return wanted if wanted in names or not alike else alike[0]

    def exists(self, name: str) -> bool:
        return self._find(self._mounted.for_reading(), name)[1] is not None

    def names(self) -> list[str]:
        """The names in the folder; none where there is no such folder."""
        volume = self._mounted.for_reading()
        folder = self._folder(volume)
        return [] if folder is None else [decode_name(name) for name, _ in list_folder(volume, folder, _MOST_NAMES)[0]]

    def free_size(self) -> int:
        volume = self._mounted.for_reading()
        return volume.free_clusters * volume.cluster_size

    def sync(self) -> None:
        """The transaction does that."""
