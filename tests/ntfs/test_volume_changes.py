"""Data and facts of files: streams, times, attributes, security, reparse points, object ids, extended attributes."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

import pytest

from index_judge import open_volume, read_records
from judges import sound_volume
from mounting import mounted
from volume_rig import ROOT, TIMES, agrees, descriptor, facts_of, fresh_volume, opened, pointer, utf16
from wimboot.errors import FormatError, Internal
from wimboot.ntfs import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORD = (1 << 48) - 1


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    return fresh_volume(tmp_path / "volume.img", size=24 << 20)


def _pieces(content: bytes, step: int) -> Iterator[bytes]:
    for offset in range(0, len(content), step):
        yield content[offset:offset + step]


@pytest.mark.parametrize("size", [0, 1, 200, 700, 1000, 4096, 70_000, 2_500_000])
def test_written_data_reads_back(volume_file: Path, size: int) -> None:
    """Whatever the size, the steps and the kind, for the unnamed and a named stream."""
    content = (os.urandom(1000) + bytes(100_000) + b"text " * 30_000) * 12
    content = content[:size]
    ids = {}
    with opened(volume_file) as volume:
        for kind in ("plain", "sparse", "compressed"):
            ids[kind] = volume.create_file(ROOT, utf16(kind), b"", 0x20, TIMES, 0)
            for name in (b"", utf16("stream")):
                volume.write_data(ids[kind], name, _pieces(content, 65_000), size, sparse=kind == "sparse",
                                  compressed=kind == "compressed")
            assert volume.read(ids[kind]) == volume.read(ids[kind], utf16("stream")) == content
    sound_volume(volume_file)
    with mounted(volume_file) as root:
        for kind, file_id in ids.items():
            assert (root / kind).read_bytes() == content
            assert facts_of(volume_file, file_id)[0] == (TIMES[0], TIMES[1], TIMES[1], TIMES[2])


def test_data_is_replaced_whole(volume_file: Path) -> None:
    """Long by short, compressed by plain, sparse by compressed, and back."""
    contents = [(b"a" * 500_000, {}), (b"b" * 100, {"compressed": True}), (bytes(300_000) + b"c", {"sparse": True}),
                (b"d" * 200_000, {"compressed": True}), (b"", {}), (os.urandom(90_000), {"compressed": True}),
                (os.urandom(90_000), {})]
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
        free = volume.free_clusters
        for content, options in contents:
            volume.write_data(file_id, b"", [content], len(content), **options)
            volume.write_data(file_id, utf16("s"), [content], len(content), **options)
            assert volume.read(file_id) == volume.read(file_id, utf16("s")) == content
        volume.write_data(file_id, b"", [], 0)
        volume.remove_stream(file_id, utf16("s"))
        assert volume.free_clusters == free
    assert facts_of(volume_file, file_id)[1] == 0x20
    sound_volume(volume_file)


def test_compression_and_holes_save_clusters(volume_file: Path) -> None:
    """A compressible megabyte and a megabyte of zeros take next to nothing."""
    with opened(volume_file) as volume:
        packed = volume.create_file(ROOT, utf16("packed"), b"", 0x20, TIMES, 0)
        holes = volume.create_file(ROOT, utf16("holes"), b"", 0x20, TIMES, 0)
        free = volume.free_clusters
        volume.write_data(packed, b"", [b"x" * (1 << 20)], 1 << 20, compressed=True)
        assert free - volume.free_clusters <= 32
        free = volume.free_clusters
        volume.write_data(holes, b"", [bytes(1 << 20)], 1 << 20, sparse=True)
        assert volume.free_clusters == free
    assert facts_of(volume_file, packed)[1] == 0x820
    assert facts_of(volume_file, holes)[1] == 0x220
    sound_volume(volume_file)


def test_a_stream_of_a_compressed_file_can_be_plain(volume_file: Path) -> None:
    """Each stream is as it was asked for, the file's bit follows its unnamed data."""
    content = b"y" * 200_000
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
        volume.write_data(file_id, b"", [content], len(content), compressed=True)
        free = volume.free_clusters
        volume.write_data(file_id, utf16("plain"), [content], len(content))
        assert free - volume.free_clusters >= 48
    assert facts_of(volume_file, file_id)[1] == 0x820
    sound_volume(volume_file)


def test_folders_have_named_streams_only(volume_file: Path) -> None:
    """And what cannot be is refused with nothing changed."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        volume.write_data(folder, utf16("s"), [b"of a folder"], 11)
        assert volume.read(folder, utf16("s")) == b"of a folder"
        with pytest.raises(refusals.NotAFile):
            volume.write_data(folder, b"", [b"x"], 1)
        with pytest.raises(refusals.FileNotFound):
            volume.remove_stream(folder, utf16("t"))
        with pytest.raises(refusals.NameNotPossible):
            volume.remove_stream(folder, b"")
        assert not volume.torn
    sound_volume(volume_file)


@pytest.mark.parametrize(("parts", "size"), [([b"abc"], 2), ([b"abc"], 4), ([], 1), ([b"a" * 9000, b"b"], 9000)])
def test_a_wrong_amount_of_data_tears_the_volume(volume_file: Path, parts: list[bytes], size: int) -> None:
    """More or less than announced is an error, and nothing can be kept after it."""
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
        with pytest.raises(Internal):
            volume.write_data(file_id, b"", parts, size)
        assert volume.torn
        with pytest.raises(refusals.VolumeTorn):
            volume.set_attributes(file_id, 0x20)
        with pytest.raises(refusals.VolumeTorn):
            volume.close()


def test_an_exception_of_the_source_goes_through(volume_file: Path) -> None:
    """What reading the source raised is what the caller gets, and the volume is torn."""
    def source() -> Iterator[bytes]:
        yield b"x" * 100
        raise KeyError("source")

    before = volume_file.read_bytes()
    def attempt() -> None:
        with opened(volume_file) as volume:
            file_id = volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
            volume.write_data(file_id, b"", source(), 200)

    with pytest.raises(KeyError, match="source"):
        attempt()
    assert volume_file.read_bytes() == before, "nothing was handed over"


def test_attributes_and_times_are_set_exactly(volume_file: Path) -> None:
    """What can be set is, what follows from the data stays; 100 ns are kept."""
    with opened(volume_file) as volume:
        file_id = volume.create_pointer(ROOT, utf16("p"), b"", 0x20, TIMES, 0, 5000, pointer(5000))
        folder = volume.create_folder(ROOT, utf16("f"), b"", 0x10, TIMES, 0)
        volume.set_attributes(file_id, 0x3107 | 0x4800)
        volume.set_attributes(folder, 0x816)
        volume.set_times(file_id, 1, 2, (1 << 63) - 1)
        with pytest.raises(refusals.TimeNotPossible):
            volume.set_times(file_id, -1, 2, 3)
    assert facts_of(volume_file, file_id)[:2] == ((1, 2, TIMES[1], (1 << 63) - 1), 0x3107 | 0x600)
    assert facts_of(volume_file, folder)[1] & 0x816 == 0x806
    sound_volume(volume_file)
    with opened(volume_file) as volume:
        volume.set_attributes(folder, 0x10)
    assert facts_of(volume_file, folder)[1] & 0xFFF == 0
    agrees(volume_file)


def test_security_descriptors_are_shared(volume_file: Path) -> None:
    """The same bytes have the same id, also after the volume was closed; $Secure holds each once."""
    with opened(volume_file) as volume:
        ids = [volume.security_id(descriptor(600 + n % 40)) for n in range(200)]
        assert len(set(ids)) == 40
        files = [volume.create_file(ROOT, utf16(f"file {n}"), b"", 0x20, TIMES, ids[n]) for n in range(40)]
        volume.set_security(files[0], ids[5])
        volume.set_security(ROOT, ids[6])
    with opened(volume_file) as volume:
        assert [volume.security_id(descriptor(600 + n % 40)) for n in range(200)] == ids
    assert facts_of(volume_file, files[0])[2] == ids[5]
    assert facts_of(volume_file, ROOT)[2] == ids[6]
    sound_volume(volume_file)
    with mounted(volume_file) as root:
        assert os.getxattr(root / "file 7", "system.ntfs_acl") == descriptor(607)


def test_many_descriptors_cross_the_blocks_of_the_table(volume_file: Path) -> None:
    """$SDS keeps 256 KiB twice over; ids beyond the first block are found too."""
    def large(number: int) -> bytes:
        entries = b"".join(bytes.fromhex("00001400ff011f000101000000000001") + struct.pack("<I", n * 7 + number)
                           for n in range(1500))
        body = struct.pack("<BBHHH", 2, 0, 8 + len(entries), 1500, 0) + entries
        return descriptor()[:52] + body

    with opened(volume_file) as volume:
        ids = [volume.security_id(large(number)) for number in range(30)]
        file_id = volume.create_file(ROOT, utf16("last"), b"", 0x20, TIMES, ids[-1])
    with opened(volume_file) as volume:
        assert volume.security_id(large(29)) == ids[29]
    assert facts_of(volume_file, file_id)[2] == ids[-1]
    sound_volume(volume_file)
    with open_volume(volume_file) as view:
        table = view.mft.get(9).open("$SDS").read()
    found: dict[int, list[bytes]] = {}
    for copy in range(2):
        for start in range(copy << 18, len(table), 2 << 18):
            offset = start
            while offset < min(start + (1 << 18), len(table)):
                _, identity, place, size = struct.unpack_from("<IIQI", table, offset)
                if not size:
                    break
                assert place == offset - (copy << 18)
                found.setdefault(identity, []).append(table[offset + 20:offset + size])
                offset += size + 15 & ~15
    for number, identity in enumerate(ids):
        assert found[identity] == [large(number)] * 2


@pytest.mark.parametrize("raw", [b"", bytes(10), bytes(60), descriptor()[:-3], b"\2" + descriptor()[1:],
                                 bytes(70_000)])
def test_a_malformed_descriptor_is_refused(volume_file: Path, raw: bytes) -> None:
    """And leaves nothing: the volume can be used on."""
    with opened(volume_file) as volume:
        with pytest.raises((FormatError, refusals.CallFailed)):
            volume.security_id(raw)
        assert not volume.torn
        assert volume.security_id(descriptor()) >= 0x100
    sound_volume(volume_file)


def test_junctions_and_links_are_indexed(volume_file: Path) -> None:
    """Set, changed and removed on files and folders; the index of reparse points follows."""
    target = utf16("\\??\\C:\\Users")
    names = struct.pack("<HHHH", 0, len(target), len(target) + 2, 0) + target + bytes(4)
    junction = struct.pack("<IHH", 0xA0000003, len(names), 0) + names
    foreign = struct.pack("<IHH16s", 0x00000042, 4, 0, bytes(range(16))) + b"data"
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("junction"), b"", 0x10, TIMES, 0)
        file_id = volume.create_file(ROOT, utf16("foreign"), b"", 0x20, TIMES, 0)
        volume.set_reparse(folder, junction)
        volume.set_reparse(file_id, foreign)
        volume.set_reparse(file_id, junction)
        volume.set_reparse(file_id, foreign)
        assert volume.reparse_tag(folder) == 0xA0000003
    sound_volume(volume_file)
    with opened(volume_file) as volume:
        volume.remove_reparse(file_id)
        volume.remove_reparse(file_id)
        assert volume.reparse(file_id) == b""
        with pytest.raises(refusals.FileNotFound):
            volume.replace_reparse(file_id, foreign)
        volume.remove_folder(folder, ROOT, utf16("junction"))
    agrees(volume_file)


def test_object_ids_are_keys(volume_file: Path) -> None:
    """Set, replaced and removed with their index; another file's is refused."""
    with opened(volume_file) as volume:
        one = volume.create_file(ROOT, utf16("one"), b"", 0x20, TIMES, 0)
        two = volume.create_folder(ROOT, utf16("two"), b"", 0x10, TIMES, 0)
        volume.set_object_id(one, bytes(range(64)))
        volume.set_object_id(two, bytes(range(16, 32)))
        with pytest.raises(refusals.ObjectIdTaken):
            volume.set_object_id(two, bytes(range(16)))
        volume.set_object_id(two, bytes(range(32, 48)))
        with pytest.raises(FormatError):
            volume.set_object_id(two, bytes(15))
        assert not volume.torn
    sound_volume(volume_file)
    with opened(volume_file) as volume:
        volume.set_object_id(one, b"")
        volume.set_object_id(one, b"")
        volume.set_object_id(two, bytes(range(16)))
    agrees(volume_file)


def _ea(name: bytes, value: bytes) -> bytes:
    size = 8 + len(name) + 1 + len(value)
    room = size + 3 & ~3
    return (struct.pack("<IBBH", room, 0, len(name), len(value)) + name + b"\0" + value).ljust(room, b"\0")


def test_extended_attributes_and_their_size_in_the_index(volume_file: Path) -> None:
    """The index entry keeps the packed size where other files have their tag; it survives other changes."""
    value = _ea(b"FIRST", b"1" * 30) + _ea(b"SECOND", b"")
    packed = 5 + 5 + 30 + 5 + 6
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        file_id = volume.create_file(folder, utf16("file"), b"", 0x20, TIMES, 0)
        volume.set_eas(file_id, value)
        volume.set_attributes(file_id, 0x21)
        volume.write_data(file_id, b"", [b"x" * 10_000], 10_000)
        volume.link(file_id, ROOT, utf16("linked"))
    with open_volume(volume_file) as view:
        for where in ("folder/file", "linked"):
            parent = view.mft.get("/".join(where.split("/")[:-1]) or 5)
            keys = [bytes(entry.key) for entry in parent.iterdir()
                    if struct.unpack_from("<Q", entry.header.FileReference.dumps())[0] == file_id]
            assert [struct.unpack_from("<H", key, 60)[0] for key in keys] == [packed]
        assert read_records(view)[file_id & RECORD].source.attributes[0xE0][0].header.data() == value
    sound_volume(volume_file)
    with opened(volume_file) as volume:
        volume.set_eas(file_id, _ea(b"ONLY", b"one"))
        volume.set_eas(file_id, b"")
        volume.set_eas(file_id, b"")
    sound_volume(volume_file)


@pytest.mark.parametrize("raw", [b"x", bytes(8), _ea(b"N", b"v")[:-1], b"\xff" * 40, bytes(80_000)])
def test_malformed_extended_attributes_are_refused(volume_file: Path, raw: bytes) -> None:
    """Entries that do not lead to each other's end are an error of ours."""
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("file"), b"", 0x20, TIMES, 0)
        with pytest.raises(FormatError):
            volume.set_eas(file_id, raw)
        assert not volume.torn


def test_encrypted_files_are_left_alone(volume_file: Path) -> None:
    """Their bytes can be neither read nor given up."""
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("secret"), b"", 0x20, TIMES, 0)
        volume.write_data(file_id, b"", [b"s" * 9000], 9000)
    raw = bytearray(volume_file.read_bytes())
    record = struct.unpack_from("<Q", raw, 48)[0] * 4096 + (file_id & RECORD) * 1024
    place = record + struct.unpack_from("<H", raw, record + 20)[0]
    while (code := struct.unpack_from("<I", raw, place)[0]) != 0xFFFFFFFF:
        if code == 0x10:
            raw[place + 24 + 32 + 1] |= 0x40
        if code == 0x80:
            raw[place + 13] |= 0x40
        place += struct.unpack_from("<I", raw, place + 4)[0]
    volume_file.write_bytes(raw)
    with opened(volume_file) as volume:
        for call in (lambda: volume.read(file_id), lambda: volume.point(file_id, pointer(9000), 9000),
                     lambda: volume.write_data(file_id, b"", [b"x"], 1)):
            with pytest.raises(refusals.FileEncrypted):
                call()
        assert not volume.torn


def test_small_files_are_made_with_their_data(volume_file: Path) -> None:
    """In one call; index entries agree also where long names leave the data no room in the record."""
    contents = {}
    with opened(volume_file) as volume:
        for number in range(150):
            name = f"{number:03}" + "n" * number
            data = b"d" * (number * 6)
            contents[volume.create_file(ROOT, utf16(name), utf16(f"N{number}") if number % 2 else b"", 0x20, TIMES, 0,
                                        data)] = data
        with pytest.raises(refusals.SizeNotPossible):
            volume.create_file(ROOT, utf16("large"), b"", 0x20, TIMES, 0, bytes(5000))
    with opened(volume_file, write=False) as volume:
        for file_id, data in contents.items():
            assert volume.read(file_id) == data
    sound_volume(volume_file)
