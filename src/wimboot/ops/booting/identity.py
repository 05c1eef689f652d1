"""What Windows knows a partition by, from the disk's table."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from wimboot.disk import HOST, Host, Lies, PlaceUnknown, TableKind, read_table, where_is
from wimboot.errors import Error
from wimboot.formats.bootdevice import PartitionStyle
from wimboot.ops.booting.partition import PartitionId
from wimboot.storage import HostFile

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk import Partition, Table

__all__ = ["ESP_TYPES", "identity_of", "identity_of_folder", "identity_of_volume"]

_NO_DISK: Final = "it is a volume without a disk around it"
ESP_TYPES: Final = ("ef", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
"""EFI system partition in an MBR and in a GPT (source: UEFI specification 2.10, sections 5.2.2 and 5.3.3)."""


def identity_of(table: Table, partition: Partition | None) -> tuple[PartitionId | None, str]:
    """What Windows knows a partition of that disk by; else None and why there is nothing."""
    if partition is None or table.kind is TableKind.NONE:
        return None, _NO_DISK
    disk_id = table.disk_id
    if disk_id is None or not any(disk_id):
        return None, "its disk has no signature"
    style = PartitionStyle.MBR if table.kind is TableKind.MBR else PartitionStyle.GPT
    return PartitionId(style=style, disk_id=disk_id, partition_id=partition.id, number=partition.number,
                       start=partition.start, size=partition.size, active=partition.active,
                       is_esp=partition.type in ESP_TYPES), ""


def identity_of_folder(path: Path, host: Host = HOST) -> tuple[PartitionId | None, str]:
    """The same for the partition that is mounted at a folder of the host."""
    try:
        lies = where_is(path, host)
    except PlaceUnknown as error:
        return None, str(error.facts["why"])
    if lies.inside != "/":
        return None, f"{path} is not the root of its volume"
    return _identity_at(lies)


def identity_of_volume(path: Path, host: Host = HOST) -> tuple[PartitionId | None, str]:
    """The same for a volume that fills a file or a device: the kernel knows on which disk a partition's device lies."""
    status = path.stat()
    if not stat.S_ISBLK(status.st_mode):
        return None, _NO_DISK
    device = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    return _identity_at(Lies(path=path, mount_point=path, kind="a device", inside="/", device=device, host=host))


def _identity_at(lies: Lies) -> tuple[PartitionId | None, str]:
    try:
        start = lies.start
        file = HostFile.open(lies.disk)
        try:
            table = read_table(file, where=str(lies.disk))
        finally:
            file.close()
    except PlaceUnknown as error:
        return None, str(error.facts["why"])
    except Error as error:
        return None, str(error)
    return identity_of(table, next((one for one in table.partitions if one.start == start), None))
