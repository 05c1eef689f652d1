"""What is in the boot stores that a test made, and where the systems of their entries lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wimboot.formats.bcd import DeviceValue, ElementType, ObjectType
from wimboot.formats.bcdnames import Ids
from wimboot.formats.bootdevice import Device
from wimboot.formats.regf import BaseBlock, FileType
from wimboot.formats.reglog import LogEntry, pack_entry
from wimboot.windows.bcd import BcdObject, Store

__all__ = ["AT", "BIOS_STORE", "PLACE", "UEFI_STORE", "VHD_PLACE", "devices", "entries", "left_dirty", "objects"]

BIOS_STORE, UEFI_STORE = "Boot/BCD", "EFI/Microsoft/Boot/BCD"
PLACE = "mbr:5cbea03e:1048576"
VHD_PLACE = PLACE + ":\\x64\\win7.vhd"
AT = ("--volume-place", PLACE)


def objects(path: Path) -> dict[str, BcdObject]:
    """What is in a store."""
    with Store(path.read_bytes(), where=str(path)) as opened:
        return {each.id: each for each in opened.objects()}


def entries(path: Path, type_: int = ObjectType.OS_LOADER) -> list[BcdObject]:
    """The entries of a store in the order of its menu."""
    found = objects(path)
    order = found[Ids.BOOT_MANAGER].ids(ElementType.DISPLAY_ORDER)
    assert {each.id for each in found.values() if each.type == type_} <= set(order)
    return [found[id_] for id_ in order if found[id_].type == type_]


def devices(entry: BcdObject) -> tuple[Device, Device]:
    """The loader's and the system's."""
    values = [entry.value(type_) for type_ in (ElementType.DEVICE, ElementType.OS_DEVICE)]
    first, second = [value.device for value in values if isinstance(value, DeviceValue)]
    return first, second


def left_dirty(path: Path, newer: bytes, *, bins_size: int | None = None) -> None:
    """Make the store at `path` one whose newest state, `newer`, is in its log only."""
    old = path.read_bytes()
    block = BaseBlock.parse(old)
    pages = tuple((at, memoryview(newer)[at + 4096:at + 8192]) for at in range(0, len(newer) - 4096, 4096))
    entry = LogEntry(sequence=block.sequence2, bins_size=bins_size or len(newer) - 4096, pages=pages)
    head = replace(block, file_type=FileType.NEW_LOG).pack()
    path.write_bytes(replace(block, sequence1=block.sequence1 + 1).pack() + old[512:])
    path.with_name("BCD.LOG1").write_bytes(head + pack_entry(entry))
