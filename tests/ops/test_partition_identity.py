"""What Windows knows a system partition by, where the host has mounted it or it is a device of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from build import DISK_GUID, DISK_SIGNATURE
from mounting import need_mounts
from system_disks import ESP_GUID, ESP_START, system_disk
from wimboot.disk import Host
from wimboot.formats.bootdevice import PartitionDevice
from wimboot.formats.guid import parse_guid
from wimboot.ops.booting.identity import identity_of_folder, identity_of_volume


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_mounted_or_device_is_known_by_its_disk(table: Literal["gpt", "mbr"], tmp_path: Path) -> None:
    """/boot/efi and /dev/sda1 are a volume without a table; the kernel tells on which disk and where it lies."""
    need_mounts()
    host = Host(proc=tmp_path / "proc", sys=tmp_path / "sys", dev=tmp_path / "dev")
    folder, node = tmp_path / "efi", tmp_path / "sda1"
    for path in (folder, host.dev, host.proc / "self", host.sys / "dev/block"):
        path.mkdir(parents=True)
    subprocess.run(["mknod", node, "b", "259", "77"], check=True)
    system_disk(tmp_path / "dev" / "sda", table=table)
    inside = host.sys / "devices/sda/sda1"
    (inside.parent / "queue").mkdir(parents=True)
    (inside.parent / "queue/logical_block_size").write_text("512\n")
    inside.mkdir()
    (inside / "partition").write_text("1\n")
    (inside / "start").write_text(f"{ESP_START // 512}\n")
    number = f"{os.major(folder.stat().st_dev)}:{os.minor(folder.stat().st_dev)}"
    for each in (number, "259:77"):
        (host.sys / "dev/block" / each).symlink_to(inside)
    (host.proc / "self/mountinfo").write_text(f"20 1 {number} / {folder} rw - vfat /dev/sda1 rw\n")
    device = (PartitionDevice.mbr(DISK_SIGNATURE, ESP_START) if table == "mbr" else
              PartitionDevice.gpt(parse_guid(str(DISK_GUID)), parse_guid(ESP_GUID)))
    for found, why in (identity_of_folder(folder, host), identity_of_volume(node, host)):
        assert why == ""
        assert found is not None
        assert found.device == device
        assert found.active == (table == "mbr")
    (folder / "EFI").mkdir()
    assert identity_of_folder(folder / "EFI", host) == (None, f"{folder / 'EFI'} is not the root of its volume")
    assert identity_of_folder(folder / "none", host)[0] is None
    with (host.dev / "sda").open("r+b") as file:
        file.write(bytes(512))
    for found, why in (identity_of_folder(folder, host), identity_of_volume(node, host)):
        assert found is None
        assert "no partition table" in why
