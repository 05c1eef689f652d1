"""RAM images that are not made, and runs that end early: nothing is left of them, and nothing else has changed."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from boot_systems import add_boot_files
from mounting import copy_sparse, mounted
from ram_judge import unpack
from ram_systems import PLACE, Seven
from running import done, refused, wimboot
from wimboot.disk import packing
from wimboot.ops import ram as op
from wimboot.storage import HostFolder


def test_a_disk_that_is_too_small_is_refused(seven: Seven, tmp_path: Path) -> None:
    """Before it is filled, also by a dry run; and sizes that no disk has."""
    big = tmp_path / "big.wim"
    told = wimboot("ram", seven.volume, tmp_path / "a.ram", "--size", "1M", "--driver", "none")
    assert told.code == 2
    for size in ("63M", "2041G", "1000001"):
        refused("ram-size", 2, "ram", seven.volume, tmp_path / "a.ram", "--size", size, "-y", watching=(big,))
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
    assert "The entry looks for" not in refused("ram-too-small", 4, *options, watching=(wim,)).err
    refused("ram-too-small", 4, *options, "--dry-run", watching=(wim,))


def test_gzip_from_four_gigabytes_on_is_refused(seven: Seven, tmp_path: Path) -> None:
    """grub4dos would load what is left over after 4 GiB; one that ends where the files do is no such file."""
    for more in (("--whole",), ("--firmware", "uefi")):
        refused("too-large-for-gzip", 2, "ram", seven.volume, tmp_path / "a.gz", "-y", *more,
                watching=(tmp_path / "a.gz",))


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


def test_a_file_of_all_bytes_needs_room_for_them(
    seven: Seven, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fixed VHD of 2 TB is refused before it is begun."""
    monkeypatch.setattr(HostFolder, "free_size", lambda _: 10 << 30)    # the host's own changes between two runs
    refused("not-enough-space", 4, "ram", seven.volume, tmp_path / "a.vhd", "-y", "--form", "vhd-fixed",
            "--size", "2000G", watching=(tmp_path / "a.vhd",))


def test_only_a_file_is_replaced(seven: Seven, tmp_path: Path) -> None:
    """Not a folder, not a device, not the menu that is to get the entry."""
    menu = tmp_path / "menu.lst"
    menu.write_bytes(b"title mine\n")
    for out in (tmp_path, Path("/dev/null"), menu):
        refused("out-not-a-file", 2, "ram", seven.volume, out, "-y", "--menu", menu, watching=(menu,))
    assert Path("/dev/null").is_char_device()


def test_a_menu_in_no_folder_is_refused(seven: Seven, tmp_path: Path) -> None:
    """Before the image is built."""
    refused("host-missing", 2, "ram", seven.volume, tmp_path / "a.ram", "-y", "--menu", tmp_path / "boot" / "menu.lst",
            watching=(tmp_path / "a.ram",))


def test_a_menu_that_cannot_be_written_is_refused_beforehand(seven: Seven, tmp_path: Path) -> None:
    """Before the image is built, by a dry run too; where the menu has the entry already, nothing is to be written."""
    boot, out = tmp_path / "boot", tmp_path / "a.ram"
    boot.mkdir()
    menu = boot / "menu.lst"
    command = ("ram", seven.volume, out, "-y", "--menu", menu, "--menu-path", "/a.ram", "--size", "64M", "--driver",
               "none")
    if shutil.which("chattr") is None or subprocess.run(
            ["chattr", "+i", str(boot)], capture_output=True, check=False).returncode:
        pytest.skip("no folder can be made immutable here")
    try:
        for dry in ((), ("--dry-run",)):
            refused("host-not-usable", 1, *command, *dry, watching=(out, menu))
        subprocess.run(["chattr", "-i", str(boot)], check=True)
        done(*command)
        subprocess.run(["chattr", "+i", str(boot)], check=True)
        assert "has its entry already" in done(*command).out
    finally:
        subprocess.run(["chattr", "-i", str(boot)], check=True)


def test_one_run_makes_an_image_at_a_time(seven: Seven, tmp_path: Path) -> None:
    """A second one would build in the first one's disk."""
    busy = tmp_path / "a.ram.wimboot-new"
    with busy.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused("locked", 4, "ram", seven.volume, tmp_path / "a.ram", "-y", "--size", "256M", "--driver", "none",
                watching=(busy,))


def test_an_image_that_is_there_is_asked_about(seven: Seven, tmp_path: Path) -> None:
    """Nobody answers here; then it stays. With --yes it is replaced, by a whole one."""
    out = tmp_path / "a.ram"
    out.write_bytes(b"the image of yesterday")
    assert wimboot("ram", seven.volume, out, "--size", "256M", "--driver", "none").code == 4
    assert out.read_bytes() == b"the image of yesterday"
    told = done("ram", seven.volume, out, "--size", "256M", "--driver", "none", "--dry-run")
    assert f"{out} is there already: the new one would take its place" in told.out
    assert out.read_bytes() == b"the image of yesterday"
    done("ram", seven.volume, out, "--size", "256M", "--driver", "none", "-y")
    assert unpack(out, tmp_path / "raw").size == 256 << 20


def test_nothing_is_asked_before_what_cannot_be_done_is_said(seven: Seven) -> None:
    """The new file's name was forgotten: the system is no image to be replaced, and nobody is asked about it."""
    told = wimboot("ram", seven.volume)
    assert told.code == 2
    assert "what is to be in the RAM image was not said" in told.err
    assert "Replace" not in told.err


def test_without_its_wim_nothing_is_made(seven: Seven, tmp_path: Path) -> None:
    """A system whose WIM is not at hand."""
    volume = tmp_path / "win7.img"
    copy_sparse(seven.volume, volume)
    refused("wim-not-found", 4, "ram", volume, tmp_path / "a.ram", "-y", watching=(volume,))


def test_a_place_that_is_told_later_is_refused(seven: Seven, tmp_path: Path) -> None:
    """Nothing can be told to a packed image."""
    refused("ram-place-needed", 4, "ram", seven.volume, tmp_path / "a.ram", "-y", "--wim-place", "later",
            watching=(seven.volume,))
    told = refused("ram-place-needed", 4, "ram", "--wim", seven.wim, "--image", "1", tmp_path / "a.ram", "-y", "--size",
                   "256M", "--driver", "none", watching=(seven.wim,))
    assert "later and then" not in told.err
    assert ", or later" not in done("ram", "--help").out
    assert ", or later" in done("convert", "--help").out.replace("\n", " ").replace("  ", " ")


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
