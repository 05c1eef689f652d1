"""UEFI firmware reads and writes what we made: the table, the EFI system partition, the boot files and their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from boot_stores import UEFI_STORE
from boot_systems import UEFI_FILES, boot_contents
from fat_judge import mtools_files, sound_fat
from firmware import shell_script, start_uefi
from running import NO_PLACE, done
from wimboot.events import silent
from wimboot.ops.booting.systempartition import open_system_partition

SAID = "REACHED FROM FIRMWARE"
STORE = UEFI_STORE.replace("/", "\\")


@pytest.mark.heavy
def test_firmware_starts_from_our_system_partition(bootable: Path, tmp_path: Path) -> None:
    """It finds the partition, runs a script on it, copies our files under new names, and we read what it wrote."""
    wim, disk = tmp_path / "store.wim", tmp_path / "disk.img"
    system = boot_contents(bootable, set(UEFI_FILES.values()))
    done("capture", bootable, "--wim", wim, "--name", "seven")
    done("create", disk, "--size", "160M", "--table", "gpt", "--esp=40M")
    done("apply", wim, "seven", f"{disk}#2", "--full", *NO_PLACE)
    done("boot", f"{disk}#2", "--to", disk)
    said = "a long name that needs a short one.txt"
    with open_system_partition(str(disk), silent, write=True) as partition:
        partition.remove(r"EFI\BOOT\BOOTX64.EFI")      # the sample is no program that firmware could run
        partition.remove(r"EFI\Microsoft\Boot\bootmgfw.efi")
        partition.write(f"EFI\\{said}", SAID.encode() + b"\r\n")
        partition.write(r"EFI\中文 文件.bin", bytes(range(256)) * 700)
        partition.write("startup.nsh", shell_script(
            "fs0:", f'type "EFI\\{said}"', f'cp {STORE} "copies of firmware\\BCD"',
            'cp EFI\\*.bin "copies of firmware"', r"rm EFI\*.txt"))
        partition.make_folder("copies of firmware")
        partition.commit()
    before = mtools_files(disk, 1 << 20)
    assert SAID in start_uefi(disk, tmp_path)
    after = mtools_files(disk, 1 << 20)
    assert after.pop("copies of firmware/BCD") == before[UEFI_STORE]
    assert after.pop("copies of firmware/中文 文件.bin") == bytes(range(256)) * 700
    assert after == {path: data for path, data in before.items() if path != f"EFI/{said}"}
    assert set(after) > set(UEFI_FILES) - {"EFI/BOOT/BOOTX64.EFI", "EFI/Microsoft/Boot/bootmgfw.efi"}
    done("boot", f"{disk}#2", "--to", disk)     # which looks at the whole volume before it writes
    sound_fat(disk, None, 1 << 20)
    assert mtools_files(disk, 1 << 20)["EFI/BOOT/BOOTX64.EFI"] == system["EFI/bootmgfw.efi"]
