"""System partitions in images, disks, devices: found, told apart, written in one transaction, or left as they were."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from build import DISK_GUID, DISK_SIGNATURE, make_volume
from converted import Converted
from disk_kinds import as_kind
from fat_judge import mtools_files, sound_fat
from judges import sound_volume
from mounting import mounted
from running import unchanged
from system_disks import ESP_GUID, ESP_SIZE, ESP_START, system_disk
from wimboot.disk import Mounted, PartitionNeeded, peek
from wimboot.disk.target import Locked
from wimboot.errors import Internal
from wimboot.events import silent
from wimboot.fat.refusals import ExFat, FatDamaged, FatDirty
from wimboot.formats.bootdevice import PartitionDevice
from wimboot.formats.guid import parse_guid
from wimboot.ntfs import VolumeDirty, volume_facts
from wimboot.ntfs.refusals import LinkOnTheWay, PointerUnread
from wimboot.ops.booting.partition import (
    BadSystemPath,
    FileInTheWay,
    FileTooLarge,
    FolderInTheWay,
    PartitionFull,
    PartitionKind,
)
from wimboot.ops.booting.systempartition import NoSystemPartition, SystemEntry, SystemPartition, open_system_partition
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import TargetOptions
from wimboot.storage import FileDevice, HostFolder, SliceDevice

MIB = 1 << 20
FILES = {"bootmgr": b"b" * 60_000, "EFI/Microsoft/Boot/BCD": b"store" * 5000, "EFI/BOOT/BOOTX64.EFI": b"x" * 70_001,
         "Boot/zh-CN/bootmgr.exe.mui": "启动管理器".encode() * 100, "Boot/Fonts/中文.ttf": b""}


@contextmanager
def system(place: Path | str, *, write: bool = True, log: Path | None = None) -> Iterator[SystemPartition]:
    """The system partition at a place."""
    with open_system_partition(str(place), silent, write=write, log_folder=log) as partition:
        yield partition


def fill(partition: SystemPartition) -> None:
    """Write the files above, and read them back."""
    for path, data in FILES.items():
        partition.write(path, data, attributes=0x26 if path == "bootmgr" else None)
    for path, data in FILES.items():
        assert partition.read("\\" + path.replace("/", "\\").upper()) == data


def fail(disk: Path) -> None:
    """Write, and fail behind it."""
    with system(disk) as partition:
        fill(partition)
        partition.remove("Boot")


@pytest.fixture(params=["gpt fat32", "mbr fat32", "gpt ntfs", "mbr ntfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A disk with a system partition, made by sfdisk and mkfs.fat or mkntfs."""
    table, holds = request.param.split()
    return system_disk(tmp_path / f"{table}-{holds}.img", table=table, holds=holds)


def judged(disk: Path, files: dict[str, bytes]) -> None:
    """What other programs find on the system partition, which they call sound."""
    if disk.name.endswith("fat32.img"):
        sound_fat(disk, files, ESP_START)
        return
    sound_volume(disk, ESP_START)
    with mounted(disk, offset=ESP_START) as root:
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert found == files


def test_files_are_written_and_replaced(disk: Path) -> None:
    """Through every kind of volume and table, found without its number; a second time nothing but content changes."""
    with system(disk) as partition:
        assert partition.where == f"{disk}#1"
        assert partition.kind is (PartitionKind.FAT if "fat" in disk.name else PartitionKind.NTFS)
        fill(partition)
        partition.make_folder(r"\EFI\empty")
        partition.commit()
    judged(disk, FILES)
    with system(f"{disk}#1") as partition:
        assert partition.list(r"\efi") == tuple(
            SystemEntry(name=name, is_folder=True, size=0) for name in ("BOOT", "Microsoft", "empty"))
        assert partition.list("efi/microsoft/boot") == (SystemEntry(name="BCD", is_folder=False, size=25_000),)
        partition.write(r"efi\microsoft\boot\bcd", b"shorter")
        for gone in ("bootmgr", r"EFI\empty", "none"):
            partition.remove(gone)
        assert not partition.exists("bootmgr")
        assert partition.is_folder("EFI")
        partition.commit()
    judged(disk, {**{path: data for path, data in FILES.items() if path != "bootmgr"},
                  "EFI/Microsoft/Boot/BCD": b"shorter"})


def test_partition_is_known_by_what_windows_calls_it(disk: Path) -> None:
    """Signature and offset, or the GUIDs: what a device element of BCD holds."""
    with system(disk, write=False) as partition:
        found = partition.identity
        assert found is not None
        assert partition.why_unknown == ""
        assert (found.number, found.start, found.size) == (1, ESP_START, ESP_SIZE)
        if disk.name.startswith("gpt"):
            assert (found.is_esp, found.active) == (True, False)
            assert found.device == PartitionDevice.gpt(parse_guid(str(DISK_GUID)), parse_guid(ESP_GUID))
        else:
            assert (found.is_esp, found.active) == (False, True)
            assert found.device == PartitionDevice.mbr(DISK_SIGNATURE, ESP_START)


def test_nothing_changes_without_a_commit(disk: Path) -> None:
    """Not one byte on FAT, free clusters included; on NTFS nothing that the volume shows."""
    with unchanged(disk) if "fat" in disk.name else unchanged(), system(disk) as partition:
        fill(partition)
    judged(disk, {})
    with pytest.raises(FolderInTheWay):
        fail(disk)
    judged(disk, {})
    with system(disk, write=False) as partition, pytest.raises(Internal):
        partition.commit()


def test_full_partition_is_refused_and_unchanged(disk: Path) -> None:
    """Told before anything is written, in the words that all partitions have."""
    with unchanged(disk), system(disk) as partition:
        free = partition.free_size
        with pytest.raises(PartitionFull) as caught:
            partition.require_room({"bootmgr": free // 2, r"Boot\BCD": free // 2 + MIB})
        assert caught.value.facts["free"] == free
        with pytest.raises(PartitionFull):
            partition.write("bootmgr", bytes(free + 1))
    with system(disk, write=False) as partition:
        partition.require_room({r"Boot\BCD": 100_000})
        with pytest.raises(PartitionFull):
            partition.require_room({r"Boot\BCD": ESP_SIZE})
    judged(disk, {})


def test_replaced_files_count_for_their_room(disk: Path) -> None:
    """What is replaced gives its clusters to what replaces it."""
    with system(disk) as partition:
        size = partition.free_size - 2 * MIB
        partition.write("large", b"1" * size)
        partition.commit()
    with system(disk) as partition:
        partition.require_room({"large": size + MIB})
        partition.write("LARGE", b"2" * (size + MIB))
        partition.commit()
    with system(disk, write=False) as partition:
        assert partition.read("large") == b"2" * (size + MIB)


def test_what_cannot_be_written_is_refused(disk: Path) -> None:
    """The same refusals for every kind of volume."""
    with system(disk) as partition:
        partition.write(r"folder\file", b"1")
        with pytest.raises(FileInTheWay):
            partition.write(r"folder\file\x", b"")
        with pytest.raises(FileInTheWay):
            partition.make_folder(r"folder\file")
        for path in ("folder", "\\"):
            with pytest.raises(FolderInTheWay):
                partition.write(path, b"")
            with pytest.raises(FolderInTheWay):
                partition.remove(path)
        for path in ("a:b", r"x\..\y", "dot.", "x" * 256):
            with pytest.raises(BadSystemPath):
                partition.write(path, b"")
        assert partition.read("folder") is None
        assert partition.read("none") is None
        assert partition.list("none") == ()
        assert partition.list(r"folder\file") == ()


def test_too_large_files_are_not_read(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of gigabytes that is called BCD is none."""
    for module in ("fatpartition", "ntfspartition"):
        monkeypatch.setattr(f"wimboot.ops.booting.{module}.READ_LIMIT", 1000)
    with system(disk) as partition:
        partition.write("BCD", bytes(1001))
        with pytest.raises(FileTooLarge):
            partition.read("BCD")


def test_bare_volumes_have_no_identity(tmp_path: Path) -> None:
    """The image of a volume is a system partition too, of which only the files are known."""
    fat, ntfs = tmp_path / "bare-fat.img", tmp_path / "bare-ntfs.img"
    subprocess.run(["mkfs.fat", "-C", fat, "8192"], check=True, capture_output=True)
    make_volume(ntfs, size=24 * MIB)
    for path in (fat, ntfs):
        with system(path) as partition:
            assert partition.identity is None
            assert "without a disk" in partition.why_unknown
            fill(partition)
            partition.commit()
    sound_fat(fat, FILES)
    sound_volume(ntfs)


@pytest.mark.parametrize("kind", ["fixed", "dynamic", "differencing", "qcow2", "vhdx"])
def test_system_partition_in_disks_of_other_forms(kind: str, tmp_path: Path) -> None:
    """A VHD that grows, one over a parent, disks of others: the same files, and the parent stays as it was."""
    made = as_kind(kind, system_disk(tmp_path / "raw-disk"), tmp_path / "esp", ESP_START)
    with unchanged(*made.beyond()):
        with system(made.path) as partition:
            assert partition.identity is not None
            fill(partition)
            partition.commit()
        with unchanged(made.path), system(made.path) as partition:
            fill(partition)
    sound_fat(made.raw(), FILES, ESP_START)


def test_disk_without_signature_is_not_known(tmp_path: Path) -> None:
    """Windows could not tell it from others; the files can be written all the same."""
    disk = system_disk(tmp_path / "unsigned.img", table="mbr")
    with disk.open("r+b") as file:
        file.seek(440)
        file.write(bytes(4))
    with system(disk) as partition:
        assert partition.identity is None
        assert partition.why_unknown == "its disk has no signature"


def test_disk_without_one_system_partition_needs_its_number(tmp_path: Path) -> None:
    """No active partition, or two: the user has to say which."""
    disk = system_disk(tmp_path / "none.img", table="mbr")
    subprocess.run(["sfdisk", "-q", "--no-reread", "--activate", disk, "-"], check=True, capture_output=True)
    with pytest.raises(PartitionNeeded), system(disk):
        pass
    with system(f"{disk}#1") as partition:
        assert partition.identity is not None
        assert not partition.identity.active


@pytest.mark.parametrize(("content", "error"), [
    (bytes(MIB), NoSystemPartition), (b"\xeb\x76\x90EXFAT   ".ljust(510, b"\0") + b"\x55\xaa" + bytes(MIB), ExFat),
    (b"\x89PNG" + bytes(MIB), NoSystemPartition),
])
def test_what_is_no_system_partition_is_refused(content: bytes, error: type[Exception], tmp_path: Path) -> None:
    """exFAT by its name; anything else as what it is not."""
    path = tmp_path / "other.img"
    path.write_bytes(content)
    with unchanged(path), pytest.raises(error), system(path):
        pass
    disk = system_disk(tmp_path / "disk.img")
    with disk.open("r+b") as file:
        file.seek(ESP_START)
        file.write(content[:MIB])
    with unchanged(disk), pytest.raises(error), system(f"{disk}#1"):
        pass


@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_fat_in_use_or_damaged_is_refused(table: Literal["gpt", "mbr"], tmp_path: Path) -> None:
    """Not unmounted, or with FATs that differ: nothing is written; reading the first goes on, its room is not told."""
    disk = system_disk(tmp_path / "used.img", table=table)
    with disk.open("r+b") as file:
        file.seek(ESP_START + 65)
        file.write(b"\1")
    with unchanged(disk), pytest.raises(FatDirty), system(disk):
        pass
    with system(disk, write=False) as partition:
        assert partition.list() == ()
        with pytest.raises(FatDirty):
            partition.require_room({"x": 1})
    with disk.open("r+b") as file:
        file.seek(ESP_START + 65)
        file.write(b"\0")
        file.seek(ESP_START + 32 * 512 + 6000)
        file.write(b"\1")
    with unchanged(disk), pytest.raises(FatDamaged, match=r"img#1 is damaged"), system(disk):
        pass


def test_dirty_ntfs_is_refused(tmp_path: Path) -> None:
    """As everywhere else; a look whether there is room says so too."""
    path = tmp_path / "dirty.img"
    make_volume(path, size=24 * MIB)
    file = HostFolder(tmp_path).open(path.name)
    offsets = volume_facts(SliceDevice(FileDevice(file), 0, file.size())).flags_offsets
    file.close()
    with path.open("r+b") as handle:
        for offset in offsets:
            handle.seek(offset)
            handle.write(b"\1\0")
    with unchanged(path), pytest.raises(VolumeDirty), system(path):
        pass
    with system(path, write=False) as partition, pytest.raises(VolumeDirty):
        partition.require_room({"x": 1})


def test_ntfs_links_are_not_followed_and_pointers_not_misread(converted: Converted) -> None:
    """What a junction leads to is elsewhere; a pointer is never read as zeros, and replaced by a real file."""
    path = converted.volume
    pointer = r"\Windows\System32\kernel32.dll"
    with system(path) as partition:
        with pytest.raises(PointerUnread):
            partition.read(pointer)
        with pytest.raises(LinkOnTheWay):
            partition.write(r"Features\junctions\to Windows\x", b"")
        partition.write(pointer, b"real now")
        partition.write(r"Boot\BCD", b"x" * 5000, attributes=0x26)
        partition.commit()
    with system(path, write=False) as partition:
        assert partition.read(pointer) == b"real now"
        assert {entry.name: entry.size for entry in partition.list("Boot")}["BCD"] == 5000
    sound_volume(path)


def test_system_and_its_partition_share_one_transaction(pristine_small: Path, tmp_path: Path) -> None:
    """A Windows is read while the system partition of its disk is written; another run may not open the disk."""
    disk = system_disk(tmp_path / "shared.img", second=pristine_small)
    options = TargetOptions(place=f"{disk}#2")
    with system(disk) as partition:
        partition.write("before", b"1")
        with open_volume(options, silent, write=False) as opened:
            assert opened.tree.find("\\Windows\\System32\\ntoskrnl.exe") >= 0
        fill(partition)
        partition.commit()
    assert mtools_files(disk, ESP_START) == {"before": b"1", **FILES}
    with open_volume(options, silent, write=False), pytest.raises(Locked), system(disk):
        pass
    assert not peek(HostFolder(tmp_path), "shared.img.wimboot-log")


def test_ntfs_with_the_windows_itself(pristine_small: Path, tmp_path: Path) -> None:
    """The one volume of a BIOS system: the Windows on it is read while its boot files are written."""
    path = tmp_path / "single.img"
    path.write_bytes(pristine_small.read_bytes())
    with system(path) as partition:
        partition.write(r"Boot\first", b"1" * 5000)
        with open_volume(TargetOptions(place=str(path)), silent, write=False) as opened:
            assert opened.volume.open_path("\\Windows\\System32") is not None
        partition.write(r"Boot\second", b"2" * 5000)
        assert partition.read(r"Boot\first") == b"1" * 5000
        partition.commit()
    sound_volume(path)
    with mounted(path) as root:
        assert (root / "Boot/first").read_bytes() + (root / "Boot/second").read_bytes() == b"1" * 5000 + b"2" * 5000
        assert (root / "bootmgr").stat().st_size == 60_000


def test_mounted_partition_is_not_written(tmp_path: Path) -> None:
    """What a host has mounted is written through its folder, not beneath it."""
    ntfs = tmp_path / "mounted.img"
    make_volume(ntfs, size=24 * MIB)
    with mounted(ntfs, write=True), pytest.raises(Mounted), system(ntfs):
        pass
