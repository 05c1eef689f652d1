"""RAM images: what grub4dos, the loader and Windows will find in them, in the eyes of other programs."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import build
from boot_judge import put_boot_code, start_disk
from boot_systems import add_boot_files
from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse, mounted
from ram_judge import RamDisk, Values, boot_store, copied_out, hive_values, unpack
from registry_hives import dword, edited, multi_sz, sz
from running import done, refused, wimboot
from snapshots import Snapshot, pointer, snapshot
from wimboot.disk import packing
from wimboot.ops import ram as op

PLACE = "mbr:5cbea03e:1048576:\\wimboot\\store.wim"
BOOT_DEVICE = bytes(16) + struct.pack("<IIII", 5, 0, 0x48, 0) + bytes(56)
"""A device element of bcdedit's "boot"."""
LOADER_READS = ("bootmgr", "Boot/BCD", "Windows/System32/winload.exe", "Windows/System32/ntoskrnl.exe",
                "Windows/System32/hal.dll", "Windows/System32/kdcom.dll", "Windows/System32/ci.dll",
                "Windows/System32/drivers/ntfs.sys", "Windows/System32/drivers/svbusx64.sys",
                "Windows/System32/c_1252.nls", "Windows/Fonts/vgaoem.fon", "Windows/System32/config/SYSTEM")
MEMORY = "\\Control\\Session Manager\\Memory Management"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seven:
    """A converted Windows 7 with a driver for disks in memory; `told` is what `convert` said."""

    volume: Path
    wim: Path


def install(volume: Path, service: str = "svbusx64") -> None:
    """What an installer of such a driver leaves behind, a page file, and a second control set."""
    with mounted(volume, write=True) as root:
        hive = root / "Windows/System32/config/SYSTEM"
        keys = {}
        for number in (1, 2):
            at = f"ControlSet{number:03d}"
            keys[f"{at}\\services\\{service}"] = {
                "Type": dword(1), "Start": dword(0), "ErrorControl": dword(1), "Group": sz("SCSI Miniport"),
                "ImagePath": sz(f"\\SystemRoot\\System32\\drivers\\{service}.sys")}
            keys[at + MEMORY] = {"PagingFiles": multi_sz("?:\\pagefile.sys"), "PhysicalAddressExtension": dword(1)}
            keys[f"{at}\\Control\\Power"] = {"HibernateEnabled": dword(1)}
        hive.write_bytes(edited(hive.read_bytes(), keys))
        program = (root / "Windows/System32/drivers/ntfs.sys").read_bytes()
        (root / f"Windows/System32/drivers/{service}.sys").write_bytes(program)


@pytest.fixture(scope="module")
def seven(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Seven:
    """For reading only."""
    folder = tmp_path_factory.mktemp("seven")
    volume, wim = folder / "win7.img", folder / "store.wim"
    copy_sparse(built_system(size=32 << 20, files=24, features=()).path, volume)
    add_boot_files(volume)
    install(volume)
    done("convert", volume, "--wim", wim, "--name", "first", "--wim-place", PLACE, "--driver", "none")
    return Seven(volume=volume, wim=wim)


@pytest.fixture(scope="module")
def image(seven: Seven, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], RamDisk]:
    """What `ram --json` said of the first image, and that image unpacked; for reading only."""
    folder = tmp_path_factory.mktemp("image")
    told = done("ram", seven.volume, folder / "win7.ram", "--size", "512M", "--driver", "none", "--json").json
    assert sorted(path.name for path in folder.iterdir()) == ["win7.ram"]
    return told, unpack(folder / "win7.ram", folder / "win7.raw")


@pytest.fixture(scope="module")
def seen(image: tuple[dict[str, object], RamDisk]) -> Snapshot:
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


def test_the_disk_has_one_active_partition_and_an_end_that_may_go(image: tuple[dict[str, object], RamDisk]) -> None:
    """NTFS from sector 2048 on; the driver in Windows hides the last sector, so the last MiB belongs to nobody."""
    told, disk = image
    assert disk.size == told["bytes"] == 512 << 20
    assert (disk.start, disk.type, disk.active) == (2048 * 512, "7", True)
    assert disk.start + disk.volume_size <= disk.size - (1 << 20)
    assert disk.footer[:8] == b"conectix"
    assert struct.unpack_from(">I", disk.footer, 60)[0] == 2
    assert told["disk_id"] == f"{disk.signature:08x}"
    assert disk.signature not in (0, 0x5CBEA03E)


def test_two_images_are_two_disks(seven: Seven, tmp_path: Path) -> None:
    """Of two disks with one signature Windows takes one offline."""
    signatures = {done("ram", seven.volume, tmp_path / name, "--size", "256M", "--driver", "none", "--json").json[
        "disk_id"] for name in ("one.ram", "two.ram")}
    assert len(signatures) == 2


def test_its_files_are_pointers_into_the_wim_on_the_real_disk(
        seven: Seven, image: tuple[dict[str, object], RamDisk], seen: Snapshot) -> None:
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
        seven: Seven, image: tuple[dict[str, object], RamDisk], tmp_path: Path) -> None:
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


def test_the_store_starts_what_it_lies_on(image: tuple[dict[str, object], RamDisk], tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("name", "options", "has_footer"), [
    ("a.gz", (), True), ("a.vhd", (), False), ("a.bin", ("--form", "vhd-fixed"), True),
    ("a.vhd", ("--form", "lz4"), True)])
def test_every_form_holds_the_same_disk(
        seven: Seven, tmp_path: Path, name: str, options: tuple[str, ...], has_footer: bool) -> None:
    """By the ending or as asked; a dynamic VHD is known to grub4dos by its first sector."""
    told = done("ram", "--wim", seven.wim, "--image", "first", "--wim-place", PLACE, tmp_path / name, "--size", "256M",
                "--driver", "none", "--json", *options).json
    disk = unpack(tmp_path / name, tmp_path / "raw")
    assert disk.size == 256 << 20
    assert bool(disk.footer) == has_footer
    assert told["file_bytes"] == (tmp_path / name).stat().st_size
    assert every_pointer_leads_home(disk.path, seven.wim, {}, disk.start) == told["pointed"]


def test_under_uefi_the_loader_is_where_firmware_looks(seven: Seven, tmp_path: Path) -> None:
    """grub4dos for UEFI starts the disk by \\EFI\\Boot\\bootx64.efi, and that reads its store beside it."""
    told = done("ram", seven.volume, tmp_path / "win7.ram", "--size", "256M", "--firmware", "uefi", "--driver", "none",
                "--json").json
    disk = unpack(tmp_path / "win7.ram", tmp_path / "raw")
    with mounted(disk.path, offset=disk.start) as root:
        assert (root / "EFI/BOOT/BOOTX64.EFI").read_bytes() == (root / "Windows/Boot/EFI/bootmgfw.efi").read_bytes()
    loader = default_loader(boot_store(disk, tmp_path, "EFI/Microsoft/Boot/BCD"))
    assert loader[0x12000002] == "\\Windows\\system32\\winload.efi"
    assert told["menu"]["entry"][2:] == [f"map --mem --top {told['menu']['entry'][1].split()[-1]} (hd)",
                                         "chainloader (hd-1)", "boot"]


def test_the_menu_gets_the_entry_once(seven: Seven, tmp_path: Path) -> None:
    """Beside what it has; a second image of that name changes nothing in it."""
    menu = tmp_path / "menu.lst"
    menu.write_bytes("timeout 5\ntitle 别的\nchainloader /bootmgr\n".encode())
    options = ("--size", "256M", "--driver", "none", "--menu", menu, "--menu-path", "\\wimboot\\x64\\win7.ram",
               "--title", "系统 RAM")
    said = done("ram", seven.volume, tmp_path / "win7.ram", *options).out
    once = menu.read_bytes()
    assert once.startswith("timeout 5\ntitle 别的\nchainloader /bootmgr\n\ntitle 系统 RAM\nfind ".encode())
    assert b"map --mem --top /wimboot/x64/win7.ram (hd0)\nmap (hd0) (hd1)\nmap --hook\nroot (hd0,0)\n" in once
    assert "map --hook" in said
    assert "has its entry already" in done("ram", seven.volume, tmp_path / "win7.ram", *options, "-y").out
    assert menu.read_bytes() == once


def test_firadisk_gets_its_own_entry(seven: Seven, tmp_path: Path) -> None:
    """It finds the disk by a floppy that the menu writes."""
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
    assert r"write (99) [FiraDisk]\nStartOptions=disk,vmem=find:/a.ram,boot;\n\0" in told["menu"]["entry"]


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
    assert "5 GiB of memory for the disk, and 1 GB" in said
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


# -- refusals ---------------------------------------------------------------------------------------------------

def test_a_disk_that_is_too_small_is_refused(seven: Seven, tmp_path: Path) -> None:
    """Before it is filled, also by a dry run; and sizes that no disk has."""
    big = tmp_path / "big.wim"
    told = wimboot("ram", seven.volume, tmp_path / "a.ram", "--size", "1M", "--driver", "none")
    assert told.code == 4
    for size in ("63M", "2041G", "1000001"):
        refused("ram-size", 4, "ram", seven.volume, tmp_path / "a.ram", "--size", size, "-y", watching=(big,))
    assert not list(tmp_path.iterdir())


def test_more_real_files_than_room_are_refused(
        built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """With the size that is needed."""
    volume, wim = tmp_path / "win7.img", tmp_path / "store.wim"
    copy_sparse(built_system(size=128 << 20, files=6, features=()).path, volume)
    add_boot_files(volume)
    with mounted(volume, write=True) as root:
        (root / "Windows/System32/drivers/large.sys").write_bytes(bytes(range(256)) * (80 << 12))
    done("capture", volume, "--wim", wim)
    options = ("ram", "--wim", wim, "--image", "1", "--wim-place", PLACE, tmp_path / "a.ram", "--size", "64M",
               "--driver", "none", "-y")
    refused("ram-too-small", 4, *options, watching=(wim,))
    refused("ram-too-small", 4, *options, "--dry-run", watching=(wim,))


def test_gzip_from_four_gigabytes_on_is_refused(seven: Seven, tmp_path: Path) -> None:
    """grub4dos would load what is left over after 4 GiB."""
    refused("too-large-for-gzip", 4, "ram", seven.volume, tmp_path / "a.gz", "-y", watching=(tmp_path / "a.gz",))


def test_a_vhd_that_grub4dos_would_misread_is_refused(
        seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts places in 32 bits. The limit is lower here, for nobody can wait for so large a file."""
    monkeypatch.setattr(op, "_VHD_LIMIT", 4 << 20)
    refused("ram-vhd-too-large", 4, "ram", seven.volume, tmp_path / "a.vhd", "--size", "256M", "--driver", "none", "-y",
            watching=(tmp_path / "a.vhd", seven.wim))


def test_what_it_is_made_from_is_never_replaced(seven: Seven) -> None:
    """Neither the system nor its WIM, whatever is said beforehand."""
    for out in (seven.volume, seven.wim):
        refused("out-is-source", 4, "ram", seven.volume, out, "-y", "--driver", "none",
                watching=(seven.volume, seven.wim))


def test_an_image_that_is_there_is_asked_about(seven: Seven, tmp_path: Path) -> None:
    """Nobody answers here; then it stays. With --yes it is replaced, by a whole one."""
    out = tmp_path / "a.ram"
    out.write_bytes(b"the image of yesterday")
    assert wimboot("ram", seven.volume, out, "--size", "256M", "--driver", "none").code == 130
    assert out.read_bytes() == b"the image of yesterday"
    done("ram", seven.volume, out, "--size", "256M", "--driver", "none", "-y")
    assert unpack(out, tmp_path / "raw").size == 256 << 20


def test_without_its_wim_nothing_is_made(seven: Seven, tmp_path: Path) -> None:
    """A system whose WIM is not at hand."""
    volume = tmp_path / "win7.img"
    copy_sparse(seven.volume, volume)
    refused("wim-not-found", 4, "ram", volume, tmp_path / "a.ram", "-y", watching=(volume,))


def test_a_place_that_is_told_later_is_refused(seven: Seven, tmp_path: Path) -> None:
    """Nothing can be told to a packed image."""
    refused("ram-place-needed", 4, "ram", seven.volume, tmp_path / "a.ram", "-y", "--wim-place", "later",
            watching=(seven.volume,))


def test_without_a_source_nothing_is_made(seven: Seven, tmp_path: Path) -> None:
    """A WIM alone does not say which image."""
    refused("no-ram-source", 2, "ram", tmp_path / "a.ram", "-y", watching=(seven.wim,))
    refused("no-ram-source", 2, "ram", "--wim", seven.wim, tmp_path / "a.ram", "-y", watching=(seven.wim,))


def test_a_wim_inside_the_systems_own_vhd_is_refused(seven: Seven, tmp_path: Path) -> None:
    """A system in memory has no such disk."""
    disk = tmp_path / "win7.vhd"
    done("create", disk, "--size", "256M", "--disk-id", "11112222")
    place = "mbr:11112222:1048576:\\wimboot\\store.wim"
    done("apply", seven.wim, "1", f"{disk}#1", "--wim-place", place, "--driver", "none")
    refused("wim-in-own-vhd", 4, "ram", disk, tmp_path / "a.ram", "--wim", seven.wim, "-y", watching=(disk, seven.wim))


@pytest.mark.parametrize("path", ["win7.ram", "/folder/", "/a(b).ram", "/a\"b.ram"])
def test_a_path_that_the_menu_cannot_have_is_refused(seven: Seven, tmp_path: Path, path: str) -> None:
    """Before anything is built."""
    refused("bad-menu-path", 2, "ram", seven.volume, tmp_path / "a.ram", "-y", "--size", "256M", "--menu-path", path,
            watching=(seven.volume,))


def test_a_menu_in_another_code_page_is_refused(seven: Seven, tmp_path: Path) -> None:
    """And stays as it is."""
    menu = tmp_path / "menu.lst"
    menu.write_bytes("title 我的系统\n".encode("gbk"))
    refused("format", 1, "ram", seven.volume, tmp_path / "a.ram", "-y", "--size", "256M", "--menu", menu,
            watching=(menu,))


# -- runs that end early ----------------------------------------------------------------------------------------

def test_an_interrupted_run_leaves_nothing(seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it packs, the longest part; an older image stays, and so does the menu."""
    out = tmp_path / "a.ram"
    out.write_bytes(b"the image of yesterday")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(packing, "_pieces", stop)
    run = wimboot("ram", seven.volume, out, "--size", "256M", "--driver", "none", "-y", "--menu", tmp_path / "menu.lst")
    assert run.code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["a.ram"]
    assert out.read_bytes() == b"the image of yesterday"


def test_what_a_killed_run_left_is_removed(seven: Seven, tmp_path: Path) -> None:
    """The disk it was building, its log, and the file it was packing."""
    for name in ("a.ram.building", "a.ram.building.wimboot-log", "a.ram.wimboot-new", "a.ram.building.wimboot-new"):
        (tmp_path / name).write_bytes(b"left")
    done("ram", seven.volume, tmp_path / "a.ram", "--size", "256M", "--driver", "none")
    assert [path.name for path in tmp_path.iterdir()] == ["a.ram"]
