"""The judges can be trusted: each finds a sound volume or WIM sound, and each can object."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import build
import judges
from index_judge import open_volume, read_records
from mounting import mounted
from sample_security import DESCRIPTORS
from snapshots import differences, pointer, seen_through, snapshot
from wim_bytes import read_wim


def patch(image: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes."""
    with image.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def place_of(image: Path, path: str) -> tuple[int, int]:
    """Byte offset of the MFT record of `path`, and of the first cluster of its data (0 if resident)."""
    with open_volume(image) as volume:
        number = judges._find(read_records(volume), path)
        record_offset = volume.mft.get(0).dataruns()[0][0] * volume.cluster_size + number * 1024
        attributes = volume.mft.get(number).attributes.DATA
        runs = attributes.dataruns() if attributes and not attributes.header.resident else [(0, 0)]
        return record_offset, runs[0][0] * volume.cluster_size


def free_clusters(image: Path) -> None:
    """Tell the cluster bitmap that the kernel's first clusters are free."""
    with open_volume(image) as volume:
        bitmap = volume.mft.get(6).dataruns()[0][0] * volume.cluster_size
    data = place_of(image, "Windows/System32/ntoskrnl.exe")[1]
    patch(image, bitmap + data // 4096 // 8, b"\0")


def spoil_mirror(image: Path) -> None:
    """Zero the first record of $MFTMirr."""
    with open_volume(image) as volume:
        patch(image, volume.mft.get(1).dataruns()[0][0] * volume.cluster_size, bytes(64))


def tear_record(image: Path) -> None:
    """Break the update sequence of a folder's record."""
    patch(image, place_of(image, "Windows/System32")[0] + 510, b"\xff\xff")


def shrink_stream(image: Path) -> None:
    """Let a run list lead outside the volume."""
    record, _ = place_of(image, "Windows/System32/ntoskrnl.exe")
    with image.open("rb") as file:
        file.seek(record)
        raw = file.read(1024)
    data = raw.index(struct.pack("<I", 0x80), 56)
    runs = data + struct.unpack_from("<H", raw, data + 0x20)[0]
    head = raw[runs]
    patch(image, record + runs + 1 + (head & 15), b"\x7f" * (head >> 4))


def lie_in_index(image: Path) -> None:
    """Give one index entry another size than the file."""
    wanted = "bootmgr".encode("utf-16-le")
    raw = image.read_bytes()
    place = raw.index(b"INDX")
    while True:
        block = raw[place:place + 4096]
        if wanted in block:
            patch(image, place + block.index(wanted) - 18, struct.pack("<Q", 12345))
            return
        place = raw.index(b"INDX", place + 1)


@pytest.mark.parametrize(("judge", "damage"), [
    ("ntfsresize", free_clusters), ("ntfsfix", spoil_mirror), ("phantom-trace", free_clusters),
    ("ntfs-3g", tear_record), ("dissect", shrink_stream), ("indexes", lie_in_index),
])
def test_each_volume_judge_can_object(judge: str, damage: Callable[[Path], None], sample_volume: Path) -> None:
    """A judge that finds nothing wrong with damage of its own field would be worth nothing."""
    damage(sample_volume)
    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever it says, it must not pass
        judges.VOLUME_JUDGES[judge](sample_volume, 0)


def test_sample_volume_is_sound(pristine_volume: Path) -> None:
    """What the independent builder makes is sound to all judges, or their objections would mean nothing."""
    judges.sound_volume(pristine_volume)


def test_volume_inside_a_disk_is_judged(built_system: Callable[..., build.System]) -> None:
    """The judges look at the volume of a partitioned disk."""
    disk = built_system(table="mbr", version="6.3")
    judges.sound_volume(disk.path, disk.offset)
    assert snapshot(disk.path, disk.offset)["Windows/System32/drivers/wof.sys"].streams


def test_snapshots_of_the_same_volume_are_equal(pristine_volume: Path) -> None:
    """Reading twice gives the same facts, those of every feature among them."""
    facts = snapshot(pristine_volume)
    assert differences(facts, snapshot(pristine_volume)) == []
    assert {name.split("/")[1] for name in facts if name.startswith("Features/")} == set(build.Feature)
    linked = facts["Features/short-names/A long program name.exe"]
    assert linked.short_name == "ALONGP~1.EXE"
    assert facts["Features/streams/folder"].streams.keys() == {"on a folder", "small"}


@pytest.mark.parametrize(("change", "column"), [
    (lambda path: path.write_bytes(b"other"), "streams"),
    (lambda path: Path(f"{path}:more").write_bytes(b"x"), "streams"),
    (lambda path: os.setxattr(path, "system.ntfs_attrib_be", struct.pack(">I", 2)), "attributes"),
    (lambda path: os.setxattr(path, "system.ntfs_times_be", struct.pack(">Q", 9)), "creation"),
    (lambda path: os.setxattr(path, "system.ntfs_acl", DESCRIPTORS["shared"]), "security"),
    (lambda path: os.setxattr(path, "system.ntfs_object_id", bytes(16)), "object_id"),
    (lambda path: os.link(path, path.with_name("another")), "links"),
])
def test_snapshots_show_a_change(change: Callable[[Path], None], column: str, small_volume: Path) -> None:
    """Any change of a file is seen in the column it belongs to."""
    before = snapshot(small_volume)
    name = "Features/resident/400 bytes.txt"
    with mounted(small_volume, write=True) as root:
        change(root / name)
    told = differences(before, snapshot(small_volume))
    assert any(line.startswith(f"{name}: {column} was") for line in told), told


def test_wim_judges_pass_and_object(pristine_volume: Path, tmp_path: Path) -> None:
    """A WIM of wimlib's is sound; with one byte of a blob changed it is not."""
    wim = tmp_path / "wimlib.wim"
    judges.capture_with_wimlib(pristine_volume, wim)
    judges.sound_wim(wim)
    blob = max(read_wim(wim).blobs.values(), key=lambda blob: blob.stored_size)
    patch(wim, blob.offset + blob.stored_size // 2, b"\x55\xaa\x55\xaa")
    with pytest.raises(AssertionError, match="wimlib-imagex"):
        judges.sound_wim(wim)


def test_wim_reader_agrees_with_wimlib(pristine_volume: Path, tmp_path: Path) -> None:
    """Every blob that the small reader reads has the hash under which it is listed."""
    wim = tmp_path / "wimlib.wim"
    judges.capture_with_wimlib(pristine_volume, wim)
    store = read_wim(wim)
    files = [(digest, blob) for digest, blob in store.blobs.items() if not blob.flags & 2]
    assert len(files) > 100
    for digest, blob in files:
        assert hashlib.sha1(store.read(blob), usedforsecurity=False).digest() == digest


def test_apply_with_wimlib_gives_the_same_tree(built_system: Callable[..., build.System], tmp_path: Path) -> None:
    """wimlib's own round trip keeps what it can keep, so a difference after ours is ours."""
    wanted = [build.Feature.STREAMS, build.Feature.LINKS, build.Feature.SECURITY, build.Feature.TIMES,
              build.Feature.JUNCTIONS, build.Feature.CHINESE]
    source = built_system(features=tuple(wanted)).path
    judges.capture_with_wimlib(source, tmp_path / "a.wim")
    judges.apply_with_wimlib(tmp_path / "a.wim", 1, tmp_path / "second.img")
    excluded = ["pagefile.sys", "System Volume Information"]
    told = differences(snapshot(source), snapshot(tmp_path / "second.img"), without=excluded, attribute_mask=0x20)
    assert told == []


def make_pointer(image: Path, wim: Path, path: str, *, spoil: bytes = b"") -> str:
    """Turn `path` into a pointer by way of the driver; returns the SHA-1 of what it held."""
    digest = snapshot(image)[path].streams[""][1]
    store = read_wim(wim)
    blob = store.blobs[bytes.fromhex(digest)]
    data = struct.pack("<IHHIIIIQ", 0x80000017, 88, 0, 1, 1, 2, 0, 0) + bytes.fromhex(digest) + store.table_hash
    data += struct.pack("<QQQ", blob.size, blob.stored_size, blob.offset + len(spoil))
    with mounted(image, write=True) as root:
        with (root / path).open("r+b") as file:
            file.truncate(0)
            file.truncate(blob.size)
        os.setxattr(root / path, "system.ntfs_reparse_data", data)
    return digest


def test_pointer_judge_passes_and_objects(small_volume: Path, tmp_path: Path) -> None:
    """A pointer made by hand leads home; one with a wrong place, and a wrong expectation, do not."""
    wim = tmp_path / "wimlib.wim"
    judges.capture_with_wimlib(small_volume, wim)
    path, other = "Windows/explorer.exe", "Windows/System32/user32.dll"
    before = snapshot(small_volume)
    digest = make_pointer(small_volume, wim, path)
    judges.sound_volume(small_volume)
    judges.pointer_leads_home(small_volume, wim, path, digest)
    assert judges.every_pointer_leads_home(small_volume, wim, {path: digest}) == 1
    after = snapshot(small_volume)
    assert pointer(after[path]) == before[path].streams[""]
    assert differences(before, seen_through(after), ignore=("record", "change_time", "last_write")) == []
    with pytest.raises(AssertionError, match="other contents"):
        judges.pointer_leads_home(small_volume, wim, path, "00" * 20)
    make_pointer(small_volume, wim, other, spoil=b"x")
    with pytest.raises(AssertionError, match="stale"):
        judges.every_pointer_leads_home(small_volume, wim, {})
