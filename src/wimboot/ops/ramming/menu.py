"""The entry of a RAM image in grub4dos' menu: which one, with which path, in which file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.disk import PlaceUnknown, TableKind, where_is
from wimboot.disk.folderlock import folder_lock
from wimboot.disk.partitioning import lay_out
from wimboot.errors import HostError, UsageError
from wimboot.events import Note, silent
from wimboot.formats.grubmenu import MAX_MENU_SIZE, Larger, MenuEntry, MenuKind, image_entry, put_entry
from wimboot.formats.vhdfooter import SECTOR
from wimboot.frozen import Frozen
from wimboot.ops.ramming.building import TAIL
from wimboot.storage import HostFolder, HostMissing, HostNotUsable, durable, read_start
from wimboot.windows.bcdentries import Firmware

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.ramming.options import RamOptions

__all__ = ["BadMenuPath", "Menu", "change_menu", "check_menu", "make_entry", "write_menu"]

_READ_BY_LOADER: Final = frozenset({"ntfs", "ntfs3", "fuseblk", "vfat", "msdos", "exfat", "ext2", "ext3", "ext4"})
_ROOT: Final = Path("/")
_NOT_IN_PATHS: Final = frozenset("\"'<>|?*()\t\r\n\0")


class BadMenuPath(UsageError):
    """A path that no boot loader finds."""

    id = "bad-menu-path"
    sentence = "{path!r} is no path that grub4dos could find: {why}"
    advice = "Say the path of the image from the root of its partition, --menu-path /wimboot/win7.ram."


class Menu(Frozen):
    """The menu's file, what is put into it, its bytes without and with that; no file: the entry is only told."""

    path: Path | None
    entry: MenuEntry
    old: bytes | None
    new: bytes | None

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.path is not None and self.old != self.new


def make_entry(options: RamOptions, product: str, emit: Emit) -> MenuEntry:
    """The entry of an image; a new title has its path, which no other image has. `emit` is told where it looks.

    Raises BadMenuPath.
    """
    kind = MenuKind.UEFI if options.firmware is Firmware.UEFI else MenuKind.BIOS
    path = _checked(_path(options, emit))
    title = None if options.title is None else " ".join(options.title.split())
    return image_entry(path, kind, title=title, new_title=f"{product} (RAM, {path})",
                       larger=_larger(options) if options.cut else None)


def _larger(options: RamOptions) -> Larger:
    windows = lay_out(options.size, kind=TableKind.MBR, esp_size=0, msr_size=0, tail=TAIL, disk_id=None).windows
    return Larger(sectors=options.size // SECTOR, last=(windows.start + windows.size) // SECTOR - 1)


def _path(options: RamOptions, emit: Emit) -> str:
    if options.menu_path is not None:
        return options.menu_path.replace("\\", "/")
    try:
        lies = where_is(options.out.absolute().parent)
    except PlaceUnknown:
        lies = None
    if lies is not None and lies.kind in _READ_BY_LOADER:
        path = f"{lies.inside.rstrip('/')}/{options.out.name}"
        if lies.mount_point == _ROOT:
            emit(Note(id="menu-path-of-host", warning=True, text=(
                f"The entry looks for {path}, where {options.out.name} lies on the file system of this host. If "
                "grub4dos will find it elsewhere, say with --menu-path where, from the root of its partition.")))
        return path
    emit(Note(id="menu-path", text=(
        f"The entry looks for /{options.out.name}: copy {options.out.name} into the root of a partition that grub4dos "
        "reads, or say with --menu-path where it will lie.")))
    return f"/{options.out.name}"


def _checked(path: str) -> str:
    """Raises BadMenuPath."""
    bad = sorted(_NOT_IN_PATHS & set(path))
    if not path.startswith("/") or path.endswith("/"):
        raise BadMenuPath(path=path, why="it is to begin with / and name a file")
    if bad:
        raise BadMenuPath(path=path, why=f"a path in its menu cannot have {bad[0]!r}")
    return path


def _read(path: Path | None) -> bytes | None:
    """The menu as it is; None where there is none yet. Raises HostError."""
    if path is None or not path.exists():
        return None
    data = read_start(path, MAX_MENU_SIZE + 1)
    if len(data) > MAX_MENU_SIZE:
        raise HostError(what="reading", where=str(path), why=f"a menu has at most {MAX_MENU_SIZE:,} bytes")
    return data


def change_menu(path: Path | None, entry: MenuEntry) -> Menu:
    """The menu with the entry, not written yet. Raises FormatError, HostError."""
    if path is None:
        return Menu(path=None, entry=entry, old=None, new=None)
    if not path.absolute().parent.is_dir():
        raise HostMissing(missing=path.parent, what="looking for", where=str(path.parent))
    old = _read(path)
    return Menu(path=path.resolve(), entry=entry, old=old, new=put_entry(old, entry))


def check_menu(options: RamOptions, emit: Emit = silent) -> None:
    """Refuse before the image is made what `write_menu` would refuse after it. `emit` is told of the entry's path.

    What of it is new is not known yet. Raises as `make_entry` and `change_menu` do, HostNotUsable.
    """
    menu = change_menu(options.menu, make_entry(options, "Windows", emit))
    if menu.path is not None and menu.changed and not os.access(menu.path.parent, os.W_OK | os.X_OK):
        raise HostNotUsable(what="writing", where=str(menu.path), why="no file can be made in its folder")


def write_menu(menu: Menu) -> Menu:
    """Put the entry into the menu as it is now: while the image was made, others may have written there.

    Only one run reads and writes it at a time. What was written. Raises Locked, FormatError, HostError.
    """
    if menu.path is None:
        return menu
    with folder_lock(menu.path.parent, menu.path.name, str(menu.path)):
        now = change_menu(menu.path, menu.entry)
        if now.changed and now.new is not None:
            durable.replace(HostFolder(menu.path.parent), menu.path.name, now.new)
        return now
