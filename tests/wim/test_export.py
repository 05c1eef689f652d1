"""Bringing blobs from WIMs that cannot back files into one that can."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from wim_making import SAMPLES, applied, host, verified, wimlib
from wimboot.events import Counter
from wimboot.formats.wimheader import Compression
from wimboot.storage.faults import Image, MemoryFile
from wimboot.wim import Append, CreateOptions, Store, copy_blobs, open_store
from wimboot.wim.errors import BlobDamaged, BlobMissing

RANDOM = random.Random(5)
FILES = {"a": b"a" * 100_000, "b": RANDOM.randbytes(9000), "empty": b"", "one": b"1",
         "raw": RANDOM.randbytes((2 << 20) + 1),
         "large": b"".join(RANDOM.randbytes(70) * 4 for _ in range(9000))}


def _copy(store: Store, path: Path, create: CreateOptions) -> None:
    with Append(host(path), path.name, create=create, where=path.name) as append:
        counter = Counter()
        copy_blobs(store, store.hashes(), append, counter=counter)
        assert counter.done == sum(blob.size for blob in map(store.blob, store.hashes()) if blob)
        copy_blobs(store, [*store.hashes(), bytes(20)], append)      # a second time adds nothing
        for number, image in enumerate(store.images, 1):
            append.add_image(store.load_tree(number), image)
        append.finish()


@pytest.mark.parametrize("arguments", [["--solid", "--solid-compress=LZX"], ["--compress=LZMS"], ["--compress=LZX"],
                                       ["--compress=none"]])
def test_an_exported_image_is_the_same_image(arguments: list[str], tmp_path: Path) -> None:
    """Out of solid, LZMS, LZX and raw WIMs into XPRESS 4K; wimlib extracts the same files."""
    source, path, folder = tmp_path / "theirs.wim", tmp_path / "ours.wim", tmp_path / "files"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / name).write_bytes(data)
    assert wimlib("capture", folder, source, *arguments).returncode == 0
    with open_store(source) as store:
        _copy(store, path, CreateOptions())
    with open_store(path) as store:
        assert store.not_backable is None
        assert all(store.backable(sha1) for sha1 in store.hashes())
        assert store.check_blobs(None, Counter(), 2) == []
    assert verified(path)
    assert applied(path, 1, tmp_path / "out") == FILES


@pytest.mark.parametrize("name", ["LZMS.wim", "Split.swm", "MultiImage.wim"])
def test_the_samples_are_exported(name: str, tmp_path: Path) -> None:
    """LZMS, split and several images become one LZX store that wimlib verifies."""
    if not (SAMPLES / name).exists():
        pytest.skip("the folder ../shared with third-party WIMs is not here")
    path = tmp_path / "ours.wim"
    with open_store(SAMPLES / name) as store:
        _copy(store, path, CreateOptions(compression=Compression.LZX))
        images = len(store.images)
    assert verified(path)
    for image in range(1, images + 1):
        assert wimlib("apply", path, str(image), tmp_path / f"out{image}").returncode == 0


def test_damage_in_the_source_stops_the_export(tmp_path: Path) -> None:
    """Neither a damaged blob nor one that is missing gets into the new store."""
    path, folder = tmp_path / "theirs.wim", tmp_path / "files"
    folder.mkdir()
    (folder / "a").write_bytes(FILES["b"])
    assert wimlib("capture", folder, path).returncode == 0
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    store = Store.open(MemoryFile(Image(bytes(data))), where="theirs.wim")
    with Append(host(tmp_path / "x"), "ours.wim", create=CreateOptions(), where="ours.wim") as append:
        with pytest.raises(BlobDamaged):
            copy_blobs(store, store.hashes(), append)
        with pytest.raises(BlobMissing):
            copy_blobs(store, [b"\1" * 20], append)
    assert not (tmp_path / "ours.wim").exists()
