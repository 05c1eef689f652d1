"""Where a volume lies, as Windows' mount manager knows it: for the drive letter of a system from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk import NotADisk, TableKind
from wimboot.disk.lookup import disk_of_partition
from wimboot.errors import Error
from wimboot.ops.opening.contents import Contents
from wimboot.ops.preparing.preparation import Letters
from wimboot.ops.preparing.prepare import SYSTEM_HIVE
from wimboot.registry import Hive
from wimboot.registry.files import load
from wimboot.windows.mounteddevices import device_of, gpt_device, mbr_device

if TYPE_CHECKING:
    from wimboot.disk.table import Partition, Table
    from wimboot.ops.opening.volume import Opened
    from wimboot.windows.identify import System

__all__ = ["letters_for"]


def letters_for(opened: Opened, system: System, *, moved: bool) -> Letters:
    r"""The letter of the system's own drive (C, or what its SystemRoot says).

    A system that has `moved` gets it for the partition that it lies on now. Of an image of the bare volume nothing is
    known that could be written: then all letters go, so that none claims C: for a disk that is not there. One that
    comes back to its volume keeps what the registry there says.
    """
    letter = system.system_root[:1].upper() if system.system_root[1:2] == ":" else "C"
    letter = letter if "A" <= letter <= "Z" else "C"
    known, device = (False, None) if moved else _own_entry(opened, letter)
    if known:
        return Letters(letter=letter, device=device)
    device = _device(opened)
    return Letters(letter=letter, device=device, forget=device is None and moved)


def _own_entry(opened: Opened, letter: str) -> tuple[bool, bytes | None]:
    """Whether the volume has a registry that can be read, and what that says of a letter."""
    read = Contents(opened.tree, opened.device, opened.volume).read_path
    try:
        replayed = load(read, SYSTEM_HIVE)
        if replayed is None:
            return False, None
        with Hive(replayed.data) as hive:
            return True, device_of(hive.root, letter)
    except Error:
        return False, None


def _device(opened: Opened) -> bytes | None:
    try:
        table = opened.target.table
    except NotADisk:
        return None
    if table.kind is not TableKind.NONE:
        return _entry(table, next((one for one in table.partitions if one.start == opened.start), None))
    if not opened.target.is_device:
        return None
    found = disk_of_partition(opened.target.path)
    return None if found is None else _entry(found[0].table, found[1])


def _entry(table: Table, partition: Partition | None) -> bytes | None:
    if partition is None:
        return None
    if table.kind is TableKind.GPT:
        return None if partition.guid is None else gpt_device(partition.guid)
    return mbr_device(table.signature, partition.start) if table.signature else None
