"""What a user can ask `boot` for."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wimboot.frozen import Frozen
from wimboot.storage import HostFolder

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.options import Folders, TargetOptions
    from wimboot.windows.bcdentries import Firmware
    from wimboot.windows.bcdloader import MenuPolicy

__all__ = ["BootFiles", "BootOptions"]


class BootFiles(Enum):
    """Which boot files end up on the system partition where it has some already."""

    NEWEST = "newest"
    SYSTEM = "system"
    KEEP = "keep"


class BootOptions(Frozen):
    """Making the system on `target` start from the system partition `to`, or with `remove` not any more.

    Without `target` only the menu is changed: `timeout`, `grub4dos`, `remove_ids`. `firmware` empty: what the partition
    and the system are for. `vhd_place` and `volume_place` are texts as `windows.bootplace` reads them; None: where the
    target is now. `inside`: the target and `to` are one disk that is loaded as a whole (a RAM image), so that the
    system is where the boot manager is. `grub4dos_files` is a host folder with grldr.mbr and grldr. `wim` is where
    the system's boot files are read from if they are pointers; None: found. `locale` None: the system's.
    """

    to: str
    target: TargetOptions | None = None
    wim: Path | None = None
    remove: bool = False
    remove_ids: tuple[str, ...] = ()
    title: str | None = None
    locale: str | None = None
    default: bool = False
    timeout: int | None = None
    firmware: tuple[Firmware, ...] = ()
    vhd_place: str | None = None
    volume_place: str | None = None
    inside: bool = False
    boot_files: BootFiles = BootFiles.NEWEST
    menu: MenuPolicy | None = None
    test_signing: bool = False
    no_integrity_checks: bool = False
    grub4dos: bool = False
    grub4dos_files: Path | None = None
    log_folder: Path | None = None
    dry_run: bool = False
    folders: Folders = HostFolder
