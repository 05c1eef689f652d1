"""What `deploy` tells of what it builds, its dry run has told before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import build
from boot_systems import add_boot_files
from deploy_plans import HEAD, X64, X86, Yard, system
from mounting import copy_sparse
from running import Noted, done, notes, refused

RAM = '[system.ram]\nfile = "wimboot/x64/win7.ram"\nsize = "64 MB"\nmenu = "{menu}"\n'


ONE_HEAD = HEAD.partition('[[store.image]]\nname = "win7-x86"')[0]


def _with_one_system(built_system: Callable[..., build.System], folder: Path) -> Yard:
    """A yard beside the volume of a small system that can be started."""
    yard = Yard(base=folder)
    yard.folder.mkdir()
    copy_sparse(built_system(size=32 << 20, files=24, features=()).path, folder / "x64.img")
    add_boot_files(folder / "x64.img")
    return yard


def _both(yard: Yard) -> tuple[dict[str, Noted], dict[str, Noted]]:
    """What the dry run says, then what the run does."""
    return notes("deploy", yard.plan, "--dry-run"), notes("deploy", yard.plan)


def test_disks_and_ram_images_to_come_are_told_of(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """A VHD that grows, the memory of the machine, no driver of disks in memory."""
    yard = _with_one_system(built_system, tmp_path)
    yard.says(ONE_HEAD, X64, RAM.format(menu="menu.lst"))
    dry, run = _both(yard)
    assert {"vhd-expands", "ram-needed", "no-ram-driver", "ram-cut"} <= run.keys()
    assert {name: told for name, told in run.items() if name not in dry or dry[name] != told} == {}
    assert dry["no-ram-driver"].warning


def test_own_ram_images_are_no_strangers(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """One that is a VHD is a volume on the store, and stands in the plan, when the store grows."""
    yard = _with_one_system(built_system, tmp_path)
    parts = (X64, RAM.format(menu="menu.lst"), 'form = "vhd"\n')
    yard.says(ONE_HEAD, *parts)
    done("deploy", yard.plan)
    yard.says(ONE_HEAD, '[[store.image]]\nname = "second"\ncapture = "x64.img"\n', *parts)
    dry, run = _both(yard)
    assert "not-in-plan" not in dry.keys() | run.keys()


@pytest.mark.parametrize("stored", [False, True])
def test_an_old_boot_manager_is_told_of_before_there_is_a_system(
        stored: bool, built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """That of the system to come, be it captured or in a WIM; one without boot files is refused before it is built."""
    yard = Yard(base=tmp_path)
    yard.folder.mkdir()
    volume = tmp_path / "x64.img"
    copy_sparse(built_system(size=32 << 20, files=24, features=()).path, volume)
    head = HEAD.partition('[[store.image]]\nname = "win7-x86"')[0]
    wish = X64 + 'title = "x64"\n[boot]\nto = "disk"\n'
    yard.says(ONE_HEAD, wish)
    refused("no-boot-files", 4, "deploy", yard.plan, "--dry-run", watching=(yard.wim,))
    add_boot_files(volume)
    if stored:
        done("capture", volume, "--wim", tmp_path / "other.wim", "--name", "one")
        yard.says(head.replace('capture = "x64.img"', 'from = "other.wim"\nimage = 1'), wish)
    dry, run = _both(yard)
    assert dry["old-boot-manager"] == run["old-boot-manager"]
    assert dry["old-boot-manager"].warning


def test_menu_that_cannot_be_changed_is_refused_by_a_dry_run(yard: Yard) -> None:
    """As the run would, with the store and its systems built."""
    (yard.folder / "menu.lst").write_bytes(b"\xff\xfe no text")
    yard.says(HEAD, X64, RAM.format(menu="menu.lst"), X86)
    refused("format", 1, "deploy", yard.plan, "--dry-run", watching=(yard.plan, yard.folder / "menu.lst"))


def test_others_on_a_store_that_will_grow_are_named(deployed: Yard) -> None:
    """A volume on the store that the plan does not name any more."""
    third = '[[store.image]]\nname = "third"\ncapture = "x86.img"\n'
    deployed.says(HEAD, third, X64, system("t", "third", "wimboot/t/t.vhd"))
    dry, run = _both(deployed)
    assert dry["not-in-plan"] == run["not-in-plan"]
    assert dry["not-in-plan"].warning
