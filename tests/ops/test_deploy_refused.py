"""What `deploy` refuses, and what it leaves where something fails."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

import pytest

from deploy_plans import HEAD, X64, X86, Yard, system
from driver_files import wofadk
from mounting import mounted
from running import done, refused, wimboot
from wimboot.disk.packing import Lz4Missing
from wimboot.errors import Error
from wimboot.events import Event, Note, silent
from wimboot.ops.apply import apply
from wimboot.ops.assembling.jobs import BuildJob, DeployOptions
from wimboot.ops.build import Built, build
from wimboot.ops.deploy import deploy
from wimboot.storage import HostFolder
from wimboot.storage.faults import Fault, Faulty, FaultyFolder, Kind

STORE = HEAD[:HEAD.index("[[store.image]]")]


def refuses(yard: Yard, error: str, code: int, *parts: str) -> str:
    """Refuse a plan, and change nothing; the message."""
    plan = yard.says(*parts)
    before = yard.files()
    run = refused(error, code, "deploy", plan)
    assert yard.files() == before
    assert refused(error, code, "deploy", plan, "--dry-run").err.splitlines()[-2:] == run.err.splitlines()[-2:]
    return run.err


def test_no_plan(yard: Yard) -> None:
    """A file that is not there, and one that says nonsense."""
    refused("no-plan", 2, "deploy", yard.base / "none.toml")
    refuses(yard, "plan-syntax", 2, "[[")
    refuses(yard, "plan-invalid", 2, HEAD, X64, "speed = 3\n")


def test_folder_that_is_not_there(yard: Yard) -> None:
    """The partition may just not be mounted: the folder is named, not the plan's file; likewise one that is a file."""
    rest = HEAD[HEAD.index("[place]"):]
    told = refuses(yard, "plan-folder-missing", 2, 'folder = "nowhere"\n', rest, X64)
    assert f"{yard.base / 'nowhere'}, does not exist" in told
    assert "is mounted" in told
    assert "TOML" not in told
    assert "is not a folder" in refuses(yard, "plan-folder-missing", 2, 'folder = "x86.img"\n', rest, X64)
    assert not (yard.base / "nowhere").exists()


def test_links_that_lead_in_a_circle(yard: Yard) -> None:
    """Whether Python tells them or not: in the plan's folder, and on the way to a file of it."""
    rest = HEAD[HEAD.index("[place]"):]
    (yard.base / "loop").symlink_to("loop")
    (yard.folder / "loop").symlink_to("loop")
    assert "its symbolic links lead in a circle" in refuses(yard, "host", 1, 'folder = "loop"\n', rest, X64)
    assert "its symbolic links lead in a circle" in refuses(
        yard, "host", 1, HEAD, system("x", "win7-x64", "loop/x/win7.vhd"))


def test_image_that_is_nowhere(deployed: Yard) -> None:
    """By name, and by a number that the store does not have; so is one of another WIM."""
    assert "'win8'" in refuses(deployed, "plan-no-image", 2, HEAD, X64, system("n", "win8", "n.vhd"))
    refuses(deployed, "plan-no-image", 2, HEAD, X64, system("n", 3, "n.vhd"))
    origin = '[[store.image]]\nname = "more"\nfrom = "disk/wimboot/wimboot.wim"\nimage = 7\n'
    refuses(deployed, "no-image", 2, HEAD, origin, X64)
    refuses(deployed, "wim-missing", 2, HEAD, origin.replace("disk/wimboot/", ""), X64)


def test_image_of_other_processors(deployed: Yard) -> None:
    """Told from the store, and of an image that is still to be captured from its volume: before anything is written."""
    refuses(deployed, "plan-architecture", 4, HEAD, X64.replace("win7-x64", "win7-x86"))
    origin = '[[store.image]]\nname = "third"\ncapture = "x86.img"\n'
    third = system("third", "third", "third.vhd", more='architecture = "arm64"\ndriver = "none"')
    assert "image 3 (third) is of x86" in refuses(deployed, "plan-architecture", 4, HEAD, origin, third)


def test_disk_that_is_not_ours(deployed: Yard) -> None:
    """No disk at all, a disk with other things, a system on another store: each is left as it is."""
    other = deployed.folder / "other.vhd"
    plan = (HEAD, X64, system("other", 1, "other.vhd"))
    other.write_bytes(b"a text, not a disk")
    refuses(deployed, "plan-holds-other", 4, *plan)
    other.unlink()
    done("create", other, "--size", "48M")
    assert wimboot("deploy", deployed.says(*plan), "--dry-run", "--json").json["systems"][1]["action"] == "apply"
    done("capture", deployed.base / "x86.img", "--wim", deployed.base / "another.wim", "--name", "x")
    done("apply", deployed.base / "another.wim", 1, other, "--wim-place", "later", "--driver", "none")
    assert "it stands on another WIM" in refuses(deployed, "plan-holds-other", 4, *plan)
    other.unlink()
    done("create", other, "--size", "48M")
    done("apply", deployed.wim, 1, other, "--full")
    assert "it holds" in refuses(deployed, "plan-holds-other", 4, *plan)


@pytest.mark.parametrize("change", ['fixed = true', 'table = "gpt"', 'size = "50 MB"'])
def test_disk_of_another_shape(deployed: Yard, change: str) -> None:
    """A disk is not made anew for it."""
    lines = [line for line in X64.splitlines() if not line.startswith(change[:4])]
    assert "wimboot/x64/win7.vhd is there with" in refuses(
        deployed, "plan-disk-differs", 4, HEAD, "\n".join([*lines, change, ""]))


def test_place_has_to_be_said(yard: Yard) -> None:
    """Where the folder lies now is of no use to Windows; the place of a plan is checked like any other."""
    without = HEAD[:HEAD.index("[place]")] + HEAD[HEAD.index("[store]"):]
    said = wimboot("deploy", yard.says(without, X64), "--json").json["error"]
    assert said["id"] == "plan-place"
    assert yard.names() == []
    long = HEAD.replace("[store]", "directory = '" + "/abcdefgh" * 4000 + "'\n[store]")
    refuses(yard, "plan-invalid", 2, long, X64)


def test_folder_is_not_left_by_links(yard: Yard) -> None:
    """A link of the folder that leads out of it is followed neither for a system nor for the store."""
    (yard.folder / "out").symlink_to(yard.base)
    refuses(yard, "plan-leaves-folder", 4, HEAD, system("x", 1, "out/x.vhd"))
    (yard.folder / "w.wim").symlink_to(yard.base / "w.wim")
    refuses(yard, "plan-leaves-folder", 4, HEAD.replace("wimboot/wimboot.wim", "w.wim"), X64)


def test_names_are_those_of_windows(deployed: Yard) -> None:
    """A disk of another case is that disk, not one more; two of which Windows would see one are refused."""
    (deployed.folder / "wimboot").rename(deployed.folder / "WimBoot")
    deployed.folder.joinpath("WimBoot/x64/win7.vhd").rename(deployed.folder / "WimBoot/x64/Win7.VHD")
    before = deployed.files()
    assert {one["action"] for one in done("deploy", deployed.plan, "--json").json["systems"]} == {"keep"}
    assert deployed.files() == before
    (deployed.folder / "WimBoot/x64/WIN7.vhd").write_bytes(b"mine")
    assert "WIN7.vhd and Win7.VHD" in refuses(deployed, "plan-name-twice", 4, HEAD, X64, X86)


def test_one_volume_under_two_names(deployed: Yard) -> None:
    """By a link, and by the file of another system."""
    (deployed.base / "link.vhd").symlink_to(deployed.x64)
    for other in ("link.vhd#1", "disk/wimboot/x64/win7.vhd"):
        text = f'[[system]]\nname = "again"\nimage = 1\npartition = "{other}"\n'
        refuses(deployed, "same-volume", 2, HEAD, X64, text)


def test_two_runs_in_one_folder(yard: Yard) -> None:
    """The second one waits for nothing, and says so."""
    descriptor = os.open(yard.folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    refused("plan-folder-busy", 4, "deploy", yard.plan)
    os.close(descriptor)
    assert yard.names() == []


def test_what_fails_stops_no_other(yard: Yard) -> None:
    """A Windows whose drivers have no folder is refused when it is made; the other is built, stays, and is named."""
    own, driver = yard.base / "own.img", f'driver = "{wofadk(yard.base, name="given.sys").name}"'
    own.write_bytes((yard.base / "x64.img").read_bytes())
    with mounted(own, write=True) as root:
        shutil.rmtree(root / "Windows/System32/drivers")
    head, lame = HEAD.replace("x64.img", "own.img"), X64.replace('driver = "none"', driver)
    run = wimboot("deploy", yard.says(head, lame, X86))
    assert run.code == 1
    assert "Finished, and there to stay: x86." in run.err
    assert yard.names() == ["wimboot/wimboot.wim", "wimboot/x86/win7.vhd"]
    both = wimboot("deploy", yard.says(head, lame, system("x86", 1, "b.vhd", more=driver)), "--threads", 1)
    assert both.code == 1
    assert "problem: " in both.err
    assert "No system had been finished" in both.err
    assert yard.names() == ["wimboot/wimboot.wim", "wimboot/x86/win7.vhd"]


def test_inputs_that_are_missing(yard: Yard) -> None:
    """Told before a store is made: drivers, volumes to capture, the files of grub4dos."""
    refuses(yard, "plan-input-missing", 2, HEAD, X64.replace('"none"', '"missing.sys"'))
    refuses(yard, "plan-input-missing", 2, HEAD.replace("x86.img", "x87.img#2"), X64)
    refuses(yard, "plan-input-missing", 2, HEAD, X64, 'title = "x"\n[boot]\nto = "disk"\ngrub4dos = "nowhere"\n')
    assert yard.names() == []


@pytest.mark.parametrize("origin", ["captured", "of another WIM", "there"])
def test_driver_that_is_none(yard: Yard, origin: str) -> None:
    """Another file, a driver of other processors, no word of one: refused before the store gets the image, if it is
    still to get it, whether the system is made or its RAM image.
    """
    wrong, head = wofadk(yard.base, "x86", "wrong.sys"), HEAD
    ram = '[system.ram]\nfile = "r.ram"\nsize = "40 MB"\n'
    if origin == "of another WIM":
        done("capture", yard.base / "x64.img", "--wim", yard.base / "other.wim", "--name", "seven")
        head = HEAD.replace('capture = "x64.img"', 'from = "other.wim"\nimage = "seven"')
    if origin == "there":
        done("deploy", yard.plan)
        yard.x64.unlink()
    for driver, error in (('driver = "x64.img"', "driver-too-large"), ("", "driver-needed"),
                          (f'driver = "{wrong.name}"', "driver-architecture")):
        for more in ("", ram):
            refuses(yard, error, 4, head, X64.replace('driver = "none"', driver), more)
    assert yard.wim.exists() is (origin == "there")


def test_ram_image_that_cannot_be(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Windows in its image, nothing here that packs it: refused before the store gets the image."""
    ram = '[system.ram]\nfile = "r.ram"\nsize = "40 MB"\n'
    done("capture", yard.base / "x64.img", "--wim", yard.base / "other.wim", "--name", "seven")
    other = HEAD.replace('capture = "x64.img"', 'from = "other.wim"\nimage = "seven"')
    monkeypatch.setattr("wimboot.ops.assembling.coming.identify", lambda _read: None)
    refuses(yard, "no-windows", 4, other, X64.replace('architecture = "x64"\n', ""), ram)
    monkeypatch.undo()

    def missing() -> None:
        raise Lz4Missing

    monkeypatch.setattr("wimboot.disk.packing.lz4_block", missing)
    refuses(yard, "lz4-missing", 1, HEAD, X64, ram)
    assert yard.names() == []


def test_volume_that_cannot_be_captured(yard: Yard) -> None:
    """What capturing would refuse is refused before the first of the images is written."""
    own = yard.base / "own.img"
    own.write_bytes((yard.base / "x86.img").read_bytes())
    with mounted(own, write=True) as root:
        (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(8192))
    refuses(yard, "hibernated", 4, HEAD.replace("x86.img", "own.img"), X64)
    assert yard.names() == []


@pytest.mark.parametrize(("kind", "times"), [(Kind.IO, 2), *(
    pytest.param(kind, 30, marks=pytest.mark.heavy)
    for kind in (Kind.IO, Kind.SPACE, Kind.SHORT, Kind.READ_ONLY, Kind.INTERRUPT))])
def test_any_operation_may_fail(yard: Yard, kind: Kind, times: int) -> None:
    """Each system, the store and the spare copy are there whole or not at all, nothing is left over, and a run in peace
    makes the rest.
    """
    head = HEAD.replace("[[store.image]]", 'spare = "spare.wim"\n[[store.image]]', 1)
    yard.says(head, X64)
    chance, names = Random(kind.value), ["spare.wim", "wimboot/wimboot.wim", "wimboot/x64/win7.vhd"]
    counting = Faulty(Fault(at=1 << 40))
    deploy(DeployOptions(plan=yard.plan, threads=1, folders=partial(faulty_folder, counting)), silent)
    for _ in range(times):
        for name in names:
            (yard.folder / name).unlink(missing_ok=True)
        faulty = Faulty(Fault(at=chance.randrange(counting.count), kind=kind))
        options = DeployOptions(plan=yard.plan, threads=1, folders=partial(faulty_folder, faulty))
        with suppress(Error, KeyboardInterrupt):
            deploy(options, silent)
        assert set(yard.names()) <= set(names), "something is left over"
        if yard.x64.exists():
            done("verify", yard.x64, "--wim", yard.wim)
        done("deploy", yard.plan)
        done("verify", yard.x64, "--wim", yard.wim)
        assert yard.names() == names
        assert (yard.folder / "spare.wim").read_bytes() == yard.wim.read_bytes()


def faulty_folder(faulty: Faulty, path: Path) -> FaultyFolder:
    """A folder of the host in which something fails."""
    return faulty.folder(HostFolder(path))


def test_spare_that_is_ahead(deployed: Yard) -> None:
    """The store is not to be overwritten unseen: told before anything is done."""
    (deployed.folder / "spare.wim").write_bytes(deployed.wim.read_bytes())
    done("capture", deployed.base / "x86.img", "--wim", deployed.folder / "spare.wim", "--name", "ahead")
    head = HEAD.replace("[[store.image]]", 'spare = "spare.wim"\n[[store.image]]', 1)
    refuses(deployed, "copy-is-newer", 4, head, X64, system("n", 1, "n.vhd"))


def test_interruption_keeps_what_is_finished(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other: Ctrl-C in the second leaves the first; the next run builds only the second."""
    calls = []

    def work(job: BuildJob, emit: object) -> Built:
        calls.append(job)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return build(job, emit)  # type: ignore[arg-type]  # as given

    monkeypatch.setattr("wimboot.ops.deploy.build", work)
    told: list[Event] = []
    with pytest.raises(KeyboardInterrupt):
        deploy(DeployOptions(plan=yard.plan, threads=1), told.append)
    notes = [event.text for event in told if isinstance(event, Note)]
    assert "Finished, and there to stay: x64." in notes[-1]
    assert yard.names() == ["wimboot/wimboot.wim", "wimboot/x64/win7.vhd"]
    calls.clear()
    monkeypatch.setattr("wimboot.ops.deploy.build", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    run = wimboot("deploy", yard.plan, "--threads", 1)
    assert run.code == 130
    assert "what is finished stays" in run.err
    monkeypatch.undo()
    done("deploy", yard.plan)
    done("verify", yard.x86, "--wim", yard.wim)


def test_file_that_comes_meanwhile_is_not_overwritten(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody puts a file where the system is being built."""
    def meanwhile(*arguments: object) -> object:
        yard.x64.write_bytes(b"mine")
        return apply(*arguments)  # type: ignore[arg-type]  # as given

    monkeypatch.setattr("wimboot.ops.build.apply", meanwhile)
    run = wimboot("deploy", yard.says(HEAD, X64), "--json")
    assert run.json["error"]["id"] == "disk-exists"
    assert yard.x64.read_bytes() == b"mine"
    assert yard.names() == ["wimboot/wimboot.wim", "wimboot/x64/win7.vhd"]


def test_folder_that_cannot_be_made(yard: Yard) -> None:
    """A file lies where a folder is to be."""
    (yard.folder / "wimboot").write_bytes(b"mine")
    assert wimboot("deploy", yard.plan, "--json").json["error"]["id"] == "host-not-usable"
    assert yard.names() == ["wimboot"]
