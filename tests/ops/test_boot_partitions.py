"""`boot` onto real system partitions: FAT and NTFS, by themselves and on the disk of the system, seen by others."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

import build
from boot_stores import AT, BIOS_STORE, UEFI_STORE, devices, entries
from boot_systems import BIOS_FILES, UEFI_FILES, boot_contents
from data_disks import attached_disk, node_of_partition
from judges import sound_volume
from mounting import UTF_8, carve, copy_sparse, mounted
from registry_samples import store
from running import NO_PLACE, done, refused, unchanged
from two_partitions import FIRST_START, SECOND_GUID, two_partitions
from wimboot.formats.bcd import ElementType
from wimboot.windows.bootplace import BootPlace

ESP_SIZE = 34 << 20
ESP_GUID = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"


def fat(path: Path, *, bits: int = 16, size: int = 16 << 20) -> Path:
    """An empty FAT volume by mkfs.fat."""
    with path.open("wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.fat", "-F", str(bits), str(path)], check=True, capture_output=True)
    return path


def by_mtools(image: Path, path: str, folder: Path) -> bytes:
    """A file of a FAT volume as mtools reads it."""
    out = folder / "judged"
    subprocess.run(["mcopy", "-n", "-o", "-i", str(image), f"::/{path}", str(out)], check=True, capture_output=True,
                   env=UTF_8)
    return out.read_bytes()


def sound_fat(image: Path) -> None:
    """fsck.fat finds nothing to mend."""
    subprocess.run(["fsck.fat", "-n", str(image)], check=True, capture_output=True)


def test_fat_volume_gets_files_and_stores(bootable: Path, tmp_path: Path) -> None:
    """Both firmwares' files are the system's own in the eyes of mtools; a second run leaves every byte."""
    esp = fat(tmp_path / "esp.img")
    arguments = ("boot", bootable, "--to", esp, *AT, "--title", "系统 甲")
    with unchanged(bootable):
        done(*arguments)
    sound_fat(esp)
    system = boot_contents(bootable, {*BIOS_FILES.values(), *UEFI_FILES.values()})
    for path, source in {**BIOS_FILES, **UEFI_FILES}.items():
        assert by_mtools(esp, path, tmp_path) == system[source], path
    for path in (BIOS_STORE, UEFI_STORE):
        (tmp_path / "BCD").write_bytes(by_mtools(esp, path, tmp_path))
        (entry,) = entries(tmp_path / "BCD")
        assert entry.text(ElementType.DESCRIPTION) == "系统 甲"
    listed = subprocess.run(["mattrib", "-i", str(esp), "::/bootmgr"], check=True, capture_output=True, text=True)
    assert set("RHS") <= set(listed.stdout.split("::")[0])
    with unchanged(esp):
        done(*arguments)


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_system_partition_on_the_disk_of_the_system(table: build.Table, bootable: Path, tmp_path: Path) -> None:
    """Found as the disk's active or EFI partition, changed in the disk's one transaction, known by its own place."""
    disk = tmp_path / "disk.img"
    start = two_partitions(disk, fat(tmp_path / "esp.img", bits=32, size=ESP_SIZE), bootable, table)
    if table == "gpt":
        subprocess.run(["sfdisk", "-q", "--part-type", str(disk), "1", ESP_GUID], check=True, capture_output=True)
    done("boot", disk if table == "mbr" else f"{disk}#2", "--to", disk if table == "gpt" else f"{disk}#1", "--default")
    esp, system = tmp_path / "esp.img", carve(disk, start, tmp_path / "system.img")
    with disk.open("rb") as file:
        file.seek(FIRST_START)
        esp.write_bytes(file.read(ESP_SIZE))
    sound_fat(esp)
    sound_volume(system)
    path, own, place = (BIOS_STORE, f"mbr:{build.DISK_SIGNATURE:08x}:{FIRST_START}",
                        f"mbr:{build.DISK_SIGNATURE:08x}:{start}")
    if table == "gpt":
        path, own, place = (UEFI_STORE, f"gpt:{build.DISK_GUID}:{build.PARTITION_GUID}",
                            f"gpt:{build.DISK_GUID}:{SECOND_GUID}")
    (tmp_path / "BCD").write_bytes(by_mtools(esp, path, tmp_path))
    (entry,) = entries(tmp_path / "BCD")
    assert devices(entry) == (BootPlace.parse_volume(place).device,) * 2
    listed = done("boot", "--list", f"{disk}#1").out
    assert listed.count("(BIOS)") + listed.count("(UEFI)") == 1
    assert f"device                  partition={own}" in listed


def test_system_may_start_from_its_own_volume(bootable: Path, tmp_path: Path) -> None:
    """Bootmgr, \\Boot and Windows on one NTFS volume: files and entry arrive, the volume stays sound."""
    done("boot", bootable, "--to", bootable, *AT, "--boot-files", "system")
    sound_volume(bootable)
    with mounted(bootable) as root:
        for path, source in BIOS_FILES.items():
            assert (root / path).read_bytes() == (root / "Windows/Boot" / source).read_bytes(), path
        (tmp_path / "BCD").write_bytes((root / BIOS_STORE).read_bytes())
        assert not (root / UEFI_STORE).exists()
    (entry,) = entries(tmp_path / "BCD")
    assert devices(entry) == (BootPlace.parse_volume("mbr:5cbea03e:1048576").device,) * 2
    with unchanged(bootable):
        done("boot", bootable, "--to", bootable, *AT)


def test_boot_manager_that_is_a_pointer_is_made_a_file(bootable: Path, tmp_path: Path) -> None:
    """What the BIOS reads must be a file: a pointer in its place is replaced, whatever is to be kept."""
    system = boot_contents(bootable, ["PCAT/bootmgr"])
    done("convert", bootable, "--wim", tmp_path / "store.wim", *NO_PLACE)
    with mounted(bootable, write=True) as root:
        (root / "bootmgr").unlink()
        (root / "Windows/explorer.exe").rename(root / "bootmgr")
        assert (root / "bootmgr").is_symlink()      # a pointer, in the eyes of the driver
    done("boot", bootable, "--to", bootable, *AT, "--boot-files", "keep")
    sound_volume(bootable)
    with mounted(bootable) as root:
        assert (root / "bootmgr").read_bytes() == system["PCAT/bootmgr"]


def test_full_system_partition_is_refused(bootable: Path, tmp_path: Path) -> None:
    """Before anything is written, FAT or NTFS; not a byte changes."""
    small = fat(tmp_path / "small.img", bits=12, size=128 << 10)
    refused("system-partition-full", 4, "boot", bootable, "--to", small, *AT, watching=(small,))
    ntfs = tmp_path / "ntfs.img"
    build.make_volume(ntfs, size=4 << 20)
    with (mounted(ntfs, write=True) as root, (root / "filler").open("wb", buffering=0) as file,
          contextlib.suppress(OSError)):
        while True:
            file.write(os.urandom(16 << 10))
    refused("system-partition-full", 4, "boot", bootable, "--to", ntfs, *AT, watching=(ntfs,))


def test_damaged_store_on_a_fat_volume_changes_nothing(bootable: Path, tmp_path: Path) -> None:
    """Not even the boot files."""
    esp, bad = fat(tmp_path / "esp.img"), tmp_path / "bad"
    bad.write_bytes(store("regipy_BCD")[:9000])
    subprocess.run(["mmd", "-i", str(esp), "::/Boot"], check=True)
    subprocess.run(["mcopy", "-i", str(esp), str(bad), "::/Boot/BCD"], check=True)
    refused("not-a-bcd", 1, "boot", bootable, "--to", esp, *AT, "--firmware", "bios", watching=(esp,))


def test_dry_run_onto_a_volume_changes_no_byte(bootable: Path, tmp_path: Path) -> None:
    """It says what it would, and checks the room."""
    esp = fat(tmp_path / "esp.img")
    with unchanged(esp, bootable):
        assert "would be" in done("boot", bootable, "--to", esp, *AT, "--dry-run").out
    copy_sparse(bootable, tmp_path / "same.img")
    with unchanged(tmp_path / "same.img"):
        done("boot", tmp_path / "same.img", "--to", tmp_path / "same.img", *AT, "--dry-run")


def test_entry_that_names_the_same_partition_in_another_way_is_the_entry(bootable: Path, data_volume: Path,
                                                                         tmp_path: Path) -> None:
    """`boot`, or the partition that the boot manager is on: one entry, left as it is; the same for grub4dos."""
    disk, folder = tmp_path / "disk.img", tmp_path / "g4d"
    two_partitions(disk, data_volume, bootable)
    folder.mkdir()
    for name in ("grldr", "grldr.mbr"):
        (folder / name).write_bytes(name.encode())
    both = ("boot", f"{disk}#2", "--to", f"{disk}#2")
    done(*both, "--inside", "--grub4dos", "--grub4dos-files", folder)
    first = done("boot", "--list", f"{disk}#2").out
    told = done(*both, "--grub4dos", "--json").json
    assert [entry["outcome"] for store in told["stores"] for entry in store["entries"]] == ["same", "same"]
    assert done("boot", "--list", f"{disk}#2").out == first
    assert first.count("Windows Boot Loader") == first.count("Real-mode Boot Sector") == 1


@pytest.mark.heavy
def test_partition_given_as_a_device_is_known_by_its_disk(
    bootable: Path, data_volume: Path, tmp_path: Path, durable: Path
) -> None:
    """The kernel says where on which disk it is, the disk's table what Windows calls it."""
    disk = tmp_path / "disk.img"
    start = two_partitions(disk, data_volume, bootable)
    (tmp_path / "esp").mkdir()
    with attached_disk(disk) as device:
        node = node_of_partition(device.name, durable, 2)
        done("boot", node, "--to", tmp_path / "esp", "--firmware", "bios")
    (entry,) = entries(tmp_path / "esp" / BIOS_STORE)
    assert devices(entry) == (BootPlace.parse_volume(f"mbr:{build.DISK_SIGNATURE:08x}:{start}").device,) * 2
