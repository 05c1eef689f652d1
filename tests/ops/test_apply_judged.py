"""Deploying, judged by others: our images by wimlib, and what we deploy beside what was captured."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from converted import LOST_BITS, OVERLAY_FILES, Converted, fresh_volume, unpacked
from judges import apply_with_wimlib, capture_with_wimlib, every_pointer_leads_home, sound_volume, sound_wim
from mounting import mounted
from running import NO_PLACE, done, unchanged, wimboot
from snapshots import Snapshot, differences, pointer, seen_through, snapshot

COMPACT = "Features/compact/compact.exe"
NOT_IN_IMAGE = ("pagefile.sys", "System Volume Information", "Windows/Temp/left over.tmp",
                "Features/encrypted/encrypted.bin")
"""What the built-in list excludes, and what only Windows could export."""


@pytest.fixture(scope="module")
def deployed_full(converted_once: Converted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of the converted volume, deployed with all data."""
    volume = fresh_volume(tmp_path_factory.mktemp("full") / "full.img")
    done("apply", converted_once.wim, "first", volume, "--full")
    return volume


@pytest.fixture(scope="module")
def seen_full(deployed_full: Path) -> Snapshot:
    """What the driver sees there."""
    return snapshot(deployed_full)


def test_a_deployed_volume_equals_the_one_that_was_captured(
        converted_once: Converted, deployed_full: Path, seen_full: Snapshot) -> None:
    """With all data: every name, stream, time, attribute, descriptor, link, object id and EA."""
    sound_volume(deployed_full)
    assert not differences(converted_once.before, seen_full, without=(*NOT_IN_IMAGE, COMPACT))
    assert seen_full[COMPACT].streams[""][0] == len(unpacked(converted_once.original, COMPACT))


def test_compressed_and_sparse_files_are_so_again(converted_once: Converted, seen_full: Snapshot) -> None:
    """What pointers cannot carry, the image does."""
    for path, bit in (("Features/compressed/compressible.txt", 0x800), ("Features/sparse/holes.bin", 0x200)):
        assert converted_once.before[path].attributes & bit
        assert seen_full[path].attributes & bit


def test_a_volume_deployed_as_pointers_equals_one_with_all_data(
        converted_once: Converted, seen_full: Snapshot, tmp_path: Path) -> None:
    """Seen through its pointers, all of which lead home."""
    volume = fresh_volume(tmp_path / "pointers.img")
    told = done("apply", converted_once.wim, "1", volume, *NO_PLACE, "--json").json
    sound_volume(volume)
    now = snapshot(volume)
    assert not differences(seen_full, seen_through(now), attribute_mask=LOST_BITS,
                           without=(*OVERLAY_FILES, "System Volume Information"))
    assert told["pointed"] == every_pointer_leads_home(volume, converted_once.wim, {}) > 100
    done("verify", volume, "--wim", converted_once.wim)


def test_the_same_files_are_pointers_after_apply_and_after_convert(converted_once: Converted, tmp_path: Path) -> None:
    """One rule decides, but for small files, whose place in the record depends on its other attributes."""
    volume = fresh_volume(tmp_path / "pointers.img")
    done("apply", converted_once.wim, "1", volume, *NO_PLACE)
    applied = {path for path, facts in snapshot(volume, contents=False).items() if pointer(facts)}
    converted = {path for path, facts in converted_once.after.items() if pointer(facts)}
    assert all(converted_once.before[path].streams[""][0] <= 1024 for path in applied ^ converted), applied ^ converted


def test_wimlib_deploys_our_image_as_we_do(converted_once: Converted, seen_full: Snapshot, tmp_path: Path) -> None:
    """Attribute by attribute, on a second volume; extended attributes are what wimlib leaves out on NTFS."""
    volume = tmp_path / "wimlib.img"
    apply_with_wimlib(converted_once.wim, 1, volume, size=64 << 20)
    other = snapshot(volume)
    assert not differences(seen_full, other, attribute_mask=0x80, ignore=("change_time", "record", "eas"))


def test_our_capture_equals_wimlibs_entry_by_entry(converted_once: Converted, tmp_path: Path) -> None:
    """`wimlib-imagex dir --detailed` says the same of both, but for what wimlib does not follow."""
    config, ours, theirs = tmp_path / "list.ini", tmp_path / "ours.wim", tmp_path / "theirs.wim"
    config.write_text("[ExclusionList]\n\\pagefile.sys\n\\System Volume Information\n\\Features\\encrypted\n")
    done("capture", converted_once.original, "--wim", ours, "--config", config)
    capture_with_wimlib(converted_once.original, theirs, "--config", str(config))
    mine, other = _entries(ours), _entries(theirs)
    mine.pop(f"/{COMPACT}")
    other.pop(f"/{COMPACT}")
    other.pop("/Windows/System32/WimBootCompress.ini")  # the list itself, which wimlib puts in
    assert mine.keys() == other.keys()
    assert len(mine) > 250
    for path, lines in mine.items():
        assert lines == other[path], path


def _entries(wim: Path) -> dict[str, list[str]]:
    """Path -> what wimlib says of it, without numbers that only order things."""
    said = subprocess.run(["wimlib-imagex", "dir", str(wim), "1", "--detailed"], check=True, capture_output=True).stdout
    found = {}
    for block in said.decode("utf-8", "surrogatepass").split("-" * 76):
        lines = [line.strip() for line in block.strip().splitlines()]
        lines = [line for line in lines if line and not line.startswith(
            ("Link Group ID", "Offset in WIM", "Compressed size", "Flags"))]
        names = [line for line in lines if line.startswith("Full Path")]
        if names:
            found[names[0].partition("=")[2].strip().strip('"')] = sorted(lines)
    return found


@pytest.mark.parametrize("compress", ["xpress8k", "xpress16k", "xpress32k", "lzx"])
def test_every_compression_can_back_a_volume(compress: str, small_volume: Path, tmp_path: Path) -> None:
    """Chunks of all sizes that Windows' driver reads, and LZX."""
    wim = tmp_path / "store.wim"
    before = snapshot(small_volume)
    done("convert", small_volume, "--wim", wim, "--compress", compress, *NO_PLACE)
    sound_wim(wim)
    sound_volume(small_volume)
    assert every_pointer_leads_home(small_volume, wim, {}) > 20
    assert not differences(before, seen_through(snapshot(small_volume)), attribute_mask=LOST_BITS,
                           without=OVERLAY_FILES)


def test_fast_costs_a_little_size(small_volume: Path, tmp_path: Path) -> None:
    """The WIM is sound and its contents are the same."""
    slow, fast = tmp_path / "slow.wim", tmp_path / "fast.wim"
    done("capture", small_volume, "--wim", slow, "--threads", "1")
    done("capture", small_volume, "--wim", fast, "--fast", "--threads", "4")
    sound_wim(fast)
    assert slow.stat().st_size <= fast.stat().st_size < slow.stat().st_size * 1.1


def test_apply_with_format_gives_up_what_was_there(converted: Converted) -> None:
    """A volume with another system becomes the image's; nothing of the other is left."""
    with mounted(converted.volume, write=True) as root:
        (root / "of the other system.txt").write_bytes(b"gone" * 1000)
    done("apply", converted.wim, "1", converted.volume, "--format", "--yes", *NO_PLACE)
    sound_volume(converted.volume)
    assert not differences(seen_through(converted.after), seen_through(snapshot(converted.volume)),
                           attribute_mask=LOST_BITS, without=NOT_IN_IMAGE)


def test_convert_with_format_keeps_all_that_the_image_holds(small_volume: Path, tmp_path: Path) -> None:
    """The volume is built anew from what was just captured from it."""
    before = snapshot(small_volume)
    told = done("convert", small_volume, "--wim", tmp_path / "store.wim", "--format", "--yes", *NO_PLACE, "--json").json
    sound_volume(small_volume)
    assert not differences(before, seen_through(snapshot(small_volume)), attribute_mask=LOST_BITS,
                           without=NOT_IN_IMAGE)
    assert told["pointed"] == every_pointer_leads_home(small_volume, tmp_path / "store.wim", {}) > 20
    done("verify", small_volume, "--wim", tmp_path / "store.wim")


def test_format_asks_first(small_volume: Path, tmp_path: Path) -> None:
    """Without --yes and without a person who says yes, nothing happens."""
    wim = tmp_path / "store.wim"
    done("capture", small_volume, "--wim", wim)
    with unchanged(small_volume, wim):
        assert wimboot("apply", wim, "1", small_volume, "--format", "--full").code == 4
        assert wimboot("restore", small_volume, "--wim", wim, "--image", "1", "--format").code == 4
        assert wimboot("convert", small_volume, "--wim", wim, "--format", *NO_PLACE).code == 4
