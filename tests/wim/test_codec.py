"""libwim's codecs over batches: round trips, the raw rule, hostile input, every error code."""

from __future__ import annotations

import random
import re
import struct
import threading
import time
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import Error
from wimboot.formats.chunktable import pack_chunk_table
from wimboot.wim._codec import SOUND, Codec
from wimboot.wim.errors import LIBRARY_ERRORS, Cancelled, LibraryFailed, LibraryOutOfMemory, check_code

RANDOM = random.Random(7)
CODECS = [(1, 4096), (1, 32768), (2, 32768), (0, 0)]
HEADER = Path("/usr/include/wimlib.h")

blobs = st.lists(st.one_of(
    st.binary(min_size=1, max_size=300),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=20), st.integers(1, 3000)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 99), st.integers(1, 20_000))),
    min_size=1, max_size=8)


def _spans(data: list[bytes]) -> array[int]:
    spans, at = array("Q"), 0
    for blob in data:
        spans.extend((at, at + len(blob)))
        at += len(blob)
    return spans


def _unpack(codec: Codec, out: bytes | memoryview, stored: array[int], flags: bytearray, data: list[bytes]) -> bytes:
    jobs, at = array("Q"), 0
    for blob, size, flag in zip(data, stored, flags, strict=True):
        jobs.extend((at, size, len(blob), flag))
        at += size
    back = bytearray(sum(map(len, data)))
    assert set(codec.decompress_batch(out, jobs, back)) == {SOUND}
    return bytes(back)


@pytest.mark.parametrize(("compression", "chunk_size"), CODECS)
@given(data=blobs)
def test_a_batch_survives_a_round_trip(compression: int, chunk_size: int, data: list[bytes]) -> None:
    """Blobs of any size, compressible or not; a resource flagged compressed is smaller than its data."""
    codec = Codec(compression, chunk_size)
    out, stored, flags = codec.compress_batch(b"".join(data), _spans(data))
    assert len(out) == sum(stored)
    for blob, size, flag in zip(data, stored, flags, strict=True):
        assert size < len(blob) if flag else size == len(blob)
    assert _unpack(codec, out, stored, flags, data) == b"".join(data)


@given(st.integers(1, 40_000), st.integers(0, 99))
def test_windows_make_the_same_resource_as_one_batch(size: int, seed: int) -> None:
    """A large blob's chunks with their table are byte for byte what a batch makes of it."""
    data = b"".join(random.Random(seed + at).randbytes(7) * 30 for at in range(-(-size // 210)))[:size]
    codec = Codec(1, 4096)
    out, _, flags = codec.compress_batch(data, array("Q", (0, size)))
    chunks, sizes = codec.compress_chunks(data)
    whole = pack_chunk_table(size, sizes.tolist()) + chunks
    assert whole == out if flags[0] else len(whole) >= size
    back = bytearray(size)
    assert codec.decompress_chunks(chunks, array("Q", sizes), back) == SOUND
    assert back == data


def test_a_blob_that_would_come_out_equal_is_raw() -> None:
    """Around the break-even point no resource is flagged with its own size: the driver would read it as raw."""
    codec = Codec(1, 4096)
    seen = set()
    for repeated in range(1, 500, 3):
        data = RANDOM.randbytes(700) + b"a" * repeated
        _, stored, flags = codec.compress_batch(data, array("Q", (0, len(data))))
        seen.add(flags[0])
        assert (stored[0] < len(data)) == bool(flags[0])
    assert seen == {0, 1}


def test_spans_need_not_touch() -> None:
    """Blobs known already are left out of a batch by their spans."""
    data = b"a" * 5000 + b"skipped" + b"b" * 5000
    codec = Codec(1, 4096)
    out, stored, flags = codec.compress_batch(data, array("Q", (0, 5000, 5007, 10007)))
    assert _unpack(codec, out, stored, flags, [b"a" * 5000, b"b" * 5000]) == b"a" * 5000 + b"b" * 5000


@pytest.mark.parametrize("spans", [(0, 11), (5, 5), (6, 5), (2**64 - 1, 2**64 - 1)])
def test_spans_outside_of_the_buffer_are_refused(spans: tuple[int, int]) -> None:
    """Never a read past the end."""
    with pytest.raises(ValueError, match="span"):
        Codec(1, 4096).compress_batch(b"0123456789", array("Q", spans))


@pytest.mark.parametrize("compression", [1, 2, 3])
@given(data=st.binary(min_size=1, max_size=400), size=st.integers(1, 100_000), entries=st.lists(
    st.integers(0, 2**32 - 1), max_size=24))
def test_hostile_resources_are_found_bad(compression: int, data: bytes, size: int, entries: list[int]) -> None:
    """Any table, any chunks, any size: a verdict, never a crash."""
    raw = struct.pack(f"<{len(entries)}I", *entries) + data
    codec = Codec(compression, 4096 if compression == 1 else 32768)
    codec.decompress_batch(raw, array("Q", (0, len(raw), size, 1)), bytearray(size))


@pytest.mark.parametrize("job", [(0, 11, 20, 1), (11, 1, 5, 1), (0, 5, 0, 1), (0, 5, 200, 1), (0, 5, 6, 0),
                                 (2**64 - 1, 2, 5, 1), (0, 5, 2**64 - 1, 1)])
def test_jobs_outside_of_the_buffers_are_refused(job: tuple[int, int, int, int]) -> None:
    """Offsets and sizes are held against both buffers, and cannot overflow."""
    with pytest.raises(ValueError, match="leaves"):
        Codec(1, 4096).decompress_batch(b"0123456789", array("Q", job), bytearray(100))


def test_many_threads_share_one_codec() -> None:
    """Each call takes a compressor of its own from the pool."""
    data = b"".join(RANDOM.randbytes(50) * 20 for _ in range(300))
    codec = Codec(1, 4096)
    expected = bytes(codec.compress_batch(data, array("Q", (0, len(data))))[0])
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            out, stored, flags = codec.compress_batch(data, array("Q", (0, len(data))))
            if bytes(out) != expected or _unpack(codec, out, stored, flags, [data]) != data:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_cancelling_stops_a_running_batch() -> None:
    """Within 0.2 s of work, whatever is left of the batch; how long that takes is up to what else the machine does."""
    codec = Codec(2, 32768)
    data = b"".join(RANDOM.randbytes(16) * 8 for _ in range(500_000))
    timer = threading.Timer(0.1, codec.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        codec.compress_batch(data, array("Q", (0, len(data))))
    stopped = time.process_time()
    with pytest.raises(Cancelled):
        codec.compress_batch(data, array("Q", (0, len(data))))
    assert time.process_time() - stopped < 0.2


def test_a_level_changes_the_size_and_not_the_format() -> None:
    """`--fast` is level 20: larger or equal, and read by the same decompressor."""
    data = b"".join(RANDOM.randbytes(30) + b"abcabcabd" * RANDOM.randrange(9) for _ in range(3000))
    fast, slow = Codec(1, 4096, 20), Codec(1, 4096, 50)
    out, stored, flags = fast.compress_batch(data, array("Q", (0, len(data))))
    assert _unpack(slow, out, stored, flags, [data]) == data
    assert stored[0] >= slow.compress_batch(data, array("Q", (0, len(data))))[1][0]


def test_bad_parameters_are_our_bug_and_no_memory_is_not() -> None:
    """libwim refuses a chunk size that XPRESS does not have: code 24, an Internal error."""
    with pytest.raises(LibraryFailed, match="24"):
        Codec(1, 1 << 20).compress_batch(b"x" * 100, array("Q", (0, 100)))
    with pytest.raises(LibraryOutOfMemory):
        check_code(39, "wimlib_create_compressor")


def test_every_error_code_of_libwim_is_mapped() -> None:
    """All codes of the installed header, by number and name; and each raises an error with a sentence."""
    if not HEADER.exists():
        pytest.skip("libwim-dev is not installed")
    known = {int(code): name for name, code in re.findall(r"WIMLIB_ERR_(\w+)\s*= (\d+)", HEADER.read_text())}
    del known[0]
    assert {code: name for code, (name, _) in LIBRARY_ERRORS.items()} == known
    for code in [*known, 9999]:
        with pytest.raises(Error, match="wimlib_x"):
            check_code(code, "wimlib_x")
    check_code(0, "wimlib_x")
