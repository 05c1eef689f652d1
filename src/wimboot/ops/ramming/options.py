"""What a user can ask `ram` for."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from wimboot.disk.packing import Packing
from wimboot.frozen import Frozen
from wimboot.ops.options import processors
from wimboot.storage import HostFolder
from wimboot.windows.bcdentries import Firmware

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.options import Folders, TargetOptions

__all__ = ["RamOptions"]

_DEFAULT_SIZE = 5 << 30
"""That of the first such systems, in machines of 8 GB."""


class RamOptions(Frozen):
    r"""A disk of `size` bytes in the file `out`, with image `image` (number or name) of `wim` as pointers.

    `target` is a WIMBoot system: then `wim` None is the one that it uses, `image` None the one that it stands on, and
    `wim_place` None where it says that its WIM lies. `menu` is a menu.lst on the host that gets the entry, `menu_path`
    the image's path there as grub4dos will see it (None: where `out` lies now). `replace`: an `out` that is there goes.
    `thorough`: packed smaller, and slower. `whole`: a packed image has the free end of the disk too.
    """

    out: Path
    target: TargetOptions | None = None
    wim: Path | None = None
    image: str | None = None
    size: int = _DEFAULT_SIZE
    packing: Packing = Packing.LZ4
    firmware: Firmware = Firmware.BIOS
    label: str = ""
    config: Path | None = None
    wim_place: str | None = None
    driver: str | None = None
    title: str | None = None
    menu: Path | None = None
    menu_path: str | None = None
    test_signing: bool = False
    no_integrity_checks: bool = False
    replace: bool = False
    dry_run: bool = False
    thorough: bool = False
    whole: bool = False
    threads: int = field(default_factory=processors)
    folders: Folders = HostFolder

    @property
    def cut(self) -> bool:
        """Whether the image ends behind the last cluster in use, and the menu says how large the disk is."""
        return self.packing in (Packing.LZ4, Packing.GZIP) and self.firmware is Firmware.BIOS and not self.whole
