"""What verbs do on a bare volume they do on every kind of disk: MBR, GPT, VHDs, and others' disks in place."""

from __future__ import annotations

import shlex
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from converted import LOST_BITS, OVERLAY_FILES
from disk_kinds import FOREIGN, KINDS, KindOfDisk, as_kind, disk_of_kind, empty_disk
from judges import every_pointer_leads_home, sound_volume
from running import done, refused, unchanged, wimboot
from snapshots import SYSTEM_HIVE, Snapshot, differences, seen_through, snapshot

LATER = ("--wim-place", "later")
VHDS = ("fixed", "dynamic", "differencing")


def often(*kinds: str, among: tuple[str, ...] = KINDS) -> list[object]:
    """All kinds; those that are not named are left to the longer run."""
    return [pytest.param(kind, marks=() if kind in kinds else pytest.mark.heavy) for kind in among]


@pytest.fixture(params=often("dynamic", "differencing", among=(*KINDS, *FOREIGN)))
def disk(request: pytest.FixtureRequest, built_system: Callable[..., build.System], tmp_path: Path) -> KindOfDisk:
    """A Windows on each kind of disk in turn."""
    return disk_of_kind(request.param, tmp_path, built_system)


def seen(disk: KindOfDisk) -> Snapshot:
    """What is on its volume."""
    return snapshot(disk.raw(), disk.offset)


def test_a_system_is_captured_converted_checked_and_restored(disk: KindOfDisk, tmp_path: Path) -> None:
    """In place, through the VHD's own structures; the parent of a differencing disk is not touched."""
    (tmp_path / "wims").mkdir()
    wim, before = tmp_path / "wims/store.wim", seen(disk)
    with unchanged(disk.path, *disk.beyond()):
        done("capture", disk.path, "--wim", wim, "--name", "first")
    with unchanged(*disk.beyond()):
        done("convert", disk.path, "--wim", wim, *LATER)
        now = seen(disk)
        sound_volume(disk.raw(), disk.offset)
        assert not differences(before, seen_through(now), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
        assert every_pointer_leads_home(disk.raw(), wim, {}, disk.offset) > 20
        with unchanged(disk.path, wim):
            done("verify", disk.path, "--wim", wim)
        done("restore", disk.path, "--wim", wim, "--full")
        sound_volume(disk.raw(), disk.offset)
        assert not differences(before, seen(disk), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
    assert sorted(path.name for path in tmp_path.iterdir() if "wimboot" in path.name) == []


@pytest.mark.parametrize("kind", often("dynamic", among=(*KINDS, *FOREIGN)))
@pytest.mark.parametrize("form", [pytest.param("--pointers", marks=pytest.mark.heavy), "--full"])
def test_an_image_is_applied(kind: str, form: str, built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Onto an empty volume; a VHD grows for it."""
    source = disk_of_kind("raw", tmp_path, built_system)
    wim = tmp_path / "store.wim"
    done("capture", source.path, "--wim", wim)
    target = empty_disk(kind, tmp_path)
    with unchanged(*target.beyond()):
        done("apply", wim, "1", target.path if kind == "raw" else f"{target.path}#1",
             *(LATER if form == "--pointers" else [form]))
    sound_volume(target.raw(), target.offset)
    now = seen(target)
    if form == "--pointers":
        assert every_pointer_leads_home(target.raw(), wim, {}, target.offset) > 20
        now = seen_through(now)
    gone = ("pagefile.sys", "System Volume Information", "Windows/Temp/left over.tmp", *OVERLAY_FILES, SYSTEM_HIVE)
    assert not differences(seen(source), now, attribute_mask=LOST_BITS, without=gone)


@pytest.mark.parametrize("kind", often("differencing", among=VHDS))
def test_a_volume_in_a_vhd_is_formatted_anew(kind: str, built_system: Callable[..., build.System],
                                             tmp_path: Path) -> None:
    """What lies around it keeps every byte."""
    disk = disk_of_kind(kind, tmp_path, built_system)
    wim = tmp_path / "store.wim"
    done("convert", disk.path, "--wim", wim, *LATER)
    before, around = seen_through(seen(disk)), _around(disk)
    done("restore", f"{disk.path}#1", "--wim", wim, "--format", "--yes")
    sound_volume(disk.raw(), disk.offset)
    assert _around(disk) == around
    gone = ("pagefile.sys", "System Volume Information", "Windows/Temp/left over.tmp")
    assert not differences(before, seen_through(seen(disk)), attribute_mask=LOST_BITS, without=gone)


def _around(disk: KindOfDisk) -> tuple[bytes, bytes]:
    content = disk.raw().read_bytes()
    return content[:disk.offset], content[disk.offset + (24 << 20):]


@pytest.mark.parametrize("kind", often("dynamic", among=VHDS))
def test_a_bare_volume_in_a_vhd_is_a_target(kind: str, tmp_path: Path, small_volume: Path) -> None:
    """A VHD without a partition table, as `#N` has no meaning for it."""
    disk = as_kind(kind, small_volume, tmp_path / "bare", 0)
    before = seen(disk)
    done("convert", disk.path, "--wim", tmp_path / "store.wim", *LATER, "--driver", "none")
    assert not differences(before, seen_through(seen(disk)), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
    assert every_pointer_leads_home(disk.raw(), tmp_path / "store.wim", {}) > 20


@pytest.mark.parametrize("kind", VHDS)
def test_info_tells_of_the_disk_and_of_the_vhd(kind: str, built_system: Callable[..., build.System],
                                               tmp_path: Path) -> None:
    """The disk's own size, table and identity; the kind of VHD, its file and its parent."""
    disk = disk_of_kind(kind, tmp_path, built_system)
    told = done("info", disk.path, "--json").json["disk"]
    assert (told["table"], told["identity"]) == ("mbr", "signature 5cbea03e")
    assert told["bytes"] == (24 << 20) + (2 << 20)
    assert told["vhd"] == {"kind": kind, "file_bytes": disk.path.stat().st_size, "problem": None,
                           "unique_id": disk.path.read_bytes()[-512:][68:84].hex(),
                           "parent": str(disk.base) if kind == "differencing" else None}
    assert f"in a {kind} VHD" in done("info", disk.path).out


def test_broken_footer_is_told_and_mended(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """By its copy: who reads is told, who writes makes it whole."""
    disk = disk_of_kind("dynamic", tmp_path, built_system)
    with disk.path.open("r+b") as file:
        file.seek(-400, 2)
        file.write(b"\xff")
    with unchanged(disk.path):
        run = done("info", disk.path)
    assert "One of the two footers" in run.err
    run = done("convert", disk.path, "--wim", tmp_path / "store.wim", *LATER)
    assert "One of the two footers" in run.err
    assert "footers" not in done("verify", disk.path, "--wim", tmp_path / "store.wim").err
    sound_volume(disk.raw(), disk.offset)


def test_unusable_vhds_are_refused(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """A parent with children, a missing and a changed parent: named, with nothing changed."""
    disk = disk_of_kind("differencing", tmp_path, built_system)
    wim = tmp_path / "store.wim"
    told = refused("vhd-has-children", 4, "convert", disk.base, "--wim", wim, *LATER,
                   watching=(disk.path, disk.base, wim))
    assert disk.path.name in told.err
    done("capture", disk.base, "--wim", wim)
    content = bytearray(disk.base.read_bytes())
    away = tmp_path / "away"
    disk.base.rename(away)
    for verb in ("convert", "capture"):
        told = refused("vhd-parent-missing", 4, verb, disk.path, "--wim", wim, watching=(disk.path, wim))
        assert disk.base.name in told.err
    for place in (0, len(content) - 512):
        struct.pack_into(">16s", content, place + 68, b"another identity")
        struct.pack_into(">I", content, place + 64, 0)
        struct.pack_into(">I", content, place + 64, 0xFFFFFFFF - sum(content[place:place + 512]))
    disk.base.write_bytes(content)
    told = refused("vhd-parent-changed", 4, "convert", disk.path, "--wim", wim, *LATER, watching=(disk.path, wim))
    assert str(disk.base) in told.err


def test_a_vhd_that_has_no_room_to_grow_is_refused_at_once(tmp_path: Path,
                                                           built_system: Callable[..., build.System]) -> None:
    """Its volume may be free as far as it goes: what counts is the disk that the file lies on."""
    source = built_system(size=96 << 20, files=300)
    done("capture", source.path, "--wim", tmp_path / "store.wim")
    small = tmp_path / "small"
    small.mkdir()
    target = empty_disk("dynamic", tmp_path, size=64 << 20)
    size = target.path.stat().st_size + (1 << 20)
    run = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)], check=False,
                         capture_output=True)
    if run.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        path = small / "disk.vhd"
        path.write_bytes(target.path.read_bytes())
        refused("not-enough-space", 4, "apply", tmp_path / "store.wim", "1", f"{path}#1", "--full", watching=(path,))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_dry_run_leaves_a_vhd_alone(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Neither bytes nor length change."""
    disk = disk_of_kind("dynamic", tmp_path, built_system)
    with unchanged(disk.path):
        assert wimboot("convert", disk.path, "--wim", tmp_path / "store.wim", *LATER, "--dry-run").code == 0


@pytest.mark.parametrize("kind", often("vhdx", among=FOREIGN))
def test_disks_of_others_that_grow_are_read_and_not_written(kind: str, built_system: Callable[..., build.System],
                                                            tmp_path: Path) -> None:
    """Capture and info read them as they lie; what writes names the command that makes a VHD, which then serves."""
    raw = disk_of_kind("mbr", tmp_path, built_system)
    (tmp_path / "wims").mkdir()
    path, wim = tmp_path / f"it's {kind}.{kind}", tmp_path / "wims/store.wim"
    options = ["-o", "block_size=1M"] if kind == "vhdx" else []
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *options, raw.path, path], check=True)
    with unchanged(path):
        done("capture", path, "--wim", wim, "--name", "here")
        assert done("info", path, "--json").json["disk"]["form"] == kind
        assert f"in a {kind.upper()}" in done("info", path).out
    refused("disk-not-writable", 4, "convert", path, "--wim", wim, *LATER, "--dry-run", watching=(path, wim))
    told = refused("disk-not-writable", 4, "convert", path, "--wim", wim, *LATER, watching=(path, wim))
    refused("compact-not-possible", 4, "compact", path, "--dry-run", watching=(path,))
    (command,) = [line for line in told.err.splitlines() if "qemu-img convert" in line]
    subprocess.run(shlex.split(command[command.index("qemu-img"):]), check=True)
    done("convert", f"{path}.vhd", "--wim", wim, *LATER)
    done("verify", f"{path}.vhd", "--wim", wim)
