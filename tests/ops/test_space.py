"""`wimboot space`: every figure against what other programs say of the same files."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import build
from converted import Converted
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, refused, unchanged
from seed_shelf import PLACE, pack, set_up
from snapshots import snapshot
from space_judges import pointed, seen_size, used_size, volume_of, wim_sizes
from wimboot.ops.measuring.figures import Start
from wimboot.storage import HostFolder

CHINESE = "\u4e09\u5341\u4e8c\u4f4d\u7cfb\u7edf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Two systems in dynamic VHDs on one WIM, a spare copy of that, and what `space --json` says; for reading only."""

    folder: Path
    wim: Path
    spare: Path
    vhds: tuple[Path, Path]
    told: dict[str, Any]

    def volume(self, vhd: Path) -> dict[str, Any]:
        """What was said of the volume in that VHD."""
        (found,) = (volume for volume in self.told["volumes"] if volume["disk"] == str(vhd))
        return dict(found)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The seed's folder; the x86 system lies in a folder with a Chinese name."""
    made = set_up(tmp_path_factory.mktemp("shelf"))
    no_driver = ("--wim-place", PLACE, "--driver", "none")
    done("convert", made.x64.vhd, "--wim", made.wim, "--name", "x64-1", *no_driver)
    done("convert", made.x86.vhd, "--wim", made.wim, "--name", "x86-1", *no_driver, "--target", made.x64.vhd)
    done("sync", made.wim, made.spare)
    made.x86.vhd.parent.rename(made.folder / "wimboot" / CHINESE)
    vhds = made.x64.vhd, made.folder / "wimboot" / CHINESE / "win7.vhd"
    told = done("space", made.folder, "--explain", "--json").json
    return Shelf(folder=made.folder, wim=made.wim, spare=made.spare, vhds=vhds, told=told)


def test_shares_are_what_wimlib_says_of_the_blobs_that_pointers_name(shelf: Shelf, tmp_path: Path) -> None:
    """Bytes in the WIM, alone and together, and what sharing saves, from wimlib's list and the driver's view."""
    wim = wim_sizes(shelf.wim)
    names = [pointed(volume_of(vhd, tmp_path)) for vhd in shelf.vhds]
    needs = [set(one.values()) for one in names]
    for vhd, own, other, files in zip(shelf.vhds, needs, reversed(needs), names, strict=True):
        told = shelf.volume(vhd)
        (source,) = told["sources"]
        assert (source["blobs"], source["bytes"], source["bytes_in_wim"]) == (
            len(own), wim.size(own), wim.stored(own))
        assert (source["alone_blobs"], source["alone_bytes_in_wim"]) == (len(own - other), wim.stored(own - other))
        assert source["bytes_in_wim_apart"] == wim.stored(files.values()) >= source["bytes_in_wim"]
        assert source["pointed_bytes"] == wim.size(files.values())
        assert (source["pointers"], source["pointers_without_data"]) == (len(files), 0) == (told["pointers"], 0)
        assert told["bytes_in_wim"] == source["bytes_in_wim"] > source["alone_bytes_in_wim"] > 0
    (group,) = (one for one in shelf.told["wims"] if one["volumes"])
    both = needs[0] | needs[1]
    assert group["named_by_volumes"] == {"blobs": len(both), "bytes": wim.size(both), "bytes_in_wim": wim.stored(both)}
    assert group["saved_between_volumes_bytes_in_wim"] == sum(map(wim.stored, needs)) - wim.stored(both) > 0


def test_images_are_what_wimlib_says_of_them(shelf: Shelf) -> None:
    """Each image's blobs, those that only it has, and what the images save by sharing."""
    wim = wim_sizes(shelf.wim)
    (group,) = (one for one in shelf.told["wims"] if one["volumes"])
    assert len(group["images"]) == len(wim.images) == 2
    for image, own, other in zip(group["images"], wim.images, reversed(wim.images), strict=True):
        assert (image["blobs"], image["bytes"], image["bytes_in_wim"]) == (len(own), wim.size(own), wim.stored(own))
        assert image["only_here_bytes_in_wim"] == wim.stored(own - other)
    assert group["saved_between_images_bytes_in_wim"] == wim.stored(wim.images[0] & wim.images[1]) > 0
    assert group["blobs"]["bytes_in_wim"] == wim.stored(wim.blobs)
    assert group["unused"]["blobs"] == len(set(wim.blobs) - wim.images[0] - wim.images[1])


def test_sizes_of_volumes_are_what_the_driver_says(shelf: Shelf, tmp_path: Path) -> None:
    """As seen: every stream once; in use: ntfsinfo's clusters."""
    for vhd in shelf.vhds:
        told, volume = shelf.volume(vhd), volume_of(vhd, tmp_path)
        facts = snapshot(volume, contents=False)
        assert told["virtual_bytes"] == seen_size(facts)
        assert told["used_bytes"] == used_size(volume) > told["occupied_bytes"]
        assert told["files"] + told["folders"] == len({one.record for one in facts.values()})
        assert told["windows"]["product"] == "Windows 7 Ultimate"


def test_sizes_on_the_host_are_those_of_du(shelf: Shelf) -> None:
    """What VHDs and WIMs take is what du counts; all together each file once."""
    for one in (*shelf.told["disks"], *shelf.told["wims"]):
        said = subprocess.run(["du", "-B1", one["path"]], check=True, capture_output=True, text=True).stdout
        assert one["occupied_bytes"] == int(said.split()[0])
        assert one["bytes"] == Path(one["path"]).stat().st_size
    assert shelf.told["host_bytes"] == sum(
        one["occupied_bytes"] for one in (*shelf.told["disks"], *shelf.told["wims"]))
    assert shelf.told["virtual_bytes"] == sum(one["virtual_bytes"] for one in shelf.told["volumes"])


def test_full_size_is_that_of_a_vhd_with_every_block(shelf: Shelf, tmp_path: Path) -> None:
    """What a dynamic VHD grows to is what qemu-img makes of a disk without a hole, but for where its blocks begin."""
    (disk,) = (one for one in shelf.told["disks"] if one["path"] == str(shelf.vhds[0]))
    raw, full = tmp_path / "noise.img", tmp_path / "full.vhd"
    raw.write_bytes(b"\xaa" * disk["disk_bytes"])
    pack(raw, full)
    assert abs(full.stat().st_size - disk["full_bytes"]) < 4096
    start = shelf.volume(shelf.vhds[0])["start"]
    assert (start["expands"], start["host_bytes"]) == (True, disk["full_bytes"])
    assert start["claimed_bytes"] == disk["full_bytes"] - disk["occupied_bytes"]
    assert shelf.told["host_bytes_at_most"] - shelf.told["host_bytes"] == sum(
        one["full_bytes"] - one["occupied_bytes"] for one in shelf.told["disks"])


@pytest.mark.parametrize(("value", "expands"), [(1, True), (4, False)])
def test_expansion_is_read_from_the_system_hive(value: int, expands: bool, shelf: Shelf, tmp_path: Path) -> None:
    """VirtualDiskExpandOnMount, as hivexregedit writes it, decides what a start claims."""
    folder = tmp_path / "own"
    own = folder / "win7.vhd"
    folder.mkdir()
    _expand(shelf.vhds[0], own, tmp_path, value)
    (volume,) = done("space", own, shelf.wim, "--json").json["volumes"]
    start = volume["start"]
    assert (start["expand_on_mount"], start["expands"], start["problem"]) == (value, expands, None)
    assert (start["claimed_bytes"] > 0) is expands
    told = done("space", own, shelf.wim).out
    assert ("makes a VHD as large as its disk" in told) is expands
    assert "NO ROOM" not in told


def _expand(vhd: Path, out: Path, scratch: Path, value: int) -> None:
    """A copy of a VHD, with the value in its SYSTEM hive."""
    raw, volume, text = scratch / "raw.img", volume_of(vhd, scratch), scratch / "edit.reg"
    text.write_text("Windows Registry Editor Version 5.00\n\n[\\ControlSet001\\services\\FsDepends\\Parameters]\n"
                    f"\"VirtualDiskExpandOnMount\"=dword:{value:08x}\n")
    with mounted(volume, write=True) as root:
        subprocess.run(["hivexregedit", "--merge", root / "Windows/System32/config/SYSTEM", text], check=True)
    subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", vhd, raw], check=True, capture_output=True)
    copy_sparse(volume, raw, target_offset=build.PARTITION_OFFSET)
    pack(raw, out)


def test_a_start_that_cannot_be_read_claims_nothing_known() -> None:
    """A hive that cannot be read is no reason to say that a VHD grows, or does not."""
    start = Start(value=None, full=100, occupied=10, problem="damaged")
    assert (start.expands, start.takes, start.claims) == (None, None, None)


def test_too_little_room_for_a_start_is_said(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host has less left than the VHD claims, Windows does not start from it."""
    monkeypatch.setattr(HostFolder, "free_size", lambda _folder: 1000)
    told = done("space", shelf.folder).out
    assert told.count("NO ROOM") == 2
    assert "1 KB are free beside it" in told


def test_systems_stand_under_their_wim(shelf: Shelf) -> None:
    """One WIM for both, found as `info` finds it; the spare is a copy of it, and nobody's."""
    wims = {one["path"]: one for one in shelf.told["wims"]}
    assert wims.keys() == {str(shelf.wim), str(shelf.spare)}
    assert wims[str(shelf.wim)]["volumes"] == [f"{vhd}#1" for vhd in sorted(shelf.vhds)]
    assert (wims[str(shelf.spare)]["copy_of"], wims[str(shelf.spare)]["same_blobs"]) == (str(shelf.wim), True)
    assert [one["wim"] for volume in shelf.told["volumes"] for one in volume["sources"]] == [str(shelf.wim)] * 2
    assert shelf.told["others"] == []
    assert shelf.told["complete"] is True


def test_people_read_the_same(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table names the systems, one WIM above both, what sharing saves, and the sum."""
    monkeypatch.chdir(shelf.folder)
    told = done("space", ".").out
    lines = told.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("wimboot/wimboot.wim: "))
    assert "2 images" in lines[head]
    rows = [line for line in lines[head + 3:head + 7] if "#1" in line]
    assert len(rows) == 2
    assert any(CHINESE in row for row in rows)
    assert "between the volumes" in told
    assert "a copy of wimboot/wimboot.wim" in told
    assert lines[-1].startswith("all together: ")
    assert done("space", shelf.folder, "-q").out == ""


def test_nothing_is_written(shelf: Shelf) -> None:
    """Measuring changes no file and leaves none."""
    with unchanged(*shelf.vhds, shelf.wim, shelf.spare):
        done("space", shelf.folder, "--explain", "--json")


def test_real_files_are_grouped_by_reason_and_rule(converted_once: Converted) -> None:
    """The groups are those of `explain`, file by file, and together they are all real files."""
    told = done("space", converted_once.volume, "--explain", "--json").json
    (volume,) = told["volumes"]
    groups = volume["real"]
    assert sum(group["files"] for group in groups) == volume["files"] - volume["pointers"]
    reasons = {group["reason"] for group in groups}
    assert {"rule", "resident", "empty", "excluded"} <= reasons
    for group in groups[:8]:
        one = done("explain", converted_once.volume, group["largest"]["path"], "--json").json
        assert (one["reason"], one["rule"]) == (group["reason"], group["rule"])
        assert one["form"] == "real"
    pairs = [(group["reason"], str(group["rule"])) for group in groups]
    assert len(pairs) == len(set(pairs))
    assert "It is empty." in done("space", converted_once.volume, "--explain").out


def test_a_list_decides_what_explain_says(converted_once: Converted, tmp_path: Path) -> None:
    """`--config` names another list, whose rules then stand behind the groups."""
    ini = tmp_path / "own.ini"
    ini.write_text("[PrepopulateList]\n\\Windows\\explorer.exe\n\\bootmgr\n", encoding="utf-8")
    told = done("space", converted_once.volume, "--explain", "--config", ini, "--json").json
    origins = {group["rule"]["origin"] for volume in told["volumes"] for group in volume["real"] if group["rule"]}
    assert str(ini) in origins or any("built in" in origin for origin in origins)
    (pages,) = (group for volume in told["volumes"] for group in volume["real"]
                if group["rule"] and group["rule"]["pattern"].casefold() == "\\pagefile.sys")
    assert pages["files"] == 1


def test_a_wim_that_is_not_there_is_said(shelf: Shelf, tmp_path: Path) -> None:
    """Pointers without their WIM have no share, and none is guessed."""
    own = tmp_path / "alone"
    own.mkdir()
    shutil.copyfile(shelf.vhds[0], own / "win7.vhd")
    run = done("space", own, "--json").json
    (volume,) = run["volumes"]
    (source,) = volume["sources"]
    assert (source["wim"], source["bytes_in_wim"], source["alone_bytes_in_wim"]) == (None, None, None)
    assert (volume["bytes_in_wim"], source["state"]) == (None, "missing")
    assert source["pointers"] == shelf.volume(shelf.vhds[0])["pointers"] > 0
    assert source["pointed_bytes"] > 0
    assert run["wims"] == []
    assert "was not found" in done("space", own).out
    assert "not known" not in done("space", own).out


def test_a_named_wim_serves_and_one_in_a_named_folder_too(shelf: Shelf, tmp_path: Path) -> None:
    """A WIM that is not where its volume looks is taken where it was named, or lies in a folder that was."""
    away, own = tmp_path / "wims" / "deep", tmp_path / "far" / "off"
    away.mkdir(parents=True)
    own.mkdir(parents=True)
    shutil.copyfile(shelf.wim, away / "other name.wim")
    shutil.copyfile(shelf.vhds[1], own / "x86.vhd")
    for places in ((own / "x86.vhd", away / "other name.wim"), (own, tmp_path / "wims"), (tmp_path,)):
        (volume,) = done("space", *places, "--json").json["volumes"]
        assert [one["wim"] for one in volume["sources"]] == [str(away / "other name.wim")]
        assert volume["bytes_in_wim"] == shelf.volume(shelf.vhds[1])["bytes_in_wim"]
    found = done("space", own / "x86.vhd", "--search", tmp_path / "wims", "--json").json
    assert found["volumes"][0]["bytes_in_wim"] == shelf.volume(shelf.vhds[1])["bytes_in_wim"]


def test_the_same_file_counts_once(shelf: Shelf) -> None:
    """Naming a disk, its folder and its partition measures it once."""
    vhd = shelf.vhds[0]
    told = done("space", vhd, vhd.parent, f"{vhd}#1", shelf.wim, shelf.wim, "--json").json
    assert (len(told["disks"]), len(told["volumes"]), len(told["wims"])) == (1, 1, 1)


def test_a_volume_of_ordinary_files_has_no_share(pristine_small: Path) -> None:
    """It is measured like any other, and stands by itself."""
    told = done("space", pristine_small, "--json").json
    (volume,) = told["volumes"]
    assert (volume["wimboot"], volume["sources"], volume["bytes_in_wim"], volume["start"]) == (False, [], 0, None)
    assert volume["virtual_bytes"] == seen_size(snapshot(pristine_small, contents=False))
    assert volume["used_bytes"] == used_size(pristine_small)
    assert "volumes of ordinary files" in done("space", pristine_small).out


def test_data_that_a_wim_has_lost_is_counted(converted_once: Converted, tmp_path: Path) -> None:
    """Pointers whose blob is not in the WIM are said, and have no size."""
    from wim_bytes import read_wim

    wim, volume = tmp_path / "store.wim", tmp_path / "system.img"
    copy_sparse(converted_once.volume, volume)
    shutil.copyfile(converted_once.wim, wim)
    digest = next(iter(sorted(set(pointed(volume).values()))))
    data = bytearray(wim.read_bytes())
    table = read_wim(wim)
    place = data.rindex(bytes.fromhex(digest))
    assert bytes.fromhex(digest) in table.blobs
    data[place] ^= 0xFF
    wim.write_bytes(data)
    (source,) = done("space", volume, "--json").json["volumes"][0]["sources"]
    users = sum(sha1 == digest for sha1 in pointed(volume).values())
    assert source["pointers_without_data"] == users > 0
    assert "without data in the WIM" in done("space", volume).out


def test_named_targets_that_cannot_be_measured_are_refused(tmp_path: Path) -> None:
    """What was named must be there and be a disk: nothing is passed over."""
    nothing = tmp_path / "empty.img"
    nothing.write_bytes(bytes(1 << 20))
    refused("not-a-disk", 2, "space", nothing, watching=(nothing,))
    refused("no-target", 2, "space", tmp_path / "missing.img")
    refused("usage", 2, "space", "")


def test_a_wim_in_a_volume_is_measured_there(pristine_small: Path, tmp_path: Path) -> None:
    """A WIM on the very volume that it backs is found; its bytes are those of the disk around it."""
    own = tmp_path / "stick.img"
    copy_sparse(pristine_small, own)
    done("convert", own, "--wim", f"{own}:/store.wim", "--name", "own", *NO_PLACE)
    told = done("space", own, "--json").json
    (volume,), (wim,) = told["volumes"], told["wims"]
    assert (wim["occupied_bytes"], wim["volumes"]) == (None, [str(own)])
    assert wim["path"].endswith("store.wim")
    assert 0 < volume["bytes_in_wim"] <= wim["blobs"]["bytes_in_wim"] < wim["bytes"]
    assert told["host_bytes"] == told["disks"][0]["occupied_bytes"]
