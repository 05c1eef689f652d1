"""Notes about new disks, drivers, and disks in memory, by the stable id that front-ends match on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import build
from boot_systems import add_boot_files
from deploy_plans import HEAD, X64, X86, Yard, system
from disk_kinds import disk_of_kind
from driver_files import driver_file, signed_driver, wofadk
from mounting import copy_sparse, mounted
from ram_systems import Seven
from repair_rig import Pair
from running import NO_PLACE, done, notes
from two_partitions import two_partitions
from wimboot.disk.mounts import Lies
from wimboot.ops.ramming import menu

INF = """[Version]
Signature="$Windows NT$"
Class=SCSIAdapter
ClassGUID={4D36E97B-E325-11CE-BFC1-08002BE10318}
[Manufacturer]
WinVBlock=Driver,,NTamd64
[Driver.NTamd64]
"WinVBlock Bus"=WinVBlock.NTamd64,Root\\WinVBlock
[WinVBlock.NTamd64.Services]
AddService=WinVBlock,0x00000002,Service
[Service]
ServiceType=0x00000001
StartType=0x00000000
ErrorControl=0x00000001
ServiceBinary=%12%\\wvblk64.sys
LoadOrderGroup=SCSI miniport
"""
MEMORY = ("--size", "256M", "--driver", "none")


def test_other_ending_and_only_read_as_it_lies(tmp_path: Path) -> None:
    """A disk that is not what its name says; one that the other verbs cannot write."""
    told = notes("create", tmp_path / "new.vhd", "--size", "64M", "--format", "raw")
    assert (told["other-ending"].warning, "new.vhd is a raw disk" in told["other-ending"].text) == (True, True)
    told = notes("create", tmp_path / "new.qcow2", "--size", "64M")
    assert ("--fixed" in told["only-read-as-it-lies"].text, "other-ending" in told) == (True, False)


def test_other_boot_code(tmp_path: Path) -> None:
    """Boot sectors that start no Windows since Vista are taken, with a word."""
    code = bytearray(Random(1).randbytes(8192))
    code[:11], code[510:512] = b"\xeb\x52\x90NTFS    ", b"\x55\xaa"
    (tmp_path / "boot.bin").write_bytes(code)
    told = notes("create", tmp_path / "new.img", "--size", "64M", "--boot-code", tmp_path / "boot.bin")
    assert (told["other-boot-code"].warning, "is not that of Windows" in told["other-boot-code"].text) == (True, True)


def test_shadow_copies(tmp_path: Path) -> None:
    """Restore points need clusters that look free: the volume keeps them all."""
    volume = tmp_path / "restore points.img"
    build.make_volume(volume, size=8 << 20)
    with mounted(volume, write=True) as root:
        folder = root / "System Volume Information"
        folder.mkdir(exist_ok=True)
        (folder / "{3808876B-C176-4e48-B7AE-04046E6CC752}").write_bytes(bytes(70_000))
    told = notes("compact", volume)["shadow-copies"]
    assert (told.warning, str(volume) in told.text) == (True, True)


def test_vhd_expands(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Who converts a system in a VHD that grows is told what a start makes of that, unless it is kept from it."""
    disk = disk_of_kind("dynamic", tmp_path, built_system)
    convert = ("convert", disk.path, "--wim", tmp_path / "store.wim", *NO_PLACE, "--dry-run")
    assert "--no-expand" in notes(*convert)["vhd-expands"].text
    assert "vhd-expands" not in notes(*convert, "--no-expand")


def test_driver_installed_and_sha2_needed(small_volume: Path, tmp_path: Path) -> None:
    """Which file becomes the boot driver, and the update that a 64-bit Windows 7 needs for its signature."""
    told = notes("convert", small_volume, "--wim", tmp_path / "store.wim", "--wim-place", "later", "--driver",
                 wofadk(tmp_path))
    assert "10.0.10240.16384" in told["driver-installed"].text
    assert "KB3033929" in told["sha2-needed"].text


def test_driver_trust_and_device(small_volume: Path, tmp_path: Path) -> None:
    """Who signed a driver is not looked at, and its device is made as running systems have it."""
    (tmp_path / "WinVBlk.inf").write_text(INF)
    told = notes("driver", small_volume, signed_driver(tmp_path, "wvblk64.sys"), "--inf", tmp_path / "WinVBlk.inf")
    assert "testsigning" in told["driver-trust"].text
    assert "ROOT\\WinVBlock" in told["driver-device"].text


def test_driver_unsigned_x86(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """A 32-bit Windows takes a driver without a signature, which is told."""
    volume, given = tmp_path / "x86.img", tmp_path / "wvblk64.sys"
    copy_sparse(built_system(size=24 << 20, files=6, features=(), architecture="x86").path, volume)
    given.write_bytes(driver_file(machine="x86", strings=(), version=(1, 2, 0, 0)))
    (tmp_path / "WinVBlk.inf").write_text(INF.replace("NTamd64", "NTx86"))
    told = notes("driver", volume, given, "--inf", tmp_path / "WinVBlk.inf")
    assert (told["driver-unsigned-x86"].warning, "driver-trust" in told) == (True, False)


def test_registry_unmarked(pair: Pair) -> None:
    """A registry that cannot be edited keeps saying that the system has pointers; that does no harm."""
    with pair.edited() as root:
        (root / "Windows/System32/config/SYSTEM").write_bytes(b"no hive" * 2000)
    told = notes("rehydrate", pair.volume)["registry-unmarked"]
    assert (told.warning, "does no harm" in told.text) == (True, True)


def test_ram_notes(seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What memory the machine needs, where the entry looks for the image, and what older loaders do not read."""
    told = notes("ram", seven.volume, tmp_path / "win7.vhd", *MEMORY, "--firmware", "uefi")
    assert "268 MB of memory" in told["ram-needed"].text
    assert told["uefi-fixed-vhd"].warning
    assert not told.keys() & {"no-ram-driver", "ram-above-4g", "not-in-image", "ram-cut"}
    monkeypatch.setattr(menu, "_READ_BY_LOADER", ())
    told = notes("ram", seven.volume, tmp_path / "win7.ram", *MEMORY, "--dry-run")
    assert "uefi-fixed-vhd" not in told
    assert "--menu-path" in told["menu-path"].text
    assert "menu-path-of-host" not in told
    assert "--whole" in told["ram-cut"].text
    assert "ram-cut" not in notes("ram", seven.volume, tmp_path / "win7.ram", *MEMORY, "--dry-run", "--whole")


def test_menu_path_of_host(seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path from the host's root is none of the disk that the menu lies on; one below a mount point may well be."""
    out, table = tmp_path / "x86.ram", tmp_path / "menu.lst"
    ram = ("ram", seven.volume, out, *MEMORY, "--menu", table, "--dry-run")
    for point, warned in (("/", True), (str(tmp_path), False)):
        lies = Lies(path=tmp_path, mount_point=Path(point), kind="ext4", inside="/" + str(tmp_path.relative_to(point)),
                    device="")
        monkeypatch.setattr(menu, "where_is", lambda _, lies=lies: lies)
        told = notes(*ram)
        assert ("menu-path-of-host" in told) is warned
        assert not warned or (told["menu-path-of-host"].warning and "--menu-path" in told["menu-path-of-host"].text)
    assert "menu-path-of-host" not in notes(*ram, "--menu-path", "/x86.ram")


def test_titles_of_two_images_differ(seven: Seven, tmp_path: Path) -> None:
    """Of one system; the entry of each stays one, however often it is made."""
    table = tmp_path / "menu.lst"
    for name in ("a", "b", "a"):
        done("ram", seven.volume, tmp_path / f"{name}.ram", *MEMORY, "--menu", table, "--menu-path", f"/x86/{name}.ram",
             "--yes")
    titles = [line for line in table.read_text().splitlines() if line.startswith("title ")]
    assert [title.partition(" (")[2] for title in titles] == ["RAM, /x86/a.ram)", "RAM, /x86/b.ram)"]


def test_the_place_of_a_ram_image_on_the_disk_of_its_system(seven: Seven, tmp_path: Path) -> None:
    """The WIM lies on another partition of that disk, which is an image and not attached: it is looked at."""
    told = notes("ram", seven.volume, tmp_path / "a.ram", *MEMORY, "--dry-run")
    assert "5cbea03e" in told["place-not-at-hand"].text
    disk, second = tmp_path / "two.img", tmp_path / "second.img"
    build.make_volume(second, size=8 << 20)
    two_partitions(disk, seven.volume, second)
    ram = ("ram", f"{disk}#1", tmp_path / "a.ram", *MEMORY, "--wim", seven.wim, "--dry-run")
    assert not notes(*ram).keys() & {"place-not-at-hand", "place-no-partition", "place-ambiguous"}
    told = notes(*ram, "--wim-place", "mbr:5cbea03e:1049088:\\store.wim")
    assert told["place-no-partition"].warning


def test_not_in_image(seven: Seven, tmp_path: Path) -> None:
    """What changed since the image is not in a disk that is made of that."""
    volume = tmp_path / "win7.img"
    copy_sparse(seven.volume, volume)
    with mounted(volume, write=True) as root:
        (root / "Windows/new.txt").write_bytes(b"new" * 900)
    told = notes("ram", volume, tmp_path / "win7.ram", *MEMORY, "--wim", seven.wim)["not-in-image"]
    assert (told.warning, "wimboot update" in told.text) == (True, True)


@pytest.mark.heavy
def test_no_ram_driver_and_ram_above_4g(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """A 32-bit system without a driver for such a disk: it will stop, and where the disk will lie has to be tried."""
    volume, wim = tmp_path / "win7.img", tmp_path / "store.wim"
    copy_sparse(built_system(size=24 << 20, files=6, features=(), architecture="x86").path, volume)
    add_boot_files(volume, machine="x86", uefi=False)
    notes("convert", volume, "--wim", wim, "--wim-place", "mbr:5cbea03e:1048576:\\w.wim", "--driver", "none")
    told = notes("ram", volume, tmp_path / "win7.ram", "--size", "4G", "--driver", "none", "--wim", wim)
    assert told["no-ram-driver"].warning
    assert told["ram-above-4g"].warning


@pytest.mark.heavy
def test_not_in_plan_and_systems_finished(deployed: Yard) -> None:
    """A volume that the plan does not know is named when the store grows; of a run that stops, what stays."""
    stranger = deployed.folder / "stranger.vhd"
    stranger.write_bytes(deployed.x64.read_bytes())
    told = notes("deploy", deployed.says(HEAD, '[[store.image]]\nname = "third"\ncapture = "x64.img"\n', X64, X86))
    assert (told["not-in-plan"].warning, "stranger.vhd" in told["not-in-plan"].text) == (True, True)
    lame = deployed.base / "lame.img"
    lame.write_bytes((deployed.base / "x64.img").read_bytes())
    with mounted(lame, write=True) as root:
        shutil.rmtree(root / "Windows/System32/drivers")    # no place for the driver: found when it is put there
    told = notes("deploy", deployed.says(
        HEAD, '[[store.image]]\nname = "lame"\ncapture = "lame.img"\n', X64, X86,
        system("lame", "lame", "wimboot/lame.vhd", more=f'driver = "{wofadk(deployed.base, name="given.sys").name}"'),
    ), code=1)
    assert told["systems-finished"].warning
