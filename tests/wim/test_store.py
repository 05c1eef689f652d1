"""Reading WIMs that others made, whole, split, solid, damaged and hostile."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wim_making import SAMPLES, host, make_tree, wimlib, write
from wimboot.errors import Damaged, Error, Refused, Unsupported
from wimboot.events import Counter
from wimboot.formats.wimheader import Compression
from wimboot.storage import HostFile
from wimboot.storage.faults import Image, MemoryFile
from wimboot.wim import CreateOptions, SplitStore, Store, open_store
from wimboot.wim.errors import (
    BlobDamaged,
    BlobMissing,
    ImageOutOfRange,
    NotAWim,
    PartMissing,
    PipableWim,
    WimDamaged,
    WimSplit,
    WimTruncated,
)

RANDOM = random.Random(3)
FILES = {"a": b"a" * 100_000, "b": RANDOM.randbytes(9000), "c": b"", "d": b"d",
         "big": b"".join(RANDOM.randbytes(100) * 3 for _ in range(2000))}
WHOLE = ["BootLZX", "BootXPRESS", "LZMS", "LZX", "MultiImage", "VerifySuccess", "XPRESS", "dissect_basic4k",
         "dissect_basic8k", "dissect_basic16k", "dissect_basic32k"]
MALICE = Path(__file__).parent / "hostile_wims.py"


def _sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("the folder ../shared with third-party WIMs is not here")
    return path


def _memory(data: bytes) -> MemoryFile:
    return MemoryFile(Image(data))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files to be captured by wimlib."""
    folder = tmp_path_factory.mktemp("files")
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    return folder


def _check_all(store: Store) -> int:
    for sha1 in store.hashes():
        assert hashlib.sha1(store.read(sha1)).digest() == sha1  # noqa: S324 - what WIMs use
        blob = store.blob(sha1)
        assert blob is not None
        assert sum(map(len, store.read_parts(sha1))) == blob.size
    assert store.check_blobs(None, Counter(), 2) == []
    return len(store)


@pytest.mark.parametrize("name", WHOLE)
def test_every_blob_and_image_of_the_samples_reads(name: str) -> None:
    """XPRESS, LZX and LZMS made by imaging tools: each blob hashes right, each image becomes a tree."""
    with open_store(_sample(f"{name}.wim")) as store:
        assert _check_all(store) > 0
        for image in range(1, len(store.images) + 1):
            assert store.load_tree(image).node_count > 1


def test_a_damaged_sample_is_named() -> None:
    """The blob that was damaged on purpose is the only problem, and reading it is an error."""
    with open_store(_sample("VerifyFail.wim")) as store:
        problems = store.check_blobs(None, Counter(), 2)
        assert [problem.id for problem in problems] == ["blob-damaged"]
        assert "d6c6d48c6e9bce8af6397da97a0c892f4f261d44" in problems[0].text   # the image's metadata
        with pytest.raises(BlobDamaged):
            store.load_tree(1)


def test_the_parts_of_a_split_wim_read_as_one() -> None:
    """Given in any order; each blob is found in its part."""
    paths = [_sample("Split2.swm"), _sample("Split.swm")]
    store = SplitStore.open_parts([(HostFile.open(path), str(path)) for path in paths], where="Split")
    assert _check_all(store) == 2
    assert store.load_tree(1).node_count == 3
    assert store.not_backable is not None
    store.close()
    with open_store(paths[1]) as found:     # the second part is found by its name
        assert len(found) == 2


def test_part_of_a_split_wim_alone_is_refused() -> None:
    """A part is no store; missing, doubled or foreign parts are named."""
    first, second = (HostFile.open(_sample(name)) for name in ("Split.swm", "Split2.swm"))
    with pytest.raises(WimSplit, match="part 2 of 2"):
        Store.open(second, where="Split2.swm")
    for parts in ([], [(first, "1")], [(second, "2")], [(first, "1"), (first, "1")]):
        with pytest.raises(PartMissing):
            SplitStore.open_parts(parts, where="Split")


@pytest.mark.parametrize("arguments", [["--compress=XPRESS"], ["--compress=LZX"], ["--compress=none"],
                                       ["--compress=LZX", "--chunk-size=2M"], ["--compress=LZMS"],
                                       ["--solid"], ["--solid", "--solid-compress=LZX", "--solid-chunk-size=64K"],
                                       ["--solid", "--solid-compress=XPRESS", "--solid-chunk-size=4K"]])
def test_what_wimlib_wrote_reads(arguments: list[str], folder: Path, tmp_path: Path) -> None:
    """Every codec, raw, LZMS and solid: the same files come back."""
    path = tmp_path / "theirs.wim"
    assert wimlib("capture", folder, path, *arguments).returncode == 0
    with open_store(path) as store:
        assert _check_all(store) == len([data for data in FILES.values() if data])
        tree = store.load_tree(1)
        for name, data in FILES.items():
            stream = tree.stream(tree.data_stream(tree.find(name)))
            assert stream.size == len(data)
            assert not data or store.read(stream.hash) == data


def test_stores_that_the_driver_reads_say_so(tmp_path: Path) -> None:
    """XPRESS up to 32K and LZX 32K can back files; solid, LZMS, 64K and uncompressed ones cannot, with a reason."""
    path = tmp_path / "a.wim"
    for compression, chunk_size, good in ((1, 4096, True), (1, 32768, True), (1, 65536, False), (2, 32768, True),
                                          (2, 65536, False), (0, 0, False)):
        write(host(path), path.name, {"a": b"a" * 9999}, create=CreateOptions(
            compression=Compression(compression), chunk_size=chunk_size))
        with open_store(path) as store:
            assert (store.not_backable is None) == good
            assert all(store.backable(sha1) == good for sha1 in store.hashes())
        path.unlink()
    for name in ("LZMS.wim", "Split.swm"):
        with open_store(_sample(name)) as store:
            assert store.not_backable


def test_a_pipable_wim_is_unsupported(folder: Path, tmp_path: Path) -> None:
    """With the advice how to convert it."""
    path = tmp_path / "pipable.wim"
    assert wimlib("capture", folder, path, "--pipable").returncode == 0
    with pytest.raises(PipableWim), open_store(path):
        pass


def test_what_is_no_wim_is_said_to_be_none() -> None:
    """Empty, short and foreign files."""
    for data in (b"", b"MS", b"PK\3\4" + bytes(500)):
        with pytest.raises(NotAWim):
            Store.open(_memory(data), where="x")


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    """A copy that stopped anywhere is refused as a whole, at opening."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, {"a": b"abc" * 2000, "b": RANDOM.randbytes(500)})
    data = path.read_bytes()
    for size in range(len(data)):
        with pytest.raises((NotAWim, WimTruncated)):
            Store.open(_memory(data[:size]), where="x")
    Store.open(_memory(data), where="x")


def test_images_count_from_one(tmp_path: Path) -> None:
    """0, negative and too large numbers are the user's mistake."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, {"a": b"a"})
    with open_store(path) as store:
        for image in (0, -1, 2):
            with pytest.raises(ImageOutOfRange):
                store.load_tree(image)


def test_a_missing_blob_is_an_error(tmp_path: Path) -> None:
    """Reading it raises, looking for it does not, checking it is a problem."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, {"a": b"a"})
    with open_store(path) as store:
        assert store.blob(b"\1" * 20) is None
        assert b"\1" * 20 not in store
        with pytest.raises(BlobMissing):
            store.read(b"\1" * 20)
        assert [problem.id for problem in store.check_blobs([b"\1" * 20], Counter(), 2)] == ["blob-not-in-wim"]


def test_an_image_without_all_its_blobs_is_an_error(tmp_path: Path) -> None:
    """A file is never taken for an empty one because its blob is not in the table."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, {"a": b"abc"})
    data = bytearray(path.read_bytes())
    with open_store(path) as store:
        data[store.header.blob_table.offset + 50 + 24] = 9      # the blob's row belongs to another part now
    store = Store.open(_memory(bytes(data)), where="x")
    with pytest.raises(BlobMissing):
        store.load_tree(1)
    assert store.load_tree(1, allow_missing=True).stream(0).size == 0


def test_the_last_part_of_a_damaged_blob_is_never_given(tmp_path: Path) -> None:
    """Parts come before the hash is known; the last one only when it is right."""
    path = tmp_path / "a.wim"
    data = RANDOM.randbytes(9 << 20)
    write(host(path), path.name, {"a": data})
    raw = bytearray(path.read_bytes())
    raw[1000] ^= 1
    store = Store.open(_memory(bytes(raw)), where="x")
    given: list[int] = []
    with pytest.raises(BlobDamaged, match="other contents"):
        given.extend(len(part) for part in store.read_parts(next(store.hashes())))
    assert 0 < sum(given) < len(data)


def test_each_damaged_blob_is_one_problem(tmp_path: Path) -> None:
    """Of many, in one pass; the counter counts every byte; small, large, raw and compressed."""
    path = tmp_path / "a.wim"
    files = {f"{number}": RANDOM.randbytes(3000) + b"x" * 5000 for number in range(100)}
    files |= {"large": b"".join(RANDOM.randbytes(50) * 4 for _ in range(30_000)), "raw": RANDOM.randbytes(5 << 20)}
    write(host(path), path.name, files)
    raw = bytearray(path.read_bytes())
    with open_store(path) as store:
        damaged = RANDOM.sample(sorted(store.hashes()), 20) + [
            hashlib.sha1(files[name]).digest() for name in ("large", "raw")]  # noqa: S324
        for blob in map(store.blob, set(damaged)):
            assert blob is not None
            raw[blob.offset + blob.size_in_wim // 2] ^= 0x55
    counter = Counter()
    problems = Store.open(_memory(bytes(raw)), where="x").check_blobs(None, counter, 2)
    assert sorted(problem.text.split("hash ")[1][:40] for problem in problems) == sorted(
        sha1.hex() for sha1 in set(damaged))
    assert counter.done > sum(map(len, files.values()))     # the metadata too


def test_every_bit_of_the_structures_matters(tmp_path: Path) -> None:
    """A flip in header, table, metadata or blobs is an error or a problem; the few harmless fields are listed."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, {"a": b"abc" * 2000, "b": RANDOM.randbytes(500)})
    data = path.read_bytes()
    unnoticed = set()
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        try:
            store = Store.open(_memory(bytes(broken)), where="x")
            store.load_tree(1)
            if not store.check_blobs(None, Counter(), 1):
                unnoticed.add(at)
        except (Damaged, Unsupported, Refused):
            pass
    store = Store.open(_memory(data), where="x")
    header = store.header
    packed = [blob for blob in map(store.parts[0].table.row, range(3)) if blob.flags & 4]
    table = range(header.blob_table.offset, header.blob_table.end)
    xml = range(header.xml.offset, header.xml.end)
    for at in unnoticed:
        in_table = (at - table.start) % 50 if at in table else -1
        harmless = (
            0x10 <= at < 0x28               # unknown flags; the GUID, which WimOverlay.dat is compared with
            or 0x2A <= at < 0x2C or at == 0x37 or at == 0x4F    # flags of the table's and the XML's place
            or 0x60 <= at < 0xD0            # boot image, unused
            or at in xml                    # names and figures
            or in_table in range(26, 30)    # reference counts
            or in_table == 7                # unknown flags of a blob
            or in_table == 0                # a compressed blob that takes a byte more decompresses to the same
            or any(blob.offset < at < blob.offset + blob.size_in_wim for blob in packed))   # bits no codec reads
        assert harmless, f"byte {at:#x} (in the table: {in_table}) changed unnoticed"


def test_compressed_blobs_of_a_wim_without_compression_are_damaged(tmp_path: Path) -> None:
    """One flipped bit of the header takes the codec away: an error of ours, whichever way the data is read."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, FILES | {"e": b"e" * 70_000})
    data = bytearray(path.read_bytes())
    data[0x10] &= ~2
    path.write_bytes(data)
    with open_store(path) as store:
        packed = [sha1 for sha1 in store.hashes() if (blob := store.blob(sha1)) is not None and blob.compressed]
        assert packed
        with pytest.raises(BlobDamaged):
            store.load_tree(1)
        with pytest.raises(BlobDamaged):
            store.read(packed[0])
        with pytest.raises(BlobDamaged):
            store.ranged(packed[0]).read(0, 1)


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(seed, marks=pytest.mark.heavy) for seed in range(2, 40))])
def test_hostile_wims_end_in_one_error_quickly(seed: int, tmp_path: Path) -> None:
    """Random edits, counts and sizes, under 1 GB of address space and a clock: an error of ours or a clean read."""
    path, source = tmp_path / "a.wim", tmp_path / "solid.wim"
    write(host(path), path.name, FILES | {"e": b"e" * 70_000})
    folder = tmp_path / "files"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    assert wimlib("capture", folder, source, "--solid", "--solid-chunk-size=256K").returncode == 0
    begin = time.monotonic()
    done = subprocess.run([sys.executable, MALICE, str(seed), path, source], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - begin < 30


def test_a_tree_reads_back_with_its_sizes(tmp_path: Path) -> None:
    """Sizes are not in the metadata; they come from the blob table."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, FILES)
    tree, _, streams = make_tree(FILES)
    with open_store(path) as store:
        loaded = store.load_tree(1)
    for name, stream in zip(FILES, streams, strict=True):
        assert loaded.stream(loaded.data_stream(loaded.find(name))).size == tree.stream(stream).size


def test_errors_name_the_file() -> None:
    """The user learns which WIM it is."""
    with pytest.raises(Error, match=r"my\.wim"):
        Store.open(_memory(b"MSWIM\0\0\0" + bytes(300)), where="my.wim")
    with pytest.raises(WimDamaged):
        Store.open(_memory(b"MSWIM\0\0\0" + bytes(300)), where="my.wim")
