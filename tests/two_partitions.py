"""A disk image with two NTFS partitions, made of volumes that others built."""

from __future__ import annotations

from pathlib import Path

from build import DISK_GUID, DISK_SIGNATURE, PARTITION_GUID, Table
from mounting import copy_sparse
from partition_table import partition

__all__ = ["FIRST_START", "SECOND_GUID", "two_partitions"]

FIRST_START = 1 << 20
SECOND_GUID = "b2f38a46-1c7e-4a4e-9d0e-0c6f3f6d2a11"
_BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"


def two_partitions(disk: Path, first: Path, second: Path, table: Table = "mbr") -> int:
    """Put two bare volumes onto a disk; the byte at which the second begins."""
    sizes = [volume.stat().st_size for volume in (first, second)]
    starts = (FIRST_START, FIRST_START + -(-sizes[0] // (1 << 20) << 20))
    names = ("type=7, bootable", "type=7") if table == "mbr" else (
        f"type={_BASIC_DATA}, uuid={PARTITION_GUID}", f"type={_BASIC_DATA}, uuid={SECOND_GUID}")
    label = f"dos\nlabel-id: {DISK_SIGNATURE:#x}" if table == "mbr" else f"gpt\nlabel-id: {DISK_GUID}"
    lines = [f"start={start // 512}, size={size // 512}, {name}"
             for start, size, name in zip(starts, sizes, names, strict=True)]
    partition(disk, "\n".join([f"label: {label}", *lines, ""]), size=starts[1] + sizes[1] + (2 << 20))
    for volume, start in zip((first, second), starts, strict=True):
        copy_sparse(volume, disk, target_offset=start)
    return starts[1]
