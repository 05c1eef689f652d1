r"""A system partition, whatever it is: the files on it, and what Windows knows it by.

Paths are `\EFI\Microsoft\Boot\BCD`, either slash, case ignored. Nothing that is written reaches the partition before
`commit`, and then all of it or nothing; what is asked in between is answered as it will be.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from wimboot.errors import Damaged, Refused, UsageError
from wimboot.formats.bootdevice import PartitionDevice, PartitionStyle
from wimboot.formats.names import MAX_NAME_UNITS, NOT_IN_NAMES, encode_name, split_path
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wimboot.events import Counter

__all__ = [
    "READ_LIMIT", "BadSystemPath", "FileInTheWay", "FileTooLarge", "FolderInTheWay", "PartitionFull", "PartitionId",
    "PartitionKind", "SystemEntry", "SystemPartition", "checked_parts",
]

READ_LIMIT: Final = 256 << 20
"""The largest file read in one piece: boot files have a few megabytes at most."""

_NOT_IN_NAMES: Final = NOT_IN_NAMES | {"\x7f"}


class BadSystemPath(UsageError):
    """A path that no system partition can have."""

    id = "bad-system-path"
    sentence = "{path!r} cannot be a path on {where}: {why}"
    advice = "Paths begin at the partition's root: \\EFI\\Microsoft\\Boot\\BCD."


class FileInTheWay(Refused):
    """A file, where a folder is needed."""

    id = "file-in-the-way"
    sentence = "{where} has a file {path} where a folder is needed"
    advice = "Move that file away, then try again. Nothing was changed."


class FolderInTheWay(Refused):
    """A folder, or one that is not empty, where a file is needed or something is to go."""

    id = "folder-in-the-way"
    sentence = "{where} has a folder {path}: it is no file, and not empty"
    advice = "Move that folder away, then try again. Nothing was changed."


class FileTooLarge(Damaged):
    """A file that no boot file is as large as."""

    id = "system-file-too-large"
    sentence = "{path} of {where} has {size} bytes, more than any file that a system starts from"


class PartitionFull(Refused):
    """The system partition has no room for what is to be written."""

    id = "system-partition-full"
    sentence = "{where} has no room: {needed:size} are needed, and {free:size} are free"
    advice = "Remove what is not needed there (old boot files, other systems' folders); nothing was changed."


class PartitionKind(Enum):
    """What holds the files."""

    FAT = "fat"
    NTFS = "ntfs"
    FOLDER = "folder"


class PartitionId(Frozen):
    """What Windows knows a partition by. `start` and `size` in bytes; the ids are the 16 bytes that Windows stores.

    `active` is the flag of an MBR entry, `is_esp` whether the table calls it an EFI system partition.
    """

    style: PartitionStyle
    disk_id: bytes
    partition_id: bytes
    number: int
    start: int
    size: int
    active: bool
    is_esp: bool

    @property
    def device(self) -> PartitionDevice:
        """The device that a BCD element names."""
        return PartitionDevice(style=self.style, partition_id=self.partition_id, disk_id=self.disk_id)


class SystemEntry(Frozen):
    """One name in a folder; `size` 0 for a folder."""

    name: str
    is_folder: bool
    size: int


class SystemPartition(Protocol):
    """The files of a system partition. Every call may raise BadSystemPath, Damaged and HostError besides what it names.

    `identity` is None where the partition is on no disk, or on none that Windows could tell from others:
    `why_unknown` says why.
    """

    @property
    def where(self) -> str:
        """Its place, for messages."""

    @property
    def kind(self) -> PartitionKind:
        """What holds the files."""

    @property
    def identity(self) -> PartitionId | None:
        """What Windows knows it by."""

    @property
    def why_unknown(self) -> str:
        """Why there is no identity; empty where there is one."""

    @property
    def free_size(self) -> int:
        """Bytes free, what was written here so far taken off."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder; the root is one."""

    def read(self, path: str) -> bytes | None:
        """The whole file; None where there is no such file. Raises FileTooLarge."""

    def list(self, path: str = "") -> tuple[SystemEntry, ...]:
        """What is in a folder, sorted by name; nothing where there is no such folder."""

    def make_folder(self, path: str) -> None:
        """Make it and those on the way to it, as far as they are missing. Raises FileInTheWay, PartitionFull."""

    def write(self, path: str, data: bytes, *, attributes: int | None = None) -> None:
        """Make a file, and the folders on the way to it, or replace its content.

        `attributes` are the DOS ones (read-only 1, hidden 2, system 4, archive 0x20); None: those that it has, else
        archive. A host folder keeps none. Raises PartitionFull, FileInTheWay, FolderInTheWay.
        """

    def remove(self, path: str) -> None:
        """Remove a file or an empty folder; nothing where there is none. Raises FolderInTheWay."""

    def require_room(self, files: Mapping[str, int]) -> None:
        """See that files of these sizes could be written at these paths, replacing what is there. Raises PartitionFull.
        """

    def commit(self, counter: Counter | None = None) -> None:
        """Make all of it durable. Nothing can be changed afterwards. Raises as `Transaction.commit`."""


def checked_parts(path: str, where: str) -> tuple[str, ...]:
    """The names on the way to a path; none for the root. Raises BadSystemPath."""
    parts = split_path(path)
    for part in parts:
        why = ""
        if part in (".", ".."):
            why = "it is to be written without . and .."
        elif _NOT_IN_NAMES & set(part) or part[-1] in " .":
            why = f"{part!r} cannot be a name on it"
        elif len(encode_name(part)) > 2 * MAX_NAME_UNITS:
            why = f"a name has at most {MAX_NAME_UNITS} characters"
        if why:
            raise BadSystemPath(path=path, where=where, why=why)
    return parts
