"""A folder whose files need not outlive a power cut: what is built in it is read back in the same run, and removed.

`sync` does nothing, so that much of it never reaches the disk at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wimboot.storage.protocol import Data, File, Folder

__all__ = ["FleetingFolder"]


class _FleetingFile:
    """A file of it. The C layer takes the fast way through `fileno`, where there is one."""

    def __init__(self, file: File) -> None:
        self._file = file
        fileno = getattr(file, "fileno", None)
        if fileno is not None:
            self.fileno = fileno
        self.name = getattr(file, "name", "a file")

    def pread(self, offset: int, size: int) -> bytes:
        return self._file.pread(offset, size)

    def pwrite(self, offset: int, data: Data) -> None:
        self._file.pwrite(offset, data)

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def sync(self) -> None:
        pass

    def size(self) -> int:
        return self._file.size()

    def close(self) -> None:
        self._file.close()


class FleetingFolder:
    """The same directory as `folder`."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def open(self, name: str, *, write: bool = False) -> File:
        return _FleetingFile(self._folder.open(name, write=write))

    def create(self, name: str) -> File:
        return _FleetingFile(self._folder.create(name))

    def replace(self, old: str, new: str) -> None:
        self._folder.replace(old, new)

    def rename_new(self, old: str, new: str) -> None:
        self._folder.rename_new(old, new)

    def remove(self, name: str) -> None:
        self._folder.remove(name)

    def exists(self, name: str) -> bool:
        return self._folder.exists(name)

    def free_size(self) -> int:
        return self._folder.free_size()

    def sync(self) -> None:
        pass
