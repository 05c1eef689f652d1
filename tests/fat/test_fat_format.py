"""New FAT volumes: of the kind and with the clusters that Windows gives them, sound to every judge."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fat_judge import run, sound_fat
from wimboot.fat import format_volume
from wimboot.fat.refusals import FatSizeNotPossible
from wimboot.formats.fatboot import FatBoot, FatKind
from wimboot.storage import HostFolder
from wimboot.storage.memory import Image, MemoryFile

MIB = 1 << 20


def made(path: Path, size: int, **wishes: object) -> FatBoot:
    """A volume of its own in a file."""
    file = HostFolder(path.parent).create(path.name)
    file.truncate(size)
    boot = format_volume(file, size, **wishes)  # type: ignore[arg-type]  # as given
    assert FatBoot.parse(file.pread(0, 512)) == boot
    file.close()
    return boot


@pytest.mark.parametrize(("size", "kind", "cluster"), [
    (100 * MIB, FatKind.FAT32, 1024), (200 * MIB, FatKind.FAT32, 2048), (260 * MIB, FatKind.FAT32, 4096),
    (512 * MIB, FatKind.FAT32, 4096), (64 * MIB, FatKind.FAT32, 512), (34 * MIB, FatKind.FAT32, 512),
    (24 * MIB, FatKind.FAT16, 512), (8 * MIB, FatKind.FAT16, 512), (1_474_560, FatKind.FAT12, 512),
    (9000 * MIB, FatKind.FAT32, 8192), (40_000 * MIB, FatKind.FAT32, 32_768),
])
def test_new_volume_is_as_windows_makes_it(size: int, kind: FatKind, cluster: int, tmp_path: Path) -> None:
    """FAT32 with Windows' cluster sizes wherever it has enough of them; FAT16 and FAT12 below."""
    image = tmp_path / "new.img"
    boot = made(image, size, label="SYSTEM", serial=0x1234ABCD, hidden_sectors=2048)
    assert (boot.kind, boot.cluster_size) == (kind, cluster)
    assert boot.data_offset % 4096 == 0
    sound_fat(image, {})
    said = run("minfo", "-i", image, "::").decode()
    assert "hidden sectors: 2048" in said
    assert "1234ABCD" in said.upper()
    assert run("mlabel", "-s", "-i", image, "::").decode().strip().endswith("SYSTEM")


@pytest.mark.parametrize(("size", "kind"), [(300 * MIB, FatKind.FAT32), (128 * MIB, FatKind.FAT16)])
def test_new_volume_fits_a_disk_of_large_sectors(size: int, kind: FatKind, tmp_path: Path) -> None:
    """On a disk of 4,096-byte sectors FAT32 begins at 260 MB or so, as Microsoft says of EFI system partitions."""
    image = tmp_path / "new.img"
    boot = made(image, size, sector_size=4096, hidden_sectors=256)
    assert (boot.kind, boot.sector_size, boot.cluster_size) == (kind, 4096, 4096)
    sound_fat(image, {})


def test_cluster_size_can_be_chosen(tmp_path: Path) -> None:
    """Larger clusters are made as asked, and make another FAT where there are too few of them."""
    assert made(tmp_path / "a.img", 300 * MIB, cluster_size=512).kind is FatKind.FAT32
    boot = made(tmp_path / "b.img", 300 * MIB, cluster_size=16_384)
    assert (boot.kind, boot.cluster_size) == (FatKind.FAT16, 16_384)
    sound_fat(tmp_path / "b.img", {})


def test_new_volume_leaves_nothing_of_the_old(tmp_path: Path) -> None:
    """What was there before is gone from every place that a FAT driver reads."""
    size = 100 * MIB
    file = MemoryFile(Image(size=size))
    for offset in range(0, 4 * MIB, MIB):
        file.pwrite(offset, b"\xaa" * MIB)
    boot = format_volume(file, size, serial=1, made=datetime(2026, 11, 22, 18, tzinfo=UTC), label="esp")
    file.image.save(tmp_path / "over.img")
    sound_fat(tmp_path / "over.img", {})
    assert file.pread(boot.data_offset + boot.cluster_size, 4) == b"\xaa" * 4     # free clusters are nobody's


@pytest.mark.parametrize("wishes", [
    {"label": "TWELVE CHARS"}, {"label": "中文"}, {"label": "a:b"}, {"cluster_size": 1000}, {"cluster_size": 256},
    {"cluster_size": 131_072}, {"sector_size": 520}, {"hidden_sectors": 1 << 32}, {"size": 1000}, {"size": 101 * MIB},
    {"size": 16 * MIB, "cluster_size": 4096, "sector_size": 4096}, {"size": 65_536, "cluster_size": 65_536},
])
def test_impossible_volumes_are_refused(wishes: dict[str, object]) -> None:
    """Refused before the first byte is written."""
    file = MemoryFile(Image(size=100 * MIB))
    with pytest.raises(FatSizeNotPossible):
        format_volume(file, **{"size": 100 * MIB, **wishes})  # type: ignore[arg-type]  # as given
    assert not file.pread(0, 100 * MIB).strip(b"\0")


def test_judges_object_to_a_broken_fat(tmp_path: Path) -> None:
    """A judge that finds two different FATs sound would be worth nothing."""
    image = tmp_path / "new.img"
    boot = made(image, 100 * MIB)
    with image.open("r+b") as file:
        file.seek(boot.fat_offset + boot.fat_size + 4000)
        file.write(b"\1")
    with pytest.raises(AssertionError, match="fsck"):
        sound_fat(image, {})
    assert subprocess.run(["fsck.fat", "-n", image], capture_output=True, check=False).returncode == 1
