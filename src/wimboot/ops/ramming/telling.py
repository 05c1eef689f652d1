"""What a system that is to run from memory needs of its machine, and what it lacks: known as soon as the system is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.disk.packing import Packing
from wimboot.events import Note
from wimboot.figures import told_size
from wimboot.windows.bcdentries import Firmware
from wimboot.windows.identify import Architecture

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.ramming.options import RamOptions
    from wimboot.windows.identify import System

__all__ = ["tell_of_machine"]

_OWN_RAM: Final = {Architecture.X86: 1}
_USUAL_RAM: Final = 2
"""Gigabytes that Windows wants for itself."""
_FOUR_GIB: Final = 4 << 30


def tell_of_machine(options: RamOptions, system: System, emit: Emit) -> tuple[str, ...]:
    """Say what the machine needs, and what the system lacks; its drivers of disks in memory."""
    drivers = tuple(sorted({called for called, _ in system.ram_services}))
    architecture = system.architecture
    own = _USUAL_RAM if architecture is None else _OWN_RAM.get(architecture, _USUAL_RAM)
    emit(Note(id="ram-needed", text=(
        f"The machine needs {told_size(options.size)} of memory for the disk, and {own} GB or more for Windows "
        "itself.")))
    if architecture is Architecture.X86 and options.size + (own << 30) > _FOUR_GIB:
        emit(Note(id="ram-above-4g", warning=True, text=(
            "The disk will lie above the 4 GiB that a 32-bit Windows uses itself: grub4dos puts it there on a 64-bit "
            "processor, and whether the driver reaches it there has to be tried.")))
    if not drivers:
        emit(Note(id="no-ram-driver", warning=True, text=(
            "The system has no driver that finds a disk in memory: it will stop with 0x7B. Put SVBus, FiraDisk or "
            "WinVBlock into it with `wimboot driver`, `wimboot update` it, and make the image then.")))
    if options.cut:
        emit(Note(id="ram-cut", text=(
            "The free end of the disk is not in the image: it has to be loaded by the entry's lines, which say how "
            "large the disk is; an entry for an older image of another size has to go. For other loaders and lines "
            "take --whole.")))
    if options.firmware is Firmware.UEFI and options.packing is Packing.VHD:
        emit(Note(id="uefi-fixed-vhd", warning=True, text=(
            "Older versions of grub4dos for UEFI load fixed VHDs only, packed or not: take --form lz4 or vhd-fixed.")))
    return drivers
