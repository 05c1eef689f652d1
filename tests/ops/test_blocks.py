"""Streams in blocks: what is compared with the hash, what is kept, and that threads get the same bytes."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.errors import HostError
from wimboot.ops.browsing.blocks import BLOCK, BlockReader, Blocks, ContentDiffers

DATA = random.Random(1).randbytes(5 * BLOCK + 77)
STEP = 128 << 10


class Source:
    """Bytes in memory, with a hash that may be another's; counts what is read of it."""

    def __init__(self, data: bytes, expected: bytes | None = None, *, without: bool = False) -> None:
        self.data = data
        self.size = len(data)
        self.sha1 = None if without else hashlib.sha1(expected or data, usedforsecurity=False).digest()
        self.reads: list[tuple[int, int]] = []
        self.broken: set[int] = set()

    def read(self, offset: int, size: int) -> bytes:
        """A part; an error at the offsets in `broken`."""
        self.reads.append((offset, size))
        if offset in self.broken:
            raise HostError(what="reading", where="it", why="broken")
        return self.data[offset:offset + size]


@pytest.fixture
def blocks() -> Iterator[Blocks]:
    """What readers share."""
    made = Blocks(2)
    yield made
    made.close()


@pytest.fixture
def in_passing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All streams are so long that they are compared while they are read, not before."""
    monkeypatch.setattr("wimboot.ops.browsing.blocks.CHECKED", 0)


def _through(reader: BlockReader, size: int) -> bytes:
    out = bytearray()
    while len(out) < size:
        piece = reader.read(len(out), STEP)
        assert piece
        out += piece
    return bytes(out)


@pytest.mark.parametrize("checked", [0, 32 * BLOCK])
def test_read_from_start_to_end_each_block_is_unpacked_once(
    blocks: Blocks, checked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the whole is right, which is remembered: the next reader of that hash need not compare."""
    monkeypatch.setattr("wimboot.ops.browsing.blocks.CHECKED", checked)
    source = Source(DATA)
    assert _through(BlockReader(source, blocks, "it"), len(DATA)) == DATA
    assert sorted(source.reads) == [(start, min(BLOCK, len(DATA) - start)) for start in range(0, len(DATA), BLOCK)]
    assert blocks.right == {source.sha1}


@pytest.mark.usefixtures("in_passing")
@pytest.mark.parametrize("place", [0, 3 * BLOCK, len(DATA) - 1])
def test_what_has_another_hash_is_never_read_to_its_end(blocks: Blocks, place: int) -> None:
    """Wherever the wrong byte lies; the last block is not given, and then nothing is."""
    wrong = bytearray(DATA)
    wrong[place] ^= 1
    reader = BlockReader(Source(bytes(wrong), DATA), blocks, "it")
    with pytest.raises(ContentDiffers):
        _through(reader, len(DATA))
    with pytest.raises(ContentDiffers):
        reader.read(0, 10)
    assert not blocks.right


@pytest.mark.parametrize("place", [0, 3 * BLOCK, len(DATA) - 1])
def test_nothing_is_given_of_a_stream_that_has_another_hash(blocks: Blocks, place: int) -> None:
    """Where it is not so long that this would take time: wherever the wrong byte lies, whatever part is asked for."""
    wrong = bytearray(DATA)
    wrong[place] ^= 1
    for offset in (0, 2 * BLOCK + 9, len(DATA) - 1):
        reader = BlockReader(Source(bytes(wrong), DATA), blocks, "it")
        for _ in range(2):
            with pytest.raises(ContentDiffers):
                reader.read(offset, 1)


@pytest.mark.usefixtures("in_passing")
def test_a_stream_of_one_block_is_compared_before_any_byte_is_given(blocks: Blocks) -> None:
    """Even where only a few are asked for."""
    with pytest.raises(ContentDiffers):
        BlockReader(Source(b"wrong", b"right"), blocks, "it").read(3, 1)
    assert BlockReader(Source(b"right"), blocks, "it").read(3, 1) == b"h"


@pytest.mark.usefixtures("in_passing")
def test_parts_far_from_each_other_unpack_no_more_than_they_need(blocks: Blocks) -> None:
    """Reading here and there is not slowed down by blocks."""
    source = Source(DATA)
    reader = BlockReader(source, blocks, "it")
    for offset in (4 * BLOCK, 2 * BLOCK + 5, 5 * BLOCK):
        assert reader.read(offset, 4096) == DATA[offset:offset + 4096]
    assert source.reads == [(4 * BLOCK, 4096), (2 * BLOCK + 5, 4096), (5 * BLOCK, 77)]


@settings(max_examples=30)
@given(checked=st.sampled_from([0, 32 * BLOCK]),
       reads=st.lists(st.tuples(st.integers(0, len(DATA) + 9), st.integers(0, 3 * BLOCK)), max_size=12))
def test_any_order_gives_the_same_bytes(checked: int, reads: list[tuple[int, int]]) -> None:
    """With little room to keep blocks, too."""
    shared = Blocks(2, kept=2 * BLOCK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wimboot.ops.browsing.blocks.CHECKED", checked)
        reader = BlockReader(Source(DATA), shared, "it")
    for offset, size in reads:
        assert reader.read(offset, size) == DATA[offset:offset + size]
    reader.close()
    shared.close()


@pytest.mark.parametrize("checked", [0, 32 * BLOCK])
def test_threads_read_the_same_stream(blocks: Blocks, checked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once, from start to end: each gets all of it."""
    monkeypatch.setattr("wimboot.ops.browsing.blocks.CHECKED", checked)
    reader = BlockReader(Source(DATA), blocks, "it")
    with ThreadPoolExecutor(8) as threads:
        assert all(out == DATA for out in threads.map(lambda _: _through(reader, len(DATA)), range(8)))


def test_an_error_is_told_to_whoever_reads_there_and_may_pass(blocks: Blocks) -> None:
    """A block that could not be read is tried again; the rest is not touched by it."""
    source = Source(DATA, without=True)
    source.broken = {2 * BLOCK}
    reader = BlockReader(source, blocks, "it")
    with pytest.raises(HostError):
        _through(reader, len(DATA))
    assert reader.read(0, STEP) == DATA[:STEP]
    source.broken = set()
    assert _through(reader, len(DATA)) == DATA


def test_what_a_closed_reader_kept_is_given_up() -> None:
    """And the threads end."""
    shared = Blocks(2)
    reader = BlockReader(Source(DATA), shared, "it")
    _through(reader, len(DATA))
    reader.close()
    shared.close()
    assert not shared.has((0, 0))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
