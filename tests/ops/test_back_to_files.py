"""The way back: a converted volume becomes one of ordinary files, in place."""

from __future__ import annotations

import os
import re
from pathlib import Path

from converted import LOST_BITS, OVERLAY_FILES, Converted
from judges import every_pointer_leads_home, sound_volume
from mounting import mounted
from running import NO_PLACE, done, notes, unchanged, wimboot
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
    told = done("info", converted.volume, "--json").json["volume"]
    assert (told["pointers"], told["wimboot"], len(told["sources"])) == (0, False, 1)
    assert not done("space", converted.volume, "--json").json["volumes"][0]["wimboot"]
    people = done("info", converted.volume).out
    assert "ordinary files; `update` and `restore` go by an image of a WIM" in people
    assert "later: no pointer leads into it" in people
    assert "place-later" not in notes("verify", converted.volume)
    done("update", converted.volume)
    told = done("info", converted.volume, "--json").json["volume"]
    assert (told["pointers"], told["wimboot"]) == (converted.told["pointed"], True)


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


def test_restore_in_pointers_is_the_way_forth_again(converted: Converted) -> None:
    """Of ordinary files with the right data too, as --full does the other way; what was changed comes from the WIM."""
    done("rehydrate", converted.volume, "--wim", converted.wim)
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/explorer.exe").write_bytes(b"another one" * 4000)
    command = ("restore", converted.volume, "--wim", converted.wim, "--image", "1", "--pointers", *NO_PLACE)
    ahead = done(*command, "--dry-run", "--json").json
    assert "would become pointers" in done(*command, "--dry-run").out
    told = done(*command, "--json").json
    assert {**ahead, "dry_run": False} == told
    assert (told["changed"], told["image_before"], told["registered"]) == (1, None, True)
    assert told["form_changed"] >= converted.told["pointed"] - 1    # `apply` points small files too, which lay resident
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) == told["form_changed"] + 1
    sound_volume(converted.volume)
    assert not differences(seen_through(converted.after), seen_through(snapshot(converted.volume)),
                           attribute_mask=LOST_BITS, without=(*OVERLAY_FILES, "System Volume Information", ""))
    done("verify", converted.volume, "--wim", converted.wim)
    assert "nothing to do" in done(*command).out


def test_pointers_where_some_files_are_ordinary_again(converted: Converted) -> None:
    """What `rehydrate` made of some paths; without --pointers each file keeps its form."""
    done("rehydrate", converted.volume, "\\Windows\\System32", "--wim", converted.wim)
    assert "nothing to do" in done("restore", converted.volume, "--wim", converted.wim).out
    assert "became pointers" in done("restore", converted.volume, "--wim", converted.wim, "--pointers").out
    assert done("info", converted.volume, "--json").json["volume"]["pointers"] >= converted.told["pointed"]


def test_moving_to_another_image_is_told_though_no_file_differs(converted: Converted) -> None:
    """With --keep for all of it only the image changes that the volume stands on."""
    with mounted(converted.volume, write=True) as root:
        (root / "Users/new.bin").write_bytes(os.urandom(50_000))
    done("update", converted.volume, "--wim", converted.wim)
    command = ("restore", converted.volume, "--wim", converted.wim, "--image", "1", "--keep", "*")
    with unchanged(converted.volume):
        assert "It stands on image 2" in done(*command, "--dry-run").out
        told = done(*command, "--dry-run", "--json").json
    assert (told["image"]["index"], told["image_before"], told["registered"]) == (1, 2, True)
    assert "It stood before on image 2" in done(*command).out
    assert "nothing to do" in done(*command).out
    text = done("restore", converted.volume, "--wim", converted.wim).out
    assert re.search(r"removed +\\Users\\new.bin", text)     # what goes is named, not only counted
    assert "1 name removed" in text


def test_ordinary_files_of_another_image_stand_on_that_image(converted: Converted) -> None:
    """As long as the volume has a record of its WIM, `status` and the next `restore` go by it."""
    with mounted(converted.volume, write=True) as root:
        (root / "Users/new.bin").write_bytes(os.urandom(50_000))
    done("update", converted.volume, "--wim", converted.wim)
    told = done("restore", converted.volume, "--wim", converted.wim, "--image", "1", "--full", "--json").json
    assert (told["image_before"], told["registered"], told["removed"]) == (2, True, 1)
    assert done("info", converted.volume, "--json").json["volume"]["pointers"] == 0
    status = done("status", converted.volume, "--wim", converted.wim, "--json").json
    assert (status["image"]["index"], status["changes"]) == (1, [])
    assert "nothing to do" in done("restore", converted.volume, "--wim", converted.wim).out


def test_pointers_that_are_brought_up_and_a_new_place_are_told(converted: Converted) -> None:
    """Neither is nothing, though no file differs."""
    done("capture", converted.original, "--wim", converted.wim, "--name", "second")
    command = ("restore", converted.volume, "--wim", converted.wim)
    ahead = done(*command, "--dry-run", "--json").json
    assert ahead["refreshed"] == converted.told["pointed"]
    assert "pointers would be brought up to the WIM" in done(*command, "--dry-run").out
    told = done(*command, "--json").json
    assert {**ahead, "dry_run": False} == told
    place = "mbr:5cbea03e:1048576:\\store.wim"
    assert f"registered at {place}" in done(*command, "--wim-place", place).out
    assert "nothing to do" in done(*command).out
