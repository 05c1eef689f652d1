"""Appending: what wimlib and 7-Zip make of the WIMs that we write, and what stays when we add to theirs."""

from __future__ import annotations

import fcntl
import hashlib
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wim_making import SAMPLES, add_image, applied, contents, host, make_tree, verified, wimlib, write
from wimboot.errors import Refused
from wimboot.events import Counter
from wimboot.formats.wimheader import Compression, HeaderFlag, WimHeader
from wimboot.formats.wimxml import ImageXml
from wimboot.storage.faults import Image, MemoryFolder
from wimboot.wim import Append, CreateOptions, Store, open_store
from wimboot.wim.errors import (
    BlobMissing,
    CompressionDiffers,
    WimBeingWritten,
    WimBusy,
    WimMissing,
    WimNotExtendable,
    WimReadOnly,
    WimSplit,
)

RANDOM = random.Random(20150510)
FILES = {
    "text.txt": b"the quick brown fox jumps over the lazy dog\r\n" * 5000,
    "random.bin": RANDOM.randbytes(100_000),
    "mixed.bin": b"".join(RANDOM.randbytes(3000) + bytes(5192) for _ in range(20)),
    "same.txt": b"the quick brown fox jumps over the lazy dog\r\n" * 5000,
    "one.bin": b"1",
    "empty": b"",
    "exactly.bin": b"ab" * 2048,
    "large.bin": b"".join(RANDOM.randbytes(500) + b"x" * 1500 for _ in range(1500)),
    "large-random.bin": RANDOM.randbytes(2_500_000),
}
KINDS = {
    "xpress4k": (Compression.XPRESS, 4096), "xpress8k": (Compression.XPRESS, 8192),
    "xpress16k": (Compression.XPRESS, 16384), "xpress32k": (Compression.XPRESS, 32768),
    "lzx": (Compression.LZX, 32768), "none": (Compression.NONE, 0),
}


def _sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip("the folder ../shared with third-party WIMs is not here")
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_what_wimlib_extracts(kind: str, tmp_path: Path) -> None:
    """Each codec and chunk size: wimlib verifies the WIM and gives the same files back."""
    compression, chunk_size = KINDS[kind]
    path = tmp_path / "new.wim"
    write(host(path), path.name, FILES, create=CreateOptions(compression=compression, chunk_size=chunk_size))
    assert verified(path)
    assert applied(path, 1, tmp_path / "out") == FILES
    info = wimlib("info", path).stdout
    assert re.search(rf"Compression: +{compression.name.title() if not compression else compression.name}\n", info)


def test_the_judge_sees_a_damaged_wim(tmp_path: Path) -> None:
    """One changed byte in a blob makes wimlib's verify fail: the judge can say no."""
    path = tmp_path / "new.wim"
    write(host(path), path.name, FILES)
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    assert not verified(path)


def test_seven_zip_lists_every_file(tmp_path: Path) -> None:
    """An independent reader of the format finds the same names and sizes."""
    path = tmp_path / "new.wim"
    write(host(path), path.name, FILES)
    listing = subprocess.run(["7z", "l", "-ba", path], capture_output=True, text=True, check=True).stdout
    for name, data in FILES.items():
        assert re.search(rf"\s{len(data)}\s+(\d+\s+)?{re.escape(name)}$", listing, re.MULTILINE), name


def test_wimlib_lists_and_extracts_single_files(tmp_path: Path) -> None:
    """`dir --detailed` names each file with its hash, `extract` finds one in either image, and not in a third."""
    path = tmp_path / "new.wim"
    write(host(path), path.name, FILES)
    write(host(path), path.name, {"only.txt": b"only" * 99}, image="two")
    listing = wimlib("dir", path, "1", "--detailed").stdout
    for name, data in FILES.items():
        assert f'"/{name}"' in listing
        assert not data or hashlib.sha1(data).hexdigest() in listing  # noqa: S324 - what WIMs use
    out = f"--dest-dir={tmp_path / 'out'}"
    assert wimlib("extract", path, "1", "/mixed.bin", out).returncode == 0
    assert wimlib("extract", path, "2", "/only.txt", out).returncode == 0
    assert contents(tmp_path / "out") == {"mixed.bin": FILES["mixed.bin"], "only.txt": b"only" * 99}
    assert wimlib("extract", path, "2", "/mixed.bin", out).returncode != 0


def test_a_second_image_adds_only_what_is_new(tmp_path: Path) -> None:
    """Blobs are shared; the old bytes stay where they were; the GUID stays, the table hash changes."""
    path = tmp_path / "new.wim"
    write(host(path), path.name, FILES)
    before = path.read_bytes()
    with open_store(path) as old:
        guid, table_hash = old.guid, old.table_hash
    write(host(path), path.name, FILES | {"more.txt": b"more" * 1000}, image="two")
    after = path.read_bytes()
    assert after[208:len(before)] == before[208:]
    assert len(after) - len(before) < 10_000
    with open_store(path) as store:
        assert store.guid == guid
        assert store.table_hash != table_hash
        assert [image.name for image in store.images] == ["one", "two"]
    assert verified(path)
    assert applied(path, 2, tmp_path / "out") == FILES | {"more.txt": b"more" * 1000}


def test_reference_counts_are_those_that_wimlib_expects(tmp_path: Path) -> None:
    """`wimlib-imagex export` of both images rebuilds the counts; ours were the same before."""
    path, rebuilt = tmp_path / "new.wim", tmp_path / "rebuilt.wim"
    write(host(path), path.name, FILES)
    write(host(path), path.name, FILES, image="two")
    assert wimlib("export", path, "all", rebuilt).returncode == 0
    with open_store(path) as ours, open_store(rebuilt) as theirs:
        assert _counts(ours) == _counts(theirs)


def _counts(store: Store) -> dict[bytes, int]:
    table = store.parts[0].table
    return {sha1: table.row(row).reference_count for sha1 in table.index for row in (table.index[sha1],)}


def test_the_same_input_makes_the_same_wim() -> None:
    """Threads do not change a byte."""
    made = set()
    for _ in range(3):
        folder = MemoryFolder()
        write(folder, "a.wim", FILES, create=CreateOptions(guid=bytes(16)))
        made.add(folder.images["a.wim"].read(0, 1 << 30))
    assert len(made) == 1


def test_the_table_hash_is_known_before_the_header_is_written() -> None:
    """After `seal` the pending store reads every new blob while the file still shows the old WIM."""
    folder = MemoryFolder()
    write(folder, "a.wim", {"old": b"old" * 500})
    with Append(folder, "a.wim", create=None, where="a.wim") as append:
        add_image(append, FILES, "two")
        append.seal()
        pending = append.pending()
        assert pending.check_blobs(append.new_hashes, Counter(), 2) == []
        assert pending.table_hash == append.table_hash
        assert len(Store.open(folder.open("a.wim"), where="a.wim").images) == 1
        append.finish()
    assert Store.open(folder.open("a.wim"), where="a.wim").table_hash == pending.table_hash


def test_leaving_without_finish_leaves_the_wim_as_it_was() -> None:
    """An append that ends early leaves the old bytes and nothing beside them; a new WIM leaves nothing."""
    folder = MemoryFolder()
    write(folder, "a.wim", {"old": b"old" * 500})
    before = folder.images["a.wim"].read(0, 1 << 30)
    with Append(folder, "a.wim", create=None, where="a.wim") as append:
        add_image(append, FILES, "two")
        append.seal()
    with Append(folder, "b.wim", create=CreateOptions(), where="b.wim") as append:
        add_image(append, FILES, "one")
    assert list(folder.images) == ["a.wim"]
    assert folder.images["a.wim"].read(0, 1 << 30) == before


def test_nothing_added_writes_nothing() -> None:
    """Looking at a WIM through an Append does not touch it, not even by an undo record."""
    folder = MemoryFolder()
    write(folder, "a.wim", FILES)
    before = folder.images["a.wim"].read(0, 1 << 30)
    with Append(folder, "a.wim", create=None, where="a.wim") as append:
        assert append.has(next(iter(append.store.hashes() if append.store else ())))
    assert folder.images["a.wim"].read(0, 1 << 30) == before


def test_an_image_needs_its_blobs() -> None:
    """A tree that names a blob which is not there is refused before anything is written of the image."""
    folder = MemoryFolder()
    tree, _, streams = make_tree({"a": b"x"})
    tree.set_hash(streams[0], b"\1" * 20)
    with Append(folder, "a.wim", create=CreateOptions(), where="a.wim") as append, pytest.raises(BlobMissing):
        append.add_image(tree, ImageXml(name="one"))


def test_another_compression_is_refused(tmp_path: Path) -> None:
    """An existing WIM keeps its own; asking for the same, or for none, is fine."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, {"a": b"a" * 1000})
    before = path.read_bytes()
    for options in (CreateOptions(compression=Compression.LZX, chunk_size=32768), CreateOptions(chunk_size=8192)):
        with pytest.raises(CompressionDiffers, match="XPRESS in chunks of 4,096"):
            Append(host(path), path.name, create=options, where="a.wim")
    Append(host(path), path.name, create=CreateOptions(compression=Compression.XPRESS, chunk_size=4096),
           where="a.wim").abort()
    assert path.read_bytes() == before


def test_no_wim_is_made_unless_asked(tmp_path: Path) -> None:
    """Without options to create one, a missing WIM is an error."""
    with pytest.raises(WimMissing):
        Append(host(tmp_path / "a"), "a.wim", create=None, where="a.wim")


@pytest.mark.parametrize(("flag", "error"), [(HeaderFlag.READONLY, WimReadOnly),
                                              (HeaderFlag.WRITE_IN_PROGRESS, WimBeingWritten),
                                              (HeaderFlag.SPANNED, WimSplit),
                                              (HeaderFlag.RESOURCE_ONLY, WimNotExtendable)])
def test_a_wim_that_must_not_grow_is_refused(flag: HeaderFlag, error: type[Refused]) -> None:
    """The header's flags are heeded, and nothing is changed."""
    folder = MemoryFolder()
    write(folder, "a.wim", {"a": b"a" * 1000})
    data = bytearray(folder.images["a.wim"].read(0, 1 << 30))
    data[0x10:0x14] = (int.from_bytes(data[0x10:0x14], "little") | flag).to_bytes(4, "little")
    folder.images["a.wim"] = Image(bytes(data))
    with pytest.raises(error):
        Append(folder, "a.wim", create=None, where="a.wim")
    assert folder.images["a.wim"].read(0, 1 << 30) == bytes(data)


def test_a_locked_wim_is_busy(tmp_path: Path) -> None:
    """wimlib takes the same lock while it writes."""
    path = tmp_path / "a.wim"
    write(host(path), path.name, {"a": b"a" * 1000})
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(WimBusy):
            Append(host(path), path.name, create=None, where="a.wim")


def test_foreign_facts_survive_an_append(tmp_path: Path) -> None:
    """Images, unknown XML elements, boot image and integrity table of a WIM that DISM made and wimlib marked."""
    path = tmp_path / "multi.wim"
    shutil.copyfile(_sample("MultiImage.wim"), path)
    path.chmod(0o644)
    assert wimlib("info", path, "2", "--boot").returncode == 0
    with open_store(path) as store:
        old, images = store.header, store.images
        old_xml = store.parts[0].xml.decode("utf-16")
    write(host(path), path.name, FILES, image="ours")
    with open_store(path) as store:
        assert store.images[:3] == images
        assert (store.header.boot_index, store.header.boot_metadata) == (old.boot_index, old.boot_metadata)
        assert store.header.integrity.size == 12 + 20
        new_xml = store.parts[0].xml.decode("utf-16")
    for element in re.findall(r"<(CREATEDBY|SERVICINGDATA|DISPLAYNAME)>", old_xml):
        assert f"<{element}>" in new_xml
    assert wimlib("verify", path).returncode == 0
    assert applied(path, 4, tmp_path / "out") == FILES


def test_an_integrity_table_covers_what_was_added(tmp_path: Path) -> None:
    """Over several pieces of 10 MiB: wimlib's --check agrees with the table that we extended."""
    path = tmp_path / "check.wim"
    source = tmp_path / "source"
    source.mkdir()
    (source / "big.bin").write_bytes(RANDOM.randbytes(11 << 20))
    assert wimlib("capture", source, path, "--compress=XPRESS", "--chunk-size=4096", "--check").returncode == 0
    write(host(path), path.name, {"second.bin": RANDOM.randbytes(11 << 20)}, image="two")
    assert wimlib("verify", path).returncode == 0
    assert wimlib("apply", path, "2", tmp_path / "out", "--check").returncode == 0
    data = bytearray(path.read_bytes())
    data[15 << 20] ^= 1
    path.write_bytes(data)
    assert wimlib("apply", path, "2", tmp_path / "out2", "--check").returncode != 0


def test_wimlib_appends_to_what_we_wrote_and_we_to_that(tmp_path: Path) -> None:
    """The two writers take turns on one WIM."""
    path, source = tmp_path / "turns.wim", tmp_path / "source"
    source.mkdir()
    (source / "theirs.txt").write_bytes(b"theirs" * 1000)
    write(host(path), path.name, FILES)
    assert wimlib("append", source, path, "theirs").returncode == 0
    write(host(path), path.name, {"last.txt": b"last" * 1000}, image="last")
    assert verified(path)
    assert applied(path, 2, tmp_path / "second") == {"theirs.txt": b"theirs" * 1000}
    assert applied(path, 3, tmp_path / "third") == {"last.txt": b"last" * 1000}


def test_what_lies_behind_the_end_is_cut() -> None:
    """The tail that an interrupted program left is not carried along."""
    folder = MemoryFolder()
    write(folder, "a.wim", {"a": b"a" * 1000}, create=CreateOptions(guid=bytes(16)))
    clean = folder.images["a.wim"].read(0, 1 << 30)
    folder.images["a.wim"] = Image(clean + b"garbage" * 1000)
    write(folder, "a.wim", {"b": b"b" * 1000}, image="two")
    folder.images["b.wim"] = Image(clean)
    write(folder, "b.wim", {"b": b"b" * 1000}, image="two")
    assert folder.images["a.wim"].read(0, 1 << 30) == folder.images["b.wim"].read(0, 1 << 30)


def test_a_new_wim_says_what_it_is() -> None:
    """Header of a fresh store: version 0x10D00, XPRESS, chunks of 4096, the GUID asked for."""
    folder = MemoryFolder()
    write(folder, "a.wim", {"a": b"a"}, create=CreateOptions(guid=b"0123456789abcdef"))
    header = WimHeader.parse(folder.images["a.wim"].read(0, 208))
    assert (header.version, header.flags, header.chunk_size) == (0x10D00, 0x20002, 4096)
    assert (header.guid, header.image_count) == (b"0123456789abcdef", 1)
