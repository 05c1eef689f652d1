"""The plan of the documents: the folder of the article of 2015, with its boot menu and its system in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from boot_systems import BIOS_FILES, add_boot_files, files_of
from converted import SMALL
from deploy_plans import Yard
from driver_files import wofadk
from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse
from ram_judge import unpack
from running import done, wimboot

EXAMPLE = Path(__file__).parents[2] / "docs/two-systems.toml"
SEED = ["menu.lst", "wimboot.wim", "wimboot/wimboot.wim", "wimboot/x64/win7.vhd", "wimboot/x86/win7.ram",
        "wimboot/x86/win7.vhd"]
MACHINES = {"x64": "amd64", "x86": "x86"}
TITLES = {"x64": "Windows 7 64 位 (WIMBoot)", "x86": "Windows 7 32 位 (WIMBoot)"}
BACK = chr(92)


@pytest.fixture(scope="module")
def built(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Yard:
    """All that the example declares, of two small systems; for reading only."""
    base = tmp_path_factory.mktemp("example")
    for name, arguments in (("x64", {}), ("x86", {"architecture": "x86", "seed": 2})):
        volume = base / f"{name}.img"
        copy_sparse(built_system(size=24 << 20, files=12, features=SMALL, **arguments).path, volume)
        add_boot_files(volume, machine=MACHINES[name], uefi=False)
        (base / MACHINES[name]).mkdir()
        wofadk(base / MACHINES[name], MACHINES[name])
    yard = Yard(base=base)
    yard.folder.mkdir()
    shutil.copy(EXAMPLE, yard.plan)
    tree = done("deploy", yard.plan, "--dry-run").out
    for name in SEED:
        assert name.rpartition("/")[2] in tree
    assert yard.names() == []
    done("deploy", yard.plan)
    return yard


@pytest.fixture
def yard(built: Yard, tmp_path: Path) -> Yard:
    """The test's own copy."""
    for path in built.folder.rglob("*"):
        target = tmp_path / "disk" / path.relative_to(built.folder)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_sparse(path, target)
    for name in ("x64.img", "x86.img", *MACHINES.values()):
        (tmp_path / name).symlink_to(built.base / name)
    shutil.copy(EXAMPLE, tmp_path / "plan.toml")
    return Yard(base=tmp_path)


def actions(yard: Yard) -> dict[str, str]:
    """What deploy says of each system, and of its RAM image."""
    told = done("deploy", yard.plan, "--json", "--threads", 1).json
    return {one["name"]: one["action"] for one in told["systems"]} | {
        f"{one['system']} in memory": one["action"] for one in told["ram_images"]}


def entries(yard: Yard) -> dict[str, dict[str, object]]:
    """The loader entries of the boot menu, by their titles."""
    (store,) = done("boot", "--list", yard.folder, "--json").json["stores"]
    found = {}
    for one in store["objects"]:
        values = {element["name"]: element["value"] for element in one["elements"]}
        if "osdevice" in values:
            found[str(values["description"])] = values
    return found


def test_the_folder_is_that_of_the_article(built: Yard) -> None:
    """Every file in its place: store, spare copy, two disks of 15 and 10 GB, the image for memory, boot files."""
    assert set(SEED) <= set(built.names())
    assert {*BIOS_FILES, "Boot/BCD"} <= set(files_of(built.folder))
    assert (built.folder / "wimboot.wim").read_bytes() == built.wim.read_bytes()
    for vhd, size in ((built.x64, 15 << 30), (built.x86, 10 << 30)):
        data = vhd.read_bytes()
        assert len(data) < 100 << 20
        assert int.from_bytes(data[48:56], "big") == size
        assert done("verify", vhd, "--wim", built.wim).code == 0
        assert done("info", vhd, "--json").json["volume"]["windows"]["overlay_driver"] == "wofadk"
    others = set(built.names()) - set(SEED) - set(BIOS_FILES)
    assert all(name.startswith(("Boot/", "boot")) for name in others), others


def test_the_menu_starts_both_from_where_they_will_lie(built: Yard) -> None:
    """Chinese titles; the VHDs on the disk and partition of the plan; the first is the default, ten seconds."""
    found = entries(built)
    assert set(TITLES.values()) <= set(found)
    for name, title in TITLES.items():
        where = str(found[title]["osdevice"])
        assert f"{BACK}wimboot{BACK}{name}{BACK}win7.vhd" in where, where
        assert "5cbea03e" in where.lower(), where
    (store,) = done("boot", "--list", built.folder, "--json").json["stores"]
    manager = next(one for one in store["objects"] if one["alias"] == "{bootmgr}")
    assert next(element["value"] for element in manager["elements"] if element["name"] == "timeout") == 10


def test_the_system_in_memory_stands_on_the_same_store(built: Yard, tmp_path: Path) -> None:
    """lz4 unpacks a disk of 5 GB; its volume is sound, its pointers lead into the store; the menu has it once."""
    raw = unpack(built.folder / "wimboot/x86/win7.ram", tmp_path / "ram.img")
    assert raw.size == 5 << 30
    sound_volume(raw.path, raw.start)
    assert every_pointer_leads_home(raw.path, built.wim, {}, raw.start) > 20
    menu = (built.folder / "menu.lst").read_text(encoding="utf-8")
    assert menu.count("title Windows 7 32 位 - 内存") == 1
    assert menu.count("map --top --mem=-10485760 /wimboot/x86/win7.ram (hd0)") == 1


def test_second_run_touches_nothing_of_it(yard: Yard) -> None:
    """Neither systems nor store, spare copy, RAM image, boot files, stores of boot entries, menus."""
    before = yard.files()
    run = done("deploy", yard.plan)
    assert "Everything stands as declared" in run.out
    assert "Boot menu, Windows 7 64 位 (WIMBoot): as it was." in run.out
    assert yard.files() == before
    tree = done("deploy", yard.plan, "--dry-run").out
    assert "bootmgr   boot files" in tree
    assert "not in the plan" not in tree
    assert yard.files() == before


def test_what_the_store_grows_by_reaches_the_image_for_memory(yard: Yard) -> None:
    """It is built anew, for it is behind as well; the menus stay as they are."""
    menu, boot = (yard.folder / "menu.lst").read_bytes(), (yard.folder / "Boot/BCD").read_bytes()
    done("capture", yard.base / "x64.img", "--wim", yard.wim, "--name", "more")
    assert actions(yard) == {"x64": "refresh", "x86": "refresh", "x86 in memory": "build"}
    assert (yard.folder / "menu.lst").read_bytes() == menu
    assert (yard.folder / "Boot/BCD").read_bytes() == boot
    assert set(actions(yard).values()) == {"keep"}


@pytest.mark.parametrize(("old", "new"), [
    ('size = "5 GB"', 'size = "5 GB"\nform = "vhd"'), pytest.param("5cbea03e", "11223344", marks=pytest.mark.heavy),
    pytest.param('size = "5 GB"', 'size = "6 GB"', marks=pytest.mark.heavy),
])
def test_image_for_memory_of_another_shape_is_made_anew(yard: Yard, old: str, new: str) -> None:
    """Size, form, the place of the store; and then it stands."""
    yard.says(yard.plan.read_text(encoding="utf-8").replace(old, new))
    assert actions(yard)["x86 in memory"] == "build"
    assert set(actions(yard).values()) == {"keep"}


def test_file_that_is_no_image_of_ours_is_left(yard: Yard) -> None:
    """What lies where the image is to be, and is none of this store, is not written over."""
    ram = yard.folder / "wimboot/x86/win7.ram"
    for data in (b"mine", ram.read_bytes()[:5000], b"\x04\x22\x4d\x18" + bytes(600)):
        ram.write_bytes(data)
        assert wimboot("deploy", yard.plan, "--json").json["error"]["id"] == "plan-holds-other"
        assert ram.read_bytes() == data
    ram.unlink()
    done("create", ram, "--size", "64M", "--format", "raw")
    assert wimboot("deploy", yard.plan, "--json").json["error"]["id"] == "plan-holds-other"


def test_changed_menu_is_written_and_nothing_else(yard: Yard) -> None:
    """Another title and default in the plan."""
    text = yard.plan.read_text(encoding="utf-8")
    for old, new in (("64 位", "六十四位"), ('default = "x64"', 'default = "x86"'), ("timeout = 10", "timeout = 3")):
        text = text.replace(old, new)
    yard.says(text)
    before = yard.files()
    told = done("deploy", yard.plan, "--json").json
    assert [bool(one["written_bytes"]) for one in told["boot_entries"]] == [True, True]
    after = yard.files()
    assert {name for name in after if after[name] != before.get(name)} == {"Boot/BCD"}
    assert "Windows 7 六十四位 (WIMBoot)" in entries(yard)
    again = done("deploy", yard.plan, "--json").json
    assert [one["written_bytes"] for one in again["boot_entries"]] == [0, 0]
