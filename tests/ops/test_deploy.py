"""`deploy`: a folder becomes what its plan declares, and only what differs is done."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from converted import fresh_volume
from deploy_plans import HEAD, X64, X86, Yard, system
from driver_files import wofadk
from judges import every_pointer_leads_home, sound_volume, sound_wim
from mounting import carve, copy_sparse, mounted
from running import done, unchanged, wimboot
from snapshots import differences, snapshot
from two_partitions import two_partitions
from vhd_judge import judge_vhd
from wimboot.windows.wimplace import WimPlace

PLACE = "mbr:5cbea03e:1048576:" + chr(92) + "wimboot" + chr(92) + "wimboot.wim"
START = 1 << 20


def actions(*arguments: object) -> dict[str, str]:
    """What deploy says of each system, which it does one after the other."""
    run = done("deploy", *arguments, "--json", "--threads", 1)
    return {one["name"]: one["action"] for one in run.json["systems"]}


def registered(vhd: Path) -> str:
    """Where the system looks for its only WIM."""
    (source,) = done("info", vhd, "--json").json["volume"]["sources"]
    return str(source["place"])


def volume_of(vhd: Path, into: Path) -> Path:
    """The volume of a VHD as a file of its own, by qemu-img."""
    raw = into / f"{vhd.parent.name}.raw"
    subprocess.run(["qemu-img", "convert", "-f", "vpc", "-O", "raw", str(vhd), str(raw)], check=True)
    return raw


def test_two_systems_stand_on_one_store(deployed_once: Yard, tmp_path: Path) -> None:
    """Each is a sound VHD with a sound volume; every pointer leads home, and the store is looked for as planned."""
    yard = deployed_once
    assert yard.names() == ["wimboot/wimboot.wim", "wimboot/x64/win7.vhd", "wimboot/x86/win7.vhd"]
    sound_wim(yard.wim)
    for vhd, source, size in ((yard.x64, "x64.img", 48 << 20), (yard.x86, "x86.img", 40 << 20)):
        judged = judge_vhd(vhd.read_bytes())
        assert (judged.kind, len(judged.disk)) == (3, size)
        raw = volume_of(vhd, tmp_path)
        sound_volume(raw, START)
        was, there = snapshot(yard.base / source), snapshot(raw, START).keys()
        expected = {path: facts.streams[""][1] for path, facts in was.items() if "" in facts.streams and path in there}
        assert len(expected) > 60
        every_pointer_leads_home(raw, yard.wim, expected, START)
        assert registered(vhd) == PLACE
        done("verify", vhd, "--wim", yard.wim)


def test_it_is_what_apply_makes(deployed_once: Yard, tmp_path: Path) -> None:
    """The same volume as one that was created and applied by hand."""
    yard = deployed_once
    by_hand = tmp_path / "win7.vhd"
    done("create", by_hand, "--size", "48M")
    done("apply", yard.wim, "win7-x64", by_hand, "--wim-place", PLACE, "--driver", "none")
    (tmp_path / "a").mkdir()
    ours = snapshot(volume_of(yard.x64, tmp_path / "a"), START)
    theirs = snapshot(volume_of(by_hand, tmp_path), START)
    own = ("System Volume Information", "Windows/System32/config/SYSTEM")   # times, the disk's own signature
    assert [line for line in differences(ours, theirs) if not line.startswith(own)] == []


def test_second_run_touches_nothing(deployed: Yard) -> None:
    """Not a byte, not a time, not an inode; also with a dry run, and with what is not in the plan beside."""
    (deployed.folder / "wimboot/notes.txt").write_text("mine")
    (deployed.folder / "wimboot/x64/old.vhd").write_bytes(b"not a disk")
    before = deployed.files()
    run = done("deploy", deployed.plan)
    assert "Everything stands as declared" in run.out
    assert actions(deployed.plan, "--dry-run") == {"x64": "keep", "x86": "keep"}
    assert deployed.files() == before


def test_dry_run_shows_table_and_tree_and_writes_nothing(yard: Yard) -> None:
    """What would be built, of which image, where; nothing is there afterwards that was not."""
    (yard.folder / "mine.txt").write_text("mine")
    with unchanged(yard.plan, yard.folder / "mine.txt"):
        run = done("deploy", yard.plan, "--dry-run")
        document = done("deploy", yard.plan, "--dry-run", "--json").json
    assert "build: it is not there" in run.out
    assert "│  └─ win7.vhd   x64: build, image 1" in run.out
    assert "mine.txt   not in the plan: stays" in run.out
    assert document["images_added"] == ["win7-x64", "win7-x86"]
    assert [one["image"] for one in document["systems"]] == [{"index": 1, "name": "win7-x64"},
                                                             {"index": 2, "name": "win7-x86"}]
    assert yard.names() == ["mine.txt"]


def test_changes_of_its_user_are_left_alone(deployed: Yard) -> None:
    """A system that stands on its image stays as its user has it, and so it does on a new one that the plan names."""
    raw = volume_of(deployed.x64, deployed.base)
    volume = carve(raw, START, deployed.base / "volume.img")
    with mounted(volume, write=True) as root:
        (root / "mine.txt").write_text("mine")
    copy_sparse(volume, raw, target_offset=START)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "force_size=on", str(raw),
                    str(deployed.x64)], check=True)
    before = deployed.files()
    assert actions(deployed.plan) == {"x64": "keep", "x86": "keep"}
    assert deployed.files() == before
    done("update", deployed.x64, "--name", "january", "--plan", deployed.plan)
    assert wimboot("deploy", deployed.plan, "--json").json["error"]["id"] == "plan-would-undo"
    plan = deployed.says(HEAD, X64.replace("win7-x64", "january"), X86)
    assert actions(plan) == {"x64": "keep", "x86": "keep"}


def test_system_of_another_image_goes_back_only_when_told(deployed: Yard) -> None:
    """It is restored in place; without --yes nothing at all is done; the other system stays untouched."""
    other = X64.replace("'win7-x64'", "2").replace('architecture = "x64"', "")
    plan = deployed.says(HEAD, other, X86)
    before = deployed.files()
    document = wimboot("deploy", plan, "--json").json
    assert (document["error"]["id"], document["exit"]) == ("plan-would-undo", 4)
    asked = wimboot("deploy", plan)     # nobody is there to answer
    assert (asked.code, "Restore x64 (image 1 -> 2) in place?" in asked.err) == (4, True)
    assert deployed.files() == before
    assert actions(plan, "--yes") == {"x64": "restore", "x86": "keep"}
    after = deployed.files()
    assert after["wimboot/x86/win7.vhd"] == before["wimboot/x86/win7.vhd"]
    assert after["wimboot/wimboot.wim"] == before["wimboot/wimboot.wim"]
    assert done("status", deployed.x64, "--wim", deployed.wim, "--json").json["image"]["index"] == 2
    assert actions(plan) == {"x64": "keep", "x86": "keep"}


def test_store_that_grows_takes_its_systems_with_it(deployed: Yard) -> None:
    """An image more in the plan: it is captured, a system built on it, the others are brought up to the store."""
    origin = '[[store.image]]\nname = "third"\ncapture = "x64.img"\n'
    plan = deployed.says(HEAD, origin, X64, X86, system("third", "third", "third.vhd"))
    run = done("deploy", plan, "--json")
    assert {one["name"]: one["action"] for one in run.json["systems"]} == {
        "x64": "refresh", "x86": "refresh", "third": "build"}
    assert "fell behind" not in run.err
    for vhd in (deployed.x64, deployed.x86, deployed.folder / "third.vhd"):
        done("verify", vhd, "--wim", deployed.wim, "--quick")
    assert set(actions(plan).values()) == {"keep"}


def test_system_that_fell_behind_is_refreshed(deployed: Yard) -> None:
    """Somebody else let the store grow."""
    done("capture", deployed.base / "x86.img", "--wim", deployed.wim, "--name", "more")
    assert wimboot("verify", deployed.x64, "--wim", deployed.wim, "--quick").code == 3
    assert actions(deployed.plan, "--dry-run") == {"x64": "refresh", "x86": "refresh"}
    assert actions(deployed.plan) == {"x64": "refresh", "x86": "refresh"}
    done("verify", deployed.x64, "--wim", deployed.wim, "--quick")
    assert actions(deployed.plan) == {"x64": "keep", "x86": "keep"}


def test_folder_that_moves_is_told_to_its_systems(deployed: Yard) -> None:
    """Another place in the plan is registered in each system; "later" takes none away that is known."""
    plan = deployed.says(HEAD.replace("5cbea03e", "11223344"), X64, X86)
    assert actions(plan) == {"x64": "refresh", "x86": "refresh"}
    assert registered(deployed.x64) == PLACE.replace("5cbea03e", "11223344")
    later = HEAD[:HEAD.index("disk =")] + "later = true\n" + HEAD[HEAD.index("[store]"):]
    assert actions(deployed.says(later, X64, X86)) == {"x64": "keep", "x86": "keep"}
    nowhere = HEAD[:HEAD.index("[place]")] + HEAD[HEAD.index("[store]"):]
    assert actions(deployed.says(nowhere, X64, X86)) == {"x64": "keep", "x86": "keep"}


def test_place_is_that_of_the_folder_where_no_other_is_said(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a partition that Windows reads; also while the folders on the way to the store are still to be made."""
    def found(_place: None, wim: Path, _emit: object) -> WimPlace:
        assert wim.parent.is_dir()
        return WimPlace.mbr(0x77, 1 << 20, "/data/" + wim.relative_to(yard.folder).as_posix())

    monkeypatch.setattr("wimboot.ops.assembling.present.find_place", found)
    nowhere = HEAD[:HEAD.index("[place]")] + HEAD[HEAD.index("[store]"):]
    plan = yard.says(nowhere, X64)
    assert actions(plan) == {"x64": "build"}
    assert registered(yard.x64) == PLACE.replace("5cbea03e", "00000077").replace("wimboot", "data", 1).replace(
        "wimboot.wim", "wimboot" + chr(92) + "wimboot.wim")
    assert actions(plan) == {"x64": "keep"}


def test_lost_system_is_built_again_and_the_rest_stays(deployed: Yard) -> None:
    """A VHD that was deleted comes back; what an interrupted build left goes; files of others stay."""
    before = deployed.files()
    deployed.x86.unlink()
    for name in (".wimboot-build", ".wimboot-build.wimboot-log", ".wimboot-build.wimboot-new"):
        (deployed.x86.parent / f"win7.vhd{name}").write_bytes(b"half")
    (deployed.x86.parent / "win7.vhd.mine").write_bytes(b"mine")
    assert actions(deployed.plan) == {"x64": "keep", "x86": "build"}
    after = deployed.files()
    assert after.pop("wimboot/x86/win7.vhd.mine")[2] == b"mine"
    assert after.keys() == before.keys()
    assert after["wimboot/x64/win7.vhd"] == before["wimboot/x64/win7.vhd"]
    done("verify", deployed.x86, "--wim", deployed.wim)


def test_fixed_disk_with_gpt_and_label(yard: Yard) -> None:
    """The shape of a disk is what the plan says; judged by others, and by the next run."""
    more = 'driver = "none"\nfixed = true\ntable = "gpt"\nlabel = "系统"'
    plan = yard.says(HEAD, system("x64", 1, "a/b/c.vhd", more=more))
    assert actions(plan) == {"x64": "build"}
    vhd = yard.folder / "a/b/c.vhd"
    assert (judge_vhd(vhd.read_bytes()).kind, vhd.stat().st_size) == (2, (48 << 20) + 512)
    assert b"gpt" in subprocess.run(["sfdisk", "--dump", str(vhd)], capture_output=True, check=True).stdout
    assert done("info", vhd, "--json").json["volume"]["label"] == "系统"
    assert actions(plan) == {"x64": "keep"}


def test_partition_that_is_there_is_filled(deployed: Yard) -> None:
    """An empty volume gets its system; the second run leaves it alone."""
    done("create", deployed.base / "other.img", "--size", "48M", "--format", "raw")
    more = '[[system]]\nname = "plain"\nimage = 1\npartition = "other.img#1"\ndriver = "none"\n'
    plan = deployed.says(HEAD, X64, X86, more)
    assert actions(plan) == {"x64": "keep", "x86": "keep", "plain": "apply"}
    assert actions(plan) == {"x64": "keep", "x86": "keep", "plain": "keep"}
    done("verify", deployed.base / "other.img", "--wim", deployed.wim)


def test_two_systems_on_one_disk_are_filled_in_turn(deployed: Yard) -> None:
    """One disk has one transaction; the others are done meanwhile."""
    for name in ("first", "second"):
        fresh_volume(deployed.base / name, 40 << 20)
    two_partitions(deployed.base / "both.img", deployed.base / "first", deployed.base / "second", table="gpt")
    more = [f'[[system]]\nname = "on {number}"\nimage = {number}\npartition = "both.img#{number}"\ndriver = "none"\n'
            for number in (1, 2)]
    plan = deployed.says(HEAD, X64, *more, system("new", 1, "new.vhd"))
    assert actions(plan) == {"x64": "keep", "on 1": "apply", "on 2": "apply", "new": "build"}
    for number in (1, 2):
        done("verify", f"{deployed.base / 'both.img'}#{number}", "--wim", deployed.wim)
        found = done("status", f"{deployed.base / 'both.img'}#{number}", "--wim", deployed.wim, "--json").json
        assert found["image"]["index"] == number


def test_driver_is_put_into_each_system(yard: Yard) -> None:
    """By the plan, a file beside it; or for all by --driver. The VHD is told not to grow."""
    name = wofadk(yard.base).name
    plan = yard.says(HEAD, X64.replace('"none"', f'"{name}"\nno_expand = true'))
    run = done("deploy", plan)
    assert "has no overlay driver" not in run.err
    assert "takes its full size" not in run.err
    assert done("info", yard.x64, "--json").json["volume"]["windows"]["overlay_driver"] != "none"
    plan = yard.says(HEAD, X64.replace('driver = "none"\n', "").replace("win7.vhd", "by-option.vhd"))
    done("deploy", plan, "--driver", yard.base / name)
    vhd = yard.x64.with_name("by-option.vhd")
    assert done("info", vhd, "--json").json["volume"]["windows"]["overlay_driver"] != "none"


def test_images_come_from_other_wims(yard: Yard) -> None:
    """Out of a solid WIM, which Windows cannot read, under the name of the plan."""
    done("capture", yard.base / "x64.img", "--wim", yard.base / "plain.wim", "--name", "theirs")
    subprocess.run(["wimlib-imagex", "export", str(yard.base / "plain.wim"), "1", str(yard.base / "in.esd"), "--solid"],
                   check=True, capture_output=True)
    head = HEAD[:HEAD.index("[[store.image]]")] + 'compress = "xpress8k"\n'
    origin = '[[store.image]]\nname = "ours"\nfrom = "in.esd"\nimage = "theirs"\n'
    plan = yard.says(head, origin, system("x64", "ours", "x64.vhd"))
    assert done("deploy", plan, "--json").json["images_added"] == ["ours"]
    told = done("images", yard.wim, "--json").json
    assert [image["name"] for image in told["images"]] == ["ours"]
    assert told["chunk_bytes"] == 8192
    assert done("deploy", plan, "--json").json["images_added"] == []


def test_spare_copy_follows(deployed: Yard) -> None:
    """It is made, and brought up to the store when that has grown."""
    head = HEAD.replace('wim = "wimboot/wimboot.wim"\n', 'wim = "wimboot/wimboot.wim"\nspare = "wimboot.wim"\n')
    plan = deployed.says(head, X64, X86)
    assert "written" in done("deploy", plan, "--dry-run").out
    done("deploy", plan)
    spare = deployed.folder / "wimboot.wim"
    assert spare.read_bytes() == deployed.wim.read_bytes()
    before = deployed.files()
    done("deploy", plan)
    assert deployed.files() == before
    done("capture", deployed.base / "x86.img", "--wim", deployed.wim, "--name", "more")
    done("deploy", plan)
    assert spare.read_bytes() == deployed.wim.read_bytes()


def test_others_on_the_store_are_named(deployed: Yard) -> None:
    """A volume on the store that the plan does not know falls behind when it grows, and is named."""
    stranger = deployed.folder / "stranger.vhd"
    stranger.write_bytes(deployed.x64.read_bytes())
    origin = '[[store.image]]\nname = "third"\ncapture = "x64.img"\n'
    run = done("deploy", deployed.says(HEAD, origin, X64, X86))
    assert "stranger.vhd#1 stand on the store too" in run.err


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_told_for_programs(yard: Yard, threads: int) -> None:
    """Lines of JSON, whether built one after the other or side by side; notes come once."""
    run = done("deploy", yard.plan, "--progress", "json", "--threads", threads)
    events = [json.loads(line) for line in run.err.splitlines()]
    assert {event["event"] for event in events} <= {"phase", "progress", "phase-end", "note"}
    texts = [event["text"] for event in events if event["event"] == "note"]
    assert len(texts) == len(set(texts))
    assert not any("wimboot-build" in text for text in texts)
    assert [event["name"] for event in events if event["event"] == "phase"].count("build") == threads - 1


@pytest.mark.parametrize("how", ["search", "variable"])
def test_a_captured_volume_may_have_its_wim_elsewhere(how: str, yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where --search or WIMBOOT_WIMPATH says; without either the failure names the volume."""
    away, volume = yard.base / "away", yard.base / "own.img"
    away.mkdir()
    copy_sparse(yard.base / "x64.img", volume)
    done("convert", volume, "--wim", away / "its.wim", "--wim-place", "later", "--driver", "none")
    plan = yard.says(HEAD[:HEAD.rindex("[[store.image]]")].replace("x64.img", "own.img"), X64)
    told = wimboot("deploy", plan)
    assert told.code == 1
    assert f" of {volume} is a pointer" in told.err
    assert "--search" in told.err
    if how == "variable":
        monkeypatch.setenv("WIMBOOT_WIMPATH", str(away))
    done("deploy", plan, *(("--search", away) if how == "search" else ()))
    assert yard.x64.exists()
