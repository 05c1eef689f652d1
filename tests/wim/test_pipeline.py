"""The capture pipeline: what is read, deduplicated, windowed, stopped; and how much memory that takes."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import threading
import time
from array import array
from pathlib import Path

import pytest

from wim_making import Source, applied, host, make_tree, verified
from wimboot.events import Counter
from wimboot.formats.wimheader import Compression
from wimboot.formats.wimxml import ImageXml
from wimboot.storage.faults import MemoryFolder
from wimboot.tree import StreamFlag
from wimboot.wim import Append, CreateOptions
from wimboot.wim.errors import SourceFailed
from wimboot.wim.writer import BATCH

RANDOM = random.Random(11)


def _text(size: int, seed: int) -> bytes:
    rng = random.Random(seed)
    return b"".join(rng.randbytes(90) * 2 for _ in range(size // 180 + 1))[:size]


LARGE = {
    "at the limit": _text(BATCH, 1), "one more": _text(BATCH + 1, 2), "windows": _text(3 * BATCH + 4097, 3),
    "same size": _text(3 * BATCH + 4097, 4), "same": _text(3 * BATCH + 4097, 3), "raw": RANDOM.randbytes(2 * BATCH + 5),
    "small": b"small" * 100, "small too": b"small" * 100, "empty": b"",
}


@pytest.mark.parametrize("compression", [Compression.XPRESS, Compression.LZX, Compression.NONE])
def test_large_streams_go_through_in_windows(compression: Compression, tmp_path: Path) -> None:
    """Unique sizes in one pass, shared ones hashed first; equal ones once; raw where they do not shrink."""
    path = tmp_path / "a.wim"
    tree, source, streams = make_tree(LARGE)
    with Append(host(path), path.name, create=CreateOptions(compression=compression), where="a") as append:
        append.add_streams(tree, source, streams, counter=Counter(), threads=2)
        append.add_image(tree, ImageXml(name="one"))
        append.seal()
        store = append.pending()
        for data in LARGE.values():
            blob = store.blob(hashlib.sha1(data).digest())  # noqa: S324 - what WIMs use
            assert data == b"" if blob is None else blob.compressed == (
                compression != Compression.NONE and data != LARGE["raw"])
        append.finish()
    assert verified(path)
    assert applied(path, 1, tmp_path / "out") == LARGE


def test_a_large_stream_of_unique_size_is_read_once() -> None:
    """And one whose size another has is hashed first, so that a duplicate is never compressed."""
    tree, source, streams = make_tree(LARGE)
    reads: list[tuple[int, int]] = []
    inner = source.read_into

    def counted(stream: int, offset: int, into: memoryview) -> int:
        reads.append((stream, offset))
        return inner(stream, offset, into)

    source.read_into = counted  # type: ignore[method-assign]  # a spy
    with Append(MemoryFolder(), "a", create=CreateOptions(), where="a") as append:
        append.add_streams(tree, source, streams, counter=Counter(), threads=2)
    first = {name: reads.count((stream, 0)) for name, stream in zip(LARGE, streams, strict=True)}
    assert first == {"at the limit": 0, "one more": 1, "windows": 2, "same size": 2, "same": 1, "raw": 2, "small": 0,
                     "small too": 0, "empty": 0}


def test_every_stream_gets_its_hash() -> None:
    """Zeros for an empty one; the counter counts each byte once."""
    tree, source, streams = make_tree(LARGE)
    counter = Counter()
    with Append(MemoryFolder(), "a", create=CreateOptions(), where="a") as append:
        append.add_streams(tree, source, streams, counter=counter, threads=2)
    for stream, data in zip(streams, LARGE.values(), strict=True):
        row = tree.stream(stream)
        assert row.flags & StreamFlag.HASHED
        assert row.hash == (hashlib.sha1(data).digest() if data else bytes(20))  # noqa: S324
    assert counter.done == sum(map(len, LARGE.values()))


def test_what_is_known_is_not_read() -> None:
    """A stream with a hash whose blob is here is carried; one whose blob is not here is read."""
    files = {"a": b"a" * 5000, "b": b"b" * 5000}
    folder = MemoryFolder()
    tree, source, streams = make_tree(files)
    with Append(folder, "a", create=CreateOptions(), where="a") as append:
        append.add_streams(tree, source, streams[:1], counter=Counter(), threads=1)
        tree.set_hash(streams[1], hashlib.sha1(files["b"]).digest())  # noqa: S324
        source.reads.clear()
        append.add_streams(tree, source, streams, counter=Counter(), threads=1)
        assert source.reads == [streams[1]]
        assert append.has(tree.stream(streams[1]).hash)


@pytest.mark.parametrize("size", [5000, BATCH + 5000])
def test_a_source_that_gives_less_than_it_promised_is_an_error(size: int) -> None:
    """The file is named; nothing of the run stays."""
    tree, source, streams = make_tree({"good": b"x" * 100, "short.bin": _text(size, 1)})
    source.files[streams[1]] = source.files[streams[1]][:-1]
    folder = MemoryFolder()
    with (pytest.raises(SourceFailed, match=r"short\.bin"),
          Append(folder, "a", create=CreateOptions(), where="a") as append):
        append.add_streams(tree, source, streams, counter=Counter(), threads=2)
    assert not folder.images


def test_an_error_of_the_source_comes_through() -> None:
    """Whatever it raises, whichever batch; the threads are gone afterwards."""

    class Failing(Source):
        def fill(self, streams: array[int], first: int, buffer: bytearray) -> list[int]:
            if first > 50:
                raise OSError("bad sector")
            return super().fill(streams, first, buffer)

    tree, source, streams = make_tree({str(number): _text(200_000, number) for number in range(100)})
    folder = MemoryFolder()
    with pytest.raises(OSError, match="bad sector"), Append(folder, "a", create=CreateOptions(), where="a") as append:
        append.add_streams(tree, Failing(source.files), streams, counter=Counter(), threads=2)
    assert not folder.images
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("wim")]


SLOW = """
import sys, time, random
sys.path.insert(0, {tests!r})
from pathlib import Path
from wim_making import host, make_tree
from wimboot.events import Counter
from wimboot.formats.wimheader import Compression
from wimboot.wim import Append, CreateOptions
seeded = random.Random(1)
data = b"".join(seeded.randbytes(90) * 2 for _ in range(230_000))
tree, source, streams = make_tree({{str(number): data[number:number + {size}] for number in range({count})}})
path = Path(sys.argv[1])
try:
    with Append(host(path), path.name, create=CreateOptions(compression=Compression.LZX), where="a") as append:
        print("ready", flush=True)
        append.add_streams(tree, source, streams, counter=Counter(), threads=2)
except KeyboardInterrupt:
    print("interrupted", time.time(), flush=True)
"""


@pytest.mark.parametrize(("size", "count"), [(300_000, 700), (40_000_000, 10)])
def test_ctrl_c_stops_soon_and_leaves_nothing(size: int, count: int, tmp_path: Path) -> None:
    """While two threads compress with LZX: long before they would be done; no file stays."""
    script = SLOW.format(tests=str(Path(__file__).parents[1]), size=size, count=count)
    child = subprocess.Popen([sys.executable, "-c", script, tmp_path / "a.wim"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    sent = time.time()
    word, when = child.stdout.readline().split()
    assert child.wait(timeout=60) == 0
    child.stdout.close()
    assert word == "interrupted"
    assert float(when) - sent < 10
    assert list(tmp_path.iterdir()) == []


MEMORY = """
import resource, sys
sys.path.insert(0, {tests!r})
from array import array
from pathlib import Path
from wim_making import host
from wimboot.events import Counter
from wimboot.formats.wimxml import ImageXml
from wimboot.tree._builder import Builder
from wimboot.wim import Append, CreateOptions

class Endless:
    def in_disk_order(self, streams): return streams
    def fill(self, streams, first, buffer):
        ends, at = [], 0
        while first + len(ends) < len(streams) and at + 300_000 <= len(buffer):
            buffer[at:at + 300_000] = (b"%09d" % (first + len(ends))) * 33333 + b"xyz"
            at += 300_000
            ends.append(at)
        return ends
    def read_into(self, stream, offset, into):
        into[:] = (b"%08d" % (offset // 4096)) * (len(into) // 8)
        return len(into)

builder = Builder()
streams = array("I")
for number in range(1000):
    node = builder.node()
    streams.append(builder.stream(node, size=300_000 if number else 600 << 20))
    builder.link(0, node, str(number).encode("utf-16-le"))
streams = streams[1:] + streams[:1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path = Path(sys.argv[1])
with Append(host(path), path.name, create=CreateOptions(), where="a") as append:
    append.add_streams(builder.tree, Endless(), streams, counter=Counter(), threads=4)
    append.add_image(builder.tree, ImageXml(name="one"))
    append.seal()
    assert append.pending().check_blobs(append.new_hashes, Counter(), 4) == []
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


HUGE = """
import sys
sys.path.insert(0, {tests!r})
from array import array
from pathlib import Path
from wim_making import host
from wimboot.events import Counter
from wimboot.formats.wimxml import ImageXml
from wimboot.tree._builder import Builder
from wimboot.wim import Append, CreateOptions

class Zeros:
    def in_disk_order(self, streams): return streams
    def read_into(self, stream, offset, into):
        into[:8] = b"%08d" % (offset >> 21)
        return len(into)

builder = Builder()
node = builder.node()
streams = array("I", [builder.stream(node, size=(4 << 30) + 12345)])
builder.link(0, node, "huge".encode("utf-16-le"))
path = Path(sys.argv[1])
with Append(host(path), path.name, create=CreateOptions(), where="a") as append:
    append.add_streams(builder.tree, Zeros(), streams, counter=Counter(), threads=2)
    append.add_image(builder.tree, ImageXml(name="one"))
    append.seal()
    assert append.pending().check_blobs(None, Counter(), 2) == []
    append.finish()
"""


@pytest.mark.heavy
def test_more_than_4_gib_take_wide_tables(tmp_path: Path) -> None:
    """8-byte chunk entries, written and read; wimlib verifies them."""
    path = tmp_path / "a.wim"
    script = HUGE.format(tests=str(Path(__file__).parents[1]))
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=300)
    assert verified(path)


def test_memory_does_not_grow_with_the_input(tmp_path: Path) -> None:
    """900 MB of streams, one of 600 MB, through four threads: less than 100 MB above the start."""
    script = MEMORY.format(tests=str(Path(__file__).parents[1]))
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "a.wim"], capture_output=True, text=True,
                          check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100
