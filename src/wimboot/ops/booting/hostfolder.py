"""A system partition that the host has mounted (/boot/efi), or any folder with the files of one.

What is written is kept in memory and reaches the folder in `commit`:

 1. the room for all of it is looked up; missing folders are made
 2. each file is written under another name beside its place, and synced
 3. what was read is read again: where another program has written meanwhile, all is refused - a failure up to here
    leaves everything as it was; a crash leaves every file as it was, and leftovers, which the next `commit` of the same
    files removes
 4. each is renamed to its name, in the order in which they were written - a crash leaves the first ones new
 5. the folders are synced, then what is to go is removed - from here on all is new

One run at a time has the folder open for writing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.errors import Busy, HostError
from wimboot.formats.names import fold_text, join_path
from wimboot.ops.booting.partition import (
    READ_LIMIT,
    FileInTheWay,
    FileTooLarge,
    FolderInTheWay,
    PartitionFull,
    PartitionKind,
    SystemEntry,
    checked_parts,
)
from wimboot.storage import OutOfSpace, host_error
from wimboot.storage.durable import LEFTOVER_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from wimboot.events import Counter
    from wimboot.ops.booting.partition import PartitionId
    from wimboot.ops.options import Folders

__all__ = ["FolderChanged", "FolderPartition", "LinkInFolder"]

_GRAIN = 64 << 10
"""What a file takes where its file system does not tell: a cluster of FAT32 has up to 64 KiB."""


class FolderChanged(Busy):
    """Another program has written what this one read."""

    id = "system-folder-changed"
    sentence = "{path} of {where} is not as it was when it was read: another program writes there"
    advice = "Try again when that one is done. Nothing was changed."


class LinkInFolder(HostError):
    """A symbolic link inside the folder: what is behind it is not the partition."""

    id = "link-in-folder"
    sentence = "{where} has a symbolic link {path}, which is not followed"
    advice = "Name the folder in which the system partition itself is mounted."


@dataclass(slots=True)
class _Staged:
    """What a name is to be: a file with `data`, nothing (`gone`), or a folder."""

    parts: tuple[str, ...]
    data: bytes | None = None
    gone: bool = False


class FolderPartition:
    """Files below a folder of the host. `find_identity` says on which disk it lies, or why that cannot be told.

    `alone`: no other run writes there meanwhile, so what looks half-written is what a killed one left.
    """

    kind = PartitionKind.FOLDER

    def __init__(
        self, root: Path, where: str, folders: Folders, find_identity: Callable[[], tuple[PartitionId | None, str]],
        *, alone: bool = False
    ) -> None:
        self.where = where
        self._root = root
        self._folders = folders
        self._find_identity = find_identity
        self._found: tuple[PartitionId | None, str] | None = None
        self._staged: dict[tuple[str, ...], _Staged] = {}
        self._alone = alone
        self._seen: dict[tuple[str, ...], bytes | None] = {}
        """Hashes of the files that were read here, None for one that was not there."""

    @property
    def _known(self) -> tuple[PartitionId | None, str]:
        if self._found is None:
            self._found = self._find_identity()
        return self._found

    @property
    def identity(self) -> PartitionId | None:
        """What Windows knows the partition by that holds the folder."""
        return self._known[0]

    @property
    def why_unknown(self) -> str:
        """Why that is not known."""
        return self._known[1]

    @property
    def free_size(self) -> int:
        """Bytes free where the folder lies, less what waits to be written."""
        waiting = sum(self._rounded(len(one.data)) for one in self._staged.values() if one.data is not None)
        return max(0, self._folders(self._root).free_size() - waiting)

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        parts = checked_parts(path, self.where)
        return self._is_folder(parts) or self._size(parts) is not None

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._is_folder(checked_parts(path, self.where))

    def read(self, path: str) -> bytes | None:
        """The whole file."""
        parts = checked_parts(path, self.where)
        staged = self._staged.get(_key(parts))
        if staged is not None:
            return staged.data
        data = self._read_host(parts)
        self._seen.setdefault(parts, _hash(data))
        return data

    def _read_host(self, parts: tuple[str, ...]) -> bytes | None:
        """What the host has there, whatever is to be written. Raises FileTooLarge, LinkInFolder, HostError."""
        real = self._real(parts)
        if real is None or not real.is_file():
            return None
        file = self._folders(real.parent).open(real.name)
        try:
            size = file.size()
            if size > READ_LIMIT:
                raise FileTooLarge(path=join_path(parts), where=self.where, size=size)
            return file.pread(0, size)
        finally:
            file.close()

    def list(self, path: str = "") -> tuple[SystemEntry, ...]:
        """What is in a folder."""
        parts = checked_parts(path, self.where)
        real = self._real(parts)
        names = {fold_text(name): name for name in self._names(real)} if real is not None else {}
        for staged in self._staged.values():
            if len(staged.parts) > len(parts) and _key(staged.parts[:len(parts)]) == _key(parts):
                names.setdefault(fold_text(staged.parts[len(parts)]), staged.parts[len(parts)])
        entries = []
        for name in sorted(names.values()):
            inner = (*parts, name)
            size = self._size(inner)
            if size is not None or self._is_folder(inner):
                entries.append(SystemEntry(name=name, is_folder=size is None, size=size or 0))
        return tuple(entries)

    def make_folder(self, path: str) -> None:
        """Make it when all is committed."""
        parts = checked_parts(path, self.where)
        for depth in range(1, len(parts) + 1):
            if self._size(parts[:depth]) is not None:
                raise FileInTheWay(where=self.where, path=join_path(parts[:depth]))
        if parts and not self._is_folder(parts):
            self._staged[_key(parts)] = _Staged(parts)

    def write(self, path: str, data: bytes, *, attributes: int | None = None) -> None:
        """Write it when all is committed; the host keeps no attributes."""
        del attributes
        parts = checked_parts(path, self.where)
        if self._is_folder(parts):
            raise FolderInTheWay(where=self.where, path=path)
        self.require_room({path: len(data)})
        self.make_folder("\\".join(parts[:-1]))
        self._staged.pop(_key(parts), None)     # so that the last one written is the last one renamed
        self._staged[_key(parts)] = _Staged(parts, bytes(data))

    def remove(self, path: str) -> None:
        """Remove it when all is committed."""
        parts = checked_parts(path, self.where)
        if not parts or (self._is_folder(parts) and self.list(path)):
            raise FolderInTheWay(where=self.where, path=path)
        if self._is_folder(parts) or self._size(parts) is not None:
            self._staged.pop(_key(parts), None)
            self._staged[_key(parts)] = _Staged(parts, gone=True)

    def require_room(self, files: Mapping[str, int]) -> None:
        """The new files lie beside the old ones for a moment, so what is replaced gives no room."""
        needed, free = sum(map(self._rounded, files.values())), self.free_size
        if needed > free:
            raise PartitionFull(where=self.where, needed=needed, free=free)

    def commit(self, counter: Counter | None = None) -> None:
        """Write all of it. Raises FolderChanged, and nothing was written; PartitionFull and HostError, and the folder
        has its old files, all or the last ones.
        """
        files = [(self._target(staged.parts), staged.data) for staged in self._staged.values()
                 if staged.data is not None]
        made = [self._target(staged.parts) for staged in self._staged.values() if _is_new_folder(staged)]
        gone = [real for staged in self._staged.values() if staged.gone and (real := self._real(staged.parts))]
        written: dict[Path, str] = {}
        folders: list[Path] = []
        self._clear([path for path, _ in files])
        try:
            for folder in (*made, *(path.parent for path, _ in files)):
                for new in self._make(folder):
                    folders.append(new)     # at once: those made before one that fails go, too
            for path, data in files:
                written[path] = self._write_beside(path, data)
                if counter is not None:
                    counter.add(len(data))
            self._check_unchanged()
            for path, _ in files:
                self._folders(path.parent).replace(written[path], path.name)
                del written[path]
            for folder in dict.fromkeys(path.parent for path, _ in files):
                self._folders(folder).sync()
        except BaseException as error:
            for path, temporary in written.items():
                with contextlib.suppress(HostError):
                    self._folders(path.parent).remove(temporary)
            for folder in reversed(folders):
                with contextlib.suppress(OSError):      # what has a new file in it stays
                    folder.rmdir()
            if isinstance(error, OutOfSpace):
                needed = sum(len(data) for _, data in files)
                raise PartitionFull(where=self.where, needed=needed, free=self.free_size) from error
            raise
        for path in gone:
            self._remove(path)
        self._staged.clear()
        self._seen.clear()

    def _check_unchanged(self) -> None:
        """Raises FolderChanged."""
        for parts, seen in self._seen.items():
            if _hash(self._read_host(parts)) != seen:
                raise FolderChanged(where=self.where, path=join_path(parts))

    def _clear(self, paths: Iterable[Path]) -> None:
        """Remove what killed runs left beside these files."""
        for path in paths if self._alone else ():
            left = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}" + re.escape(LEFTOVER_SUFFIX))
            for name in filter(left.fullmatch, self._names(path.parent)):
                with contextlib.suppress(HostError):
                    self._folders(path.parent).remove(name)

    def _write_beside(self, path: Path, data: bytes) -> str:
        """Under which name, one that no other run takes."""
        folder, name = self._folders(path.parent), f"{path.name}.{secrets.token_hex(4)}{LEFTOVER_SUFFIX}"
        file = folder.create(name)
        try:
            file.pwrite(0, data)
            file.sync()
        except BaseException:
            with contextlib.suppress(HostError):
                folder.remove(name)
            raise
        finally:
            file.close()
        return name

    def _make(self, folder: Path) -> Iterator[Path]:
        """Make a folder and those above it, durably; each that was missing."""
        missing = []
        while folder != self._root and not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            try:
                path.mkdir()
            except OSError as error:
                raise host_error("creating", path, error) from error
            yield path
            self._folders(path.parent).sync()

    def _remove(self, path: Path) -> None:
        if not path.is_dir():
            self._folders(path.parent).remove(path.name)
        else:
            try:
                path.rmdir()
            except OSError as error:
                raise host_error("removing", path, error) from error
        self._folders(path.parent).sync()

    def _real(self, parts: tuple[str, ...]) -> Path | None:
        """Where that is on the host, in whatever case; None where it is not. Raises LinkInFolder."""
        here = self._root
        for depth, part in enumerate(parts, start=1):
            found = part if os.path.lexists(here / part) else next(
                (name for name in self._names(here) if fold_text(name) == fold_text(part)), None)
            if found is None:
                return None
            here /= found
            if here.is_symlink():
                raise LinkInFolder(where=self.where, path=join_path(parts[:depth]))
        return here

    def _target(self, parts: tuple[str, ...]) -> Path:
        """Where that is, or will be."""
        for depth in range(len(parts), -1, -1):
            real = self._real(parts[:depth])
            if real is not None:
                return real.joinpath(*parts[depth:])
        return self._root.joinpath(*parts)

    def _names(self, folder: Path) -> tuple[str, ...]:
        try:
            return tuple(sorted(entry.name for entry in folder.iterdir())) if folder.is_dir() else ()
        except OSError as error:
            raise host_error("listing", folder, error) from error

    def _rounded(self, size: int) -> int:
        """In whole clusters."""
        try:
            grain = os.statvfs(self._root).f_frsize or _GRAIN
        except OSError:
            grain = _GRAIN
        return -(-size // grain) * grain

    def _size(self, parts: tuple[str, ...]) -> int | None:
        """Of a file; None where there is none."""
        staged = self._staged.get(_key(parts))
        if staged is not None:
            return None if staged.data is None else len(staged.data)
        real = self._real(parts)
        if real is None or not real.is_file():
            return None
        try:
            return real.stat().st_size
        except OSError as error:
            raise host_error("looking at", real, error) from error

    def _is_folder(self, parts: tuple[str, ...]) -> bool:
        staged = self._staged.get(_key(parts))
        if staged is not None:
            return _is_new_folder(staged)
        if any(not staged.gone and _key(staged.parts[:len(parts)]) == _key(parts) for staged in self._staged.values()):
            return True
        real = self._real(parts)
        return real is not None and real.is_dir()


def _key(parts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold_text, parts))


def _hash(data: bytes | None) -> bytes | None:
    return None if data is None else hashlib.sha256(data).digest()


def _is_new_folder(staged: _Staged) -> bool:
    return staged.data is None and not staged.gone
