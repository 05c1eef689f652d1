"""From a captured Windows to a GPT disk that firmware starts: one disk, its EFI system partition, its boot entry."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from boot_stores import UEFI_STORE, devices, entries
from boot_systems import UEFI_FILES, boot_contents
from fat_judge import carve_fat, mtools_files, sound_fat
from judges import sound_volume
from running import NO_PLACE, done, refused, unchanged
from wimboot.formats.bcd import ElementType
from wimboot.formats.bootdevice import PartitionDevice
from wimboot.formats.guid import parse_guid

MIB = 1 << 20


def raw(disk: Path, folder: Path) -> Path:
    """The disk as other programs read it."""
    if disk.suffix == ".img":
        return disk
    out = folder / "judged.img"
    subprocess.run(["qemu-img", "convert", "-f", "vpc" if disk.suffix == ".vhd" else disk.suffix[1:], "-O", "raw", disk,
                    out], check=True)
    return out


@pytest.mark.parametrize("name", ["disk.img", "disk.vhd"])
def test_new_gpt_disk_starts_a_captured_system(name: str, bootable: Path, tmp_path: Path) -> None:
    """create, apply, boot, twice: the judges of every layer are content, and a full partition changes nothing."""
    wim, disk = tmp_path / "store.wim", tmp_path / name
    expected = boot_contents(bootable, set(UEFI_FILES.values()))
    done("capture", bootable, "--wim", wim, "--name", "seven")
    done("create", disk, "--size", "160M", "--table", "gpt", "--esp=40M", "--msr")
    parts = {part["number"]: part for part in done("info", disk, "--json").json["disk"]["partitions"]}
    assert [part["file_system"] for part in parts.values()] == ["fat32", None, "ntfs"]
    done("apply", wim, "seven", f"{disk}#3", "--full", *NO_PLACE)
    done("boot", f"{disk}#3", "--to", disk, "--title", "系统 七", "--timeout", "3", "--default")
    with unchanged(disk):
        done("boot", f"{disk}#3", "--to", disk, "--title", "系统 七", "--timeout", "3", "--default")
    assert "系统 七" in done("boot", "--list", f"{disk}#1").out

    judged = raw(disk, tmp_path)
    said = subprocess.run(["sgdisk", "--verify", judged], capture_output=True, text=True, check=True).stdout
    assert "No problems found" in said
    esp, start = parts[1]["offset"], parts[3]["offset"]
    sound_fat(judged, None, esp)
    sound_volume(judged, start)
    held = mtools_files(judged, esp)
    assert set(held) == {*UEFI_FILES, UEFI_STORE}
    for path, source in UEFI_FILES.items():
        assert held[path] == expected[source], path
    (tmp_path / "BCD").write_bytes(held[UEFI_STORE])
    (entry,) = entries(tmp_path / "BCD")
    place = PartitionDevice.gpt(parse_guid(identity(disk)), parse_guid(parts[3]["guid"]))
    assert devices(entry) == (place, place)
    assert entry.text(ElementType.DESCRIPTION) == "系统 七"

    if judged == disk:
        full = carve_fat(disk, esp, tmp_path / "full.img")
        fill(full)
        with disk.open("r+b") as file:
            file.seek(esp)
            file.write(full.read_bytes())
        refused("system-partition-full", 4, "boot", f"{disk}#3", "--to", disk, watching=(disk,))


def identity(disk: Path) -> str:
    """The disk's GUID, as info tells it."""
    return str(done("info", disk, "--json").json["disk"]["identity"])


def fill(volume: Path) -> None:
    """Take everything off it and leave no cluster free."""
    subprocess.run(["mdeltree", "-i", volume, "::/EFI"], check=True, capture_output=True)
    size, number = 38 * MIB, 0
    while size >= 512:
        number += 1
        filler = volume.with_name(f"filler{number}")
        filler.write_bytes(b"." * size)
        if subprocess.run(["mcopy", "-i", volume, filler, "::/"], capture_output=True, check=False).returncode:
            subprocess.run(["mdel", "-i", volume, f"::/{filler.name}"], capture_output=True, check=False)
            size //= 2
        filler.unlink()
