"""Volumes that are no target, or not now: refused, and neither they nor the WIM are changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from converted import fresh_volume
from data_disks import attached_disk
from mounting import copy_sparse, mounted, need_mounts
from partition_table import partition
from running import NO_PLACE, Run, done, refused, unchanged, wimboot
from snapshots import differences, snapshot
from wimboot.ntfs import volume_facts
from wimboot.storage import FileDevice, HostFolder, SliceDevice

MIB = 1 << 20


def refuse_all(error: str, code: int, target: object, wim: Path, *watching: Path, reading: bool = True) -> None:
    """Convert, and with `reading` capture, refuse the target."""
    with unchanged(wim, *watching):
        refused(error, code, "convert", target, "--wim", wim, *NO_PLACE)
        if reading:
            refused(error, code, "capture", target, "--wim", wim)


@pytest.mark.parametrize("content", [b"", bytes(MIB), b"noise" * 200_000, b"MSWIM\0\0\0" + bytes(MIB)])
def test_what_is_no_ntfs_volume_is_refused(content: bytes, tmp_path: Path) -> None:
    """An empty file, zeros, noise, a WIM."""
    target = tmp_path / "target.img"
    target.write_bytes(content)
    refuse_all("not-a-disk", 2, target, tmp_path / "store.wim", target)


def test_another_file_system_is_refused(tmp_path: Path) -> None:
    """Ext4 is no NTFS."""
    target = tmp_path / "ext4.img"
    subprocess.run(["mkfs.ext4", "-q", str(target), "8M"], check=True, capture_output=True)
    refuse_all("not-a-disk", 2, target, tmp_path / "store.wim", target)


def test_a_target_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Neither a missing file nor a folder is a target."""
    refuse_all("no-target", 2, tmp_path / "nothing.img", tmp_path / "store.wim")
    refuse_all("not-a-target", 2, tmp_path, tmp_path / "store.wim")


def test_a_volume_without_windows_is_refused(tmp_path: Path) -> None:
    """An NTFS volume alone is not enough."""
    target = fresh_volume(tmp_path / "fresh.img", 24 * MIB)
    refuse_all("no-windows", 4, target, tmp_path / "store.wim", target)


def test_a_volume_that_was_cut_short_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """Its boot sector promises more than there is."""
    os.truncate(small_volume, 12 * MIB)
    refuse_all("not-ntfs", 2, small_volume, tmp_path / "store.wim", small_volume)


def test_a_disk_with_several_systems_needs_a_word_which(pristine_small: Path, tmp_path: Path) -> None:
    """The refusal lists them, and naming one converts that one alone."""
    disk, wim = tmp_path / "disk.img", tmp_path / "store.wim"
    starts = (MIB, 32 * MIB)
    table = "label: dos\nlabel-id: 0x5cbea03e\n" + "".join(
        f"start={start // 512}, size={24 * MIB // 512}, type=7\n" for start in starts)
    partition(disk, table, size=64 * MIB)
    for start in starts:
        copy_sparse(pristine_small, disk, target_offset=start)
    refuse_all("several-windows", 4, disk, wim, disk)
    refuse_all("no-partition", 2, f"{disk}#3", wim, disk)
    first = snapshot(disk, starts[0])
    done("convert", f"{disk}#2", "--wim", wim, *NO_PLACE)
    assert not differences(first, snapshot(disk, starts[0]))
    assert len(differences(first, snapshot(disk, starts[1]))) > 20


@pytest.mark.parametrize(("kind", "options"), [("vhdx", "block_size=1M"), ("qcow2", ""), ("vmdk", "")])
def test_virtual_disks_of_other_forms_are_told_by_name(
        kind: str, options: str, pristine_small: Path, tmp_path: Path) -> None:
    """They are not taken for volumes or raw disks; where they grow, the message says how to convert them."""
    target = tmp_path / f"disk.{kind}"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, *(["-o", options] if options else []),
                    str(pristine_small), str(target)], check=True, capture_output=True)
    with unchanged(target):
        told = wimboot("convert", target, "--wim", tmp_path / "store.wim", *NO_PLACE)
    assert told.code == 4
    assert "qemu-img convert -O vpc" in told.err


def test_a_volume_marked_as_dirty_is_not_written(small_volume: Path, tmp_path: Path) -> None:
    """Windows is to check it first; looking at it is allowed."""
    file = HostFolder(tmp_path).open(small_volume.name)
    device = FileDevice(file)
    offsets = volume_facts(SliceDevice(device, 0, file.size())).flags_offsets
    file.close()
    with small_volume.open("r+b") as handle:
        for offset in offsets:
            handle.seek(offset)
            handle.write(b"\1\0")
    refuse_all("volume-dirty", 4, small_volume, tmp_path / "store.wim", small_volume, reading=False)
    refused("volume-dirty", 4, "capture", small_volume, "--wim", tmp_path / "store.wim", watching=(small_volume,))
    assert done("info", small_volume, "--json").json["volume"]["state"] == "volume-dirty"


def test_a_dirty_volume_is_told_of_logs_that_lie_nearby(small_volume: Path, tmp_path: Path) -> None:
    """Half a commit of ours marks a volume too: that run is to be finished before Windows checks anything."""
    assert "wimboot recover" in _dirty(small_volume, "convert").err
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "sdb.wimboot-log").write_bytes(b"WBLOG\r\n\x1a" + bytes(5000))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(logs)
        told = refused("log-nearby", 4, "convert", small_volume, "--wim", tmp_path / "store.wim", *NO_PLACE,
                       watching=(small_volume,))
    assert "sdb.wimboot-log" in told.err
    assert f"--log {logs}" in told.err


def _dirty(volume: Path, verb: str) -> Run:
    """Mark a volume as dirty, and what the verb says of it."""
    file = HostFolder(volume.parent).open(volume.name)
    offsets = volume_facts(SliceDevice(FileDevice(file), 0, file.size())).flags_offsets
    file.close()
    with volume.open("r+b") as handle:
        for offset in offsets:
            handle.seek(offset)
            handle.write(b"\1\0")
    return refused("volume-dirty", 4, verb, volume, "--wim", volume.parent / "store.wim", *NO_PLACE, watching=(volume,))


def test_a_hibernated_windows_is_not_touched(small_volume: Path, tmp_path: Path) -> None:
    """Its hibernation file would bring back what was changed; it is not captured either."""
    with mounted(small_volume, write=True) as root:
        (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(4092))
    refuse_all("hibernated", 4, small_volume, tmp_path / "store.wim", small_volume)
    assert done("info", small_volume, "--json").json["volume"]["state"] == "hibernated"


def test_a_hibernation_file_that_is_spent_is_no_obstacle(small_volume: Path, tmp_path: Path) -> None:
    """After Windows woke up, the file is there and its header is empty."""
    with mounted(small_volume, write=True) as root:
        (root / "hiberfil.sys").write_bytes(bytes(4096))
    done("convert", small_volume, "--wim", tmp_path / "store.wim", *NO_PLACE)


@pytest.mark.parametrize("write", [False, True])
def test_a_mounted_volume_is_refused(write: bool, small_volume: Path, tmp_path: Path) -> None:
    """By whatever driver; one that is mounted for reading alone may still be looked at."""
    with mounted(small_volume, write=write):
        told = wimboot("convert", small_volume, "--wim", tmp_path / "store.wim", *NO_PLACE)
        looked = wimboot("info", small_volume)
    assert told.code == 4
    assert "mounted at" in told.err
    assert looked.code == (4 if write else 0)
    assert not (tmp_path / "store.wim").exists()


def test_a_loop_device_over_the_image_that_is_mounted_is_found(small_volume: Path, tmp_path: Path) -> None:
    """The image itself is not in the mount table then, but its loop device is."""
    with attached_disk(small_volume) as device, mounted(device, write=True):
        told = wimboot("convert", small_volume, "--wim", tmp_path / "store.wim", *NO_PLACE)
    assert told.code == 4
    assert "mounted at" in told.err


def test_a_target_that_another_run_holds_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """The lock is advisory, and all of our runs take it."""
    holder = os.open(small_volume, os.O_RDWR)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        refuse_all("locked", 4, small_volume, tmp_path / "store.wim", small_volume)
        refused("locked", 4, "info", small_volume)
    finally:
        os.close(holder)


def test_a_wim_that_another_run_writes_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """Two appends at once would lose one of them."""
    wim = tmp_path / "store.wim"
    done("capture", small_volume, "--wim", wim)
    holder = os.open(wim, os.O_RDWR)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        refuse_all("wim-busy", 4, small_volume, wim, small_volume)
    finally:
        os.close(holder)


def test_a_file_that_cannot_be_written_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """Made immutable, so that even root is kept out."""
    if shutil.which("chattr") is None or subprocess.run(
            ["chattr", "+i", str(small_volume)], capture_output=True, check=False).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        refuse_all("read-only", 1, small_volume, tmp_path / "store.wim", small_volume, reading=False)
        done("capture", small_volume, "--wim", tmp_path / "store.wim")
    finally:
        subprocess.run(["chattr", "-i", str(small_volume)], check=True)


def test_a_windows_without_a_driver_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """Windows 7 could not start from pointers; `--driver none` says that the user sees to it, and is warned."""
    wim = tmp_path / "store.wim"
    place = ("--wim-place", "later")
    with unchanged(small_volume, wim):
        told = refused("driver-needed", 4, "convert", small_volume, "--wim", wim, *place)
        refused("host-missing", 2, "convert", small_volume, "--wim", wim, *place, "--driver", "/x/wofadk.sys")
    assert "--driver none" in told.err
    converted = done("convert", small_volume, "--wim", wim, *place, "--driver", "none")
    assert "will not start" in converted.err


def test_a_wim_where_windows_cannot_read_it_needs_a_place(small_volume: Path, tmp_path: Path) -> None:
    """The host's own file system is none of Windows'; any place given, or "later", lets it pass."""
    wim = tmp_path / "store.wim"
    told = refused("wim-unreadable", 4, "convert", small_volume, "--wim", wim, "--driver", "none",
                   watching=(small_volume, wim))
    assert "--wim-place" in told.err
    place = "mbr:5cbea03e:1048576:\\w\\store.wim"
    done("convert", small_volume, "--wim", wim, "--driver", "none", "--wim-place", place)
    sources = done("info", small_volume, "--json").json["volume"]["sources"]
    assert [source["place"] for source in sources] == [place]


@pytest.mark.parametrize("place", ["d:\\x", "mbr:0:1048576:\\x", "mbr:1:1000:\\x", "gpt:1:2:\\x", "mbr:1:512:x",
                                   "mbr:1:512:\\a\\..\\b"])
def test_a_place_that_is_none_is_wrong_usage(place: str, small_volume: Path, tmp_path: Path) -> None:
    """The message shows what a place looks like."""
    refused("bad-wim-place", 2, "convert", small_volume, "--wim", tmp_path / "store.wim", "--driver", "none",
            "--wim-place", place, watching=(small_volume, tmp_path / "store.wim"))


def test_an_image_is_only_deployed_onto_an_empty_volume(small_volume: Path, tmp_path: Path) -> None:
    """The refusal names what is there and both ways on."""
    wim = tmp_path / "store.wim"
    done("capture", small_volume, "--wim", wim)
    told = refused("not-empty", 4, "apply", wim, "1", small_volume, "--full", watching=(small_volume, wim))
    assert "--format" in told.err
    assert "restore" in told.err


def test_a_volume_that_stands_on_no_image_is_not_restored(small_volume: Path, tmp_path: Path) -> None:
    """Without a WIM there is nothing to restore from, without an image nothing to restore to."""
    wim = tmp_path / "store.wim"
    done("capture", small_volume, "--wim", wim)
    refused("not-wimboot", 4, "restore", small_volume, watching=(small_volume, wim))
    refused("image-needed", 2, "restore", small_volume, "--wim", wim, watching=(small_volume, wim))


# -- space ------------------------------------------------------------------------------------------------------


def test_a_wim_that_cannot_fit_is_refused_before_anything_is_read(small_volume: Path, tmp_path: Path) -> None:
    """The folder has far less room than the capture needs at the least."""
    with small_folder(tmp_path / "tiny", 128 << 10) as folder:
        refuse_all("not-enough-space", 4, small_volume, folder / "store.wim", small_volume)


def test_a_disk_that_fills_up_during_a_capture_leaves_all_as_it_was(small_volume: Path, tmp_path: Path) -> None:
    """The estimate let it pass, the host did not: the half-written WIM is gone again."""
    with small_folder(tmp_path / "small", 900 << 10) as folder:
        with unchanged(folder / "store.wim", volumes=(small_volume,)):
            told = wimboot("convert", small_volume, "--wim", folder / "store.wim", *NO_PLACE)
        assert told.code == 4
        assert "No space left" in told.err or "full" in told.err
        assert not list(folder.iterdir())


def test_an_append_that_does_not_fit_leaves_the_wim_as_it_was(
        small_volume: Path, pristine_volume: Path, tmp_path: Path) -> None:
    """The older image keeps every byte."""
    with small_folder(tmp_path / "small", 4600 << 10) as folder:
        wim = folder / "store.wim"
        done("capture", small_volume, "--wim", wim)
        with unchanged(wim, times=False):
            told = wimboot("capture", pristine_volume, "--wim", wim)
        assert told.code == 4
        done("verify", "--wim", wim)


def test_a_full_volume_is_refused_before_anything_is_read(small_volume: Path, tmp_path: Path) -> None:
    """What is written before the first file gives up its data would not fit; the dry run says the same."""
    wim = tmp_path / "store.wim"
    with mounted(small_volume, write=True) as root, (root / "filling.bin").open("wb", buffering=0) as filling:
        with suppress(OSError):
            while True:
                filling.write(bytes(1 << 20))
        while os.statvfs(root).f_bavail:
            filling.write(bytes(4096))
    refused("not-enough-space", 4, "convert", small_volume, "--wim", wim, *NO_PLACE, "--dry-run",
            watching=(small_volume, wim))
    refused("not-enough-space", 4, "convert", small_volume, "--wim", wim, *NO_PLACE, watching=(small_volume, wim))


def test_a_log_that_cannot_fit_is_refused(small_volume: Path, tmp_path: Path) -> None:
    """It lies beside the image; there is not even room for its beginning."""
    with small_folder(tmp_path / "small", 8 * MIB) as folder:
        target = folder / "small.img"
        copy_sparse(small_volume, target)
        with (folder / "filler").open("wb") as filler:
            filler.write(bytes(shutil.disk_usage(folder).free - (64 << 10)))
        refuse_all("not-enough-space", 4, target, tmp_path / "store.wim", target, reading=False)


def test_an_image_that_does_not_fit_the_volume_is_refused(pristine_volume: Path, tmp_path: Path) -> None:
    """The target volume is too small for all the data."""
    wim = tmp_path / "store.wim"
    done("capture", pristine_volume, "--wim", wim)
    fresh = fresh_volume(tmp_path / "fresh.img", 12 * MIB)
    refused("not-enough-space", 4, "apply", wim, "1", fresh, "--full", watching=(wim, fresh))


@contextmanager
def small_folder(folder: Path, size: int) -> Iterator[Path]:
    """A folder with room for `size` bytes."""
    need_mounts()
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False,
                      capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
