"""A dry run refuses what the run itself would refuse, and changes nothing."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import build
from converted import OVERLAY_FILES, Converted, fresh_volume
from disk_kinds import disk_of_kind
from judges import sound_volume
from mounting import mounted
from running import NO_PLACE, done, refused, unchanged
from snapshots import differences, seen_through, snapshot
from wimboot.ntfs import volume_facts
from wimboot.storage import FileDevice, HostFile

NOT_IN_IMAGE = (*OVERLAY_FILES, "System Volume Information", "Windows/Temp", "pagefile.sys", "Features/encrypted", "")


def test_a_dry_deployment_refuses_a_volume_that_is_not_empty(converted_once: Converted) -> None:
    """The volume that was captured is full of files."""
    refused("not-empty", 4, "apply", converted_once.wim, "1", converted_once.original, *NO_PLACE, "--dry-run",
            watching=(converted_once.original, converted_once.wim))


def test_a_dry_deployment_tells_of_an_empty_volume(converted_once: Converted, tmp_path: Path) -> None:
    """The same figures as the deployment that follows."""
    volume = fresh_volume(tmp_path / "empty.img")
    before = volume.read_bytes()
    command = ("apply", converted_once.wim, "1", volume, *NO_PLACE, "--json")
    told = done(*command, "--dry-run").json
    assert volume.read_bytes() == before
    assert {**told, "dry_run": False} == done(*command).json


def test_a_dry_run_of_formatting_tells_what_the_run_does(converted: Converted) -> None:
    """All of the image would be made; what it does not hold would go. The volume keeps its bytes."""
    with mounted(converted.volume, write=True) as root:
        (root / "Features/encrypted/encrypted.bin").unlink()    # or it would be refused
        (root / "Users/only here.txt").write_bytes(b"precious")
    command = ("restore", converted.volume, "--wim", converted.wim, "--format", "--json")
    with unchanged(converted.volume, converted.wim):
        told = done(*command, "--dry-run").json
    assert {"change": "removed", "action": "remove", "path": "\\Users\\only here.txt"} in told["paths"]
    assert {"change": "added", "action": "bring-back", "path": "\\Windows"} in told["paths"]
    assert {**told, "dry_run": False} == done(*command, "--yes").json


def test_a_dry_conversion_counts_what_the_run_counts(small_volume: Path, tmp_path: Path) -> None:
    """Files, without the folders."""
    command = ("convert", small_volume, "--wim", tmp_path / "store.wim", *NO_PLACE)
    told = done(*command, "--dry-run").out
    count = re.match(r"Would capture (\d+) files, reading ", told)
    assert count is not None, told
    assert f" of {count[1]} files became pointers" in done(*command).out


def test_a_dry_restore_refuses_what_does_not_fit(converted: Converted) -> None:
    """As the run would, before it writes: the data of the files is more than is free."""
    with mounted(converted.volume, write=True) as root, (root / "Windows/Temp/filling").open("wb") as file:
        status = os.statvfs(root)
        file.write(b"\1" * (status.f_bavail * status.f_frsize - (1 << 20)))
    for more in ((), ("--dry-run",)):
        refused("not-enough-space", 4, "restore", converted.volume, "--wim", converted.wim, "--full", *more,
                watching=(converted.volume,))


def test_what_goes_makes_room_for_what_comes(converted: Converted) -> None:
    """A volume that was filled up with files of no image can be restored, the dry run says so too."""
    with mounted(converted.volume, write=True) as root, (root / "Users/filling").open("wb") as file:
        status = os.statvfs(root)
        file.write(b"\1" * (status.f_bavail * status.f_frsize - (1 << 20)))
    command = ("restore", converted.volume, "--wim", converted.wim, "--full")
    done(*command, "--dry-run")
    done(*command)
    now = snapshot(converted.volume)
    assert "Users/filling" not in now
    assert not differences(seen_through(converted.after), now, attribute_mask=0xA80, without=NOT_IN_IMAGE)
    sound_volume(converted.volume)


def test_dry_formatting_refuses_what_does_not_fit(converted_once: Converted, tmp_path: Path) -> None:
    """What counts is the room on the volume as it would be, not as it is."""
    small = fresh_volume(tmp_path / "small.img", size=6 << 20)
    for verb, more in (("restore", ("--image", "1", "--full")), ("apply", ("--full",))):
        given = (small,) if verb == "restore" else (converted_once.wim, "1", small)
        wim = ("--wim", converted_once.wim) if verb == "restore" else ()
        for dry in ((), ("--dry-run",)):
            refused("not-enough-space", 4, verb, *given, *wim, *more, "--format", "--yes", *dry, watching=(small,))


def test_dry_runs_refuse_a_volume_that_is_marked_as_dirty(converted: Converted) -> None:
    """The run itself would have Windows check it first."""
    file = HostFile.open(converted.volume, write=True)
    for offset in volume_facts(FileDevice(file)).flags_offsets:
        file.pwrite(offset, b"\1")
    file.close()
    for command in (("restore",), ("restore", "--format", "--yes"), ("rehydrate",), ("relocate",)):
        refused("volume-dirty", 4, command[0], converted.volume, "--wim", converted.wim, *command[1:], "--dry-run",
                watching=(converted.volume,))


def test_dry_runs_refuse_a_disk_that_others_stand_on(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """As the runs do: a VHD with a child, a raw image under a QCOW2; as the target, a further one, or where the boot
    files go. What is only read is not refused."""
    wim, child = tmp_path / "store.wim", tmp_path / "child.vhd"
    base = disk_of_kind("dynamic", tmp_path, built_system).path
    raw, overlay = disk_of_kind("mbr", tmp_path, built_system, name="raw").path, tmp_path / "overlay.qcow2"
    done("convert", base, "--wim", wim, "--wim-place", "later", "--target", _second(raw, wim))
    done("create", child, "--parent", base)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(raw), "-F", "raw", str(overlay)], check=True)
    for error, disk in (("vhd-has-children", base), ("disk-has-overlay", raw)):
        other = tmp_path / "child.vhd"
        for command in (
            ("relocate", disk, "--wim", wim), ("restore", disk, "--wim", wim), ("rehydrate", disk, "--wim", wim),
            ("update", disk, "--wim", wim), ("boot", child, "--to", f"{disk}#1"),
            ("prune", wim, "--drop", "1", "--target", disk), ("convert", other, "--wim", wim, "--target", disk),
            ("capture", other, "--wim", wim, "--target", disk), ("update", other, "--wim", wim, "--target", disk),
        ):
            refused(error, 4, *command, "--dry-run", watching=(disk, wim, child))
        done("capture", disk, "--wim", wim, "--dry-run")
    done("relocate", child, "--wim", wim, "--dry-run")


def _second(disk: Path, wim: Path) -> Path:
    """It stands on image 1 of the WIM, which is made."""
    done("convert", disk, "--wim", wim, "--wim-place", "later")
    return disk


def test_a_disk_that_has_to_grow_can_be_captured_dry(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """It is only read, then as in the run."""
    grows = tmp_path / "grows.qcow2"
    raw = disk_of_kind("mbr", tmp_path, built_system).path
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(grows)], check=True)
    with unchanged(grows):
        done("capture", grows, "--wim", tmp_path / "store.wim", "--dry-run")
    refused("disk-not-writable", 4, "convert", grows, "--wim", tmp_path / "store.wim", *NO_PLACE, "--dry-run")
