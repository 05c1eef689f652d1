"""The boot judge can be trusted: it starts a sound disk made by others, and sees what is wrong with one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import build
from boot_judge import put_boot_code, start_disk
from mounting import copy_sparse
from partition_table import partition

_OFFSET = 1 << 20
_SECTORS = (5 << 30) // 512 - 4096


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk of 5 GiB by sfdisk and mkntfs, with the judge's boot code."""
    disk, volume = tmp_path / "disk.img", tmp_path / "volume.img"
    partition(disk, f"label: dos\nstart=2048, size={_SECTORS}, type=7, bootable\n", size=5 << 30)
    build.make_volume(volume, size=_SECTORS * 512, start_sector=2048)
    copy_sparse(volume, disk, target_offset=_OFFSET)
    put_boot_code(disk, _OFFSET)
    return disk


def patch(disk: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes."""
    with disk.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_sound_disk_starts(disk: Path) -> None:
    """Everything that the boot code looks at is as sfdisk and mkntfs meant it."""
    start = start_disk(disk)
    assert (start.hidden_sectors, start.first_sector, start.sectors) == (2048, 2048, _SECTORS)
    assert start.active
    assert start.type == 7
    assert (start.heads, start.sectors_per_track) == (255, 63)
    assert start.by_chs(start.first_chs) == 2048
    assert start.by_chs(start.last_chs) == 2048 + _SECTORS - 1
    assert start.found_by_hidden_sectors
    assert start.found_by_chs


def test_a_wrong_partition_start_is_seen(disk: Path) -> None:
    """A BPB with another number of hidden sectors leads elsewhere."""
    patch(disk, _OFFSET + 0x1C, (63).to_bytes(4, "little"))
    start = start_disk(disk)
    assert start.hidden_sectors == 63
    assert not start.found_by_hidden_sectors
    assert start.found_by_chs


def test_a_wrong_geometry_is_seen(disk: Path) -> None:
    """An entry whose cylinder, head and sector are of another geometry leads elsewhere."""
    patch(disk, 446 + 1, bytes((0, 33, 2)))
    start = start_disk(disk)
    assert start.by_chs(start.first_chs) != start.first_sector
    assert not start.found_by_chs
    assert start.found_by_hidden_sectors


def test_a_disk_without_an_active_partition_does_not_start(disk: Path) -> None:
    """The master boot code has nowhere to go."""
    patch(disk, 446, b"\0")
    with pytest.raises(AssertionError, match="'M'"):
        start_disk(disk)


def test_a_volume_without_a_boot_signature_does_not_start(disk: Path) -> None:
    """The master boot code refuses it."""
    patch(disk, _OFFSET + 510, b"\0\0")
    with pytest.raises(AssertionError, match="'S'"):
        start_disk(disk)
