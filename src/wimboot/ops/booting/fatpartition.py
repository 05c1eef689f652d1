"""A system partition that is a FAT volume, inside the transaction of its disk."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.errors import Internal
from wimboot.fat import FatVolume
from wimboot.fat.refusals import FatFileTooLarge, FatFolderNotEmpty, FatFull, FatNotAFile, FatNotAFolder
from wimboot.formats.names import join_path
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wimboot.disk import Transaction
    from wimboot.events import Counter
    from wimboot.ops.booting.partition import PartitionId
    from wimboot.storage import Device

__all__ = ["FatPartition"]


class FatPartition:
    """The files of a FAT volume that begins at byte `start` of its disk. `transaction` None: it is only read.

    All of what is written goes to the transaction's log, clusters that were free too: a change that is given up leaves
    every byte as it was.
    """

    kind = PartitionKind.FAT

    def __init__(
        self, device: Device, start: int, where: str, transaction: Transaction | None,
        identity: tuple[PartitionId | None, str],
    ) -> None:
        """Raises what opening the volume raises."""
        self.where = where
        self.identity, self.why_unknown = identity
        self._transaction = transaction
        self._volume = FatVolume(device, write=transaction is not None, where=where)
        if transaction is not None:
            for offset, mark in self._volume.dirty_marks:
                transaction.guard(start + offset, mark)

    @property
    def free_size(self) -> int:
        """Bytes of free clusters."""
        return self._volume.free_size

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        return self._volume.exists(self._checked(path))

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder."""
        return self._volume.is_folder(self._checked(path))

    def read(self, path: str) -> bytes | None:
        """The whole file."""
        with self._told(path):
            return self._volume.read(self._checked(path), READ_LIMIT)

    def list(self, path: str = "") -> tuple[SystemEntry, ...]:
        """What is in a folder."""
        entries = self._volume.list(self._checked(path))
        return tuple(sorted((SystemEntry(name=entry.name, is_folder=entry.is_folder, size=entry.size)
                             for entry in entries), key=lambda entry: entry.name))

    def make_folder(self, path: str) -> None:
        """Make it and those on the way to it."""
        with self._told(path):
            self._volume.make_folder(self._checked(path))

    def write(self, path: str, data: bytes, *, attributes: int | None = None) -> None:
        """Make a file or replace its content."""
        with self._told(path):
            self._volume.write(self._checked(path), data, attributes=attributes)

    def remove(self, path: str) -> None:
        """Remove a file or an empty folder."""
        with self._told(path):
            self._volume.remove(self._checked(path))

    def require_room(self, files: Mapping[str, int]) -> None:
        """To the cluster."""
        with self._told(""):
            self._volume.require_room({self._checked(path): size for path, size in files.items()})

    def commit(self, counter: Counter | None = None) -> None:
        """Commit the whole disk."""
        if self._transaction is None:
            raise Internal(what="a system partition that is only read was to be changed")
        self._volume.flush()
        commit(self._transaction, None, Path(), counter)

    def _checked(self, path: str) -> str:
        return join_path(checked_parts(path, self.where))

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Say what the volume refuses in the words that all system partitions have."""
        try:
            yield
        except FatFull as error:
            raise PartitionFull(**{"where": self.where, **_sizes(error.facts)}) from error
        except FatNotAFolder as error:
            raise FileInTheWay(where=self.where, path=error.facts["path"]) from error
        except (FatNotAFile, FatFolderNotEmpty) as error:
            raise FolderInTheWay(where=self.where, path=path) from error
        except FatFileTooLarge as error:
            raise FileTooLarge(where=self.where, path=path, size=error.facts["size"]) from error


def _sizes(facts: dict[str, object]) -> dict[str, object]:
    return {name: facts[name] for name in ("needed", "free")}
