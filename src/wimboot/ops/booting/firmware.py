"""For which firmware a system partition is: BIOS, UEFI, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.formats.bootdevice import PartitionStyle
from wimboot.ops.booting.systempartition import PartitionKind
from wimboot.windows.bcdentries import Firmware

if TYPE_CHECKING:
    from wimboot.ops.booting.bootfiles import BootFileSet
    from wimboot.ops.booting.systempartition import SystemPartition

__all__ = ["NoBootFiles", "chosen_firmware", "existing_stores"]


class NoBootFiles(Refused):
    """Neither the system nor the partition has a boot manager for the firmware."""

    id = "no-boot-files"
    sentence = "{where} brings no boot manager for {firmware} ({path}), and {partition} has none"
    advice = (
        "Windows 7 for x86 starts from BIOS only, Windows for ARM from UEFI only: see --firmware. Another "
        "system, for which `wimboot boot TARGET --to {partition}` is run first, may bring one that starts this one too."
    )


def existing_stores(partition: SystemPartition, asked: tuple[Firmware, ...]) -> tuple[Firmware, ...]:
    """The firmwares for which there is a store, of those asked for if any are."""
    return tuple(each for each in asked or tuple(Firmware) if partition.exists(each.store))


def chosen_firmware(partition: SystemPartition, sets: dict[Firmware, BootFileSet],
                    asked: tuple[Firmware, ...]) -> tuple[Firmware, ...]:
    """What was asked for, else what the partition is for as far as the system can be started so. Raises NoBootFiles."""
    usual = asked or _usual(partition)
    possible = tuple(each for each in usual if sets[each].complete or partition.exists(each.boot_manager))
    lacking = [each for each in usual if each not in possible]
    if lacking and (asked or not possible):
        files = sets[lacking[0]]
        raise NoBootFiles(where=files.where, firmware=lacking[0].value.upper(), partition=partition.where,
                          path="\\Windows\\Boot\\" + ("PCAT\\bootmgr" if lacking[0] is Firmware.BIOS else
                                                      "EFI\\bootmgfw.efi"))
    return possible


def _usual(partition: SystemPartition) -> tuple[Firmware, ...]:
    r"""By the partition's table, else by what lies there already, else by what holds the files: UEFI reads FAT only."""
    identity = partition.identity
    if identity is not None:
        uefi = identity.is_esp or identity.style is PartitionStyle.GPT
        return (Firmware.UEFI,) if uefi else (Firmware.BIOS,)
    there = tuple(each for each in Firmware
                  if partition.exists(each.store) or partition.exists(each.boot_manager))
    if there:
        return there
    return (Firmware.BIOS,) if partition.kind is PartitionKind.NTFS else tuple(Firmware)
