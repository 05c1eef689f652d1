"""What a plan for a whole folder of systems declares, as values. `declaring` reads them from a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.names import join_path
from wimboot.frozen import Frozen
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


class WindowsFolder(Frozen):
    """Where the folder lies when Windows runs. `disk` is a signature and `partition` its first byte, or both are GUIDs
    in their stored form.
    """

    disk: int | bytes
    partition: int | bytes
    directory: FolderPath

    def of(self, path: FolderPath) -> WimPlace:
        """The place of a file in it. Raises BadPlace."""
        text = join_path((*self.directory, *path))
        if isinstance(self.disk, int) and isinstance(self.partition, int):
            return WimPlace.mbr(self.disk, self.partition, text)
        return WimPlace.gpt(bytes(self.disk), bytes(self.partition), text)


    def on_volume(self, path: FolderPath) -> str:
        """The path of a file in it from the root of its partition, with slashes."""
        return "/" + "/".join((*self.directory, *path))


class LaterFolder(Frozen):
    """Where it will lie is not known yet: `relocate`, or another run with a plan that says it, will follow."""

    def of(self, path: FolderPath) -> WimPlace:
        """The same for each file."""
        return WimPlace.unknown(path[-1])


class ImageOrigin(Frozen):
    """An image that the store has to have under `name`: image `image` of another WIM, or captured from `target`."""

    name: str
    wim: str | None = None
    image: str | None = None
    target: str | None = None


class StoreWish(Frozen):
    """The WIM that backs all systems, and its spare copy. `compression` is a word of `--compress`, of a new one."""

    wim: FolderPath
    spare: FolderPath | None = None
    compression: str | None = None
    origins: tuple[ImageOrigin, ...] = ()


class RamWish(Frozen):
    """A disk image of `size` bytes with the same system, for starting it in memory: `form` is a word of `ram --form`.
    The file `menu` of the folder is a menu.lst that gets an entry, `title` what it shows.
    """

    file: FolderPath
    size: int
    form: str = "lz4"
    title: str | None = None
    menu: FolderPath | None = None


class SystemWish(Frozen):
    """One system: either a VHD `file` of `size` bytes in the folder, or an existing volume `partition` (PATH#N).

    `image` is a number or a name in the store. `label` is of the NTFS volume, `title` what the boot menu shows; the
    flags are the options of `apply` and `boot` that are called so.
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
    no_expand: bool = False
    title: str | None = None
    test_signing: bool = False
    no_integrity_checks: bool = False
    ram: RamWish | None = None


class BootWish(Frozen):
    """The system partition for boot files and entries: PATH#N, or a folder of the host. `timeout` in seconds;
    `grub4dos` is a folder of the host with its files, `firmware` a word of `boot --firmware`.
    """

    to: str
    default: str | None = None
    timeout: int | None = None
    firmware: str | None = None
    locale: str | None = None
    grub4dos: str | None = None


class Declared(Frozen):
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
