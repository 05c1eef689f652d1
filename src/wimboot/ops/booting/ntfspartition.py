"""A system partition that is an NTFS volume, the one with the Windows on it or another, inside its disk's transaction.

What is made has the security descriptor of system files that only administrators change; what is replaced keeps its
own. Other writers of the same volume (the verb that looks at its Windows) may unmount it in between.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from wimboot.formats.fatname import plain_short, short_text
from wimboot.formats.filetime import from_unix_ns
from wimboot.formats.names import decode_name, encode_name, fold_text, join_path
from wimboot.ntfs import list_folder
from wimboot.ntfs.folder import VolumeFile
from wimboot.ntfs.refusals import LinkOnTheWay, NotPlain, VolumeFull
from wimboot.ntfs.volume import ROOT
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
from wimboot.ops.opening.storing import commit
from wimboot.ops.opening.volume import refuse_dirty
from wimboot.tree import FileAttribute
from wimboot.windows.security import ADMINISTRATORS_ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wimboot.events import Counter
    from wimboot.ntfs import Volume
    from wimboot.ops.booting.partition import PartitionId
    from wimboot.ops.opening.volume import Opened

__all__ = ["NtfsPartition"]

_MOST_NAMES: Final = 100_000
_SETTABLE: Final = (FileAttribute.READONLY | FileAttribute.HIDDEN | FileAttribute.SYSTEM | FileAttribute.ARCHIVE)
_PER_NAME: Final = 8 << 10
"""Room for a new name at most: a file record, and a block of a folder's index that gets split."""


class NtfsPartition:
    """The files of an open NTFS volume."""

    kind = PartitionKind.NTFS

    def __init__(self, opened: Opened, identity: tuple[PartitionId | None, str]) -> None:
        self.where = opened.where
        self.identity, self.why_unknown = identity
        self._opened = opened
        self._slot = opened.slot

    @property
    def free_size(self) -> int:
        """Bytes of free clusters."""
        return self._opened.free_size

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return self._find(checked_parts(path, self.where)) is not None

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        found = self._find(checked_parts(path, self.where))
        return found is not None and self._volume.is_folder(found)

    def read(self, path: str) -> bytes | None:
        """The whole file. Raises PointerUnread for one whose content lies in a WIM."""
        found = self._find(checked_parts(path, self.where))
        if found is None or self._volume.is_folder(found):
            return None
        data = self._volume.read(found, b"", 0, READ_LIMIT + 1)
        if len(data) > READ_LIMIT:
            raise FileTooLarge(where=self.where, path=path, size=len(data))
        return data

    def list(self, path: str = "") -> tuple[SystemEntry, ...]:
        """What is in a folder, the file system's own files left out."""
        parts = checked_parts(path, self.where)
        found = self._find(parts)
        if found is None or not self._volume.is_folder(found):
            return ()
        entries: dict[int, SystemEntry] = {}
        for raw, file in list_folder(self._volume, found, _MOST_NAMES)[0]:
            name = decode_name(raw)
            if name == "." or (not parts and name.startswith("$")):
                continue
            is_folder = self._volume.is_folder(file)
            entries[file] = SystemEntry(name=name, is_folder=is_folder, size=0 if is_folder else self._size(file, name))
        return tuple(sorted(entries.values(), key=lambda entry: entry.name))

    def make_folder(self, path: str) -> None:
        """Make it and those on the way to it."""
        try:
            self._make(checked_parts(path, self.where))
        except VolumeFull as error:
            self._full(_PER_NAME, error)

    def write(self, path: str, data: bytes, *, attributes: int | None = None) -> None:
        """Make a file or replace its content; a pointer becomes an ordinary file."""
        parts = checked_parts(path, self.where)
        if not parts:
            raise FolderInTheWay(where=self.where, path="\\")
        self.require_room({path: len(data)})
        volume = self._slot.for_writing()
        try:
            folder = self._make(parts[:-1])
            file = volume.lookup(folder, encode_name(parts[-1]))
            if file is not None and volume.is_folder(file):
                raise FolderInTheWay(where=self.where, path=path)
            if file is None:
                file = volume.create_file(folder, *_names(parts[-1]), FileAttribute.ARCHIVE, _now(),
                                          volume.security_id(ADMINISTRATORS_ONLY))
            volume.write_data(file, b"", iter((data,)), len(data))
            if attributes is not None:
                volume.set_attributes(file, attributes & _SETTABLE)
        except VolumeFull as error:
            self._full(len(data), error)

    def remove(self, path: str) -> None:
        """Remove a file or an empty folder."""
        parts = checked_parts(path, self.where)
        if not parts:
            raise FolderInTheWay(where=self.where, path="\\")
        folder = self._find(parts[:-1])
        if folder is None or self._find(parts) is None:
            return
        volume = self._slot.for_writing()
        name, file = self._spelled(volume, folder, parts[-1])
        if not volume.is_folder(file):
            volume.unlink(file, folder, name)
        elif self.list(path):
            raise FolderInTheWay(where=self.where, path=path)
        else:
            volume.remove_folder(file, folder, name)

    def require_room(self, files: Mapping[str, int]) -> None:
        """With room for names and records; what a file that is replaced has already is counted for it."""
        if self._opened.transaction is None and self._opened.facts.dirty:
            refuse_dirty(self._opened)      # as whoever writes would be
        cluster = self._opened.facts.cluster_size
        needed = 0
        for path, size in files.items():
            parts = checked_parts(path, self.where)
            file = self._find(parts)
            if file is None:
                needed += _PER_NAME * len(parts) + -(-size // cluster) * cluster
            elif not self._volume.is_folder(file):
                needed += max(0, -(-size // cluster) * cluster - self._size(file, path) // cluster * cluster)
        if needed > self.free_size:
            raise PartitionFull(where=self.where, needed=needed, free=self.free_size)

    def commit(self, counter: Counter | None = None) -> None:
        """Commit the whole disk."""
        commit(self._opened.writing, None, Path(), counter)

    @property
    def _volume(self) -> Volume:
        return self._slot.for_reading()

    def _find(self, parts: tuple[str, ...]) -> int | None:
        """The file at a path. Raises LinkOnTheWay."""
        volume, at = self._volume, ROOT
        for depth, part in enumerate(parts, start=1):
            found = volume.lookup(at, encode_name(part)) if volume.is_folder(at) else None
            if found is None:
                return None
            if volume.is_folder(found) and volume.reparse(found):
                raise LinkOnTheWay(where=self.where, file=join_path(parts[:depth]))
            at = found
        return at

    def _make(self, parts: tuple[str, ...]) -> int:
        """The folder, made where it is missing."""
        volume, at = self._slot.for_writing(), ROOT
        for depth, part in enumerate(parts, start=1):
            found = self._find(parts[:depth])
            if found is None:
                found = volume.create_folder(at, *_names(part), FileAttribute.DIRECTORY, _now(),
                                             volume.security_id(ADMINISTRATORS_ONLY))
            elif not volume.is_folder(found):
                raise FileInTheWay(where=self.where, path=join_path(parts[:depth]))
            at = found
        return at

    def _spelled(self, volume: Volume, folder: int, name: str) -> tuple[bytes, int]:
        """A name as the folder has it, and the file of that name."""
        file = volume.lookup(folder, encode_name(name))
        for raw, found in list_folder(volume, folder, _MOST_NAMES)[0]:
            if found == file and fold_text(decode_name(raw)) == fold_text(name):
                return raw, found
        return encode_name(name), file or 0

    def _size(self, file: int, name: str) -> int:
        """Bytes of a file; of one that is compressed or a pointer those that can be read, which may be none."""
        try:
            return VolumeFile(self._slot, file, name).size()
        except NotPlain:
            return 0

    def _full(self, needed: int, error: VolumeFull) -> NoReturn:
        raise PartitionFull(where=self.where, needed=needed, free=self.free_size) from error


def _names(name: str) -> tuple[bytes, bytes]:
    """A name, and the short one where it is one itself, so that it is found in whatever case."""
    plain = plain_short(name)
    return encode_name(name), encode_name(short_text(plain[0])) if plain is not None else b""


def _now() -> tuple[int, int, int]:
    now = from_unix_ns(time.time_ns())
    return now, now, now
