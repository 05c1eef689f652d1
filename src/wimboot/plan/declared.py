"""What a plan for a whole folder of systems declares, as values. `declaring` reads them from a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.windows.wimplace import WimPlace

if TYPE_CHECKING:
    from wimboot.disk.table import TableKind
    from wimboot.windows.identify import Architecture

__all__ = [
    "BootWish", "Declared", "FolderPath", "ImageOrigin", "LaterFolder", "RamWish", "StoreWish", "SystemWish",
    "WindowsFolder",
]

FolderPath = tuple[str, ...]
"""The names on the way from the folder to a file in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsFolder:
    """Where the folder lies when Windows runs. `disk` is a signature and `partition` its first byte, or both are GUIDs
    in their stored form.
    """

    disk: int | bytes
    partition: int | bytes
    directory: FolderPath

    def of(self, path: FolderPath) -> WimPlace:
        """The place of a file in it. Raises BadPlace."""
        text = "\\" + "\\".join((*self.directory, *path))
        if isinstance(self.disk, int) and isinstance(self.partition, int):
            return WimPlace.mbr(self.disk, self.partition, text)
        return WimPlace.gpt(bytes(self.disk), bytes(self.partition), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterFolder:
    """Where it will lie is not known yet: `relocate`, or another run with a plan that says it, will follow."""

    def of(self, path: FolderPath) -> WimPlace:
        """The same for each file."""
        return WimPlace.unknown(path[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOrigin:
    """An image that the store has to have under `name`: image `image` of another WIM, or captured from `target`."""

    name: str
    wim: str | None = None
    image: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreWish:
    """The WIM that backs all systems, and its spare copy. `compression` is a word of `--compress`, of a new one."""

    wim: FolderPath
    spare: FolderPath | None = None
    compression: str | None = None
    origins: tuple[ImageOrigin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RamWish:
    """A disk image of `size` bytes with the same system, for starting it in memory; `title` in the menu."""

    file: FolderPath
    size: int
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemWish:
    """One system: either a VHD `file` of `size` bytes in the folder, or an existing volume `partition` (PATH#N).

    `image` is a number or a name in the store. `label` is of the NTFS volume, `title` what the boot menu shows.
    """

    name: str
    image: str
    file: FolderPath | None = None
    partition: str | None = None
    size: int = 0
    fixed: bool = False
    table: TableKind | None = None
    label: str = ""
    architecture: Architecture | None = None
    driver: str | None = None
    title: str | None = None
    ram: RamWish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BootWish:
    """The system partition for boot files and entries: PATH#N, or a folder of the host. `timeout` in seconds."""

    to: str
    default: str | None = None
    timeout: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A plan. `folder` is a path from the plan's own folder; `place` None: found from where the folder lies now."""

    folder: str
    place: WindowsFolder | LaterFolder | None
    store: StoreWish
    systems: tuple[SystemWish, ...]
    boot: BootWish | None = None

    def files(self) -> dict[FolderPath, str]:
        """Every file of the folder that the plan speaks of, and what it is for."""
        found = {self.store.wim: "store"}
        if self.store.spare is not None:
            found[self.store.spare] = "spare"
        for system in self.systems:
            if system.file is not None:
                found[system.file] = system.name
            if system.ram is not None:
                found[system.ram.file] = f"{system.name} (RAM)"
        return found
