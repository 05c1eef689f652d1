"""Disks with partition tables, and block devices: the same job, at its place, with its log and its identity."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from converted import LOST_BITS, OVERLAY_FILES, SMALL
from data_disks import attached_disk
from judges import every_pointer_leads_home, sound_volume
from mounting import copy_sparse, mounted
from running import NO_PLACE, Run, done, refused, unchanged, wimboot
from snapshots import differences, seen_through, snapshot


def _disk(built_system: Callable[..., build.System], folder: Path, table: str) -> build.System:
    system = built_system(size=24 << 20, files=12, features=SMALL, version="6.3", table=table)
    own = folder / f"{table}.img"
    copy_sparse(system.path, own)
    return build.System(path=own, offset=system.offset, size=system.size, version=system.version,
                        architecture=system.architecture, table=system.table)


@pytest.mark.parametrize("table", ["mbr", "gpt"])
@pytest.mark.parametrize("number", ["", "#1"])
def test_a_system_on_a_disk_is_converted_at_its_place(
        table: str, number: str, built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Named or found; what lies around the partition keeps every byte."""
    system = _disk(built_system, tmp_path, table)
    around = _around(system)
    before = snapshot(system.path, system.offset)
    done("convert", f"{system.path}{number}", "--wim", tmp_path / "store.wim", "--wim-place", "later")
    sound_volume(system.path, system.offset)
    now = snapshot(system.path, system.offset)
    assert not differences(before, seen_through(now), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
    assert every_pointer_leads_home(system.path, tmp_path / "store.wim", {}, system.offset) > 20
    assert _around(system) == around
    done("verify", f"{system.path}{number}", "--wim", tmp_path / "store.wim")


@pytest.mark.parametrize("table", ["mbr", "gpt"])
def test_a_partition_is_restored_and_formatted_at_its_place(
        table: str, built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Formatting keeps the table, the start of the partition in its boot sector, and the boot code."""
    system = _disk(built_system, tmp_path, table)
    wim = tmp_path / "store.wim"
    done("convert", system.path, "--wim", wim, "--wim-place", "later")
    around, boot = _around(system), _read(system.path, system.offset, 512)
    before = seen_through(snapshot(system.path, system.offset))
    done("restore", f"{system.path}#1", "--wim", wim, "--format", "--yes")
    sound_volume(system.path, system.offset)
    after = _read(system.path, system.offset, 512)
    assert struct.unpack_from("<I", after, 0x1C) == (system.offset // 512,)
    assert (after[:11], after[0x54:]) == (boot[:11], boot[0x54:])
    assert _around(system) == around
    gone = ("pagefile.sys", "System Volume Information", "Windows/Temp/left over.tmp")
    assert not differences(before, seen_through(snapshot(system.path, system.offset)), attribute_mask=LOST_BITS,
                           without=gone)


def test_a_disk_is_not_formatted_as_a_whole(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Its partitions would be lost with it: one must be named."""
    system = _disk(built_system, tmp_path, "gpt")
    wim = tmp_path / "store.wim"
    done("capture", system.path, "--wim", wim)
    run = wimboot("apply", wim, "1", system.path, "--format", "--yes", "--full")
    assert run.code in (2, 4)
    assert "#" in run.err


def test_info_tells_of_the_disk(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """Table, identity, partitions, and the system on the one that has it."""
    for table, identity in (("mbr", "5cbea03e"), ("gpt", str(build.DISK_GUID))):
        system = _disk(built_system, tmp_path, table)
        told = done("info", system.path, "--json").json
        assert told["disk"]["table"] == table
        assert identity in told["disk"]["identity"]
        (partition,) = told["disk"]["partitions"]
        assert (partition["number"], partition["offset"], partition["ntfs"]) == (1, system.offset, True)
        assert told["volume"]["windows"]["version"] == "6.3"


# -- block devices ----------------------------------------------------------------------------------------------


def _convert(device: object, wim: Path, *options: object) -> Run:
    return wimboot("convert", device, "--wim", wim, *NO_PLACE, *options)


def test_a_block_device_is_converted_and_restored(small_volume: Path, tmp_path: Path, durable: Path) -> None:
    """With its log in the folder that was named, and nothing left there afterwards."""
    wim = tmp_path / "store.wim"
    before = snapshot(small_volume)
    with attached_disk(small_volume) as device:
        assert _convert(device, wim, "--log", durable).code == 0
        assert not list(durable.iterdir())
        done("verify", device, "--wim", wim)
    assert not differences(before, seen_through(snapshot(small_volume)), attribute_mask=LOST_BITS,
                           without=OVERLAY_FILES)
    sound_volume(small_volume)
    with mounted(small_volume, write=True) as root:
        (root / "Windows/explorer.exe").unlink()
    with attached_disk(small_volume) as device:
        done("restore", device, "--wim", wim, "--log", durable)
    assert not differences(before, seen_through(snapshot(small_volume)), attribute_mask=LOST_BITS,
                           without=OVERLAY_FILES)


def test_a_device_needs_a_folder_for_its_log(small_volume: Path, tmp_path: Path) -> None:
    """There is none beside a device, and one in memory would be lost with the power."""
    wim = tmp_path / "store.wim"
    with attached_disk(small_volume) as device, unchanged(small_volume, wim):
        told = refused("log-folder", 2, "convert", device, "--wim", wim, *NO_PLACE)
        assert "--log" in told.err
        refused("log-volatile", 4, "convert", device, "--wim", wim, *NO_PLACE, "--log", "/dev/shm")  # noqa: S108


def test_a_read_only_device_is_only_read(small_volume: Path, tmp_path: Path, durable: Path) -> None:
    """Write protection is respected; a capture needs no more."""
    with attached_disk(small_volume, "--read-only") as device:
        refused("read-only", 1, "convert", device, "--wim", tmp_path / "store.wim", *NO_PLACE, "--log", durable,
                watching=(small_volume,))
        done("capture", device, "--wim", tmp_path / "store.wim")


def test_a_partition_of_a_device_is_converted(
    built_system: Callable[..., build.System], tmp_path: Path, durable: Path
) -> None:
    """As `/dev/loopN#1` of the disk."""
    system = _disk(built_system, tmp_path, "gpt")
    wim = tmp_path / "store.wim"
    with attached_disk(system.path) as device:
        done("convert", f"{device}#1", "--wim", wim, "--wim-place", "later", "--log", durable)
    assert every_pointer_leads_home(system.path, wim, {}, system.offset) > 20
    sound_volume(system.path, system.offset)


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), size, offset)


def _around(system: build.System) -> tuple[bytes, bytes]:
    end = system.offset + system.size
    return _read(system.path, 0, system.offset), _read(system.path, end, 4 << 20)
