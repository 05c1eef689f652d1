"""Sparse and compressed files whose data does not show it come back as what they were: noise, a few bytes, nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converted import fresh_volume
from judges import run, sound_volume
from mounting import copy_sparse, mounted
from running import NO_PLACE, done
from snapshots import Snapshot, pointer, snapshot
from volume_rig import ROOT, TIMES, opened, utf16

SPARSE, COMPRESSED = 0x200, 0x800
KINDS = {"sparse": SPARSE, "compressed": COMPRESSED, "both": SPARSE | COMPRESSED}
SIZES = (0, 90, 600, 5000, 130_000)
BOTH_BITS = SPARSE | COMPRESSED


def plant(volume: Path) -> None:
    r"""\Kinds: a file of noise of each kind and size, one whose named stream is sparse, and a sparse folder.

    The driver cannot make them; what we made is judged by it, and by ntfsinfo.
    """
    with opened(volume) as made:
        folder = made.create_folder(ROOT, utf16("Kinds"), b"", 0x10, TIMES, 0)
        for kind, bits in KINDS.items():
            for size in SIZES:
                file_id = made.create_file(folder, utf16(f"{kind} {size}"), b"", 0x20 | bits, TIMES, 0)
                if size:
                    made.write_data(file_id, b"", [os.urandom(size)], size, sparse=bool(bits & SPARSE),
                                    compressed=bool(bits & COMPRESSED))
        named = made.create_file(folder, utf16("named"), b"", 0x20, TIMES, 0)
        made.write_data(named, b"", [b"plain" * 300], 1500)
        made.write_data(named, utf16("stream"), [os.urandom(70_000)], 70_000, sparse=True)
        inside = made.create_folder(folder, utf16("folder"), b"", 0x10 | SPARSE, TIMES, 0)
        made.write_data(inside, utf16("on it"), [os.urandom(70_000)], 70_000, sparse=True)


@pytest.fixture(scope="module")
def planted(pristine_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume with such files and `kinds.wim` beside it, which holds its image; for reading only."""
    volume = tmp_path_factory.mktemp("planted") / "system.img"
    copy_sparse(pristine_small, volume)
    plant(volume)
    sound_volume(volume)
    done("capture", volume, "--wim", volume.with_name("kinds.wim"))
    return volume


@pytest.fixture(scope="module")
def before(planted: Path) -> dict[str, int]:
    """The bits of each, as the driver shows them."""
    seen = bits(snapshot(planted))
    assert seen == {**{f"{kind} {size}": bit for kind, bit in KINDS.items() for size in SIZES},
                    "named": SPARSE, "folder": SPARSE, "": 0}
    return seen


def bits(seen: Snapshot) -> dict[str, int]:
    """SPARSE and COMPRESSED of everything in the folder."""
    return {path[6:]: facts.attributes & BOTH_BITS for path, facts in seen.items() if path.startswith("Kinds")}


def data_flags(volume: Path, seen: Snapshot, path: str) -> int:
    """The flags of a file's first $DATA attribute, as ntfsinfo reads them."""
    said = run("ntfsinfo", "-v", "-i", str(seen[f"Kinds/{path}"].record), volume)
    return int(said.split("Dumping attribute $DATA")[1].split("Attribute flags:")[1].split()[0], 16)


def contents(seen: Snapshot) -> dict[str, dict[str, tuple[int, str]]]:
    return {path: facts.streams for path, facts in seen.items() if path.startswith("Kinds")}


def same_kinds(planted: Path, volume: Path, before: dict[str, int]) -> None:
    """The volume's files are of the kinds and contents of the planted one's, for the driver and in their data."""
    sound_volume(volume)
    was, now = snapshot(planted), snapshot(volume)
    assert bits(now) == before
    assert contents(now) == contents(was)
    for kind, bit in KINDS.items():
        for size in SIZES:
            wanted = (0x8000 if bit & SPARSE else 0) | (1 if bit & COMPRESSED else 0)
            assert data_flags(volume, now, f"{kind} {size}") == wanted, (kind, size)


def test_a_full_apply_makes_them_again(planted: Path, before: dict[str, int], tmp_path: Path) -> None:
    """Whether their data is in their record, in clusters, or nowhere."""
    volume = fresh_volume(tmp_path / "full.img", size=32 << 20)
    done("apply", planted.with_name("kinds.wim"), "1", volume, "--full")
    same_kinds(planted, volume, before)


def test_a_restore_makes_them_again(planted: Path, before: dict[str, int], tmp_path: Path) -> None:
    """Deleted, written plainly, or only no longer of that kind; a second restore finds nothing to do."""
    volume, wim = tmp_path / "system.img", planted.with_name("kinds.wim")
    copy_sparse(planted, volume)
    with mounted(volume, write=True) as root:
        for path in (root / "Kinds").iterdir():
            if path.name.endswith(("600", "130000")):
                path.unlink()
            elif path.name.endswith("5000"):
                path.write_bytes(b"written plainly" * 200)
    with opened(volume) as changed:
        folder = changed.lookup(ROOT, utf16("Kinds"))
        assert folder is not None
        for name in ("sparse 90", "compressed 90", "both 90"):
            file_id = changed.lookup(folder, utf16(name))
            assert file_id is not None
            changed.write_data(file_id, b"", [changed.read(file_id)], 90)
            changed.set_times(file_id, *TIMES)
        inside = changed.lookup(folder, utf16("folder"))
        assert inside is not None
        changed.set_attributes(inside, 0)
    told = done("restore", volume, "--wim", wim, "--image", "1", "--json").json
    assert told["metadata"] >= 4
    same_kinds(planted, volume, before)
    again = done("restore", volume, "--wim", wim, "--image", "1", "--json").json
    assert (again["removed"], again["added"], again["changed"], again["metadata"]) == (0, 0, 0, 0), again["paths"]


def test_a_plain_image_makes_them_plain(pristine_small: Path, tmp_path: Path) -> None:
    """The bits go as they come: what an older image has as an ordinary file is one again."""
    volume, wim = tmp_path / "system.img", tmp_path / "plain.wim"
    copy_sparse(pristine_small, volume)
    plain = {name: os.urandom(9000) for name in ("sparse 5000", "compressed 5000", "both 5000")}
    with opened(volume) as made:
        folder = made.create_folder(ROOT, utf16("Kinds"), b"", 0x10, TIMES, 0)
        for name, content in plain.items():
            made.write_data(made.create_file(folder, utf16(name), b"", 0x20, TIMES, 0), b"", [content], len(content))
    done("capture", volume, "--wim", wim)
    with opened(volume) as changed:
        folder_id = changed.lookup(ROOT, utf16("Kinds"))
        assert folder_id is not None
        for name, content in plain.items():
            file_id = changed.lookup(folder_id, utf16(name))
            assert file_id is not None
            changed.write_data(file_id, b"", [content], len(content), sparse="sparse" in name or "both" in name,
                               compressed="compressed" in name or "both" in name)
            changed.set_times(file_id, *TIMES)
    assert set(bits(snapshot(volume)).values()) == {0, SPARSE, COMPRESSED, BOTH_BITS}
    told = done("restore", volume, "--wim", wim, "--image", "1", "--json").json
    assert (told["changed"], told["metadata"]) == (0, 3)
    sound_volume(volume)
    assert set(bits(snapshot(volume)).values()) == {0}
    with mounted(volume) as root:
        assert {name: (root / "Kinds" / name).read_bytes() for name in plain} == plain


def test_pointers_turn_into_them_again(planted: Path, before: dict[str, int], tmp_path: Path) -> None:
    """A converted volume keeps the kinds in its image only; rehydrated, its files have them."""
    volume, wim = tmp_path / "system.img", tmp_path / "store.wim"
    copy_sparse(planted, volume)
    done("convert", volume, "--wim", wim, *NO_PLACE)
    converted = snapshot(volume)
    assert {path for path, facts in converted.items() if path.startswith("Kinds") and pointer(facts)} >= {
        f"Kinds/{kind} {size}" for kind in KINDS for size in (5000, 130_000)}
    done("rehydrate", volume)
    same_kinds(planted, volume, before)
