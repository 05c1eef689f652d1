"""`wimboot compact`: a disk takes less room, and what its volumes use is the same to the byte."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

import build
from data_disks import attached_disk
from disk_kinds import KindOfDisk, disk_of_kind
from judges import sound_volume
from mounting import mounted
from running import done, refused, unchanged
from sample_contents import noise
from snapshots import differences, snapshot
from vhd_judge import judge_vhd
from vhd_making import begin, writing
from wimboot.disk.punching import HolesNotPossible, claimed_bytes, punch
from wimboot.disk.unused import FreeMap, unused_runs
from wimboot.disk.vhdcreate import create_vhd
from wimboot.formats.vhdfooter import DiskType
from wimboot.ntfs import cluster_bitmap, volume_facts
from wimboot.storage import HostFolder, SliceDevice
from wimboot.storage.faults import Image, MemoryFile

SPARSE = ("dynamic", "differencing")


def litter(disk: KindOfDisk) -> int:
    """Write something into every cluster that the volume does not use; how many bytes."""
    with writing(disk.path) as target, begin(target) as transaction:
        volume = SliceDevice(transaction.device, disk.offset, 24 << 20)
        facts, total = volume_facts(volume), 0
        free = FreeMap(start=0, unit_size=facts.cluster_size, bitmap=cluster_bitmap(volume), count=facts.total_clusters)
        for start, end in list(unused_runs([free], 0, free.end)):
            volume.pwrite(start, noise(Random(start), end - start))
            total += end - start
        transaction.commit()
    return total


def room(disk: KindOfDisk) -> int:
    """What the file takes: of a VHD its length."""
    status = disk.path.stat()
    return status.st_size if disk.path.suffix == ".vhd" else status.st_blocks * 512


@pytest.mark.parametrize("kind", ["raw", pytest.param("mbr", marks=pytest.mark.heavy),
                                  pytest.param("gpt", marks=pytest.mark.heavy), *SPARSE])
def test_unused_room_is_given_back(kind: str, built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """As much as the dry run says, and the volume stays as it was."""
    disk = disk_of_kind(kind, tmp_path, built_system)
    littered = litter(disk)
    before, was = snapshot(disk.raw(), disk.offset), room(disk)
    size = disk.path.stat().st_size
    with unchanged(*disk.beyond()):
        with unchanged(disk.path):
            told = done("compact", disk.path, "--dry-run", "--json").json
        assert told["dry_run"]
        assert "would be given back" in done("compact", disk.path, "--dry-run").out
        really = done("compact", disk.path, "--json").json
    now = room(disk)
    assert told["before_bytes"] == was
    assert abs(told["after_bytes"] - now) <= (0 if kind in SPARSE else 65536)   # a file with holes needs more of a map
    assert was - now > littered / 2
    assert really["after_bytes"] == now
    assert not differences(before, snapshot(disk.raw(), disk.offset))
    sound_volume(disk.raw(), disk.offset)
    if kind not in SPARSE:
        assert (disk.path.stat().st_size, told["blocks"]) == (size, None)
    assert "nothing of it can be given back" in done("compact", disk.path).out
    assert sorted(path.name for path in tmp_path.iterdir() if "wimboot" in path.name) == []


def test_converted_disk_becomes_small(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Conversion frees the clusters, compacting the file; the pointers lead where they led."""
    disk, wim = disk_of_kind("dynamic", tmp_path, built_system), tmp_path / "store.wim"
    litter(disk)
    done("convert", disk.path, "--wim", wim, "--wim-place", "later")
    told = done("compact", disk.path)
    assert "blocks went" in told.out
    done("verify", disk.path, "--wim", wim)
    sound_volume(disk.raw(), disk.offset)


def test_disks_without_a_volume_lose_only_zeros(tmp_path: Path) -> None:
    """What no bitmap speaks for is in use; blocks of zeros hold nothing."""
    path = tmp_path / "blank.vhd"
    create_vhd(HostFolder(tmp_path), path.name, kind=DiskType.DYNAMIC, size=24 << 20)
    with writing(path) as target, begin(target) as transaction:
        for offset, data in ((8 << 20, b"nothing"), (8 << 20, bytes(7)), (12 << 20, b"something")):
            transaction.device.pwrite(offset, data)
        transaction.commit()
    before = judge_vhd(path.read_bytes())
    assert done("compact", path, "--json").json["dropped"] == 1
    after = judge_vhd(path.read_bytes())
    assert (after.disk, after.blocks) == (before.disk, 1)


def test_what_cannot_become_smaller_is_refused(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """A fixed VHD, a partition, a device, a parent with children: each with what to do instead."""
    fixed = disk_of_kind("fixed", tmp_path, built_system)
    told = refused("compact-not-possible", 4, "compact", fixed.path, watching=(fixed.path,))
    assert "subformat=dynamic" in told.err
    told = refused("compact-disk", 2, "compact", f"{fixed.path}#1", watching=(fixed.path,))
    assert str(fixed.path) in told.err
    child = disk_of_kind("differencing", tmp_path, built_system, name="child")
    refused("vhd-has-children", 4, "compact", child.base, watching=(child.path, child.base))
    with attached_disk(fixed.path, "--read-only") as device:
        assert "fstrim" in refused("compact-not-possible", 4, "compact", device).err


def test_a_dry_run_refuses_a_disk_that_others_stand_on(built_system: Callable[..., build.System],
                                                       tmp_path: Path) -> None:
    """As the run does: a VHD with a child, a raw image under a QCOW2."""
    child = disk_of_kind("differencing", tmp_path, built_system, name="child")
    raw, overlay = disk_of_kind("raw", tmp_path, built_system).path, tmp_path / "overlay.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(raw), "-F", "raw", str(overlay)], check=True)
    for dry in ((), ("--dry-run",)):
        refused("vhd-has-children", 4, "compact", child.base, *dry, watching=(child.path, child.base))
        refused("disk-has-overlay", 4, "compact", raw, *dry, watching=(raw, overlay))
    done("compact", child.path, "--dry-run")


def test_volume_that_may_be_wrong_about_itself_is_refused(built_system: Callable[..., build.System],
                                                          tmp_path: Path) -> None:
    """One that is marked for a check, and one on which Windows sleeps."""
    disk = disk_of_kind("dynamic", tmp_path, built_system)
    with writing(disk.path) as target, begin(target) as transaction:
        volume = SliceDevice(transaction.device, disk.offset, 24 << 20)
        for offset in volume_facts(volume).flags_offsets:
            volume.pwrite(offset, b"\1\0")
        transaction.commit()
    refused("volume-dirty", 4, "compact", disk.path, watching=(disk.path,))
    asleep = tmp_path / "asleep.img"
    build.make_volume(asleep, size=8 << 20)
    with mounted(asleep, write=True) as root:
        (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(8000))
    refused("hibernated", 4, "compact", asleep, watching=(asleep,))


def test_shadow_copies_keep_their_clusters(tmp_path: Path) -> None:
    """They need what the volume itself does not use: nothing of it goes, and that is told."""
    volume = tmp_path / "restore points.img"
    build.make_volume(volume, size=8 << 20)
    with mounted(volume, write=True) as root:
        folder = root / "System Volume Information"
        folder.mkdir(exist_ok=True)
        (folder / "{3808876B-C176-4e48-B7AE-04046E6CC752}").write_bytes(bytes(70_000))
        (root / "gone").write_bytes(noise(Random(1), 2 << 20))
        (root / "gone").unlink()
    with unchanged(volume):
        told = done("compact", volume)
    assert "shadow copies" in told.err
    assert "nothing of it can be given back" in told.out


def test_files_that_are_none_have_no_holes() -> None:
    """Said, not passed over."""
    file = MemoryFile(Image(bytes(10_000)))
    with pytest.raises(HolesNotPossible):
        punch(file, [(0, 8192)], "memory")
    with pytest.raises(HolesNotPossible):
        claimed_bytes(file, [(0, 8192)], "memory")


def test_file_system_without_holes_is_refused(tmp_path: Path) -> None:
    """FAT has none."""
    host, folder = tmp_path / "fat.img", tmp_path / "fat"
    folder.mkdir()
    host.write_bytes(bytes(24 << 20))
    subprocess.run(["mkfs.vfat", str(host)], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", str(host), str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("FAT cannot be mounted here")
    try:
        volume = folder / "volume.img"
        build.make_volume(volume, size=8 << 20)
        refused("no-holes", 1, "compact", volume, watching=(volume,))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_file_that_is_no_disk_is_refused(tmp_path: Path) -> None:
    """A WIM, a text: told as what it is not, and left alone."""
    file = tmp_path / "store.wim"
    file.write_bytes(b"MSWIM\0\0\0" + bytes(1 << 16))
    refused("not-a-disk", 2, "compact", file, watching=(file,))
    refused("not-a-disk", 2, "compact", file, "--dry-run", watching=(file,))
