"""What lies where on a FAT volume: folders by their path, the clusters of files, their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError
from wimboot.fat.check import file_clusters
from wimboot.fat.folder import Folder, slots_for
from wimboot.fat.refusals import ExFat, NotFat
from wimboot.fat.table import Fat, extents
from wimboot.formats.fatboot import FatBoot, FatKind
from wimboot.formats.fatdir import ENTRY_SIZE
from wimboot.formats.names import fold_text, join_path, split_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wimboot.fat.folder import Listed
    from wimboot.storage import Device, File

__all__ = ["Ground"]

_NO_CLUSTER: Final = 1
"""What stands for a folder without clusters, so that it is not taken for the root: no chain begins there."""


class Ground:
    """The bytes of a volume. Every call raises FatDamaged where it meets something unsound."""

    def __init__(self, device: Device | File, where: str) -> None:
        """Raises NotFat, ExFat."""
        self.device = device
        self.where = where
        self.boot = _read_boot(device, where)
        self.fat = Fat(device, self.boot, where)
        self._folders: dict[int, Folder] = {}

    def open(self, first: int, path: str) -> Folder:
        """The folder whose first cluster is that; read once, as all changes of it are made through it."""
        if first not in self._folders:
            self._folders[first] = Folder(self.device, self.boot, self.fat, first, path=path, where=self.where)
        return self._folders[first]

    def forget(self, folder: Folder) -> None:
        """It is no more: its clusters may become another's."""
        self._folders.pop(folder.first, None)

    def root(self) -> Folder:
        """The folder that has no name."""
        return self.open(self.boot.root_cluster if self.boot.kind is FatKind.FAT32 else 0, "\\")

    def inner(self, listed: Listed, parts: tuple[str, ...]) -> Folder:
        """The folder of an entry; `parts` is its path."""
        return self.open(listed.cluster or _NO_CLUSTER, join_path(parts))

    def folder(self, parts: tuple[str, ...]) -> Folder | None:
        """None where there is no such folder."""
        folder = self.root()
        for depth, part in enumerate(parts, start=1):
            listed = folder.find(part)
            if listed is None or not listed.entry.is_folder:
                return None
            folder = self.inner(listed, parts[:depth])
        return folder

    def find(self, path: str) -> Listed | None:
        """The entry of a file or folder; None where there is none, and for the root."""
        parts = split_path(path)
        folder = self.folder(parts[:-1]) if parts else None
        return None if folder is None else folder.find(parts[-1])

    def clusters(self, listed: Listed | None, path: str) -> list[int]:
        """Those of a file; none where it has no data or is not there."""
        if listed is None or listed.entry.is_folder:
            return []
        return file_clusters(self.fat, self.boot, listed, path, self.where)

    def read(self, clusters: list[int], size: int) -> bytes:
        """The first `size` bytes in clusters."""
        return b"".join(self.device.pread(offset, length) for offset, length in extents(self.boot, clusters))[:size]

    def fill(self, clusters: list[int], data: bytes) -> list[int]:
        """Write a file's data into its clusters, as many as it takes; which these are. Raises FatFull."""
        count = -(-len(data) // self.boot.cluster_size)
        self.fat.cut(clusters, count)
        clusters = clusters[:count]
        clusters += self.fat.extend(clusters, count - len(clusters))
        view, at = memoryview(data), 0
        for offset, size in extents(self.boot, clusters):
            part = view[at:at + size]
            self.device.pwrite(offset, part if len(part) == size else bytes(part).ljust(size, b"\0"))
            at += size
        return clusters

    def room_for(self, files: Mapping[str, int], folders: Iterable[str] = ()) -> int:
        """How many clusters writing files of these sizes and making folders takes, those on the way counted.

        Raises FatRootFull.
        """
        size = self.boot.cluster_size
        needed = 0
        new_names: dict[tuple[str, ...], dict[str, str]] = {}
        for path, length in (*files.items(), *((folder, 0) for folder in folders)):
            parts, listed = split_path(path), self.find(path)
            needed += max(0, -(-length // size) - len(self.clusters(listed, path)))
            depth = len(parts) if listed is None else 0
            while depth:
                names = new_names.setdefault(tuple(map(fold_text, parts[:depth - 1])), {})
                names[fold_text(parts[depth - 1])] = parts[depth - 1]
                depth = 0 if self.folder(parts[:depth - 1]) is not None else depth - 1
        for path in folders:
            new_names.setdefault(tuple(map(fold_text, split_path(path))), {})
        for inner, names in new_names.items():
            folder = self.folder(inner)
            if folder is not None:
                needed += folder.room_needed(names.values())
            else:
                needed += -(-(2 + sum(map(slots_for, names.values()))) * ENTRY_SIZE // size)
        return needed


def _read_boot(device: Device | File, where: str) -> FatBoot:
    """The boot sector of a volume that fits the device. Raises NotFat, ExFat."""
    raw = device.pread(0, FatBoot.SIZE)
    if raw[3:11] == b"EXFAT   ":
        raise ExFat(where=where)
    try:
        boot = FatBoot.parse(raw)
    except FormatError as error:
        raise NotFat(where=where, why=str(error)) from error
    if boot.volume_size > device.size():
        raise NotFat(where=where, why=f"it says {boot.volume_size:,} bytes where only {device.size():,} are")
    return boot
