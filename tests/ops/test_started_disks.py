"""New disks, started in a virtual machine: boot code on them sees partition, geometry and flag as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from boot_judge import Start, boot_code_files, start_disk
from running import done

_OFFSET_SECTORS = 2048
_GEOMETRY = (255, 63)
"""What a BIOS tells of any disk of more than 4 GB, and what MBR entries are written in."""


def made(folder: Path, name: str, *options: object) -> Path:
    """A disk with the judge's boot code, by the command line."""
    mbr, volume = boot_code_files(folder)
    done("create", folder / name, "--boot-code", mbr, "--boot-code", volume, *options)
    return folder / name


def check(start: Start, sectors: int) -> None:
    """Everything but what depends on the machine's idea of the disk's geometry."""
    assert start.active
    assert start.type == 7
    assert start.hidden_sectors == start.first_sector == _OFFSET_SECTORS
    assert start.sectors == sectors - _OFFSET_SECTORS - 2048
    assert start.found_by_hidden_sectors


@pytest.mark.parametrize(("name", "form"), [("disk.img", "raw"), ("disk.vhd", "vpc")])
def test_a_disk_of_five_gigabytes_starts(tmp_path: Path, name: str, form: str) -> None:
    """From the image, raw or a dynamic VHD: the volume's boot code is reached and finds itself by either way."""
    start = start_disk(made(tmp_path, name, "--size", "5G"), form)
    check(start, (5 << 30) // 512)
    assert (start.heads, start.sectors_per_track) == _GEOMETRY
    assert start.by_chs(start.first_chs) == start.first_sector
    assert start.by_chs(start.last_chs) == start.first_sector + start.sectors - 1
    assert start.found_by_chs


def test_a_fixed_vhd_starts(tmp_path: Path) -> None:
    """It is smaller here, so that its entry's cylinders are those of the usual geometry and not of this machine."""
    start = start_disk(made(tmp_path, "disk.vhd", "--size", "64M", "--fixed"), "vpc")
    check(start, (64 << 20) // 512)
    cylinder, head, sector = start.first_chs
    assert (cylinder * 255 + head) * 63 + sector - 1 == start.first_sector


def test_a_partition_past_the_last_cylinder_says_so(tmp_path: Path) -> None:
    """Of a disk that cylinders cannot count the entry ends with the highest ones; the boot code still finds itself."""
    start = start_disk(made(tmp_path, "disk.vhd", "--size", "15G"), "vpc")
    check(start, (15 << 30) // 512)
    assert start.last_chs == (1023, 254, 63)
    assert start.found_by_chs
