"""`wimboot space DIR`: what is found below a folder, what it is, and what stays closed."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

import build
from converted import Converted
from disk_kinds import as_kind
from mounting import copy_sparse, mounted
from running import done, refused, unchanged
from two_partitions import two_partitions
from wimboot.errors import HostError
from wimboot.events import silent
from wimboot.ops import space
from wimboot.ops.measuring import kinds, volumes
from wimboot.ops.measuring.reading import RunUnfinished, reading
from wimboot.ops.measuring.walking import walk
from wimboot.ops.measuring.wims import WimChanging

MEGABYTE = 1 << 20


def tree(folder: Path) -> list[Path]:
    """Everything below a folder."""
    return sorted(folder.rglob("*"))


@pytest.fixture
def converted_copy(converted_once: Converted, tmp_path: Path) -> tuple[Path, Path]:
    """A converted volume and its WIM, in a folder of their own."""
    folder = tmp_path / "own"
    folder.mkdir()
    volume, wim = folder / "system.img", folder / "store.wim"
    copy_sparse(converted_once.volume, volume)
    shutil.copyfile(converted_once.wim, wim)
    return volume, wim


def test_each_kind_of_disk_is_named(pristine_small: Path, tmp_path: Path) -> None:
    """Raw volumes, MBR and GPT disks, fixed, dynamic and differencing VHDs: each is what it is, and measured."""
    for kind in ("raw", "fixed", "dynamic", "differencing"):
        (tmp_path / kind).mkdir()
        as_kind(kind, pristine_small, tmp_path / kind / kind, 0)
    for table in ("mbr", "gpt"):
        (tmp_path / table).mkdir()
        build._partition(tmp_path / table / "disk", 24 << 20, table)
        copy_sparse(pristine_small, tmp_path / table / "disk", target_offset=build.PARTITION_OFFSET)
    told = done("space", tmp_path, "--json").json
    kinds = {(disk["form"], disk["kind"], disk["table"]) for disk in told["disks"]}
    assert kinds == {("raw", None, "none"), ("vhd", "fixed", "none"), ("vhd", "dynamic", "none"),
                     ("vhd", "differencing", "none"), ("raw", None, "mbr"), ("raw", None, "gpt")}
    assert len({volume["virtual_bytes"] for volume in told["volumes"]}) == 1
    assert len(told["volumes"]) == len(told["disks"]) == 7      # the parent of the differencing one is there too
    for volume in told["volumes"]:
        (disk,) = (one for one in told["disks"] if one["path"] == volume["disk"])
        assert (volume["start"] is not None) == (disk["kind"] == "dynamic")
        assert (disk["parent"] is not None) == (disk["kind"] == "differencing")
        assert volume["partition"] == (None if disk["table"] == "none" else 1)


def test_disks_of_virtual_machines_are_named(pristine_small: Path, tmp_path: Path) -> None:
    """VHDX, QCOW2, VMDK and VDI are measured as they lie; of these Windows starts from a VHDX, and may enlarge it."""
    for form in ("vhdx", "qcow2", "vmdk", "vdi"):
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, pristine_small, tmp_path / form], check=True)
    told = done("space", tmp_path, "--json").json
    assert {(disk["form"], disk["kind"], disk["disk_bytes"] >= 24 << 20) for disk in told["disks"]} == {
        (form, None, True) for form in ("vhdx", "qcow2", "vmdk", "vdi")}
    assert len({volume["virtual_bytes"] for volume in told["volumes"]}) == 1
    for volume in told["volumes"]:
        (disk,) = (one for one in told["disks"] if one["path"] == volume["disk"])
        assert disk["full_bytes"] >= disk["disk_bytes"]
        assert (volume["start"] is not None) == (disk["form"] == "vhdx")
        assert volume["start"] is None or volume["start"]["host_bytes"] == disk["full_bytes"]


def test_every_volume_of_a_disk_is_measured(converted_copy: tuple[Path, Path], pristine_small: Path,
                                            tmp_path: Path) -> None:
    """Two NTFS partitions are two volumes of one file; one that is named stands alone."""
    disk = tmp_path / "own" / "two.img"
    two_partitions(disk, converted_copy[0], pristine_small)
    converted_copy[0].unlink()
    told = done("space", tmp_path, "--json").json
    assert [(volume["where"], volume["wimboot"]) for volume in told["volumes"]] == [
        (f"{disk}#1", True), (f"{disk}#2", False)]
    assert len(told["disks"]) == 1
    assert told["disks"][0]["partitions"] == 2
    shown = done("space", disk).out
    assert not shown.startswith("\n")
    assert shown.count("with #1") == 1, "the file is told with one of its volumes"
    (second,) = done("space", f"{disk}#2", "--json").json["volumes"]
    assert second["where"] == f"{disk}#2"
    refused("no-partition", 2, "space", f"{disk}#7")


def test_what_is_no_ntfs_is_said(tmp_path: Path) -> None:
    """FAT and exFAT volumes, compressed images, disks without NTFS and forms that are not read stand in the list."""
    fat, exfat = tmp_path / "efi.img", tmp_path / "stick.img"
    fat.write_bytes(bytes(2 * MEGABYTE))
    subprocess.run(["mkfs.fat", fat], check=True, capture_output=True)
    exfat.write_bytes(b"\xeb\x76\x90EXFAT   ".ljust(510, b"\0") + b"\x55\xaa" + bytes(MEGABYTE))
    disk = tmp_path / "linux.img"
    build._partition(disk, 2 * MEGABYTE, "mbr")
    with gzip.open(tmp_path / "win7.ram", "wb") as file:
        file.write(disk.read_bytes())
    (tmp_path / "notes.txt").write_bytes(b"nothing " * 1000)
    (tmp_path / "notes.gz").write_bytes(gzip.compress(b"nothing " * 1000))
    subprocess.run(["lz4", "-q", "--content-size", disk, tmp_path / "other.ram"], check=True)
    (tmp_path / "noise").write_bytes(os.urandom(510) + b"\x55\xaa" + os.urandom(5000))
    with (tmp_path / "noise").open("r+b") as file:
        file.seek(446)
        file.write(bytes(64))
    subprocess.run(["lz4", "-q", "--no-frame-crc", tmp_path / "noise", tmp_path / "stored.lz4"], check=True)
    subprocess.run(["lz4", "-q", tmp_path / "notes.txt", tmp_path / "notes.lz4"], check=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "old.vmdk", "4M"], check=True)
    told = done("space", tmp_path, "--json").json
    assert {Path(one["path"]).name: (one["form"], one["partitions"], one["disk_bytes"], one["table"])
            for one in told["disks"] if one["form"] != "vmdk"} == {
        "linux.img": ("raw", 1, disk.stat().st_size, "mbr"), "win7.ram": ("gzip", 0, disk.stat().st_size, None),
        "other.ram": ("lz4", 0, disk.stat().st_size, None), "stored.lz4": ("lz4", 0, None, None)}
    assert told["host_bytes"] == sum(one["occupied_bytes"] for one in told["disks"])
    others = {Path(one["path"]).name: one["what"] for one in told["others"]}
    assert others.pop("old.vmdk", "disk") == "disk"
    assert others == {"efi.img": "FAT volume", "stick.img": "exFAT volume"}
    assert told["volumes"] == told["wims"] == []
    shown = done("space", tmp_path).out
    assert "not measured" in shown
    assert "efi.img: FAT volume" in shown
    assert "disks without an NTFS volume" in shown
    assert "in memory, compressed with LZ4" in shown
    assert done("space", tmp_path / "win7.ram", "--json").json["disks"][0]["form"] == "gzip"


def test_each_kind_of_wim_is_named(converted_copy: tuple[Path, Path], tmp_path: Path) -> None:
    """A solid one cannot say what a blob takes, parts of a split one count together, a pipable one is not read."""
    _, wim = converted_copy
    sizes = done("space", wim, "--json").json["wims"][0]
    for arguments in (("export", wim, "all", tmp_path / "solid.esd", "--solid"),
                      ("split", wim, tmp_path / "part.swm", "1"),
                      ("export", wim, "all", tmp_path / "piped.wim", "--pipable")):
        subprocess.run(["wimlib-imagex", *map(str, arguments)], check=True, capture_output=True)
    told = {Path(one["path"]).name: one for one in done("space", tmp_path, "--json").json["wims"]}
    solid, first, piped = told["solid.esd"], told["part.swm"], told["piped.wim"]
    assert (solid["solid"], solid["saved_between_images_bytes_in_wim"]) == (True, None)
    assert solid["blobs"]["bytes"] == sizes["blobs"]["bytes"]
    assert first["blobs"]["bytes_in_wim"] == sizes["blobs"]["bytes_in_wim"]
    parts = sorted(tmp_path.glob("part*.swm"))
    assert len(parts) > 1
    assert first["bytes"] == sum(path.stat().st_size for path in parts)
    assert all("part" in told[path.name]["problem"] for path in parts[1:])
    assert piped["problem"]
    assert piped["blobs"]["blobs"] is None
    shown = done("space", tmp_path).out
    assert "what each one takes cannot be told" in shown
    assert "could not be read" in shown


def test_encrypted_and_sleeping_volumes_are_said(pristine_small: Path, tmp_path: Path) -> None:
    """A partition under BitLocker is listed, not read; of a hibernated Windows there may be more than was written."""
    disk, asleep = tmp_path / "two.img", tmp_path / "asleep.img"
    second = two_partitions(disk, pristine_small, pristine_small)
    with disk.open("r+b") as file:
        file.seek(second + 3)
        file.write(b"-FVE-FS-")
    copy_sparse(pristine_small, asleep)
    with mounted(asleep, write=True) as root:
        (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(4092))
    told = done("space", disk, "--json").json
    assert [(one["path"], "BitLocker" in one["why"]) for one in told["others"]] == [(f"{disk}#2", True)]
    assert [volume["where"] for volume in told["volumes"]] == [f"{disk}#1"]
    told = done("space", asleep, "--json").json
    assert [volume["state"] for volume in told["volumes"]] == ["hibernated"]
    assert "is hibernated" in done("space", asleep).out


def test_links_and_odd_files_are_left_alone(pristine_small: Path, tmp_path: Path) -> None:
    """Symbolic links are followed neither to files nor to folders; pipes, empty and short files are nothing."""
    inner, away = tmp_path / "inner", tmp_path / "away"
    inner.mkdir()
    away.mkdir()
    copy_sparse(pristine_small, away / "system.img")
    (inner / "file").symlink_to(away / "system.img")
    (inner / "folder").symlink_to(away)
    (inner / "loop").symlink_to(inner)
    os.mkfifo(inner / "pipe.img")
    (inner / "empty.wim").touch()
    (inner / "short.vhd").write_bytes(b"conectix")
    told = done("space", inner, "--json").json
    assert (told["disks"], told["wims"], told["others"]) == ([], [], [])
    assert done("space", inner).out == "No disk, no VHD and no WIM was found.\n"
    assert len(done("space", inner / "file", "--json").json["volumes"]) == 1, "what is named is meant"


def test_hostile_names_are_measured_and_shown_escaped(pristine_small: Path, tmp_path: Path) -> None:
    """Names may look like partitions or options, end lines, steer terminals, or be no text at all."""
    names = [b"disk#2", b"-q", b"two\nlines", b"\x1b[2Jred", b"not \xff text", "\u7cfb\u7edf".encode()]
    for name in names:
        folder = os.fsencode(tmp_path) + b"/" + name
        Path(os.fsdecode(folder)).mkdir()
        copy_sparse(pristine_small, Path(os.fsdecode(folder + b"/" + name)))
    run = done("space", tmp_path, "--json")
    assert {os.fsencode(volume["where"]).rpartition(b"/")[2] for volume in run.json["volumes"]} == set(names)
    told = done("space", tmp_path, "--svg", tmp_path / "p.svg")
    assert "\x1b" not in told.out
    assert "\\x1b[2Jred" in told.out.replace("\n", "")
    assert "\x1b" not in (tmp_path / "p.svg").read_text(encoding="utf-8")


def test_other_file_systems_are_not_entered(pristine_small: Path, tmp_path: Path) -> None:
    """What is mounted below the folder is said; named, it is looked through."""
    with mounted(pristine_small) as root:
        below = root.parent
        told = done("space", below, "--json").json
        assert any(one["path"] == str(root) and one["what"] == "file system" for one in told["others"])
        assert done("space", root, "--json").json["disks"] == []
    assert tmp_path.is_dir()


def test_a_folder_is_looked_through_up_to_a_bound(tmp_path: Path) -> None:
    """So many names, so deep: beyond that is said, and nothing is counted twice or endlessly."""
    deep = tmp_path
    for number in range(5):
        deep /= f"level{number}"
        deep.mkdir()
        (deep / "file").write_bytes(bytes(300))
    assert len(walk(tmp_path).files) == 5
    assert walk(tmp_path).complete
    short = walk(tmp_path, depth=2)
    assert ([path.name for path in short.files], short.complete) == (["file"] * 2, False)
    few = walk(tmp_path, most=3)
    assert (len(few.files), few.complete) == (1, False)
    assert walk(tmp_path, most=10).complete
    with pytest.raises(HostError):
        walk(tmp_path / "missing")


def test_more_than_is_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document and a warning say that a folder holds more."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setattr(space, "walk", partial(walk, most=1))
    run = done("space", tmp_path, "--progress", "json", "--json")
    assert run.json["complete"] is False
    assert any("more files, or deeper folders" in text for text in run.json["warnings"])
    assert '"id": "many-names"' in run.err


def test_unreadable_folders_and_files_are_said(pristine_small: Path, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be listed or opened stands among the others; the rest is measured."""
    (tmp_path / "shut").mkdir()
    copy_sparse(pristine_small, tmp_path / "good.img")
    (tmp_path / "bad.img").write_bytes(bytes(MEGABYTE))
    listing, kind = os.scandir, kinds.kind_of

    def scandir(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return listing(path)

    def kind_of(path: Path) -> object:
        if path.name == "bad.img":
            raise HostError(what="opening", where=str(path), why="Permission denied")
        return kind(path)

    with monkeypatch.context() as patch:    # ends before pytest removes the folder
        patch.setattr("wimboot.ops.measuring.walking.os.scandir", scandir)
        patch.setattr(space, "kind_of", kind_of)
        told = done("space", tmp_path, "--json").json
    assert {Path(one["path"]).name: one["what"] for one in told["others"]} == {"shut": "unread", "bad.img": "unread"}
    assert len(told["volumes"]) == 1


def test_damaged_disks_and_volumes_are_said(pristine_small: Path, tmp_path: Path) -> None:
    """A broken VHD, a table that leads nowhere, a volume that cannot be scanned: found ones are passed over aloud."""
    good = as_kind("dynamic", pristine_small, tmp_path / "good", 0)
    vhd = bytearray(good.path.read_bytes())
    vhd[:1024], vhd[-512:] = b"conectix" + bytes(1016), b"conectix" + bytes(504)
    (tmp_path / "broken.vhd").write_bytes(vhd)
    torn = tmp_path / "torn.img"
    copy_sparse(pristine_small, torn)
    with torn.open("r+b") as file:
        file.seek(0x30)
        first = int.from_bytes(file.read(8), "little") * 4096
        file.seek(first + 5 * 1024)
        file.write(bytes(1024))         # the root folder
    child = tmp_path / "child.vhd"
    made = as_kind("differencing", pristine_small, tmp_path / "orphan", 0)
    made.path.rename(child)
    made.base.unlink()
    told = done("space", tmp_path, "--json").json
    assert {Path(one["path"]).name: one["what"] for one in told["others"]} == {
        "broken.vhd": "disk", "torn.img": "volume", "child.vhd": "disk"}
    assert all(one["why"] for one in told["others"])
    assert [Path(volume["where"]).name for volume in told["volumes"]] == ["good.vhd"]


def test_interrupted_runs_are_left_to_recover(converted_copy: tuple[Path, Path]) -> None:
    """A log or an undo record that waits is said, and stays as it is: measuring finishes nothing."""
    volume, wim = converted_copy
    log, undo = volume.with_name(volume.name + ".wimboot-log"), wim.with_name(wim.name + ".wimboot-undo")
    log.write_bytes(b"a log")
    with unchanged(volume, wim, log):
        told = done("space", volume.parent, "--json").json
        assert [(one["what"], "recover" in one["why"]) for one in told["others"]] == [("disk", True)]
        refused("log-waits", 4, "space", volume, watching=(volume, log))
    log.unlink()
    undo.write_bytes(b"an undo record")
    with unchanged(volume, wim, undo):
        told = done("space", volume.parent, "--json").json
        assert "has to be finished" in told["wims"][0]["problem"]
        (source,) = told["volumes"][0]["sources"]
        assert "has to be finished" in source["problem"]
        assert (source["bytes_in_wim"], told["volumes"][0]["bytes_in_wim"]) == (None, None)
        refused("run-unfinished", 4, "space", wim, watching=(wim, undo))
        assert "cannot be read" in done("space", volume.parent).out


def test_leftovers_of_a_run_are_no_reason_not_to_measure(converted_copy: tuple[Path, Path]) -> None:
    """A new WIM that was never finished stays beside the old one, which is read as it is."""
    volume, wim = converted_copy
    left = wim.with_name(wim.name + ".wimboot-new")
    left.write_bytes(b"half a WIM")
    with unchanged(volume, wim, left):
        (source,) = done("space", volume, "--json").json["volumes"][0]["sources"]
    assert source["bytes_in_wim"] > 0


def test_a_reading_folder_changes_nothing(tmp_path: Path) -> None:
    """Whatever is asked of it, the folder stays as it is."""
    (tmp_path / "file").write_bytes(b"bytes")
    folder = reading()(tmp_path)
    before = tree(tmp_path)
    for change in (lambda: folder.create("new"), lambda: folder.replace("file", "new"),
                   lambda: folder.open("file", write=True), lambda: folder.remove("file")):
        with pytest.raises(RunUnfinished, match="has to be finished"):
            change()
    folder.sync()
    assert folder.exists("file")
    assert folder.free_size() > 0
    assert tree(tmp_path) == before
    assert (tmp_path / "file").read_bytes() == b"bytes"


def test_a_wim_that_changes_meanwhile_is_said(converted_copy: tuple[Path, Path], tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares that were counted by another table are not told."""
    volume, wim = converted_copy
    other = tmp_path / "other.wim"
    (tmp_path / "small").mkdir()
    subprocess.run(["wimlib-imagex", "capture", tmp_path / "small", other], check=True, capture_output=True)
    measured = volumes.measure_volume

    def then_replaced(*arguments: object) -> object:
        found = measured(*arguments)  # type: ignore[arg-type]  # as given
        shutil.copyfile(other, wim)
        return found

    monkeypatch.setattr(space, "measure_volume", then_replaced)
    found = space.measure(space.SpaceOptions(places=(str(volume),)), silent)
    (figures,) = found.wims
    assert str(WimChanging(where=figures.path)) in figures.problem
    assert found.volumes[0].in_wim is None


def test_damage_of_an_image_hides_no_share(converted_copy: tuple[Path, Path]) -> None:
    """Where an image's list of files is damaged, what volumes need of the WIM is known all the same."""
    from wim_bytes import read_wim

    volume, wim = converted_copy
    whole = done("space", volume, "--json").json["volumes"][0]["bytes_in_wim"]
    (metadata,) = (blob for blob in read_wim(wim).blobs.values() if blob.flags & 2)
    with wim.open("r+b") as file:
        file.seek(metadata.offset + metadata.stored_size // 2)
        file.write(b"\xff" * 64)
    told = done("space", volume, "--json").json
    assert told["volumes"][0]["bytes_in_wim"] == whole > 0
    (found,) = told["wims"]
    assert found["problem"]
    assert (found["images"], found["saved_between_images_bytes_in_wim"]) == ([], None)


def test_a_damaged_table_of_sources_is_said(converted_copy: tuple[Path, Path]) -> None:
    """Pointers whose WIM nobody names are counted, not guessed."""
    volume, _ = converted_copy
    with mounted(volume, write=True) as root:
        path = root / "System Volume Information/WimOverlay.dat"
        path.write_bytes(b"\xff" * path.stat().st_size)
    (told,) = done("space", volume, "--json").json["volumes"]
    assert told["unregistered_pointers"] == told["pointers"] > 0
    assert (told["sources"], told["bytes_in_wim"]) == ([], None)
    assert "damaged" in told["problem"]
    assert "into WIMs that the volume does not name" in done("space", volume).out
