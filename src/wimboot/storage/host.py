"""Files and folders of the host's own file system."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.errors import HostError, Refused, UsageError

if TYPE_CHECKING:
    from wimboot.storage.protocol import Data

__all__ = ["HostFile", "HostFolder", "HostMissing", "HostNotUsable", "OutOfSpace", "host_error", "read_start",
           "resolved"]

_CIRCLE: Final = "its symbolic links lead in a circle"
_NOT_USABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR,
                                errno.ENOTDIR, errno.ENAMETOOLONG})


class OutOfSpace(Refused, HostError):
    """The disk below is full, as the host says in the middle of the work."""

    id = "no-space"
    sentence = "{what} {where} failed: the disk is full"
    advice = "Free some space there, or name another place; everything is as it was before."


class HostMissing(UsageError, HostError):
    """A file or folder that was named and is not there: the command is wrong, and the host says so."""

    id = "host-missing"
    sentence = "{missing} does not exist"
    advice = "Look at how it is spelled; what is named has to be there beforehand."


class HostNotUsable(HostError):
    """A place that this user may not use, or nobody can."""

    id = "host-not-usable"
    advice = "Name another place, or let this one be used: see its permissions, and those of the folders above it."


def host_error(what: str, where: Path | str, error: OSError) -> HostError:
    """The error that says what the host refused, "reading" or "opening", and where."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutOfSpace(what=what, where=str(where))
    why = error.strerror or str(error)
    if error.errno == errno.ENOENT:
        return HostMissing(what=what, where=str(where), missing=_missing(Path(where)), why=why, errno=error.errno)
    kind = HostNotUsable if error.errno in _NOT_USABLE else HostError
    return kind(what=what, where=str(where), why=why, errno=error.errno)


def _missing(path: Path) -> Path:
    """What of a path it is that is not there: the folder that it would lie in, or itself."""
    try:
        return path if path.parent.is_dir() else path.parent
    except OSError:
        return path


def resolved(path: Path, where: str) -> Path:
    """A path of the host with its symbolic links followed, as far as it exists. Raises HostError where they lead in a
    circle, which `Path.resolve` tells up to Python 3.12 only.
    """
    try:
        return path.resolve(strict=True)
    except RuntimeError as error:
        raise HostError(what="opening", where=where, why=_CIRCLE) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise HostError(what="opening", where=where, why=_CIRCLE) from error
        return path.resolve()


def read_start(path: Path, size: int) -> bytes:
    """The first bytes of a file of the host, up to `size`. Raises HostError."""
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise host_error("reading", path, error) from error


class HostFile:
    """A regular file or block device. The C layer takes the fast way through `fileno`."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self.name = name

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> HostFile:
        """Open what exists. Raises HostError."""
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC
        try:
            return cls(os.open(path, flags), str(path))
        except OSError as error:
            raise host_error("opening", path, error) from error

    def fileno(self) -> int:
        return self._descriptor

    def pread(self, offset: int, size: int) -> bytes:
        parts: list[bytes] = []
        try:
            while size > 0 and (part := os.pread(self._descriptor, size, offset)):
                parts.append(part)
                offset += len(part)
                size -= len(part)
        except OSError as error:
            raise host_error("reading", self.name, error) from error
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pwrite(self, offset: int, data: Data) -> None:
        view = memoryview(data).cast("B")
        try:
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                offset += written
                view = view[written:]
        except OSError as error:
            raise host_error("writing", self.name, error) from error

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise host_error("resizing", self.name, error) from error

    def sync(self) -> None:
        try:
            # what is needed to read the bytes again becomes durable; when the file was written need not
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise host_error("syncing", self.name, error) from error

    def size(self) -> int:
        try:
            if stat.S_ISBLK(os.fstat(self._descriptor).st_mode):
                return os.lseek(self._descriptor, 0, os.SEEK_END)
            return os.fstat(self._descriptor).st_size
        except OSError as error:
            raise host_error("sizing", self.name, error) from error

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class HostFolder:
    """A directory of the host."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, name: str, *, write: bool = False) -> HostFile:
        return HostFile.open(self.path / name, write=write)

    def create(self, name: str) -> HostFile:
        path = self.path / name
        try:
            return HostFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), str(path))
        except OSError as error:
            raise host_error("creating", path, error) from error

    def replace(self, old: str, new: str) -> None:
        try:
            (self.path / old).replace(self.path / new)
        except OSError as error:
            raise host_error("renaming", self.path / old, error) from error

    def rename_new(self, old: str, new: str) -> None:
        from wimboot.storage.newname import rename_new  # brings ctypes along, which few runs need

        try:
            rename_new(self.path / old, self.path / new)
        except OSError as error:
            raise host_error("renaming", self.path / old, error) from error

    def remove(self, name: str) -> None:
        try:
            (self.path / name).unlink()
        except OSError as error:
            raise host_error("removing", self.path / name, error) from error

    def exists(self, name: str) -> bool:
        return os.path.lexists(self.path / name)

    def free_size(self) -> int:
        try:
            state = os.statvfs(self.path)
        except OSError as error:
            raise host_error("looking at", self.path, error) from error
        return state.f_bavail * state.f_frsize

    def sync(self) -> None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise host_error("syncing", self.path, error) from error
