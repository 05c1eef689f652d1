"""Any part of a blob, or of a Compact OS file, as it is in the whole; and no part of one that cannot be right."""

from __future__ import annotations

import hashlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wim_making import write
from wimboot.errors import Error
from wimboot.formats.chunktable import ChunkLayout
from wimboot.formats.reparse import Algorithm, FileBacked
from wimboot.formats.wimheader import Compression
from wimboot.storage.faults import Image, MemoryFile
from wimboot.storage.memory import MemoryFolder
from wimboot.wim import CreateOptions, Store
from wimboot.wim._codec import Codec
from wimboot.wim.chunked import Chunked
from wimboot.wim.compact import CompactDamaged, CompactUnknown, ranged_compact
from wimboot.wim.errors import BlobDamaged, BlobMissing

CHANCE = random.Random(5)
DATA = b"".join(CHANCE.randbytes(CHANCE.randrange(9000)) + bytes([number % 256]) * CHANCE.randrange(20_000)
                for number in range(60))
FILES = {"mixed": DATA, "raw": CHANCE.randbytes(50_000), "one": b"x", "small": b"small " * 300}
KINDS = [(Compression.XPRESS, 4096), (Compression.XPRESS, 32768), (Compression.LZX, 32768)]


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0].name}-{kind[1]}")
def store(request: pytest.FixtureRequest) -> Store:
    """A WIM of the files, in memory."""
    folder = MemoryFolder()
    compression, chunk_size = request.param
    write(folder, "store.wim", FILES, create=CreateOptions(compression=compression, chunk_size=chunk_size))
    return Store.open(folder.open("store.wim"), where="store.wim")


@given(name=st.sampled_from(sorted(FILES)), offset=st.integers(0, 700_000), size=st.integers(0, 200_000))
def test_a_part_is_what_it_is_in_the_whole(store: Store, name: str, offset: int, size: int) -> None:
    """For every offset and size, also across and behind the end."""
    data = FILES[name]
    blob = store.ranged(_sha1(data))
    assert (blob.size, blob.sha1) == (len(data), _sha1(data))
    assert bytes(blob.read(offset, size)) == data[offset:offset + size]


def test_a_blob_that_is_not_there_is_missed(store: Store) -> None:
    """Before anything is read."""
    with pytest.raises(BlobMissing):
        store.ranged(bytes(20))


def _packed(data: bytes, algorithm: Algorithm) -> bytes:
    """As Windows lays the stream out: chunk table, chunks."""
    kind = Compression.LZX if algorithm is Algorithm.LZX else Compression.XPRESS
    chunks, sizes = Codec(kind, algorithm.chunk_size).compress_chunks(data)
    ends, at = [], 0
    for size in sizes[:-1]:
        at += size
        ends.append(at)
    return struct.pack(f"<{len(ends)}I", *ends) + bytes(chunks)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_compact_file_is_read_in_parts(algorithm: Algorithm) -> None:
    """Of each kind that Windows writes."""
    stream = _packed(DATA, algorithm)
    chunks = ranged_compact(lambda offset, size: stream[offset:offset + size], len(stream), len(DATA),
                            FileBacked(algorithm=algorithm), where="here")
    assert chunks is not None
    for _ in range(30):
        offset, size = CHANCE.randrange(len(DATA)), CHANCE.randrange(70_000)
        assert bytes(chunks.read(offset, size)) == DATA[offset:offset + size]


def test_a_compact_stream_as_long_as_the_file_is_the_file() -> None:
    """And an algorithm that no Windows has is refused."""
    assert ranged_compact(lambda _o, _s: b"", 9, 9, FileBacked(algorithm=0), where="here") is None
    with pytest.raises(CompactUnknown):
        ranged_compact(lambda _o, _s: b"", 9, 99, FileBacked(algorithm=7), where="here")


@given(data=st.binary(max_size=300), size=st.integers(1, 1 << 40), offset=st.integers(0, 1 << 40),
       algorithm=st.sampled_from(list(Algorithm)))
def test_any_bytes_are_damaged_at_worst(data: bytes, size: int, offset: int, algorithm: Algorithm) -> None:
    """A hostile stream gives bytes or CompactDamaged, and takes no memory that it does not back."""
    try:
        chunks = ranged_compact(lambda start, part: data[start:start + part], len(data), size,
                                FileBacked(algorithm=algorithm), where="here")
        if chunks is not None:
            assert len(chunks.read(offset, 5000)) <= 5000
    except CompactDamaged:
        pass


@given(place=st.integers(208, 400_000), byte=st.integers(0, 255))
def test_damage_is_bytes_or_an_error(place: int, byte: int) -> None:
    """Whatever a changed byte of the WIM does: never more or fewer bytes, never another exception."""
    folder = MemoryFolder()
    write(folder, "store.wim", {"mixed": DATA[:100_000]}, create=CreateOptions(compression=Compression.XPRESS,
                                                                                 chunk_size=4096))
    file = folder.open("store.wim")
    raw = bytearray(file.pread(0, file.size()))
    raw[208 + place % (len(raw) - 208)] = byte
    try:
        blob = Store.open(MemoryFile(Image(bytes(raw))), where="it").ranged(_sha1(DATA[:100_000]))
        assert len(blob.read(0, 100_000)) == 100_000
    except Error:
        pass


def test_a_table_longer_than_a_page_is_read_in_pages() -> None:
    """The entries of a resource with 40,000 chunks, from both ends; what is cut short is told."""
    count = 40_000
    table = struct.pack(f"<{count - 1}I", *range(4096, 4096 * count, 4096))
    reads: list[tuple[int, int]] = []

    def pread(offset: int, size: int) -> bytes:
        reads.append((offset, size))
        if offset < len(table):
            return table[offset:offset + size]
        return bytes([offset % 251]) * size if offset < 4096 * count else b""

    layout = ChunkLayout(size=4096 * count, size_in_wim=4096 * count + len(table), chunk_size=4096)
    chunks = Chunked(pread, layout, Codec(Compression.XPRESS, 4096), lambda why: BlobDamaged(
        where="it", offset=0, sha1="", problem=why))
    for number in (0, 1, 16383, 16384, 16385, 30_000):
        assert chunks.read(4096 * number, 4096) == bytes([(len(table) + 4096 * number) % 251]) * 4096
    assert max(size for offset, size in reads if offset < len(table)) <= (1 << 16) + 4
    with pytest.raises(BlobDamaged, match="cut short"):
        chunks.read(4096 * (count - 1), 4096)
