"""Contents of streams, read along their runs, judged by the ntfs-3g driver."""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from random import Random

import pytest
from record_bytes import patch_record, raw_record, whole
from test_scan import WOF, pointer_value
from tree_facts import scanned

from build import make_volume
from mounting import mounted
from sample_features import set_reparse, write_stream
from wimboot.errors import Internal
from wimboot.ntfs._reader import NotOnVolume, Reader, WrongSize
from wimboot.storage._device import Device, FileDevice
from wimboot.storage.host import HostFile
from wimboot.tree._tree import Tree
from wimboot.tree.constants import StreamFlag

ASIDE = StreamFlag.POINTER | StreamFlag.COMPACT | StreamFlag.BY_LIBRARY


class Counting:
    """A file that counts its reads."""

    def __init__(self, path: Path) -> None:
        self.file = HostFile.open(path)
        self.reads: list[tuple[int, int]] = []

    def pread(self, offset: int, size: int) -> bytes:
        """One read."""
        self.reads.append((offset, size))
        return self.file.pread(offset, size)

    def size(self) -> int:
        """Of the file."""
        return self.file.size()


def filled(reader: Reader, streams: array[int], room: int) -> dict[int, bytes]:
    """All streams, through a buffer of `room` bytes; those that do not fit through windows."""
    found = {}
    buffer = bytearray(room)
    first = 0
    while first < len(streams):
        start = 0
        ends = reader.fill(streams, first, buffer)
        for stream, end in zip(streams[first:], ends, strict=False):
            found[stream] = bytes(buffer[start:end])
            start = end
        first += len(ends)
        if not ends:
            stream = streams[first]
            size = reader.tree.stream(stream).size
            found[stream] = b"".join(reader.read(stream, offset, room) for offset in range(0, size, room))
            first += 1
    return found


def readable(tree: Tree) -> list[int]:
    """Streams that need neither the library nor a WIM."""
    return [stream for stream in range(tree.stream_count) if not tree.stream(stream).flags & ASIDE]


@pytest.fixture
def scattered(tmp_path: Path) -> Path:
    """A volume of 300 files of all sizes, with holes, streams, and contents that end before the file does."""
    image = tmp_path / "volume.img"
    make_volume(image, size=48 << 20)
    chance = Random(5)
    with mounted(image, write=True) as root:
        for number in range(300):
            path = root / f"file {number}"
            path.write_bytes(chance.randbytes(chance.choice((0, 1, 300, 700, 800, 4095, 4096, 4097, 9000, 50_000))))
            if number % 9 == 0:
                write_stream(path, "stream", chance.randbytes(chance.randrange(6000)))
            if number % 11 == 0:
                os.truncate(path, path.stat().st_size + 10_000)
            if number % 13 == 0:
                path.unlink()
        with (root / "holes").open("wb") as file:
            for number in range(0, 90, 3):
                file.seek(number * 65536)
                file.write(chance.randbytes(70_000 if number % 2 else 3000))
    return image


@pytest.mark.parametrize("room", [4096, 20_000, 1 << 20, 16 << 20])
def test_every_stream_is_read_as_the_driver_reads_it(scattered: Path, room: int) -> None:
    """Through buffers smaller and larger than the files, in disk order."""
    tree, reader = scanned(scattered)
    found = filled(reader, reader.in_disk_order(readable(tree)), room)
    compared = 0
    with mounted(scattered) as root:
        for stream, content in found.items():
            row = tree.stream(stream)
            (link,) = tree.links_of(tree.stream_node(stream))
            path = str(root) + tree.path(link).replace("\\", "/")
            name = row.name.decode("utf-16-le")
            assert content == Path(path + (":" + name if name else "")).read_bytes()
            compared += 1
    assert compared > 300


def test_bytes_behind_the_initialized_ones_read_as_zeros(tmp_path: Path) -> None:
    """Whatever lies in the clusters there: the rest of the volume is filled with rubbish before."""
    image = tmp_path / "volume.img"
    make_volume(image, size=16 << 20)
    with mounted(image, write=True) as root:
        (root / "rubbish").write_bytes(b"\xEE" * (4 << 20))
        (root / "rubbish").unlink()
        (root / "grown").write_bytes(b"x" * 5000)
        os.truncate(root / "grown", 30_000)
        (root / "hollow").write_bytes(b"")
        os.truncate(root / "hollow", 100_000)
    tree, reader = scanned(image)
    grown = tree.data_stream(tree.find("/grown"))
    assert reader.read(grown, 0, 99_999) == b"x" * 5000 + bytes(25_000)
    assert reader.read(grown, 4990, 20) == b"x" * 10 + bytes(10)
    assert reader.read(grown, 29_990, 20) == bytes(10)
    assert reader.read(grown, 30_000, 20) == b""
    hollow = tree.data_stream(tree.find("/hollow"))
    assert filled(reader, array("I", [hollow, grown]), 1 << 20)[hollow] == bytes(100_000)


def test_initialized_size_within_a_cluster_is_kept(tmp_path: Path) -> None:
    """A file whose record says that only 4,500 of its 12,000 bytes were written."""
    image = tmp_path / "volume.img"
    make_volume(image, size=16 << 20)
    with mounted(image, write=True) as root:
        (root / "file").write_bytes(b"y" * 12_000)
    tree, _ = scanned(image)
    number = tree.file_id(tree.find("/file")) & (1 << 48) - 1
    attribute = next(a for a in whole(image, number)[0].attributes if a.type == 0x80)
    record = bytearray(raw_record(image, number))
    record[attribute.offset + 56:attribute.offset + 64] = (4500).to_bytes(8, "little")
    patch_record(image, number, bytes(record), mark=False)
    tree, reader = scanned(image)
    stream = tree.data_stream(tree.find("/file"))
    wanted = b"y" * 4500 + bytes(7500)
    assert reader.read(stream, 0, 12_000) == wanted
    assert filled(reader, array("I", [stream]), 1 << 20)[stream] == wanted
    assert reader.read(stream, 4400, 200) == wanted[4400:4600]
    assert sum(clusters for _, clusters in tree.stream_runs(stream)) == 3
    with mounted(image) as root:
        assert (root / "file").read_bytes() == wanted


def test_neighbours_on_the_disk_come_with_one_read(tmp_path: Path) -> None:
    """Two hundred files written one after the other take a few reads, not two hundred."""
    image = tmp_path / "volume.img"
    make_volume(image, size=32 << 20)
    with mounted(image, write=True) as root:
        for number in range(200):
            (root / f"{number}").write_bytes(b"%d" % number * 1000)
    counting = Counting(image)
    tree, _ = scanned(image)
    reader = Reader(FileDevice(counting), tree, None)  # type: ignore[arg-type]  # it only reads
    streams = reader.in_disk_order(readable(tree))
    counting.reads.clear()
    found = filled(reader, streams, 4 << 20)
    assert len(counting.reads) <= 8
    for node in range(1, tree.node_count):
        name = tree.path(tree.links_of(node)[0])[1:]
        assert found[tree.data_stream(node)] == name.encode() * 1000


def test_disk_order_is_by_first_cluster(scattered: Path) -> None:
    """Those without clusters first, in order of their records; the same streams, each once."""
    tree, reader = scanned(scattered)
    given = list(range(tree.stream_count))
    Random(1).shuffle(given)
    order = list(reader.in_disk_order(given))
    assert sorted(order) == list(range(tree.stream_count))
    places = []
    for stream in order:
        runs = [lcn for lcn, _ in tree.stream_runs(stream) if lcn < 1 << 60]
        places.append((runs[0] + 1, 0) if runs else (0, tree.file_id(tree.stream_node(stream)) & (1 << 48) - 1))
    assert places == sorted(places)


def test_pointers_and_compact_files_are_never_read_as_zeros(pristine_volume: Path, tmp_path: Path) -> None:
    """The reader refuses them in every way of reading."""
    image = tmp_path / "volume.img"
    make_volume(image, size=16 << 20)
    with mounted(image, write=True) as root:
        with (root / "pointer").open("wb") as file:
            file.truncate(100_000)
        set_reparse(root / "pointer", WOF, pointer_value(2, bytes(20), 100_000))
    for volume, name in ((image, "/pointer"), (pristine_volume, "/Features/compact/compact.exe")):
        tree, reader = scanned(volume)
        stream = tree.data_stream(tree.find(name))
        with pytest.raises(NotOnVolume):
            reader.read(stream, 0, 10)
        with pytest.raises(NotOnVolume):
            reader.read_into(stream, 0, bytearray(10))
        with pytest.raises(NotOnVolume):
            reader.fill(array("I", [stream]), 0, bytearray(200_000))


def test_what_the_library_reads_stands_in_line(pristine_volume: Path) -> None:
    """NTFS-compressed files come from the function that was given, between those that the reader reads itself."""
    device: Device = FileDevice(HostFile.open(pristine_volume))
    tree, plain = scanned(pristine_volume)
    asked = []

    def by_library(stream: int) -> bytes:
        asked.append(stream)
        return bytes([stream % 256]) * tree.stream(stream).size

    reader = Reader(device, tree, by_library)
    aside = StreamFlag.POINTER | StreamFlag.COMPACT
    streams = [s for s in range(tree.stream_count) if not tree.stream(s).flags & aside]
    found = filled(reader, array("I", streams), 1 << 20)
    compressed = [s for s in streams if tree.stream(s).flags & StreamFlag.BY_LIBRARY]
    assert sorted(set(asked)) == compressed
    assert len(compressed) > 3
    for stream in streams:
        if stream in compressed:
            assert found[stream] == bytes([stream % 256]) * tree.stream(stream).size
        else:
            assert found[stream] == plain.read(stream, 0, tree.stream(stream).size)
    with pytest.raises(WrongSize):
        Reader(device, tree, lambda _: b"short").read(compressed[0], 0, 10)
    with pytest.raises(Internal):
        plain.read(compressed[0], 0, 10)
