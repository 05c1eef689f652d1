"""Partitions and bare volumes are named for the file system that they hold."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from build import DISK_GUID
from partition_table import partition
from running import done, refused
from wimboot.disk import NotADisk, TableKind, read_table
from wimboot.fat import format_volume
from wimboot.storage import HostFile
from wimboot.storage.memory import Image, MemoryFile

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A GPT disk with FAT32, FAT16, exFAT's first sector, and a partition without anything."""
    path = tmp_path / "several.img"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(60 * MIB)
    partition(path, f"label: gpt\nlabel-id: {DISK_GUID}\nstart=2048, size=73728, type=uefi\n"
              "start=75776, size=16384\nstart=92160, size=2048\nstart=94208, size=2048\n")
    for number, (kind, kib) in enumerate((("32", 36 << 10), ("16", 8 << 10))):
        volume = tmp_path / f"{kind}.img"
        subprocess.run(["mkfs.fat", "-C", "-F", kind, "-s", "1", volume, str(kib)], check=True, capture_output=True)
        with path.open("r+b") as file:
            file.seek((2048, 75776)[number] * 512)
            file.write(volume.read_bytes()[:MIB])
            file.seek(92160 * 512)
            file.write(b"\xeb\x76\x90EXFAT   ")
    return path


def test_partitions_are_named_for_what_they_hold(disk: Path) -> None:
    """In the JSON document, and in words; a partition of FAT that is named has nothing more to tell."""
    document = done("info", disk, "--json").json
    assert [part["file_system"] for part in document["disk"]["partitions"]] == ["fat32", "fat16", "exfat", None]
    assert [part["ntfs"] for part in document["disk"]["partitions"]] == [False] * 4
    told = done("info", f"{disk}#1").out
    assert "FAT32" in told
    assert "exFAT" in told
    assert "holds no NTFS volume" in told
    refused("not-ntfs", 2, "info", f"{disk}#4")


@pytest.mark.parametrize(("size", "name"), [(MIB, "FAT12"), (8 * MIB, "FAT16"), (40 * MIB, "FAT32")])
def test_bare_fat_volumes_are_no_disks(size: int, name: str, tmp_path: Path) -> None:
    """Their boot sector ends as an MBR does, and is none."""
    path = tmp_path / "bare.img"
    file = MemoryFile(Image(size=size))
    format_volume(file, size)
    file.image.save(path)
    opened = HostFile.open(path)
    with pytest.raises(NotADisk, match=f"it is a {name} volume"):
        read_table(opened, where="bare.img")
    opened.close()
    refused("not-a-disk", 2, "info", path)


def test_disk_whose_mbr_looks_like_fat_is_a_disk() -> None:
    """Loaders write a FAT parameter block into an MBR; partitions within the disk tell that it is one."""
    file = MemoryFile(Image(size=40 * MIB))
    format_volume(file, 40 * MIB)
    file.pwrite(446, struct.pack("<B3sB3sII", 0x80, b"\0\0\0", 7, b"\0\0\0", 2048, 4096))
    table = read_table(file, where="disk")
    assert table.kind is TableKind.MBR
    assert [part.number for part in table.partitions] == [1]
    file.pwrite(446 + 8, struct.pack("<II", 2048, 1 << 30))
    with pytest.raises(NotADisk, match="FAT32"):
        read_table(file, where="disk")
