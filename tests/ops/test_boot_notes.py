"""What `boot` tells besides its result, by the ids that front-ends match on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from boot_stores import AT
from boot_systems import add_boot_files
from mounting import copy_sparse, mounted
from running import NO_PLACE, wimboot
from two_partitions import two_partitions
from vhd_making import fixed_vhd


def notes(*arguments: object) -> dict[str, str]:
    """The notes of a run that succeeds, by their ids."""
    run = wimboot("boot", *arguments, "--progress", "json")
    assert run.code == 0, run.err
    events = [json.loads(line) for line in run.err.splitlines() if line.startswith("{")]
    return {event["id"]: event["text"] for event in events if event["event"] == "note"}


def test_boot_manager_without_a_version(bootable: Path, esp: Path) -> None:
    """It stays, and what to say for another is said."""
    (esp / "bootmgr").write_bytes(b"\xe9packed")
    assert "--boot-files system" in notes(bootable, "--to", esp, *AT)["boot-version-unknown"]


def test_template_that_cannot_be_read(newer_volume: Path, esp: Path) -> None:
    """The system's BCD-Template is no store; the entry is made without it."""
    assert "without this template" in notes(newer_volume, "--to", esp, *AT)["template-unusable"]


def test_loader_that_is_not_there(bootable: Path, esp: Path) -> None:
    """An entry for a program that the system does not have."""
    with mounted(bootable, write=True) as root:
        (root / "Windows/System32/winload.efi").unlink()
    told = notes(bootable, "--to", esp, *AT)
    assert "winload.efi" in told["no-loader"]


def test_uefi_from_ntfs(bootable: Path) -> None:
    """Most firmware starts from FAT only."""
    assert "FAT" in notes(bootable, "--to", bootable, *AT, "--firmware", "uefi")["uefi-reads-fat"]


@pytest.mark.parametrize(("table", "number", "said"), [("mbr", 1, ""), ("mbr", 2, "not the active"), ("gpt", 2, "GPT")])
def test_partition_that_a_bios_does_not_start_from(table: build.Table, number: int, said: str, bootable: Path,
                                                   data_volume: Path, tmp_path: Path) -> None:
    """The active one of an MBR disk is what a BIOS starts."""
    disk = tmp_path / "disk.img"
    two_partitions(disk, data_volume, bootable, table)
    told = notes(f"{disk}#2", "--to", f"{disk}#{number}", "--firmware", "bios").get("bios-starts-active", "")
    assert said in told
    assert bool(said) == bool(told)


def test_place_that_no_disk_at_hand_is(bootable: Path, esp: Path) -> None:
    """A place that was given is compared with the disks at hand, as that of a WIM is."""
    assert "5cbea03e" in notes(bootable, "--to", esp, *AT)["place-not-at-hand"]


def test_system_that_is_in_no_menu(bootable: Path, esp: Path) -> None:
    """There is nothing to remove."""
    notes(bootable, "--to", esp, *AT)
    assert "not-in-menu" in notes(bootable, "--to", esp, "--volume-place", "mbr:1:512", "--remove")


def test_vhd_that_is_searched_for_and_a_boot_manager_too_old_for_it(bootable: Path, esp: Path, tmp_path: Path) -> None:
    """A WIMBoot system of Windows 7 in a VHD: its own boot manager is said not to start it."""
    done = wimboot("convert", bootable, "--wim", tmp_path / "store.wim", *NO_PLACE)
    assert done.code == 0, done.err
    vhd = tmp_path / "win7.vhd"
    vhd.write_bytes(fixed_vhd(bootable.read_bytes()))
    told = notes(vhd, "--to", esp, "--vhd-place", "locate:\\win7.vhd", "--wim", tmp_path / "store.wim")
    assert {"vhd-searched-for", "old-boot-manager"} <= set(told)


def test_vhdx_of_an_old_windows(built_system: Callable[..., build.System], esp: Path, tmp_path: Path) -> None:
    """Windows 7 starts from VHDs only."""
    plain, vhdx = tmp_path / "plain.img", tmp_path / "win7.vhdx"
    copy_sparse(built_system(size=24 << 20, files=6, features=()).path, plain)
    add_boot_files(plain)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vhdx", plain, vhdx], check=True, capture_output=True)
    assert "VHDX" in notes(vhdx, "--to", esp, "--vhd-place", "boot:\\win7.vhdx")["vhdx-needs-windows-8"]
