"""Sparse is a property of a stream, not of its data: it stays without a hole, as COMPRESSED stays on noise."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from judges import run, sound_volume
from mounting import mounted
from volume_rig import ROOT, TIMES, agrees, fresh_volume, opened, pointer, utf16

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ntfs.volume import Volume

SPARSE, COMPRESSED = 0x200, 0x800
SIZES = (1, 100, 700, 4096, 5000, 65_536, 70_000, 300_000)
RECORD = (1 << 48) - 1


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    return fresh_volume(tmp_path / "volume.img", size=32 << 20)


def data_flags(volume: Path, file_id: int) -> dict[str, set[int]]:
    """The flags in all extents of each $DATA attribute of a file, as ntfsinfo reads them."""
    found: dict[str, set[int]] = {}
    said = run("ntfsinfo", "-v", "-i", str(file_id & RECORD), volume)
    for part in said.split("Dumping attribute $DATA")[1:]:
        part = part.split("Dumping attribute")[0]
        name = re.search(r"Attribute name:\s+'(.*)'", part)
        flags = re.search(r"Attribute flags:\s+(0x\w+)", part)
        assert flags
        found.setdefault(name[1] if name else "", set()).add(int(flags[1], 16))
    return found


def shown(volume: Path, name: str) -> int:
    """FILE_ATTRIBUTE_* of a file as the ntfs-3g driver shows them."""
    with mounted(volume) as root:
        return int.from_bytes(os.getxattr(root / name, "system.ntfs_attrib_be"), "big") & (SPARSE | COMPRESSED)


def made(volume: Volume, name: str, content: bytes, *, stream: str = "", sparse: bool = True,
         compressed: bool = False) -> int:
    """A file with that content."""
    file_id = volume.create_file(ROOT, utf16(name), b"", 0x20, TIMES, 0)
    volume.write_data(file_id, utf16(stream), [content], len(content), sparse=sparse, compressed=compressed)
    return file_id


@pytest.mark.parametrize("compressed", [False, True])
def test_a_sparse_file_without_a_hole_is_sparse(volume_file: Path, *, compressed: bool) -> None:
    """In its facts, its index entry and its data, resident or not; the data is what was given."""
    contents = {f"{size} bytes": os.urandom(size) for size in SIZES}
    with opened(volume_file) as volume:
        ids = {name: made(volume, name, content, compressed=compressed) for name, content in contents.items()}
    sound_volume(volume_file)
    bits = SPARSE | (COMPRESSED if compressed else 0)
    with mounted(volume_file) as root:
        for name, content in contents.items():
            assert (root / name).read_bytes() == content
    for name, file_id in ids.items():
        assert shown(volume_file, name) == bits
        assert data_flags(volume_file, file_id) == {"": {0x8001 if compressed else 0x8000}}


def test_a_sparse_file_without_data_is_sparse(volume_file: Path) -> None:
    """Empty ones get their bits, and a folder its own, when they are made; written plainly, a file loses them."""
    kinds = {"sparse": SPARSE, "compressed": COMPRESSED, "both": SPARSE | COMPRESSED, "plain": 0}
    with opened(volume_file) as volume:
        ids = {name: volume.create_file(ROOT, utf16(name), b"", 0x20 | bits, TIMES, 0) for name, bits in kinds.items()}
        small = volume.create_file(ROOT, utf16("small"), b"", 0x20 | SPARSE, TIMES, 0, b"resident")
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10 | SPARSE, TIMES, 0)
        other = volume.create_folder(ROOT, utf16("other"), b"", 0x10, TIMES, 0)
        volume.set_attributes(other, SPARSE)
    agrees(volume_file)
    assert {name: shown(volume_file, name) for name in kinds} == kinds
    assert [shown(volume_file, name) for name in ("small", "folder", "other")] == [SPARSE] * 3
    flags = {name: data_flags(volume_file, file_id)[""] for name, file_id in ids.items()}
    assert flags == {"sparse": {0x8000}, "compressed": {1}, "both": {0x8001}, "plain": {0}}
    with opened(volume_file) as volume:
        volume.set_attributes(folder, 0)
        for file_id in (*ids.values(), small):
            volume.write_data(file_id, b"", [b"plain"], 5)
    sound_volume(volume_file)
    for name, file_id in (*ids.items(), ("small", small)):
        assert (shown(volume_file, name), data_flags(volume_file, file_id)) == (0, {"": {0}})
    assert shown(volume_file, "folder") == 0


def test_a_named_stream_can_be_the_sparse_one(volume_file: Path) -> None:
    """Its attribute is marked, and the file, as Windows does it with $UsnJrnl; the unnamed data is not."""
    content = os.urandom(100_000)
    with opened(volume_file) as volume:
        file_id = made(volume, "file", b"plain" * 1000, sparse=False)
        for stream, data in (("full", content), ("small", b"s"), ("a hole", bytes(200_000))):
            volume.write_data(file_id, utf16(stream), [data], len(data), sparse=True)
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        volume.write_data(folder, utf16("on it"), [content], len(content), sparse=True)
    sound_volume(volume_file)
    assert data_flags(volume_file, file_id) == {"": {0}, "full": {0x8000}, "small": {0x8000}, "a hole": {0x8000}}
    assert data_flags(volume_file, folder) == {"on it": {0x8000}}
    assert shown(volume_file, "file") == shown(volume_file, "folder") == SPARSE
    with opened(volume_file) as volume:
        assert volume.read(file_id, utf16("full")) == volume.read(folder, utf16("on it")) == content
        assert volume.read(file_id) == b"plain" * 1000


@pytest.mark.parametrize("streams", range(2, 14))
def test_a_full_record_finds_room_for_the_mark(volume_file: Path, streams: int) -> None:
    """Eight bytes more may be too much: the attribute moves to another record, whatever else the file has."""
    content = os.urandom(90_000)
    with opened(volume_file) as volume:
        file_id = made(volume, "n" * (150 + 8 * streams), b"", sparse=False)
        volume.link(file_id, ROOT, utf16("l" * 120))
        for number in range(streams):
            volume.write_data(file_id, utf16(f"stream {number}"), [b"s" * 16], 16)
        volume.write_data(file_id, b"", [content], len(content), sparse=True)
        volume.write_data(file_id, utf16("last"), [content], len(content), sparse=True)
        assert volume.read(file_id) == volume.read(file_id, utf16("last")) == content
        assert [volume.read(file_id, utf16(f"stream {number}")) for number in range(streams)] == [b"s" * 16] * streams
    sound_volume(volume_file)
    flags = data_flags(volume_file, file_id)
    assert (flags[""], flags["last"]) == ({0x8000}, {0x8000})


@pytest.mark.parametrize("compressed", [False, True])
def test_small_data_keeps_its_mark_when_other_streams_push_it_out(volume_file: Path, *, compressed: bool) -> None:
    """Data that loses its place in the record to other streams is stored as before, in clusters."""
    with opened(volume_file) as volume:
        ids = [made(volume, f"{streams:03}" + "n" * 100, b"a" * 300, sparse=not compressed, compressed=compressed)
               for streams in range(2, 9)]
        for streams, file_id in enumerate(ids, 2):
            for number in range(streams):
                volume.write_data(file_id, utf16(f"stream {number}"), [b"x" * 20], 20)
    sound_volume(volume_file)
    assert {data_flags(volume_file, file_id)[""].pop() for file_id in ids} == {1 if compressed else 0x8000}
    with mounted(volume_file) as root:
        assert {path.read_bytes() for path in root.glob("0*")} == {b"a" * 300}
        bits = {os.getxattr(path, "system.ntfs_attrib_be") for path in root.glob("0*")}
    assert bits == {(0x20 | (COMPRESSED if compressed else SPARSE)).to_bytes(4, "big")}


def test_every_extent_of_a_scattered_file_is_marked(tmp_path: Path) -> None:
    """A file in so many pieces that it needs several records says the same in each."""
    volume_file = fresh_volume(tmp_path / "scattered.img", size=64 << 20, cluster_size=512)
    parts = [os.urandom(65_536) if number % 2 else bytes(65_536) for number in range(801)]
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("scattered"), b"", 0x20, TIMES, 0)
        volume.write_data(file_id, b"", parts, 801 * 65_536, sparse=True)
    assert data_flags(volume_file, file_id) == {"": {0x8000}}
    said = run("ntfsinfo", "-v", "-i", str(file_id & RECORD), volume_file)
    assert said.count("Dumping attribute $DATA") > 2
    with mounted(volume_file) as root:
        assert (root / "scattered").read_bytes() == b"".join(parts)
    sound_volume(volume_file)


def test_a_marked_file_can_become_anything_else(volume_file: Path) -> None:
    """A pointer, a shorter file, a compressed one, nothing: all clusters come back."""
    content = os.urandom(200_000)
    with opened(volume_file) as volume:
        for number in range(4):     # the file table and the folder grow once
            volume.unlink(made(volume, f"file {number}", b""), ROOT, utf16(f"file {number}"))
        free = volume.free_clusters
        ids = [made(volume, f"file {number}", content) for number in range(4)]
        volume.point(ids[0], pointer(len(content)), len(content))
        volume.write_data(ids[1], b"", [b"short"], 5, sparse=True)
        volume.write_data(ids[2], b"", [b"again " * 50_000], 300_000, compressed=True)
        assert volume.read(ids[2]) == b"again " * 50_000
        for number in (0, 1, 2, 3):
            volume.unlink(ids[number], ROOT, utf16(f"file {number}"))
        assert volume.free_clusters == free
    sound_volume(volume_file)


def test_the_driver_can_go_on_with_a_marked_file(volume_file: Path) -> None:
    """It writes into it, makes it longer and shorter, and the volume stays sound."""
    content = os.urandom(100_000)
    with opened(volume_file) as volume:
        for name in ("longer", "shorter", "over"):
            made(volume, name, content)
        made(volume, "small", b"resident")
    with mounted(volume_file, write=True) as root:
        with (root / "longer").open("ab") as file:
            file.write(content)
        os.truncate(root / "shorter", 30_000)
        with (root / "over").open("r+b") as file:
            file.seek(50_000)
            file.write(b"over")
        with (root / "small").open("ab") as file:
            file.write(content)
    with mounted(volume_file) as root:
        assert (root / "longer").read_bytes() == content * 2
        assert (root / "shorter").read_bytes() == content[:30_000]
        assert (root / "over").read_bytes() == content[:50_000] + b"over" + content[50_004:]
        assert (root / "small").read_bytes() == b"resident" + content
    sound_volume(volume_file)
