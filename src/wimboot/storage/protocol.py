"""The one byte protocol. Everything that holds bytes speaks it: a host file, a slice, a transaction, a test's wrapper.

`File` is bytes; `Folder` is where files are made, replaced and removed durably. Whatever wraps these two sees every
byte that reaches a disk, and the order in which it does: recording, faults and torture are wrappers.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

__all__ = ["Data", "File", "Folder"]

Data: TypeAlias = bytes | bytearray | memoryview
"""What can be written: anything with bytes in a row."""


@runtime_checkable
class File(Protocol):
    """Random access bytes. Offsets and sizes are in bytes, never negative."""

    def pread(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`; fewer only where the file ends. Raises HostError."""
        ...

    def pwrite(self, offset: int, data: Data) -> None:
        """Write all of `data` at `offset`, growing the file where its kind can grow. Raises HostError."""
        ...

    def truncate(self, size: int) -> None:
        """Make the file `size` bytes long; what is added reads as zeros. Raises HostError."""
        ...

    def sync(self) -> None:
        """Return when everything written so far is durable. A failure is final: never retried. Raises HostError."""
        ...

    def size(self) -> int:
        """The present size."""
        ...

    def close(self) -> None:
        """Give the handle back; a second call does nothing. Does not sync."""
        ...


class Folder(Protocol):
    """A directory of Files. Names are single components; a change is durable only after `sync`."""

    def open(self, name: str, *, write: bool = False) -> File:
        """An existing file. Raises HostError."""
        ...

    def create(self, name: str) -> File:
        """A new empty file, open for writing. Raises HostError where the name exists."""
        ...

    def replace(self, old: str, new: str) -> None:
        """Rename `old` to `new`, over whatever `new` was, atomically. Raises HostError."""
        ...

    def rename_new(self, old: str, new: str) -> None:
        """Rename `old` to `new`, atomically. Raises HostError, of EEXIST where there is something by that name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a name. Raises HostError."""
        ...

    def exists(self, name: str) -> bool:
        """Whether the name exists."""
        ...

    def free_size(self) -> int:
        """Bytes that can still be written here."""
        ...

    def sync(self) -> None:
        """Return when creations, renames and removals so far are durable. Raises HostError."""
        ...
