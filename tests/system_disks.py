"""Disks with a system partition: FAT32 or NTFS, in an MBR or a GPT, made by other programs than ours."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

from build import DISK_GUID, DISK_SIGNATURE, make_volume
from mounting import copy_sparse
from partition_table import partition

__all__ = ["ESP_GUID", "ESP_SIZE", "ESP_START", "system_disk"]

MIB = 1 << 20
ESP_START = MIB
ESP_SIZE = 36 * MIB
ESP_GUID = "6e1f5f0c-3d0a-4a5e-8f57-2f6f5f0b9a11"
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
DATA_TYPE = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"


def system_disk(
    path: Path, *, table: Literal["mbr", "gpt"] = "gpt", holds: Literal["fat32", "ntfs"] = "fat32",
    second: Path | None = None,
) -> Path:
    """A disk whose first partition is the system partition, at 1 MiB; `second` is a bare volume behind it."""
    volume = path.with_name(f"{path.name}.part")
    if holds == "fat32":
        subprocess.run(["mkfs.fat", "-C", "-F", "32", "-s", "1", "-h", str(ESP_START // 512), "-n", "SYSTEM", volume,
                        str(ESP_SIZE >> 10)], check=True, capture_output=True)
    else:
        make_volume(volume, size=ESP_SIZE, start_sector=ESP_START // 512)
    following = ESP_START + ESP_SIZE
    size = 0 if second is None else second.stat().st_size
    path.touch()
    with path.open("r+b") as file:
        file.truncate(following + size + 2 * MIB)
    kinds = (f"type={ESP_TYPE}, uuid={ESP_GUID}", f"type={DATA_TYPE}") if table == "gpt" else (
        f"type={'c' if holds == 'fat32' else '7'}, bootable", "type=7")
    lines = [f"start={ESP_START // 512}, size={ESP_SIZE // 512}, {kinds[0]}"]
    if second is not None:
        lines.append(f"start={following // 512}, size={size // 512}, {kinds[1]}")
    label = f"gpt\nlabel-id: {DISK_GUID}" if table == "gpt" else f"dos\nlabel-id: {DISK_SIGNATURE:#x}"
    partition(path, "\n".join([f"label: {label}", *lines, ""]))
    copy_sparse(volume, path, target_offset=ESP_START)
    if second is not None:
        copy_sparse(second, path, target_offset=following)
    volume.unlink()
    return path
