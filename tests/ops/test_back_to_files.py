"""The way back: a converted volume becomes one of ordinary files, in place."""

from __future__ import annotations

from pathlib import Path

from converted import Converted
from judges import sound_volume
from mounting import mounted
from running import NO_PLACE, done, wimboot
from snapshots import differences, pointer, seen_through, snapshot
from volume_edits import rewrite


def test_restore_in_full_makes_files_of_all_pointers(converted: Converted) -> None:
    """--full asks for all data, so pointers that lead to the right data become files as well."""
    was = seen_through(snapshot(converted.volume))
    done("restore", converted.volume, "--wim", converted.wim, "--full")
    now = snapshot(converted.volume)
    assert not [path for path, facts in now.items() if pointer(facts) is not None]
    assert not differences(was, now, attribute_mask=0xA80)
    sound_volume(converted.volume)
    assert done("info", converted.volume, "--json").json["volume"]["pointers"] == 0


def test_restoring_what_is_equal_says_so(converted: Converted) -> None:
    """A line of zeros would leave it open whether anything was compared."""
    assert "nothing to do" in done("restore", converted.volume, "--wim", converted.wim).out


def test_a_preview_needs_no_place(small_volume: Path, tmp_path: Path) -> None:
    """On a file system that Windows cannot read the dry run warns, and only the conversion refuses."""
    told = done("convert", small_volume, "--wim", tmp_path / "s.wim", "--driver", "none", "--dry-run")
    assert "which Windows cannot read" in told.err
    assert wimboot("convert", small_volume, "--wim", tmp_path / "s.wim", "--driver", "none").code == 4


def test_explaining_a_file_that_was_not_named_says_what_is_missing(small_volume: Path) -> None:
    """The target alone is no error code."""
    told = wimboot("explain", small_volume)
    assert (told.code, "PATH is missing" in told.err) == (2, True)


def test_verifying_ordinary_files_does_not_call_them_sound(small_volume: Path, tmp_path: Path) -> None:
    """A wrong partition, or a WIM that is not there, must not look like success."""
    assert "nothing to verify" in done("verify", small_volume).out
    assert wimboot("verify", small_volume, "--wim", tmp_path / "nope.wim").code != 0


def test_a_second_wim_does_not_hide_the_first(converted: Converted, tmp_path: Path) -> None:
    """Converting into another WIM leaves the pointers where they lead, and says so."""
    with mounted(converted.volume, write=True) as root:
        rewrite(root / "Windows/explorer.exe", b"MZ" + b"another explorer" * 2000)
    told = done("convert", converted.volume, "--wim", tmp_path / "other.wim", *NO_PLACE)
    assert "still are" in told.err
