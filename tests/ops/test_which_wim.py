"""Which WIM a volume uses: the one at its place, one of its GUID elsewhere, the best of several; what is said of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import build
from converted import Converted
from data_disks import MIB, attached_disk, data_disk, make_disk, node_of_partition
from mounting import copy_sparse, mounted
from overlay_forging import forge_path
from own_wims import put_at
from running import done, refused, unchanged, wimboot
from wimboot.errors import HostError
from wimboot.events import silent
from wimboot.formats.guid import parse_guid
from wimboot.ops.finding import searching
from wimboot.ops.finding.locating import Located, WimState, locate
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import TargetOptions
from wimboot.ops.pointing.placing import volume_sources
from wimboot.storage import HostFile, HostFolder

MBR = f"mbr:{build.DISK_SIGNATURE:08x}:{MIB}:\\wimboot\\store.wim"
GPT = f"gpt:{build.DISK_GUID}:{build.PARTITION_GUID}:\\WIMBOOT\\Store.wim"


def source(volume: Path | str, *arguments: object) -> dict[str, Any]:
    """What `info` says of the volume's only data source."""
    (found,) = done("info", volume, "--json", *arguments).json["volume"]["sources"]
    assert isinstance(found, dict)
    return found


def place_at(found: Converted, place: str) -> None:
    """Register a place."""
    done("relocate", found.volume, "--wim", found.wim, "--as", place)


# -- at the registered place


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_a_wim_on_a_mounted_disk_is_found_where_it_is_registered(table: str, alone: Converted, tmp_path: Path) -> None:
    """By signature or GUID and partition, whatever the case of the path; an unmounted or missing disk is told apart."""
    place_at(alone, {"mbr": MBR, "gpt": GPT}[table])
    with data_disk(tmp_path, table) as root:
        assert source(alone.volume)["state"] == "missing"
        put_at(alone.wim)(root)
        found = source(alone.volume)
        assert (found["state"], found["how"], found["at_registered_place"]) == ("in-place", "attached-disk", True)
        assert found["wim"] == str(root / "wimboot" / "store.wim")
        told = done("info", alone.volume).out
        assert "on an attached disk" in told
        assert "where it is registered" in told
        done("verify", alone.volume, "--quick")
        put_at_again = root / "elsewhere.wim"
        (root / "wimboot" / "store.wim").rename(put_at_again)
        moved = source(alone.volume, "--search", root)
        assert (moved["state"], moved["how"], moved["wim"]) == ("moved", "search", str(put_at_again))
        assert "wimboot relocate" in done("restore", alone.volume, "--search", root, "--dry-run").err
    assert source(alone.volume)["state"] == "missing"


def test_a_wim_on_a_disk_that_is_not_mounted_is_found(alone: Converted, tmp_path: Path) -> None:
    """Through the partition table and the volume's own structures, as a device and as an image beside the target."""
    place_at(alone, MBR)
    disk = make_disk(tmp_path / "data.img", "mbr", put_at(alone.wim))
    with attached_disk(disk) as device:
        found = source(alone.volume)
        assert (found["state"], found["how"]) == ("in-place", "attached-disk")
        assert found["wim"] == f"{device}#1:/wimboot/store.wim"
    assert source(alone.volume)["state"] == "missing"
    beside = disk.rename(alone.volume.parent / "data.img")
    found = source(alone.volume)
    assert (found["state"], found["how"], found["wim"]) == ("in-place", "disk-image", f"{beside}#1:/wimboot/store.wim")
    done("verify", alone.volume)


def test_the_registered_place_comes_first(alone: Converted) -> None:
    """A copy beside the target is not even looked at then."""
    place_at(alone, MBR)
    shutil.copyfile(alone.wim, alone.volume.parent / "copy.wim")
    make_disk(alone.volume.parent / "data.img", "mbr", put_at(alone.wim))
    found = source(alone.volume)
    assert (found["how"], found["passed_over"]) == ("disk-image", [])


def test_another_wim_at_the_place_is_named_as_that(alone: Converted, small_volume: Path, tmp_path: Path) -> None:
    """Its GUID differs: replaced, whether the right one is found elsewhere or not; and so is what is no WIM at all."""
    place_at(alone, MBR)
    other = tmp_path / "other.wim"
    done("capture", small_volume, "--wim", other)
    disk = make_disk(alone.volume.parent / "data.img", "mbr", put_at(other))
    found = source(alone.volume)
    assert (found["state"], found["wim"]) == ("replaced", None)
    assert found["other_at_place"] == f"{disk}#1:/wimboot/store.wim"
    told = refused("wim-replaced", 4, "restore", alone.volume, watching=(alone.volume,))
    assert "c000a2a5" in told.err
    assert "REPLACED" in done("info", alone.volume).out
    found = source(alone.volume, "--search", alone.wim.parent)
    assert (found["state"], found["wim"]) == ("replaced", str(alone.wim))
    checked = wimboot("verify", alone.volume, "--search", alone.wim.parent, "--quick")
    assert (checked.code, str(disk) in checked.err) == (3, True)
    other.write_bytes(b"not a WIM")
    make_disk(disk, "mbr", put_at(other))
    assert "no WIM" in done("info", alone.volume).out


@pytest.mark.parametrize("path", ["\\..\\..\\away\\store.wim", "c:\\..\\store.wim", "\\a\\..\\..\\store.wim",
                                  "\\link\\store.wim", "\\wimboot/../../store.wim"])
def test_a_hostile_place_does_not_lead_out_of_the_mount(path: str, alone: Converted, tmp_path: Path) -> None:
    """Neither with .. nor with a drive nor through a symbolic link on the volume."""
    place_at(alone, MBR)
    forge_path(alone.volume, path)
    with data_disk(tmp_path, "mbr") as root:
        (root / "link").symlink_to(alone.wim.parent)
        outside = root.parent / "store.wim"
        shutil.copyfile(alone.wim, outside)
        try:
            assert source(alone.volume)["wim"] is None
        finally:
            outside.unlink()


# -- elsewhere, by GUID


def test_a_wim_is_found_by_its_guid_where_one_is_put(alone: Converted, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the target, above it, in the current folder, in that of -WIMPATH, below a folder that is searched."""
    told = refused("wim-not-found", 4, "restore", alone.volume, watching=(alone.volume,))
    assert "c000046e" in told.err
    assert "--search" in told.err
    assert str(alone.volume.parent) in told.err
    deep = tmp_path / "deep" / "one" / "two"
    deep.mkdir(parents=True)
    wim = alone.wim.rename(deep / "renamed.WIM")
    (deep / "around").symlink_to(tmp_path / "deep")
    for arguments, how in ((("--search", tmp_path / "deep"), "search"), ((), "current-folder")):
        found = source(alone.volume, *arguments)
        if how == "search":
            assert (found["how"], found["wim"], found["state"]) == (how, str(wim), "later")
        else:
            monkeypatch.chdir(deep)
            assert source(alone.volume)["how"] == how
    wim = wim.rename(alone.volume.parent / "x.wim")
    assert source(alone.volume)["how"] == "beside-target"
    below = alone.volume.parent / "x64"
    below.mkdir()
    assert source(alone.volume.rename(below / "win7.img"))["how"] == "above-target"
    (below / "win7.img").rename(alone.volume)
    (alone.volume.parent / "wims").mkdir()
    wim.rename(alone.volume.parent / "wims" / "x.wim")
    for option in ("-WIMPATH:\\wims", "-wimpath:\\WIMS\\..\\wims"):
        run = wimboot(option, "info", alone.volume, "--json")
        assert run.json["volume"]["sources"][0]["how"] == ("wim-folder" if ".." not in option else None)


@pytest.mark.parametrize("folder", ["", "WIMBOOT", "System Volume Information", "Stores"])
def test_a_wim_on_the_volume_itself_or_its_disk_is_found(folder: str, alone: Converted) -> None:
    """In the folders where one is put, and in the default folder that the user set."""
    with mounted(alone.volume, write=True) as root:
        (root / folder).mkdir(exist_ok=True)
        shutil.copyfile(alone.wim, root / folder / "my.wim")
    options = ("-WIMPATH:\\STORES",) if folder == "Stores" else ()
    run = done(*options, "info", alone.volume, "--json")
    (found,) = run.json["volume"]["sources"]
    assert (found["how"], found["state"]) == ("same-volume", "later")
    assert found["wim"] == f"{alone.volume}:/{folder}{'/' if folder else ''}my.wim".replace("Stores", "STORES")


def test_a_wim_on_another_partition_of_the_disk_is_found(stick: Path, alone: Converted) -> None:
    """By its GUID, and by its place once that is registered."""
    found = source(f"{stick}#2")
    assert (found["how"], found["wim"]) == ("same-disk", f"{stick}#1:/WIMBOOT/store.wim")
    done("relocate", f"{stick}#2", "--wim", alone.wim, "--as", MBR)
    found = source(stick)
    assert (found["how"], found["state"]) == ("same-disk", "in-place")


def test_a_partition_that_is_a_device_belongs_to_its_disk(stick: Path, alone: Converted, durable: Path) -> None:
    """Whatever the volume is called, the partitions beside it are found and read."""
    with attached_disk(stick) as device:
        target = node_of_partition(device.name, durable, 2)
        assert source(target)["how"] == "same-disk"
        done("relocate", target, "--wim", alone.wim, "--log", durable, "--as", MBR)
        found = source(target)
        assert (found["how"], found["state"], found["place"]) == ("same-disk", "in-place", MBR)
        assert found["wim"] == f"{device}#1:/wimboot/store.wim"
        done("verify", target)
        done("restore", f"{device}#2", "--log", durable)


# -- several


def test_the_newest_of_several_copies_is_taken(alone: Converted, tmp_path: Path) -> None:
    """The one with most images; the others are named with the reason; a link to it is no other copy."""
    old = tmp_path / "away" / "old.wim"
    shutil.copyfile(alone.wim, old)
    done("capture", alone.volume, "--wim", alone.wim, "--name", "second")
    os.link(alone.wim, alone.wim.with_name("a linked.wim"))
    found = source(alone.volume, "--search", alone.wim.parent)
    assert found["wim"] == str(alone.wim.with_name("a linked.wim"))
    assert [(over["wim"], "older" in over["why"]) for over in found["passed_over"]] == [(str(old), True)]
    assert "passed over" in done("info", alone.volume, "--search", alone.wim.parent).out
    for verb in ("restore", "status"):
        assert f"{old} was passed over" in done(verb, alone.volume, "--search", alone.wim.parent).err


def test_an_older_copy_is_named_as_that(alone: Converted, tmp_path: Path) -> None:
    """It has the GUID and lacks the image: told by info and verify, refused by what would use it."""
    old = tmp_path / "old.wim"
    shutil.copyfile(alone.wim, old)
    done("capture", alone.volume, "--wim", alone.wim, "--name", "second")
    done("restore", alone.volume, "--wim", alone.wim, "--image", "2")
    new = alone.wim.rename(tmp_path / "gone")
    old = old.rename(alone.volume.parent / "old.wim")
    found = source(alone.volume)
    assert (found["state"], found["images_in_wim"], found["image"]) == ("older", 1, 2)
    assert "OLDER" in done("info", alone.volume).out
    with unchanged(alone.volume, old):
        told = refused("wim-older", 4, "restore", alone.volume)
        assert "image 2" in told.err
        refused("wim-older", 4, "restore", alone.volume, "--wim", old)
        checked = wimboot("verify", alone.volume, "--json")
    assert checked.code == 3
    assert "wim-older" in [problem["id"] for problem in checked.json["problems"]]
    done("restore", alone.volume, "--wim", old, "--image", "1", "--dry-run")
    shutil.copyfile(new, alone.volume.parent / "new.wim")
    found = source(alone.volume)
    assert (found["wim"], found["state"]) == (str(alone.volume.parent / "new.wim"), "later")
    assert [over["why"] for over in found["passed_over"]] == ["it lacks image 2"]


def test_a_damaged_copy_is_passed_over(alone: Converted) -> None:
    """A header alone makes no WIM that could be used."""
    shutil.copyfile(alone.wim, alone.volume.parent / "b.wim")
    (alone.volume.parent / "a.wim").write_bytes(alone.wim.read_bytes()[:4096])
    found = source(alone.volume)
    assert found["wim"] == str(alone.volume.parent / "b.wim")
    (alone.volume.parent / "b.wim").unlink()
    told = done("info", alone.volume, "--json").json
    assert told["warnings"]
    assert len(parse_guid(told["volume"]["sources"][0]["guid"])) == 16


# -- what could not be looked at


def test_what_cannot_be_read_is_told(alone: Converted) -> None:
    """It is neither passed over in silence nor taken for another WIM."""
    beside = alone.volume.parent / "x.wim"
    shutil.copyfile(alone.wim, beside)
    found = _locate(alone.volume, folders=_Refusing)
    assert (found.state, found.found) == (WimState.MISSING, None)
    assert any(str(beside) in looked and "could not be read" in looked for looked in found.looked)
    assert _locate(alone.volume).state is WimState.LATER


def test_a_search_that_is_cut_short_says_so(alone: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of names or by their depth."""
    deep = tmp_path / "many" / "a" / "b"
    deep.mkdir(parents=True)
    for number in range(5):
        (deep / f"{number}.txt").touch()
    shutil.copyfile(alone.wim, deep / "z.wim")
    assert _locate(alone.volume, search=(tmp_path / "many",)).found is not None
    for limit, value in (("_MOST_SEARCHED", 6), ("_DEPTH", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(searching, limit, value)
            found = _locate(alone.volume, search=(tmp_path / "many",))
        assert found.found is None
        assert any("not all of them" in looked for looked in found.looked)


class _Refusing(HostFolder):
    """A folder whose WIMs may not be read."""

    def open(self, name: str, *, write: bool = False) -> HostFile:
        if name.endswith(".wim"):
            raise HostError(what="opening", where=name, why="Permission denied")
        return super().open(name, write=write)


def _locate(volume: Path, **options: Any) -> Located:
    """Where the WIM of the volume's only data source is."""
    with open_volume(TargetOptions(place=str(volume), **options), silent, write=False, windows=False) as opened:
        (found,) = locate(opened, volume_sources(opened.volume)).values()
    return found


@pytest.mark.parametrize("table", ["", "mbr"])
def test_a_wim_that_was_found_inside_is_used_by_every_verb(table: str, alone: Converted, tmp_path: Path) -> None:
    """On the volume that it backs, bare or in a disk: relocated, verified, grown and restored from without --wim."""
    with mounted(alone.volume, write=True) as root:
        (root / "WIMBOOT").mkdir()
        shutil.copyfile(alone.wim, root / "WIMBOOT" / "store.wim")
    target = str(alone.volume)
    if table:
        disk = make_disk(tmp_path / "disk.img", table, size=alone.volume.stat().st_size)
        copy_sparse(alone.volume, disk, target_offset=MIB)
        target = f"{disk}#1"
    wim = f"{target}:/WIMBOOT/store.wim"
    done("relocate", target, "--wim", wim, *(() if table else ("--as", MBR.replace("wimboot", "WIMBOOT"))))
    found = source(target)
    assert (found["wim"], found["how"]) == (wim, "same-volume")
    assert found["state"] == ("in-place" if table else "elsewhere")
    assert found["place"] == MBR.replace("\\wimboot", "\\WIMBOOT")
    done("relocate", target, "--wim", wim)
    assert source(target)["place"] == MBR.replace("\\wimboot", "\\WIMBOOT")
    done("verify", target)
    done("restore", target)
    if not table:
        with mounted(alone.volume, write=True) as root:
            (root / "Windows/new.txt").write_bytes(b"new" * 1000)
    done("update", target, "--name", "more")
    done("verify", target)
    assert source(target)["images_in_wim"] == (1 if table else 2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([0x1B0, MIB, MIB + 0x4000, MIB + 0x4000 + 5 * 1024, 3 * MIB]),
                          st.integers(0, 1023), st.binary(min_size=1, max_size=16)), min_size=1, max_size=8))
def test_a_hostile_disk_beside_the_target_does_no_harm(
        hostile: tuple[Converted, Path], changes: list[tuple[int, int, bytes]]) -> None:
    """Whatever its table, boot sector, file table and folders say: the WIM is found in it, or it is not."""
    found, disk = hostile
    pristine = disk.read_bytes()
    try:
        with disk.open("r+b") as file:
            for start, offset, data in changes:
                file.seek(start + offset)
                file.write(data)
        one = _locate(found.volume)
        assert one.state in (WimState.IN_PLACE, WimState.MISSING, WimState.REPLACED)
    finally:
        disk.write_bytes(pristine)


@pytest.fixture
def hostile(alone: Converted) -> tuple[Converted, Path]:
    """A volume whose WIM is registered on the disk whose image lies beside it."""
    place_at(alone, MBR)
    disk = make_disk(alone.volume.parent / "data.img", "mbr", put_at(alone.wim), size=8 * MIB)
    assert _locate(alone.volume).state is WimState.IN_PLACE
    return alone, disk
