"""`boot` refuses what would start nothing or spoil something, and changes nothing then."""

from __future__ import annotations

from pathlib import Path

import pytest

from boot_stores import AT, BIOS_STORE, VHD_PLACE, left_dirty
from boot_systems import add_boot_files, boot_contents
from mounting import copy_sparse, mounted
from registry_samples import store
from running import refused, wimboot
from wimboot.events import silent
from wimboot.ops.boot import BadTimeout, boot
from wimboot.ops.booting import bootfiles
from wimboot.ops.booting.options import BootOptions


def test_bare_volume_without_a_place_is_refused(bootable: Path, esp: Path) -> None:
    """An image of a volume says nothing of the disk that it will be on."""
    refused("volume-place-unknown", 4, "boot", bootable, "--to", esp, watching=(bootable, esp / "bootmgr"))
    refused("not-a-vhd", 2, "boot", bootable, "--to", esp, "--vhd-place", VHD_PLACE)


def test_what_is_no_store_stops_it(bootable: Path, esp: Path) -> None:
    """A store that is another file, or damaged, is refused, and nothing is changed."""
    path = esp / BIOS_STORE
    path.parent.mkdir()
    for data in (b"no store", store("regipy_BCD")[:9000]):
        path.write_bytes(data)
        refused("not-a-bcd", 1, "boot", bootable, "--to", esp, *AT, "--firmware", "bios", watching=(path,))
        assert [each.name for each in esp.rglob("*")] == ["Boot", "BCD"]
        refused("not-a-bcd", 1, "boot", "--to", esp, "--timeout", "3", watching=(path,))


def test_log_that_cannot_be_applied_stops_it(bootable: Path, esp: Path) -> None:
    """A store whose newest changes cannot be read is not written over."""
    path = esp / BIOS_STORE
    path.parent.mkdir()
    path.write_bytes(store("regipy_BCD"))
    left_dirty(path, store("regipy_BCD"), bins_size=5000)
    refused("registry-logs", 4, "boot", bootable, "--to", esp, *AT, "--firmware", "bios",
            watching=(path, path.with_name("BCD.LOG1")))


def test_wrong_architecture_is_refused(bootable: Path, esp: Path, tmp_path: Path) -> None:
    """Boot files for other processors than the system's, or than those that are there, start nothing."""
    other = tmp_path / "other.img"
    copy_sparse(bootable, other)
    add_boot_files(other, machine="arm64")
    refused("boot-architecture", 4, "boot", other, "--to", esp, *AT, "--firmware", "uefi", watching=(other,))
    (esp / "EFI/Microsoft/Boot").mkdir(parents=True)
    (esp / "EFI/Microsoft/Boot/bootmgfw.efi").write_bytes(boot_contents(other, ["EFI/bootmgfw.efi"])[
        "EFI/bootmgfw.efi"])
    refused("boot-architecture", 4, "boot", bootable, "--to", esp, *AT, "--firmware", "uefi",
            watching=(esp / "EFI/Microsoft/Boot/bootmgfw.efi",))


def test_missing_or_damaged_boot_files_are_refused(pristine_small: Path, bootable: Path, esp: Path) -> None:
    """A system without a boot manager cannot give one; one that is no program is not copied."""
    refused("no-boot-files", 4, "boot", pristine_small, "--to", esp, *AT, watching=(esp / "bootmgr",))
    with mounted(bootable, write=True) as root:
        (root / "Windows/Boot/EFI/bootmgfw.efi").write_bytes(b"nothing")
    refused("boot-file-damaged", 1, "boot", bootable, "--to", esp, *AT, "--firmware", "uefi")
    assert list(esp.iterdir()) == []


def test_commands_that_ask_for_nothing_are_told(bootable: Path, esp: Path) -> None:
    """No partition, nothing to change, no store to change, a place that is none, a timeout that is none."""
    assert wimboot("boot", bootable).code == 2
    assert wimboot("boot", "--to", esp, "--remove").code == 2
    assert wimboot("boot", "--to", esp, "--grub4dos-files", esp).code == 2
    assert wimboot("boot", "--list").code == 2
    refused("nothing-to-boot", 2, "boot", "--to", esp)
    refused("no-boot-store", 4, "boot", "--to", esp, "--timeout", "3")
    refused("bad-volume-place", 2, "boot", bootable, "--to", esp, "--volume-place", "C:")
    for title in ("", "  ", "a\nb", "x" * 256):
        refused("bad-title", 2, "boot", bootable, "--to", esp, *AT, "--title", title)
    refused("bad-guid", 2, "boot", "--to", esp, "--remove-id", "{bootmgr}")


def test_a_folder_of_endless_boot_files_is_refused(bootable: Path, esp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no \\Windows\\Boot is not copied, however many files there are."""
    monkeypatch.setattr(bootfiles, "_MAX_FILES", 3)
    refused("too-many-boot-files", 1, "boot", bootable, "--to", esp, *AT)
    assert list(esp.iterdir()) == []


@pytest.mark.parametrize("timeout", [-1, 1 << 32])
def test_a_timeout_that_no_store_holds_is_refused(timeout: int, esp: Path) -> None:
    """The command line lets none through; neither do other callers."""
    with pytest.raises(BadTimeout):
        boot(BootOptions(to=str(esp), timeout=timeout), silent)


def test_files_that_are_far_too_large_are_not_read(esp: Path, tmp_path: Path) -> None:
    """A BCD file of 17 MB is none; neither is that a part of grub4dos."""
    large = tmp_path / "g4d" / "grldr"
    large.parent.mkdir()
    large.write_bytes(b"regf" + bytes(17 << 20))
    refused("not-a-bcd", 1, "boot", "--list", large)
    (esp / "Boot").mkdir()
    (esp / BIOS_STORE).write_bytes(store("ntloader_bcdwin"))
    refused("host", 1, "boot", "--to", esp, "--grub4dos", "--grub4dos-files", large.parent,
            watching=(esp / BIOS_STORE,))
