"""Making files and folders of the host inside one folder, whatever names and links somebody hostile gave.

Every step goes from an open folder to a name in it and follows no link there, so nothing is ever made outside. A file
has another name until it is whole; then it takes its own, which must not be there yet unless it may be replaced:

 1. its bytes are written under a name that begins with `.wimboot-` - a crash here leaves that, and nothing else
 2. times are set, and it takes its name: from here on it is whole

It is not synced: what was extracted can be extracted again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING, Self

from wimboot.errors import Refused
from wimboot.storage.host import host_error

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from wimboot.storage.protocol import Data

__all__ = ["AlreadyThere", "HostPlanter", "NewFile"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ZEROS = bytes(64 << 10)
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EMLINK})
"""What a file system without hard links answers."""


class AlreadyThere(Refused):
    """A file would be overwritten."""

    id = "already-there"
    sentence = "{where} is there already"
    advice = "Name another place, or let it be replaced with --force."


class HostPlanter:
    """One open folder. Names are single components, as bytes. A context manager."""

    def __init__(self, descriptor: int, where: str) -> None:
        self._descriptor = descriptor
        self.where = where

    @classmethod
    def open(cls, path: Path) -> HostPlanter:
        """The folder at a path that the user gave, links in it followed. Raises HostError."""
        try:
            return cls(os.open(path, _FOLDER), str(path))
        except OSError as error:
            raise host_error("opening", path, error) from error

    def _shown(self, name: bytes) -> str:
        return f"{self.where}/{name.decode('utf-8', 'backslashreplace')}"

    def folder(self, name: bytes) -> HostPlanter:
        """The folder of that name, made where there is none. Raises HostError where it is something else."""
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o777, dir_fd=self._descriptor)
            return HostPlanter(os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self._descriptor), self._shown(name))
        except OSError as error:
            raise host_error("making the folder", self._shown(name), error) from error

    def exists(self, name: bytes) -> bool:
        """Whether there is anything of that name."""
        try:
            os.stat(name, dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise host_error("looking at", self._shown(name), error) from error
        return True

    def file(self, name: bytes, *, replace: bool) -> NewFile:
        """A new file, which takes its name when it is finished. Raises AlreadyThere, HostError."""
        if not replace and self.exists(name):
            raise AlreadyThere(where=self._shown(name))
        return NewFile(self._descriptor, name, self._shown(name), replace=replace)

    def link(self, name: bytes, target: bytes, *, replace: bool) -> None:
        """A symbolic link. Raises AlreadyThere, HostError."""
        if not replace and self.exists(name):
            raise AlreadyThere(where=self._shown(name))
        temporary = _temporary()
        try:
            os.symlink(target, temporary, dir_fd=self._descriptor)
            _take_name(self._descriptor, temporary, name, replace=True)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=self._descriptor)
            raise host_error("making the link", self._shown(name), error) from error

    def set_times(self, accessed_ns: int, modified_ns: int) -> None:
        """Of the folder itself; a host that cannot store them keeps its own."""
        with contextlib.suppress(OSError, OverflowError):
            os.utime(self._descriptor, ns=(accessed_ns, modified_ns))

    def close(self) -> None:
        """A second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class NewFile:
    """A file that is being written. Leaving its context without `finish` removes it."""

    def __init__(self, folder: int, name: bytes, where: str, *, replace: bool) -> None:
        self._folder = folder
        self._name = name
        self._where = where
        self._replace = replace
        self._size = 0
        self._temporary = _temporary()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._temporary, flags, 0o666, dir_fd=folder)
        except OSError as error:
            raise host_error("creating", where, error) from error

    def write(self, data: Data, *, holes: bool = False) -> None:
        """More bytes; with `holes`, stretches of zeros take no room. Raises HostError."""
        view = memoryview(data).cast("B")
        try:
            if not holes:
                self._append(view)
                return
            for start in range(0, len(view), len(_ZEROS)):
                part = view[start:start + len(_ZEROS)]
                if part == _ZEROS[:len(part)]:
                    os.lseek(self._descriptor, len(part), os.SEEK_CUR)
                    self._size += len(part)
                else:
                    self._append(part)
        except OSError as error:
            raise host_error("writing", self._where, error) from error

    def _append(self, view: memoryview) -> None:
        while view:
            written = os.write(self._descriptor, view)
            self._size += written
            view = view[written:]

    def finish(self, accessed_ns: int, modified_ns: int) -> None:
        """Give it its times and its name. Raises AlreadyThere, HostError."""
        try:
            os.ftruncate(self._descriptor, self._size)
            with contextlib.suppress(OverflowError):
                os.utime(self._descriptor, ns=(accessed_ns, modified_ns))
            _take_name(self._folder, self._temporary, self._name, replace=self._replace)
        except FileExistsError as error:
            raise AlreadyThere(where=self._where) from error
        except OSError as error:
            raise host_error("writing", self._where, error) from error
        self._temporary = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        os.close(self._descriptor)
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)


def _temporary() -> bytes:
    return b".wimboot-" + secrets.token_hex(8).encode()


def _take_name(folder: int, temporary: bytes, name: bytes, *, replace: bool) -> None:
    """Rename; without `replace` in a way that fails where somebody has made that name meanwhile."""
    if not replace:
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            os.unlink(temporary, dir_fd=folder)
            return
    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
