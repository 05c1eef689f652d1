"""The verb `create`: new disks in the eyes of others, refusals, and nothing left where it fails."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from build import make_volume
from converted import Converted
from judges import run, sound_volume
from mounting import carve, mounted, need_mounts
from running import NO_PLACE, done, refused, wimboot
from vhd_judge import judge_vhd, libvhdi_reads
from wimboot.disk import Place, TableKind, open_target
from wimboot.events import silent
from wimboot.ops.creating.making import DiskShape, make_disk

SIZE = 80 << 20
FORMS = ("raw", "vhd", "vhdx", "qcow2", "vmdk", "vdi")


def disk_of(path: Path, form: str) -> Path:
    """The disk in a file of that form, as qemu-img sees it, in a raw file of its own."""
    if form == "raw":
        return path
    name = {"vhd": "vpc"}.get(form, form)
    told = json.loads(run("qemu-img", "info", "-f", name, "--output=json", path))
    out = path.with_name("as-qemu-sees-it")
    out.unlink(missing_ok=True)
    run("qemu-img", "convert", "-f", name, "-O", "raw", path, out)
    assert told["virtual-size"] == out.stat().st_size
    return out


def check_disk(disk: Path, document: dict[str, Any]) -> None:
    """What the document says of the disk is so, by sfdisk, sgdisk, ntfsinfo, 7z and the volume's judges."""
    assert "No errors detected" in run("sfdisk", "--verify", disk)
    seen = json.loads(run("sfdisk", "--json", disk))["partitiontable"]
    partitions = document["partitions"]
    assert [(one["start"] * 512, one["size"] * 512) for one in seen["partitions"]] == [
        (one["offset"], one["bytes"]) for one in partitions]
    assert all(one["offset"] % (1 << 20) == 0 for one in partitions)
    if document["table"] == "gpt":
        assert "No problems found" in run("sgdisk", "-v", disk)
        assert [one["uuid"].lower() for one in seen["partitions"]] == [one["guid"] for one in partitions]
        assert seen["id"].lower() == document["id"]
    else:
        assert (seen["partitions"][0]["bootable"], seen["partitions"][0]["type"]) == (True, "7")
        assert int(seen["id"], 16) == int(document["id"], 16) != 0
    start = partitions[-1]["offset"]
    sound_volume(disk, start)
    with disk.open("rb") as file:
        assert os.pread(file.fileno(), 4, start + 0x1C) == (start // 512).to_bytes(4, "little"), "hidden sectors"
    assert str(partitions[-1]["bytes"]) in run("7z", "l", disk)


@pytest.mark.parametrize("table", ["mbr", "gpt"])
@pytest.mark.parametrize("form", FORMS)
def test_new_disk_is_sound_to_others(tmp_path: Path, form: str, table: str) -> None:
    """In every form, with either table: its size, its partitions, its volume with what was asked of it."""
    path = tmp_path / f"new.{form}"
    document = done("create", path, "--size", SIZE, "--table", table, "--label", "Fenster \u7a97", "--json",
                    "--cluster-size", "2K", "--serial", "0123456789abcdef").json["disk"]
    disk = disk_of(path, form)
    assert disk.stat().st_size == document["bytes"] == SIZE
    assert (document["file_bytes"], document["form"]) == (path.stat().st_size, form)
    check_disk(disk, document)
    volume = carve(disk, document["partitions"][-1]["offset"], tmp_path / "volume")
    told = run("ntfsinfo", "-m", "-f", volume)
    assert "Volume Name: Fenster \u7a97" in told
    assert "Cluster Size: 2048" in told
    assert volume.read_bytes()[0x48:0x50].hex() == "efcdab8967452301"
    assert "NTFS" in run("7z", "l", volume)


@pytest.mark.parametrize(("form", "arguments"), [("vhd", ()), ("vhd", ("--fixed",)), ("raw", ("--fixed",)),
                                                 ("vhdx", ()), ("vhdx", ("--fixed",)), ("qcow2", ("--fixed",)),
                                                 ("vdi", ("--fixed",))])
def test_file_has_no_holes(tmp_path: Path, form: str, arguments: tuple[str, ...]) -> None:
    """Windows attaches no VHD that lies sparse on NTFS, and fixed is what is there whole."""
    path = tmp_path / f"new.{form}"
    done("create", path, "--size", SIZE, *arguments)
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    assert (path.stat().st_size >= SIZE) == bool(arguments)


def test_vhds_on_ntfs_are_not_marked_as_sparse(tmp_path: Path) -> None:
    """By ntfs-3g, for which even a hole that is filled later counts; a raw image shows that it would."""
    need_mounts()
    host = tmp_path / "host.img"
    make_volume(host, size=400 << 20)
    forms: dict[str, tuple[str, ...]] = {"a.vhd": (), "b.vhd": ("--fixed",), "c.vhdx": (), "d.vhdx": ("--fixed",),
                                         "e.img": ()}
    with mounted(host, write=True) as root:
        for name, arguments in forms.items():
            done("create", root / name, "--size", "60M", *arguments)
        done("create", root / "f.vhd", "--parent", root / "a.vhd")
    marked = {name for name in (*forms, "f.vhd") if "SPARSE_FILE" in run("ntfsinfo", "-f", "-F", f"/{name}", host)}
    assert marked == {"e.img"}


@pytest.mark.parametrize("kind", [(), ("--fixed",)])
def test_vhd_is_what_its_specification_says(tmp_path: Path, kind: tuple[str, ...]) -> None:
    """The judge of the format, libvhdi and qemu-img read the same disk."""
    path = tmp_path / "new.vhd"
    done("create", path, "--size", "40M", *kind)
    judged = judge_vhd(path.read_bytes())
    assert judged.kind == (2 if kind else 3)
    assert judged.disk == libvhdi_reads(path) == disk_of(path, "vhd").read_bytes()


def test_fifteen_gigabytes_take_what_the_volume_takes(tmp_path: Path) -> None:
    """64 MiB of $LogFile, tables, and 2 MiB of rounding for each place that is used."""
    path = tmp_path / "win7.vhd"
    document = done("create", path, "--size", "15G", "--json").json["disk"]
    assert (document["bytes"], document["form"], document["fixed"]) == (15 << 30, "vhd", False)
    assert path.stat().st_size == document["file_bytes"] < 80 << 20
    info = json.loads(run("qemu-img", "info", "-f", "vpc", "--output=json", path))
    assert info["virtual-size"] == 15 << 30


def test_a_new_disk_is_told_in_sizes(tmp_path: Path) -> None:
    """As everywhere; places in bytes, as `--wim-place` wants them."""
    told = done("create", tmp_path / "new.vhd", "--size", "15G", "--dry-run").out
    assert "a vhd disk of 16.1 GB." in told
    assert "  #1  windows    16.1 GB from byte 1,048,576" in told


def test_gpt_disk_has_the_partitions_of_uefi(tmp_path: Path) -> None:
    """A system partition of FAT32 that fsck.fat and mtools read, a reserved one, and Windows'."""
    path = tmp_path / "uefi.img"
    document = done("create", path, "--size", "200M", "--table", "gpt", "--esp", "--msr", "--json").json["disk"]
    check_disk(path, document)
    kinds = [(one["kind"], one["bytes"]) for one in document["partitions"]]
    assert kinds[:2] == [("esp", 100 << 20), ("msr", 16 << 20)]
    types = [one["type"] for one in json.loads(run("sfdisk", "--json", path))["partitiontable"]["partitions"]]
    assert [kind[:8] for kind in types] == ["C12A7328", "E3C9E316", "EBD0A0A2"]
    esp = tmp_path / "esp"
    esp.write_bytes(path.read_bytes()[1 << 20:101 << 20])
    for checker in (("fsck.fat", "-n", esp), ("mdir", "-i", esp, "::")):
        if shutil.which(checker[0]):
            run(*checker)
    head = esp.read_bytes()[:512]
    assert (head[0x52:0x5A], head[0x1C:0x20]) == (b"FAT32   ", (2048).to_bytes(4, "little"))


def test_ids_are_those_given_or_random(tmp_path: Path) -> None:
    """Signature, GUID, and the half of the serial number that Windows shows."""
    guid = "8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b"
    mbr = done("create", tmp_path / "a.vhd", "--size", SIZE, "--disk-id", "0xDEADBEEF", "--serial", "1234-ABCD",
               "--json").json
    gpt = done("create", tmp_path / "b.vhd", "--size", SIZE, "--disk-id", guid, "--table", "gpt", "--json").json
    assert (mbr["disk"]["id"], gpt["disk"]["id"]) == ("deadbeef", guid)
    assert mbr["volume"]["serial"].endswith("1234abcd")
    others = [done("create", tmp_path / f"{number}.vhd", "--size", SIZE, "--json").json for number in range(3)]
    assert len({other["disk"]["id"] for other in others}) == len({other["volume"]["serial"] for other in others}) == 3
    raw = judge_vhd((tmp_path / "a.vhd").read_bytes()).disk
    assert (raw[0x1B8:0x1BC], raw[-512:].count(0)) == (b"\xef\xbe\xad\xde", 512)


def test_whoever_makes_a_disk_learns_where_its_volume_lies(tmp_path: Path) -> None:
    """What others build on: number, place and ids of the partition are those in the table."""
    for kind in (TableKind.MBR, TableKind.GPT):
        made = make_disk(tmp_path / f"{kind.value}.vhd", DiskShape(size=SIZE, table=kind, msr=kind is TableKind.GPT),
                         silent)
        with open_target(Place(made.path), write=False) as target:
            there = target.partitions[-1]
            assert target.disk_id == made.disk_id
            assert (there.number, there.start, there.size, there.id) == (
                made.number, made.start, made.volume_size, made.partition_id)


def test_tail_belongs_to_no_partition(tmp_path: Path) -> None:
    """Drivers of disks in memory keep the end of the disk for themselves."""
    sizes = [done("create", tmp_path / f"{tail}.img", "--size", SIZE, "--tail", tail, "--json").json
             ["disk"]["partitions"][0]["bytes"] for tail in ("0", "512", "1M", "5M")]
    assert sizes == [SIZE - (1 << 20), SIZE - (2 << 20), SIZE - (2 << 20), SIZE - (6 << 20)]


@pytest.mark.parametrize(("form", "arguments"), [("vhd", ()), ("raw", ()), ("vhdx", ("--fixed",)),
                                                 ("qcow2", ("--fixed",)), ("vdi", ("--fixed",))])
def test_image_is_applied_to_the_new_disk(tmp_path: Path, converted_once: Converted, form: str,
                                          arguments: tuple[str, ...]) -> None:
    """The way to a second system: create, then apply; the disk is what it was but for the files."""
    path = tmp_path / f"second.{form}"
    made = done("create", path, "--size", SIZE, "--label", "Windows", *arguments, "--json").json
    done("apply", converted_once.wim, 1, f"{path}#1", *NO_PLACE)
    told = done("info", path, "--json").json
    assert (told["volume"]["label"], told["volume"]["serial"]) == ("Windows", made["volume"]["serial"])
    assert told["volume"]["pointers"] > 20
    seen = {one["number"]: (one["offset"], one["bytes"], one["active"]) for one in told["disk"]["partitions"]}
    assert seen == {one["number"]: (one["offset"], one["bytes"], one["active"])
                    for one in made["disk"]["partitions"]}
    sound_volume(disk_of(path, form), 1 << 20)


def test_dry_run_makes_nothing(tmp_path: Path) -> None:
    """And refuses what the run would refuse."""
    path = tmp_path / "new.vhd"
    run_ = done("create", path, "--size", "15G", "--dry-run")
    assert "Nothing was made" in run_.out
    assert done("create", path, "--size", "15G", "--dry-run", "--json").json["dry_run"] is True
    told = refused("vhd-not-possible", 2, "create", path, "--size", "2041G", "--dry-run")
    assert "2,191,507,062,784 bytes; Windows" in told.err
    assert "Give another size or parent." in told.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("error", "code", "name", "arguments"), [
    ("vhd-not-possible", 2, "a.vhd", ("--size", "2041G")), ("vhd-not-possible", 2, "a.vhd", ("--size", "2M")),
    ("vhd-not-possible", 2, "a.vhd", ("--size", "40000001")),
    ("table-not-possible", 2, "a.img", ("--size", "2M")), ("table-not-possible", 2, "a.img", ("--size", "2T")),
    ("table-not-possible", 2, "a.img", ("--size", "80M", "--esp")),
    ("table-not-possible", 2, "a.img", ("--size", "80M", "--msr")),
    ("table-not-possible", 2, "a.img", ("--size", "80M", "--disk-id", "00000000")),
    ("esp-too-small", 2, "a.img", ("--size", "80M", "--table", "gpt", "--esp=8M")),
    ("format-not-possible", 2, "a.img", ("--size", "80M", "--cluster-size", "3000")),
    ("format-not-possible", 2, "a.img", ("--size", "80M", "--cluster-size", "128K")),
    ("format-not-possible", 2, "a.img", ("--size", "80M", "--label", "x" * 33)),
    ("form-not-fixed", 2, "a.vmdk", ("--size", "80M", "--fixed")),
    ("bad-guid", 2, "a.img", ("--size", "80M", "--table", "gpt", "--disk-id", "1234")),
    ("usage", 2, "a.img", ("--size", "80M", "--disk-id", "1234")), ("usage", 2, "a.img", ()),
    ("usage", 2, "a.disk", ("--size", "80M")), ("usage", 2, "a.img", ("--size", "80X")),
    ("usage", 2, "a.img", ("--size", "80M", "--serial", "12345")),
    ("boot-code-for-gpt", 2, "a.img", ("--size", "80M", "--table", "gpt", "--boot-code", "mbr.bin")),
])
def test_impossible_disks_are_refused(tmp_path: Path, error: str, code: int, name: str,
                                      arguments: tuple[str, ...]) -> None:
    """Before anything is made."""
    if error == "usage":
        assert wimboot("create", tmp_path / name, *arguments).code == code
        assert wimboot("create", tmp_path / name, *arguments, "--json").json["error"]["id"] == "usage"
    else:
        refused(error, code, "create", tmp_path / name, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "size"), [("a.vhd", "2000G"), ("a.img", "1.5T"), ("a.vhdx", "9T")])
def test_a_fixed_disk_that_does_not_fit_is_refused(tmp_path: Path, name: str, size: str) -> None:
    """Before hours of writing."""
    told = wimboot("create", tmp_path / name, "--size", size, "--fixed", "--table", "gpt", "--json")
    assert (told.json["error"]["id"], told.code) == ("not-enough-space", 4)
    assert not list(tmp_path.iterdir())


def test_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    """Nor a folder, nor a device."""
    path = tmp_path / "win7.vhd"
    path.write_bytes(b"a year of work")
    refused("disk-exists", 4, "create", path, "--size", SIZE, watching=(path,))
    refused("disk-exists", 4, "create", "/dev/null", "--size", SIZE, "--format", "raw")
    refused("host-not-usable", 1, "create", tmp_path, "--size", SIZE, "--format", "raw")


def test_missing_folder_is_said(tmp_path: Path) -> None:
    """With its path."""
    assert str(tmp_path / "none") in wimboot("create", tmp_path / "none" / "a.vhd", "--size", SIZE).err


def test_form_follows_the_ending(tmp_path: Path) -> None:
    """Unless it is given; then a name that says something else is pointed out."""
    assert done("create", tmp_path / "a.IMG", "--size", SIZE, "--json").json["disk"]["form"] == "raw"
    told = done("create", tmp_path / "b.vhdx", "--size", SIZE, "--format", "vhd")
    assert "warning: b.vhdx is a vhd disk" in told.err
    assert not done("create", tmp_path / "c.ram", "--size", SIZE, "--format", "vhd", "-q").err


def test_forms_that_other_verbs_only_read_are_told(tmp_path: Path) -> None:
    """Before somebody wonders why nothing can be deployed there."""
    assert "--fixed" in done("create", tmp_path / "a.qcow2", "--size", SIZE).err
    assert "--fixed" not in done("create", tmp_path / "b.qcow2", "--size", SIZE, "--fixed").err
    assert "--fixed" not in done("create", tmp_path / "c.vhd", "--size", SIZE).err


def test_a_missing_qemu_img_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made; VHDs need none."""
    monkeypatch.setattr("wimboot.disk.qemuimg.ENVIRONMENT", {"PATH": str(tmp_path)})
    told = refused("qemu-img-missing", 1, "create", tmp_path / "a.vhdx", "--size", SIZE)
    assert "qemu-utils" in told.err
    done("create", tmp_path / "a.vhd", "--size", SIZE)


def test_what_qemu_img_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left."""
    fake = tmp_path / "bin" / "qemu-img"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("wimboot.disk.qemuimg.ENVIRONMENT", {"PATH": f"{fake.parent}:/bin:/usr/bin"})
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    assert "no such luck" in refused("qemu-img-failed", 1, "create", tmp_path / "a.vdi", "--size", SIZE).err
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_the_help_has_examples_that_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, in the order in which they stand; a device is another matter."""
    monkeypatch.chdir(tmp_path)
    lines = [line.split()[1:] for line in done("create", "--help").out.splitlines() if line.startswith("    wimboot ")]
    assert len(lines) >= 4
    for line in lines:
        if "/dev/sda" not in line:
            done(*line)
    assert {"win7.vhd", "win10.vhd", "changes.vhd"} <= {path.name for path in tmp_path.iterdir()}
