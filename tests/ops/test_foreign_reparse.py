"""Files that are reparse points and hold data too: OneDrive's, deduplicated ones, those of programs not Microsoft's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converted import LOST_BITS, OVERLAY_FILES, fresh_volume
from index_judge import open_volume
from judges import sound_volume
from mounting import mounted
from running import NO_PLACE, done, refused
from sample_features import set_reparse, set_times, write_stream
from snapshots import Snapshot, differences, seen_through, snapshot

CLOUD, DEDUPLICATED, OTHER = 0x9000701A, 0x80000013, 0x00000042
TIMES = (0x01D2000000000001, 0x01D2000000000002, 0x01D2000000000003)
FOLDER = "Users/Public/OneDrive"
LEFT_OUT = ("pagefile.sys", "System Volume Information", "Windows/Temp", *OVERLAY_FILES)


def put(volume: Path, name: str, tag: int, data: bytes) -> None:
    """A file with data, then a reparse point of that tag; a tag not Microsoft's is followed by a GUID."""
    with mounted(volume, write=True) as root:
        path = root / FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        write_stream(path, "zone", b"a named stream of it " * 90)
        guid = b"" if tag & 0x80000000 else bytes(range(16))
        value = guid + b"what the filter noted"
        set_times(path, *TIMES)
        if guid:
            raw = tag.to_bytes(4, "little") + (len(value) - 16).to_bytes(2, "little") + bytes(2) + value
            os.setxattr(path, "system.ntfs_reparse_data", raw)
        else:
            set_reparse(path, tag, value)


@pytest.fixture
def cloudy(small_volume: Path) -> Path:
    """A system with such files, large, small and empty."""
    put(small_volume, "large.docx", CLOUD, os.urandom(70_000))
    put(small_volume, "small.docx", CLOUD, b"small and here")
    put(small_volume, "empty.docx", CLOUD, b"")
    put(small_volume, "archived.bin", OTHER, os.urandom(9000))
    return small_volume


def _holds(volume: Path, before: Snapshot) -> None:
    sound_volume(volume)
    now = snapshot(volume)
    for name in ("large.docx", "small.docx", "empty.docx", "archived.bin"):
        assert now[f"{FOLDER}/{name}"].reparse, name
    assert not differences(before, seen_through(now), attribute_mask=LOST_BITS, without=LEFT_OUT)
    assert _raw(volume) == {"large.docx": 70_000, "small.docx": 14, "empty.docx": 0, "archived.bin": 9000}


def _raw(volume: Path) -> dict[str, int]:
    """The sizes of their data, which the driver does not open, as an independent reader sees them."""
    with open_volume(volume) as view:
        folder = FOLDER.replace("/", "\\")
        found = {}
        for name in ("large.docx", "small.docx", "empty.docx", "archived.bin"):
            data = view.mft.get(f"{folder}\\{name}").open("").read()
            assert not data or any(data), name
            found[name] = len(data)
        return found


def test_such_files_come_back_whole(cloudy: Path, tmp_path: Path) -> None:
    """Formatted and deployed again, deployed in full elsewhere: data, reparse point, streams and times are there."""
    before, wim = snapshot(cloudy), tmp_path / "store.wim"
    done("convert", cloudy, "--wim", wim, "--format", "--yes", *NO_PLACE)
    _holds(cloudy, before)
    full = fresh_volume(tmp_path / "full.img", 24 << 20)
    done("apply", wim, "1", full, "--full")
    _holds(full, before)
    done("verify", cloudy, "--wim", wim)


def test_restore_brings_such_files_back(cloudy: Path, tmp_path: Path) -> None:
    """One deleted, one turned into a plain file of other data, one whose tag went, one whose data changed."""
    before, wim = snapshot(cloudy), tmp_path / "store.wim"
    done("convert", cloudy, "--wim", wim, *NO_PLACE)
    _holds(cloudy, before)
    with mounted(cloudy, write=True) as root:
        (root / FOLDER / "large.docx").unlink()
        (root / FOLDER / "archived.bin").unlink()
        (root / FOLDER / "archived.bin").write_bytes(b"plain" * 2000)
        os.removexattr(root / FOLDER / "small.docx", "system.ntfs_reparse_data", follow_symlinks=False)
    with mounted(cloudy, write=True) as root:
        (root / FOLDER / "small.docx").write_bytes(b"other data")
    put(cloudy, "empty.docx", CLOUD, b"not empty")
    done("restore", cloudy, "--wim", wim)
    _holds(cloudy, before)
    told = done("restore", cloudy, "--wim", wim, "--json").json
    assert (told["removed"], told["added"], told["changed"], told["metadata"]) == (0, 0, 0, 0), told["paths"]


def test_deduplicated_files_are_told_and_never_formatted_away(small_volume: Path, tmp_path: Path) -> None:
    """Their data lies in System Volume Information, which no image holds."""
    put(small_volume, "shared.vhd", DEDUPLICATED, b"")
    wim = tmp_path / "store.wim"
    refused("deduplicated-would-go", 4, "convert", small_volume, "--wim", wim, "--format", "--yes", *NO_PLACE,
            watching=(small_volume, wim))
    for verb, extra in (("capture", ()), ("convert", NO_PLACE)):
        told = done(verb, small_volume, "--wim", wim, *extra)
        assert "deduplicated" in told.err
        assert "shared.vhd" in told.err
