"""RAM images: what grub4dos, the loader and Windows will find in them, in the eyes of other programs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import build
from boot_judge import put_boot_code, start_disk
from boot_systems import add_boot_files
from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse, mounted
from ram_judge import RamDisk, Values, boot_store, copied_out, hive_values, unpack
from ram_systems import MEMORY, PLACE, Seven
from registry_hives import dword, edited
from running import done
from snapshots import Snapshot, pointer, snapshot

BOOT_DEVICE = bytes(16) + struct.pack("<IIII", 5, 0, 0x48, 0) + bytes(56)
"""A device element of bcdedit's "boot"."""
LOADER_READS = ("bootmgr", "Boot/BCD", "Windows/System32/winload.exe", "Windows/System32/ntoskrnl.exe",
                "Windows/System32/hal.dll", "Windows/System32/kdcom.dll", "Windows/System32/ci.dll",
                "Windows/System32/drivers/ntfs.sys", "Windows/System32/drivers/svbusx64.sys",
                "Windows/System32/c_1252.nls", "Windows/Fonts/vgaoem.fon", "Windows/System32/config/SYSTEM")


@pytest.fixture(scope="module")
def image(seven: Seven, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], RamDisk]:
    """What `ram --json` said of the first image, and that image unpacked; for reading only."""
    folder = tmp_path_factory.mktemp("image")
    told = done("ram", seven.volume, folder / "win7.ram", "--size", "512M", "--driver", "none", "--json").json
    assert sorted(path.name for path in folder.iterdir()) == ["win7.ram"]
    return told, unpack(folder / "win7.ram", folder / "win7.raw")


@pytest.fixture(scope="module")
def seen(image: tuple[dict[str, Any], RamDisk]) -> Snapshot:
    """Every file of it."""
    return snapshot(image[1].path, image[1].start)


def default_loader(store: Values) -> dict[int, object]:
    """The elements of a store's only loader."""
    found: dict[str, dict[int, object]] = {}
    for path, values in store.items():
        parts = path.strip("\\").split("\\")
        if "Elements" in parts and "Element" in values:
            at = parts.index("Elements")
            found.setdefault(parts[at - 1], {})[int(parts[at + 1], 16)] = values["Element"]
    loaders = [elements for elements in found.values() if 0x22000002 in elements]
    assert len(loaders) == 1
    return loaders[0]


def test_the_disk_has_one_active_partition_and_an_end_that_may_go(image: tuple[dict[str, Any], RamDisk]) -> None:
    """NTFS from sector 2048 on; the driver in Windows hides the last sector, so the last MiB belongs to nobody."""
    told, disk = image
    assert disk.size == told["disk"]["bytes"] == 512 << 20
    assert (disk.start, disk.type, disk.active) == (2048 * 512, "7", True)
    assert disk.start + disk.volume_size <= disk.size - (1 << 20)
    assert disk.packed == told["disk"]["packed_bytes"] < disk.size
    assert disk.footer[:8] == b"conectix"
    assert struct.unpack_from(">I", disk.footer, 60)[0] == 2
    assert told["disk"]["id"] == f"{disk.signature:08x}"
    assert disk.signature not in (0, 0x5CBEA03E)


def test_two_images_are_two_disks(seven: Seven, tmp_path: Path) -> None:
    """Of two disks with one signature Windows takes one offline."""
    options = ("--size", "256M", "--driver", "none", "--json")
    signatures = {done("ram", seven.volume, tmp_path / name, *options).json["disk"]["id"]
                  for name in ("one.ram", "two.ram")}
    assert len(signatures) == 2


def test_its_files_are_pointers_into_the_wim_on_the_real_disk(
        seven: Seven, image: tuple[dict[str, Any], RamDisk], seen: Snapshot) -> None:
    """All that the loader does not read, at the place that the system's own pointers have."""
    told, disk = image
    sound_volume(disk.path, disk.start)
    assert every_pointer_leads_home(disk.path, seven.wim, {}, disk.start) == told["pointed"]
    pointers = {path for path, facts in seen.items() if pointer(facts)}
    assert len(pointers) >= 20
    assert not pointers & set(LOADER_READS)
    assert set(LOADER_READS) <= set(seen)
    assert told["wim_place"] == PLACE
    overlay = copied_out(disk, "System Volume Information/WimOverlay.dat", disk.path.with_name("overlay")).read_bytes()
    assert struct.pack("<Q", 1048576) in overlay
    assert struct.pack("<I", 0x5CBEA03E) in overlay
    assert "\\wimboot\\store.wim\0".encode("utf-16-le") in overlay


def test_the_rest_is_the_system_as_captured(seven: Seven, seen: Snapshot) -> None:
    """Nothing comes but boot files, nothing goes, and what is pointed at is what was pointed at."""
    before = snapshot(seven.volume)
    excluded = {path for path in before if path.startswith(("System Volume", "Windows/Temp/", "pagefile"))}
    assert set(before) - excluded <= set(seen)
    added = {path for path in set(seen) - set(before) if not path.startswith("System Volume")}
    assert all(path.startswith(("Boot", "bootmgr", "BOOT")) for path in added), added
    for path, facts in before.items():
        if pointer(facts) and path in seen and pointer(seen[path]):
            assert pointer(seen[path]) == pointer(facts), path


def test_the_registry_knows_that_its_disk_is_memory(
        seven: Seven, image: tuple[dict[str, Any], RamDisk], tmp_path: Path) -> None:
    """No page file, no hibernation, in every control set; the drive letter is that of this disk; nothing else."""
    _, disk = image
    with mounted(seven.volume) as root:
        (tmp_path / "before").write_bytes((root / "Windows/System32/config/SYSTEM").read_bytes())
    before = hive_values(tmp_path / "before")
    after = hive_values(copied_out(disk, "Windows/System32/config/SYSTEM", tmp_path / "after"))
    changed = {(path, name): values.get(name) for path, values in after.items() for name in values
               if before.get(path, {}).get(name, ...) != values[name]}
    gone = {(path, name) for path, values in before.items() for name in values if name not in after.get(path, {})}
    expected = {("\\MountedDevices", "\\DosDevices\\C:")}
    for number in (1, 2):
        at = f"\\ControlSet{number:03d}"
        expected |= {(at + MEMORY, "PagingFiles"), (f"{at}\\Control\\Power", "HibernateEnabled"),
                     (f"{at}\\Control\\Session Manager\\Power", "HiberbootEnabled")}
        assert not after[at + MEMORY]["PagingFiles"]
        assert after[f"{at}\\Control\\Power"]["HibernateEnabled"] == 0
        assert after[at + MEMORY]["PhysicalAddressExtension"] == 1
    assert set(changed) == expected
    assert not gone
    letter = after["\\MountedDevices"]["\\DosDevices\\C:"]
    assert letter == struct.pack("<IQ", disk.signature, disk.start) or letter == struct.pack(
        "<IQ", disk.signature, disk.start).hex()


def test_the_store_starts_what_it_lies_on(image: tuple[dict[str, Any], RamDisk], tmp_path: Path) -> None:
    """One loader, device and system `boot`: a partition would be looked for on the wrong disk."""
    loader = default_loader(boot_store(image[1], tmp_path))
    for element in (0x11000001, 0x21000001):
        data = loader[element]
        assert (bytes.fromhex(data) if isinstance(data, str) else data) == BOOT_DEVICE
    assert loader[0x12000002] == "\\Windows\\system32\\winload.exe"
    assert loader[0x22000002] == "\\Windows"


def test_the_disk_starts_from_its_own_boot_code(seven: Seven, tmp_path: Path) -> None:
    """Of 5 GiB as its machine sees it: a virtual machine's BIOS, the table and the volume agree."""
    done("ram", seven.volume, tmp_path / "win7.ram", "--driver", "none")
    disk = unpack(tmp_path / "win7.ram", tmp_path / "win7.raw")
    put_boot_code(disk.path, disk.start)
    start = start_disk(disk.path)
    assert start.active
    assert start.hidden_sectors == start.first_sector == 2048
    assert start.by_chs(start.first_chs) == start.first_sector
    assert start.by_chs(start.last_chs) == start.first_sector + start.sectors - 1
    assert start.found_by_hidden_sectors
    assert start.found_by_chs


@pytest.mark.parametrize(("name", "options", "has_footer", "whole"), [
    ("a.gz", (), True, False), ("a.vhd", (), False, True), ("a.bin", ("--form", "vhd-fixed"), True, True),
    ("a.vhd", ("--form", "lz4"), True, False), ("a.ram", ("--whole",), True, True), ("a.gz", ("--whole",), True, True)])
def test_every_form_holds_the_same_disk(
        seven: Seven, tmp_path: Path, name: str, options: tuple[str, ...], has_footer: bool, whole: bool) -> None:
    """By the ending or as asked; a dynamic VHD is known to grub4dos by its first sector. Where the free end is left
    out, dirt in its place changes nothing.
    """
    told = done("ram", "--wim", seven.wim, "--image", "first", "--wim-place", PLACE, tmp_path / name, "--size", "256M",
                "--driver", "none", "--json", *options).json
    disk = unpack(tmp_path / name, tmp_path / "raw")
    assert disk.size == 256 << 20
    assert disk.packed == told["disk"]["packed_bytes"]
    assert (disk.packed == disk.size) == whole
    line = told["menu"]["entry"][2]
    assert line.startswith("map --mem --top /" if whole else "map --top --mem=-524288 /")
    last = (disk.start + disk.volume_size) // 512 - 1
    assert (f"dd if=(hd0,0)+1 of=(hd0){last}+1" in told["menu"]["entry"]) != whole
    sound_volume(disk.path, disk.start)
    assert bool(disk.footer) == has_footer
    assert told["disk"]["file_bytes"] == (tmp_path / name).stat().st_size
    assert every_pointer_leads_home(disk.path, seven.wim, {}, disk.start) == told["pointed"]


def test_under_uefi_the_loader_is_where_firmware_looks(seven: Seven, tmp_path: Path) -> None:
    """grub4dos for UEFI starts the disk by \\EFI\\Boot\\bootx64.efi, and that reads its store beside it."""
    told = done("ram", seven.volume, tmp_path / "win7.ram", "--size", "256M", "--firmware", "uefi", "--driver", "none",
                "--json").json
    disk = unpack(tmp_path / "win7.ram", tmp_path / "raw")
    assert disk.packed == disk.size, "the firmware would be told of a smaller disk"
    with mounted(disk.path, offset=disk.start) as root:
        assert (root / "EFI/BOOT/BOOTX64.EFI").read_bytes() == (root / "Windows/Boot/EFI/bootmgfw.efi").read_bytes()
    loader = default_loader(boot_store(disk, tmp_path, "EFI/Microsoft/Boot/BCD"))
    assert loader[0x12000002] == "\\Windows\\system32\\winload.efi"
    assert told["menu"]["entry"][2:] == [f"map --mem --top {told['menu']['entry'][1].split()[-1]} (hd)",
                                         "chainloader (hd-1)", "boot"]


def test_five_gigabytes_are_a_few_megabytes(seven: Seven, tmp_path: Path) -> None:
    """Of free space LZ4 would make a byte for 255; as gzip, which has 32 bits for the size, it is possible at all."""
    for name, most in (("a.ram", 5 << 20), ("a.gz", 3 << 20)):
        told = done("ram", seven.volume, tmp_path / name, "--driver", "none", "--json").json
        assert told["disk"]["bytes"] == 5 << 30
        assert told["disk"]["packed_bytes"] < 1 << 30
        assert (tmp_path / name).stat().st_size == told["disk"]["file_bytes"] < most
        (disk,) = done("space", tmp_path / name, "--json").json["disks"]
        assert (5 << 30) - disk["disk_bytes"] in (0, 1 << 20), "the end that belongs to nobody may be unknown"


def test_the_menu_gets_the_entry_once(seven: Seven, tmp_path: Path) -> None:
    """Beside what it has; a second image of that name changes nothing in it."""
    menu = tmp_path / "menu.lst"
    menu.write_bytes("timeout 5\ntitle 别的\nchainloader /bootmgr\n".encode())
    options = ("--size", "256M", "--driver", "none", "--menu", menu, "--menu-path", "\\wimboot\\x64\\win7.ram",
               "--title", "系统 RAM")
    said = done("ram", seven.volume, tmp_path / "win7.ram", *options).out
    once = menu.read_bytes()
    assert once.startswith("timeout 5\ntitle 别的\nchainloader /bootmgr\n\ntitle 系统 RAM\nfind ".encode())
    assert b"map --top --mem=-524288 /wimboot/x64/win7.ram (hd0)\nmap (hd0) (hd1)\nmap --hook\ndd if=" in once
    assert "map --hook" in said
    assert "has its entry already" in done("ram", seven.volume, tmp_path / "win7.ram", *options, "-y").out
    assert menu.read_bytes() == once


def test_firadisk_gets_the_entry_of_all(seven: Seven, tmp_path: Path) -> None:
    """It finds the disk by grub4dos' own map as SVBus does; what it can be told makes another disk, of a raw file."""
    volume = tmp_path / "win7.img"
    copy_sparse(seven.volume, volume)
    with mounted(volume, write=True) as root:
        hive = root / "Windows/System32/config/SYSTEM"
        hive.write_bytes(edited(hive.read_bytes(), {
            "ControlSet001\\services\\svbusx64": {"Start": dword(4)},
            "ControlSet001\\services\\FiraDisk": {"Type": dword(1), "Start": dword(0)}}))
        (root / "Windows/System32/drivers/firadisk.sys").write_bytes(b"MZ" * 3000)
    wim = tmp_path / "store.wim"
    copy_sparse(seven.wim, wim)
    done("capture", volume, "--wim", wim)
    told = done("ram", "--wim", wim, "--image", "2", "--wim-place", PLACE, tmp_path / "a.ram", "--size", "256M",
                "--driver", "none", "--menu-path", "/a.ram", "--json").json
    assert told["drivers"] == ["FiraDisk"]
    assert not [line for line in told["menu"]["entry"] if "vmem" in line or "(99)" in line]
    assert "root (hd0,0)" in told["menu"]["entry"]


def test_a_system_without_such_a_driver_is_warned_of(
        built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """With the verb that puts one in; and a 32-bit one of where the disk will lie."""
    volume, wim = tmp_path / "win7.img", tmp_path / "store.wim"
    copy_sparse(built_system(size=24 << 20, files=6, features=(), architecture="x86").path, volume)
    add_boot_files(volume, machine="x86", uefi=False)
    done("capture", volume, "--wim", wim)
    said = done("ram", "--wim", wim, "--image", "1", "--wim-place", PLACE, tmp_path / "a.ram", "--driver", "none",
                "--dry-run").err
    assert "`wimboot driver`" in said
    assert "5.37 GB of memory for the disk, and 1 GB" in said
    assert "32-bit" in said


def test_changes_that_no_image_has_are_told(seven: Seven, tmp_path: Path) -> None:
    """The image of memory is made from the WIM; what is only on the volume is not in it."""
    volume = tmp_path / "win7.img"
    copy_sparse(seven.volume, volume)
    options = ("--wim", seven.wim, "--size", "256M", "--driver", "none", "--dry-run")
    assert "wimboot update" not in done("ram", volume, tmp_path / "a.ram", *options).err
    with mounted(volume, write=True) as root:
        (root / "Users/Public/new.txt").write_bytes(b"new" * 9000)
    assert "wimboot update" in done("ram", volume, tmp_path / "a.ram", *options).err


def test_a_dry_run_leaves_nothing(seven: Seven, tmp_path: Path) -> None:
    """Neither the image nor the menu, and tells what would be there."""
    told = done("ram", seven.volume, tmp_path / "a.ram", "--menu", tmp_path / "menu.lst", "--dry-run", "--size", "256M",
                "--driver", "none", "--json").json
    assert told["dry_run"]
    assert told["pointed"] >= 20
    assert told["menu"]["changed"]
    assert not list(tmp_path.iterdir())
