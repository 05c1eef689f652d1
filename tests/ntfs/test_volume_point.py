"""Files become pointers in place, and nothing else of them changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from index_judge import index_problems, open_volume, read_records
from judges import sound_volume
from mounting import mounted
from volume_rig import ROOT, TIMES, agrees, descriptor, facts_of, fresh_volume, opened, pointer, utf16
from wimboot.errors import FormatError, Refused
from wimboot.ntfs import refusals

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ntfs.volume import Volume

RECORD = (1 << 48) - 1


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    return fresh_volume(tmp_path / "volume.img", size=16 << 20)


def _file(volume: Volume, name: str, content: bytes, *, parent: int = ROOT, short: str = "", security: int = 0,
          compressed: bool = False, sparse: bool = False) -> int:
    file_id = volume.create_file(parent, utf16(name), utf16(short), 0x20, TIMES, security)
    volume.write_data(file_id, b"", [content], len(content), compressed=compressed, sparse=sparse)
    return file_id


def test_a_pointed_file_frees_its_clusters_and_keeps_the_rest(volume_file: Path) -> None:
    """Times (the record's change time too), security, names, streams and reference are as before."""
    content = os.urandom(300_000)
    with opened(volume_file) as volume:
        security = volume.security_id(descriptor())
        file_id = _file(volume, "a long name.bin", content, short="ALONGN~1.BIN", security=security)
        volume.write_data(file_id, utf16("extra"), [b"stream"], 6)
        volume.set_attributes(file_id, 0x23)
        volume.set_object_id(file_id, bytes(range(16)))
    before = facts_of(volume_file, file_id)
    with opened(volume_file) as volume:
        free = volume.free_clusters
        volume.point(file_id, pointer(len(content)), len(content))
        assert volume.free_clusters == free + -(-len(content) // 4096)
    times, attributes, security_now = facts_of(volume_file, file_id)
    assert (times, security_now) == (before[0], security)
    assert attributes == before[1] | 0x600
    with opened(volume_file, write=False) as volume:
        assert volume.reparse(file_id) == pointer(len(content))
        assert volume.read(file_id, utf16("extra")) == b"stream"
        assert volume.open_path("ALONGN~1.BIN") == volume.open_path("a long name.bin") == file_id
    sound_volume(volume_file)
    with open_volume(volume_file) as view:
        assert read_records(view)[file_id & RECORD].size == len(content)


@pytest.mark.parametrize("size", [1, 8, 600, 4095, 4096, 4097, 65_536, 200_000, 3_000_000])
def test_a_pointer_has_exactly_the_size_asked_for(volume_file: Path, size: int) -> None:
    """Whatever the old data was, resident or not, the size is the content's."""
    with opened(volume_file) as volume:
        file_id = _file(volume, "file", bytes(size))
        volume.point(file_id, pointer(size), size)
        huge = _file(volume, "huge", b"x")
        volume.point(huge, pointer(1 << 40), 1 << 40)
    with open_volume(volume_file) as view:
        records = read_records(view)
        assert records[file_id & RECORD].size == size
        assert records[huge & RECORD].size == 1 << 40
    agrees(volume_file)


def test_a_compressed_file_becomes_an_uncompressed_pointer(volume_file: Path) -> None:
    """Neither the size is rounded nor the COMPRESSED bit left."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("packed"), b"", 0x810, TIMES, 0)
        file_id = _file(volume, "file", b"compress me " * 20_000, parent=folder, compressed=True)
        assert volume.read(file_id) == b"compress me " * 20_000
        volume.point(file_id, pointer(240_000), 240_000)
        made = volume.create_pointer(folder, utf16("new"), b"", 0x820, TIMES, 0, 100_000, pointer(100_000))
    for one, size in ((file_id, 240_000), (made, 100_000)):
        assert facts_of(volume_file, one)[1] == 0x620
        with open_volume(volume_file) as view:
            assert read_records(view)[one & RECORD].size == size
    sound_volume(volume_file)


def test_a_sparse_file_becomes_a_pointer(volume_file: Path) -> None:
    """Its holes do not confuse the bitmap."""
    content = bytes(300_000) + b"end" + bytes(300_000)
    with opened(volume_file) as volume:
        free = volume.free_clusters
        file_id = _file(volume, "sparse", content, sparse=True)
        assert free - volume.free_clusters < 40
        assert volume.read(file_id) == content
        volume.point(file_id, pointer(len(content)), len(content))
    sound_volume(volume_file)


def test_hard_links_in_several_folders_agree(volume_file: Path) -> None:
    """Each index entry has size, attributes and tag of the file, in small folders and large ones."""
    with opened(volume_file) as volume:
        small = volume.create_folder(ROOT, utf16("small"), b"", 0x10, TIMES, 0)
        large = volume.create_folder(ROOT, utf16("large"), b"", 0x10, TIMES, 0)
        for number in range(120):
            volume.create_file(large, utf16(f"filler {number}"), b"", 0x20, TIMES, 0)
        file_id = _file(volume, "link 0", b"d" * 20_000, parent=small)
        for number, folder in enumerate((large, ROOT, small, large), 1):
            volume.link(file_id, folder, utf16(f"link {number}"))
        volume.point(file_id, pointer(20_000), 20_000)
        other = _file(volume, "beside", b"x" * 9000, parent=large)
        volume.point(other, pointer(9000), 9000)
    sound_volume(volume_file)


def test_a_full_record_still_takes_a_pointer(volume_file: Path) -> None:
    """With long names and streams the reparse point goes to another record; the entries know its tag."""
    with opened(volume_file) as volume:
        ids = []
        for number in range(12):
            name = f"{number:03}" + "n" * (60 + 15 * number)
            file_id = _file(volume, name, b"z" * 30_000, short=f"N{number:05}~1")
            volume.link(file_id, ROOT, utf16("l" + name))
            for stream in range(number):
                volume.write_data(file_id, utf16(f"stream {stream}"), [b"s" * 40 * stream], 40 * stream)
            ids.append(file_id)
        for file_id in ids:
            volume.point(file_id, pointer(30_000, file_id & RECORD), 30_000)
        for file_id in ids:
            assert volume.reparse(file_id) == pointer(30_000, file_id & RECORD)
    sound_volume(volume_file)


def test_pointers_survive_a_change_of_their_value(volume_file: Path) -> None:
    """A new table hash goes in place; another size of value goes in anew; the size and the times stay."""
    with opened(volume_file) as volume:
        file_id = _file(volume, "file", b"d" * 20_000)
        volume.point(file_id, pointer(20_000, 1), 20_000)
    before = facts_of(volume_file, file_id)
    with opened(volume_file) as volume:
        volume.replace_reparse(file_id, pointer(20_000, 2))
        assert volume.reparse(file_id) == pointer(20_000, 2)
    assert facts_of(volume_file, file_id) == before
    with opened(volume_file) as volume:
        link = b"\x0c\x00\x00\xa0" + (20).to_bytes(2, "little") + bytes(22)
        volume.replace_reparse(file_id, link)
        assert volume.reparse(file_id) == link
    agrees(volume_file)


def test_many_pointers_in_many_folders_are_sound(volume_file: Path) -> None:
    """The reparse index splits and the folders grow; the judges agree and the driver sees dangling links."""
    with opened(volume_file) as volume:
        ids = []
        for number in range(15):
            folder = volume.create_folder(ROOT, utf16(f"folder {number}"), utf16(f"FOLDER~{number}"), 0x10, TIMES, 0)
            for inner in range(60):
                name = f"some file of {number} with number {inner}"
                if inner % 2:
                    ids.append(_file(volume, name, b"d" * 5000, parent=folder))
                else:
                    volume.create_pointer(folder, utf16(name), utf16(f"SOME{inner:03}~1"), 0x20, TIMES, 0, 7000,
                                          pointer(7000))
        for file_id in ids:
            volume.point(file_id, pointer(5000), 5000)
    sound_volume(volume_file)
    with mounted(volume_file) as root:
        entries = list((root / "folder 3").iterdir())
        assert len(entries) == 60
        assert all(entry.is_symlink() for entry in entries)


def test_what_is_no_plain_file_is_not_pointed(volume_file: Path) -> None:
    """Folders, reparse points, NTFS' own files and missing ones are refused, and nothing has changed."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        twice = volume.create_pointer(ROOT, utf16("twice"), b"", 0x20, TIMES, 0, 10_000, pointer(10_000))
    before = volume_file.read_bytes()
    with opened(volume_file) as volume:
        for file_id, kind in ((folder, refusals.NotAFile), (twice, refusals.ReparseTaken), (0, refusals.RecordReserved),
                              (9 | 9 << 48, refusals.RecordReserved), (ROOT, refusals.NotAFile),
                              (twice + (1 << 48), refusals.FileNotFound), (1 << 40, Refused)):
            with pytest.raises((kind, refusals.FileNotFound, refusals.CallFailed, refusals.VolumeDamaged)) as caught:
                volume.point(file_id, pointer(10_000), 10_000)
            if kind is not Refused:
                assert isinstance(caught.value, kind)
        assert not volume.torn
    assert volume_file.read_bytes() == before


@pytest.mark.parametrize("value", [b"", bytes(8), b"\x17\0\0\x80", pointer(5)[:-1], pointer(5) + b"x",
                                   b"\0\0\0\0" + pointer(5)[4:], b"\x17\0\0\x80\xff\xff\0\0" + bytes(70_000)])
def test_a_malformed_value_is_refused_before_anything_changes(volume_file: Path, value: bytes) -> None:
    """The size field has to agree with the size, and a tag has to be there."""
    with opened(volume_file) as volume:
        file_id = _file(volume, "file", b"d" * 5000)
        with pytest.raises(FormatError):
            volume.point(file_id, value, 5000)
        assert volume.read(file_id) == b"d" * 5000


@pytest.mark.parametrize("size", [0, -1, 1 << 44, 1 << 62])
def test_an_impossible_size_is_refused(volume_file: Path, size: int) -> None:
    """An empty file has no blob, and NTFS ends at 16 TiB."""
    with opened(volume_file) as volume:
        file_id = _file(volume, "file", b"d" * 5000)
        with pytest.raises(refusals.SizeNotPossible):
            volume.point(file_id, pointer(5000), size)


def test_a_pointer_becomes_a_file_again(volume_file: Path) -> None:
    """Writing its data removes the reparse point, its index entry and the sparse bit."""
    content = os.urandom(70_000)
    with opened(volume_file) as volume:
        file_id = _file(volume, "file", content)
        volume.point(file_id, pointer(len(content)), len(content))
        volume.write_data(file_id, b"", [content[:10_000], content[10_000:]], len(content))
        assert volume.read(file_id) == content
        assert volume.reparse_tag(file_id) == 0
    assert facts_of(volume_file, file_id)[1] == 0x20
    sound_volume(volume_file)
    with mounted(volume_file) as root:
        assert (root / "file").read_bytes() == content


@pytest.mark.parametrize("cluster_size", [512, 1024, 8192, 65536])
def test_other_cluster_sizes_take_pointers(tmp_path: Path, cluster_size: int) -> None:
    """The hole counts clusters of the volume's own size."""
    path = fresh_volume(tmp_path / "volume.img", size=32 << 20, cluster_size=cluster_size)
    with opened(path) as volume:
        file_id = _file(volume, "file", os.urandom(200_001))
        volume.point(file_id, pointer(200_001), 200_001)
        volume.create_pointer(ROOT, utf16("new"), b"", 0x20, TIMES, 0, 123_456, pointer(123_456))
    assert index_problems(path) == []
    sound_volume(path)
