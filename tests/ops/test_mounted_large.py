"""`wimboot mount` with files of several MiB: any part of them at any time, and never what is not theirs."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

import build
from mounting import copy_sparse, mounted
from running import NO_PLACE, done
from sample_features import make_compact
from shown import fails, shown

MIB = 1 << 20


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory, pristine_small: Path) -> tuple[Path, Path]:
    """A volume with files of several MiB, converted; (volume, WIM)."""
    folder = tmp_path_factory.mktemp("big")
    volume, wim = folder / "big.img", folder / "big.wim"
    build.make_volume(volume, size=96 << 20)
    with mounted(pristine_small) as source, mounted(volume, write=True) as root:
        for name in ("Windows/System32/config", "Windows/System32/ntoskrnl.exe"):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (source / name).is_dir():
                target.mkdir()
                for file in (source / name).iterdir():
                    (target / file.name).write_bytes(file.read_bytes() if file.is_file() else b"")
            else:
                target.write_bytes((source / name).read_bytes())
        for name, data in _big_files().items():
            (root / name).write_bytes(data)
        for algorithm in range(4):
            make_compact(root / f"compact {algorithm}", _mixed(3 * MIB + 4321, algorithm), algorithm)
        (root / "many").mkdir()
        for number in range(10_000):
            (root / "many" / f"file {number}").touch()
    done("convert", volume, "--wim", wim, *NO_PLACE, "--config", _no_exclusions(folder))
    return volume, wim


def _no_exclusions(folder: Path) -> Path:
    config = folder / "keep.ini"
    config.write_text("[PrepopulateList]\ncompact *\n\\compact 0\n\\compact 1\n\\compact 2\n\\compact 3\n")
    return config


def _sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _mixed(size: int, seed: int) -> bytes:
    """Stretches that compress and stretches that do not."""
    chance, out = Random(seed), bytearray()
    while len(out) < size:
        out += chance.randbytes(chance.randrange(1, 30_000))
        out += bytes([chance.randrange(256)]) * chance.randrange(1, 30_000)
    return bytes(out[:size])


def _big_files() -> dict[str, bytes]:
    return {"mixed.bin": _mixed(5 * MIB + 123, 7), "noise.bin": Random(8).randbytes(3 * MIB),
            "zeros.bin": bytes(4 * MIB), "one block.bin": _mixed(MIB, 9)}


def test_large_files_are_read_in_any_order(big: tuple[Path, Path]) -> None:
    """From start to end, backwards, here and there, by threads at once: always the same bytes."""
    with shown(big[0]) as running:
        for name, data in _big_files().items():
            path, chance = running.folder / name, Random(1)
            with path.open("rb", buffering=0) as file:
                for _ in range(40):
                    start, size = chance.randrange(len(data)), chance.randrange(1, 300_000)
                    assert os.pread(file.fileno(), size, start) == data[start:start + size]
        with ThreadPoolExecutor(8) as threads:
            names = [*_big_files()] * 4
            digests = list(threads.map(lambda name: _sha1((running.folder / name).read_bytes()), names))
        expected = {name: _sha1(data) for name, data in _big_files().items()}
        assert digests == [expected[name] for name in names]
        assert running.end() == 0
        assert "problem" not in running.told


def test_compact_files_of_every_kind_are_unpacked(big: tuple[Path, Path]) -> None:
    """XPRESS of three chunk sizes, and LZX, whole and in parts."""
    forms = [done("explain", big[0], f"compact {algorithm}", "--json").json["form"] for algorithm in range(4)]
    assert forms == ["compact"] * 4
    with shown(big[0]) as running:
        for algorithm in range(4):
            data, chance = _mixed(3 * MIB + 4321, algorithm), Random(2)
            with (running.folder / f"compact {algorithm}").open("rb", buffering=0) as file:
                for _ in range(20):
                    start, size = chance.randrange(len(data)), chance.randrange(1, 100_000)
                    assert os.pread(file.fileno(), size, start) == data[start:start + size]
            assert (running.folder / f"compact {algorithm}").read_bytes() == data


def test_a_folder_of_ten_thousand_files_is_listed(big: tuple[Path, Path]) -> None:
    """All of them, each once."""
    with shown(big[0]) as running:
        names = [path.name for path in (running.folder / "many").iterdir()]
        assert sorted(names) == sorted(f"file {number}" for number in range(10_000))


def test_without_the_wim_nothing_reads_as_zeros(big: tuple[Path, Path], tmp_path: Path) -> None:
    """The mount says which WIM is missing; real files are there, what pointers stand for is an I/O error."""
    alone = tmp_path / "alone.img"
    copy_sparse(big[0], alone)
    with shown(alone) as running:
        for name in _big_files():
            with fails(errno.EIO):
                (running.folder / name).read_bytes()
        assert (running.folder / "compact 1").read_bytes() == _mixed(3 * MIB + 4321, 1)
        assert running.told.count("was not found") == 1
        assert running.told.count("problem: /mixed.bin: ") == 1
    with shown(alone, "--wim", big[1]) as running:
        assert (running.folder / "mixed.bin").read_bytes() == _big_files()["mixed.bin"]


def test_a_damaged_blob_is_never_read_to_its_end(big: tuple[Path, Path], tmp_path: Path) -> None:
    """Where decompressing does not find the damage, the hash does; other files are well."""
    volume, wim = tmp_path / "damaged.img", tmp_path / "big.wim"
    copy_sparse(big[0], volume)
    copy_sparse(big[1], wim)
    data = wim.read_bytes()
    noise = _big_files()["noise.bin"]
    place = data.find(noise[MIB:MIB + 64])
    assert place > 0
    with wim.open("r+b") as file:
        file.seek(place)
        file.write(bytes(4096))
    with shown(volume) as running:
        for _ in range(2):
            with fails(errno.EIO), (running.folder / "noise.bin").open("rb", buffering=0) as file:
                file.read(1)
        assert (running.folder / "mixed.bin").read_bytes() == _big_files()["mixed.bin"]
        assert "problem: /noise.bin: " in running.told
