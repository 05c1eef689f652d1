"""Blobs and lists of files stored anew, whose bytes in the WIM are damaged: wimlib finds the WIM whole again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from wim_making import applied, host, make_tree, verified, wimlib, write
from wimboot.events import Counter
from wimboot.storage import Folder
from wimboot.storage.faults import Image, MemoryFolder
from wimboot.wim import Append, Store, copy_blobs, open_store
from wimboot.wim.errors import BlobDamaged

RANDOM = random.Random(5)
FILES = {"text.txt": b"one line of many\r\n" * 4000, "noise.bin": RANDOM.randbytes(50_000), "tiny": b"1",
         "large.bin": RANDOM.randbytes(3_000_000)}


def _damage(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)


def _hashes(path: Path) -> dict[str, bytes]:
    with open_store(path) as store:
        tree = store.load_tree(1)
        return {tree.path(link)[1:]: tree.stream(tree.data_stream(tree.link(link).node)).hash
                for link in range(1, tree.link_count)}


def _pair(tmp_path: Path) -> tuple[Path, Path]:
    """A WIM and its spare copy."""
    wim, spare = tmp_path / "store.wim", tmp_path / "spare.wim"
    write(host(wim), wim.name, FILES)
    spare.write_bytes(wim.read_bytes())
    return wim, spare


@pytest.mark.parametrize("name", ["text.txt", "noise.bin", "large.bin"])
def test_a_damaged_blob_is_replaced(name: str, tmp_path: Path) -> None:
    """The row leads to the new place; references, images and all other rows stay, and nothing old is written over."""
    wim, spare = _pair(tmp_path)
    sha1 = _hashes(wim)[name]
    with open_store(wim) as store:
        was = store.parts[0].table.find(sha1)
        count = len(store)
    assert was is not None
    _damage(wim, was.offset + was.size_in_wim // 2)
    assert not verified(wim)
    before = wim.read_bytes()
    with open_store(spare) as source, Append(host(wim), wim.name, create=None, where="it") as append:
        append.replace([sha1])
        assert not append.has(sha1)
        copy_blobs(source, [sha1], append)
        append.seal()
        assert not append.pending().check_blobs(append.new_hashes, Counter(), 1)
        append.finish()
    assert wim.read_bytes()[208:len(before)] == before[208:]
    assert verified(wim)
    assert applied(wim, 1, tmp_path / "out") == FILES
    with open_store(wim) as store:
        now = store.parts[0].table.find(sha1)
        assert now is not None
        assert now.offset >= len(before)
        assert (now.size, now.reference_count, len(store)) == (was.size, was.reference_count, count)


def test_what_is_not_brought_stays_where_it_is(tmp_path: Path) -> None:
    """A blob that was to be replaced, and for which nothing was found, keeps its row."""
    wim, _ = _pair(tmp_path)
    sha1 = _hashes(wim)["noise.bin"]
    with Append(host(wim), wim.name, create=None, where="it") as append:
        append.replace([sha1, bytes(range(20))])
        append.add_blob(b"another")
        append.finish()
    assert verified(wim)
    assert applied(wim, 1, tmp_path / "out") == FILES


def test_a_blob_that_only_pointers_refer_to_is_kept(tmp_path: Path) -> None:
    """It gets as many references as it is said to have; one that nobody is said to need is left out."""
    wim, _ = _pair(tmp_path)
    with Append(host(wim), wim.name, create=None, where="it") as append:
        kept, left = append.add_blob(b"kept" * 500), append.add_blob(b"left" * 500)
        append.keep({kept: 3})
        append.finish()
    assert verified(wim)
    with open_store(wim) as store:
        row = store.parts[0].table.find(kept)
        assert row is not None
        assert row.reference_count == 3
        assert left not in store


def test_a_damaged_list_of_files_is_replaced(tmp_path: Path) -> None:
    """Only by the very same list."""
    wim, spare = _pair(tmp_path)
    with open_store(wim) as store:
        row = store.parts[0].table.row(store.parts[0].table.metadata[0])
    _damage(wim, row.offset + row.size_in_wim - 3)
    assert wimlib("dir", wim, "1").returncode
    with open_store(spare) as source, Append(host(wim), wim.name, create=None, where="it") as append:
        with pytest.raises(BlobDamaged):
            append.replace_metadata(1, b"another list")
        append.replace_metadata(1, source.metadata(1))
        append.finish()
    assert verified(wim)
    assert applied(wim, 1, tmp_path / "out") == FILES


def test_the_integrity_table_takes_the_garbage_as_it_is(tmp_path: Path) -> None:
    """wimlib, asked to check it, finds the pieces that hold damaged bytes as they are now, and the others as before."""
    wim, spare = tmp_path / "store.wim", tmp_path / "spare.wim"
    folder = tmp_path / "files"
    folder.mkdir()
    for name, data in (FILES | {"more.bin": RANDOM.randbytes(24 << 20)}).items():
        (folder / name).write_bytes(data)
    assert not wimlib("capture", folder, wim, "--check", "--compress=XPRESS", "--chunk-size=4096").returncode
    spare.write_bytes(wim.read_bytes())
    sha1 = _hashes(wim)["large.bin"]
    with open_store(wim) as store:
        blob = store.blob(sha1)
    assert blob is not None
    _damage(wim, blob.offset + 100)
    assert wimlib("info", wim, "--check").returncode
    with open_store(spare) as source, Append(host(wim), wim.name, create=None, where="it") as append:
        append.replace([sha1])
        copy_blobs(source, [sha1], append)
        append.finish()
    assert not wimlib("info", wim, "--check").returncode


def test_a_stream_is_read_again_for_a_replaced_blob(tmp_path: Path) -> None:
    """A real file of the same hash serves as well as another WIM."""
    wim, _ = _pair(tmp_path)
    sha1 = _hashes(wim)["text.txt"]
    with open_store(wim) as store:
        blob = store.blob(sha1)
    assert blob is not None
    _damage(wim, blob.offset + 30)
    tree, source, streams = make_tree({"real": FILES["text.txt"]})
    with Append(host(wim), wim.name, create=None, where="it") as append:
        append.replace([sha1])
        append.add_streams(tree, source, streams, counter=Counter(), threads=1)
        append.finish()
    assert verified(wim)


def test_an_abort_leaves_the_wim_as_it_was() -> None:
    """Whatever was replaced."""
    folder: Folder = MemoryFolder()
    write(folder, "s.wim", FILES)
    assert isinstance(folder, MemoryFolder)
    image: Image = folder.images["s.wim"]
    before = image.read(0, image.size)
    with Append(folder, "s.wim", create=None, where="it") as append:
        assert append.store is not None
        sha1 = next(iter(append.store.hashes()))
        append.replace([sha1])
        append.add_blob(append.store.read(sha1))
        append.seal()
    assert folder.images["s.wim"].read(0, image.size) == before
    assert Store.open(folder.open("s.wim"), where="it")
