"""The sample system of the demo: sound to everyone, and rich in what NTFS can hold."""

from __future__ import annotations

from pathlib import Path

import pytest

import judges
from snapshots import snapshot
from wimboot.errors import HostError
from wimboot.ops.sample.system import PARTITION_OFFSET, DemoSystem, build_demo_system

SIZE = 256 << 20


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo disk."""
    path = tmp_path_factory.mktemp("demo") / "disk.img"
    build_demo_system(DemoSystem(path=path, size=SIZE, files=60))
    return path


def test_demo_disk_is_sound(disk: Path) -> None:
    """What our writer made, the judges find in order."""
    judges.sound_volume(disk, PARTITION_OFFSET)


def test_demo_disk_holds_a_piece_of_everything(disk: Path) -> None:
    """Streams, links, names, ids, reparse points, compressed and sparse data are there for an independent reader."""
    facts = snapshot(disk, PARTITION_OFFSET)
    assert facts["Features/Streams/report.txt"].streams.keys() == {"", "Zone.Identifier", "large", "\u6d41"}
    assert "on a folder" in facts["Features/Streams/Folder"].streams
    assert len(facts["Features/Links/a/shared.dll"].links) == 4
    assert facts["Features/Object ids/file.txt"].object_id
    assert facts["Features/Extended attributes/file.txt"].eas
    assert facts["Features/Links of paths/junction"].reparse
    assert facts["Features/Compressed/text.txt"].attributes & 0x800
    assert facts["Features/Sparse/holes.bin"].attributes & 0x200
    assert "Features/Names/high \ud800 alone.bin" in facts
    assert len({facts[f"Features/Twins/{name}"].record for name in ("twin.txt", "TWIN.TXT", "Twin.txt")}) == 3
    assert any(entry.short_name.endswith("~1") for entry in facts.values())


def test_demo_disk_is_the_same_every_time(disk: Path, tmp_path: Path) -> None:
    """The same options give the same files, so that figures can be compared."""
    again = tmp_path / "again.img"
    build_demo_system(DemoSystem(path=again, size=SIZE, files=60))
    assert {name: entry.streams for name, entry in snapshot(disk, PARTITION_OFFSET).items()} == {
        name: entry.streams for name, entry in snapshot(again, PARTITION_OFFSET).items()}


def test_demo_keeps_what_is_there(tmp_path: Path) -> None:
    """A file of that name is not overwritten."""
    path = tmp_path / "disk.img"
    path.write_bytes(b"mine")
    with pytest.raises(HostError):
        build_demo_system(DemoSystem(path=path, size=SIZE, files=6))
    assert path.read_bytes() == b"mine"
