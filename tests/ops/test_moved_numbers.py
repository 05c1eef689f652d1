"""Volumes whose WIM was rewritten without them: the number of their image is another's now."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from converted import Converted
from mounting import mounted
from running import done, notes, refused, wimboot
from snapshots import differences, snapshot
from wimboot.ops.finding.numbering import nearest_image
from wimboot.ops.opening.storing import opened_store
from wimboot.tree import passes


@pytest.fixture
def left_out(converted: Converted, tmp_path: Path) -> Converted:
    """Two systems in one WIM; the first image went while the second system was away: its image is 1 now, not 2."""
    away = tmp_path / "away"
    away.mkdir()
    other = away / "other.img"
    shutil.copy(converted.volume, other)
    with mounted(converted.volume, write=True) as root:
        (root / "I am the first.txt").write_text("first")
    with mounted(other, write=True) as root:
        (root / "I am the other.txt").write_text("other")
    done("update", other, "--wim", converted.wim, "--name", "other")
    done("update", converted.volume, "--name", "first again", "--target", other)
    done("prune", converted.wim, "--drop", "1", "--target", converted.volume, "--force", "--yes")
    return replace(converted, volume=other)


def test_another_systems_image_is_not_taken_for_the_volumes(left_out: Converted) -> None:
    """Nothing is told, restored, appended or brought up to the WIM on the ground of a number that moved."""
    both = (left_out.volume, left_out.wim)
    for verb in (("status",), ("update",), ("update", "--dry-run"), ("restore",), ("restore", "--dry-run"),
                 ("relocate", "--as", "later")):
        run = refused("image-moved", 4, verb[0], left_out.volume, "--wim", left_out.wim, *verb[1:], watching=both)
        assert "nearest to image 1, other" in run.err


def test_explain_promises_no_pointer(left_out: Converted) -> None:
    """As the update that would make it is refused."""
    with mounted(left_out.volume, write=True) as root:
        (root / "added.exe").write_bytes(b"MZ" * 5000)
    refused("image-moved", 4, "update", left_out.volume, "--wim", left_out.wim, "--dry-run")
    for option in (("--wim", left_out.wim), ("--search", left_out.wim.parent)):
        told = done("explain", left_out.volume, "\\added.exe", *option, "--json").json
        assert (told["reason"], told["refusal"]["id"]) == (None, "image-moved")


def test_info_and_verify_tell_it(left_out: Converted) -> None:
    """As what it is: nothing grew."""
    assert notes("info", left_out.volume, "--search", left_out.wim.parent)["image-moved"].warning
    problem = json.loads(wimboot("verify", left_out.volume, "--wim", left_out.wim, "--json").out)["problems"][0]
    assert problem["id"] == "wim-rewritten"
    assert "--repair" in problem["advice"]


def test_repair_finds_the_image_of_the_volume(left_out: Converted) -> None:
    """By its files; it says so, and changes none of them."""
    before = snapshot(left_out.volume)
    told = notes("verify", left_out.volume, "--wim", left_out.wim, "--repair")
    assert "stands on image 1, other" in told["image-chosen"].text
    assert not differences(before, snapshot(left_out.volume), ignore=("change_time", "reparse", "last_access"),
                           without=("System Volume Information/WimOverlay.dat",
                                    "System Volume Information/WimOverlay.backup"))
    assert done("status", left_out.volume, "--wim", left_out.wim, "--json").json["image"]["name"] == "other"
    assert done("restore", left_out.volume, "--wim", left_out.wim, "--json").json["removed"] == 0


def test_a_table_that_was_lost_is_made_for_the_right_image(left_out: Converted) -> None:
    """Of two images that have all the data of the pointers it is that from which the volume differs least."""
    with mounted(left_out.volume, write=True) as root:
        for file in (root / "System Volume Information").glob("WimOverlay*"):
            file.unlink()
    told = done("verify", left_out.volume, "--wim", left_out.wim, "--repair", "--wim-place", "later")
    assert "stands on image 1, other" in told.err + told.out
    assert done("status", left_out.volume, "--wim", left_out.wim, "--json").json["image"]["index"] == 1


def test_a_wim_that_has_none_of_the_data_names_no_image(left_out: Converted) -> None:
    """Then nothing speaks against the number; of several that have all of it the files decide, then the number."""
    with opened_store(left_out.wim) as store:
        tree = store.load_tree(1)
        assert nearest_image(tree, store, [b"x" * 20], registered=2) == 2
        assert nearest_image(tree, store, [b"x" * 20], registered=9) == 1
        assert nearest_image(tree, store, passes.hashes(tree), registered=2) == 1


def test_the_last_image_that_is_left_is_not_restored_unasked(converted: Converted, tmp_path: Path) -> None:
    """It may be another than the volume stood on, whose own was dropped; it has to be named, or repaired to."""
    away = tmp_path / "away" / "other.img"
    away.parent.mkdir()
    shutil.copy(converted.volume, away)
    with mounted(converted.volume, write=True) as root:
        (root / "Features/resident/400 bytes.txt").unlink()
    done("update", converted.volume, "--name", "second")
    done("prune", converted.wim, "--drop", "1", "--target", converted.volume, "--force", "--yes")
    for verb in ("restore", "restore --dry-run"):
        refused("image-moved", 4, *verb.split(), away, "--wim", converted.wim, watching=(away, converted.wim))
    for volumes in ((converted.volume, "--target", away), (away,)):
        refused("image-moved", 4, "update", *volumes, watching=(away, converted.wim))
    with mounted(away, write=True) as root:
        (root / "added.exe").write_bytes(b"MZ" * 5000)
    told = done("explain", away, "\\added.exe", "--wim", converted.wim, "--json").json
    assert (told["reason"], told["refusal"]["id"]) == (None, "image-moved")
    for verb in ("relocate --as later --dry-run", "verify --repair"):
        chosen = notes(*verb.split(), away, "--wim", converted.wim)["image-chosen"].text
        assert ("second" in chosen, "registered was" in chosen) == (True, False)
    done("restore", away, "--wim", converted.wim)


def test_a_soft_delete_moves_the_numbers_too(converted: Converted) -> None:
    """The older table stays in the file then, so it looks as if the WIM had only grown."""
    note = Path("Users/Public/note.txt")
    for name in ("two", "three"):
        with mounted(converted.volume, write=True) as root:
            (root / note).parent.mkdir(parents=True, exist_ok=True)
            (root / note).write_text(f"{name} " * 500)
        done("update", converted.volume, "--name", name)
    done("restore", converted.volume, "--image", "two")
    subprocess.run(["wimlib-imagex", "delete", str(converted.wim), "two", "--soft"], check=True, capture_output=True)
    for verb in ("restore", "update"):
        refused("image-moved", 4, verb, converted.volume, watching=(converted.volume, converted.wim))
    assert "three" in notes("status", converted.volume)["image-chosen"].text
    assert "did not grow from" in done("status", converted.volume).out
    assert done("status", converted.volume, "--json").json["rewritten"]


def test_an_image_whose_name_is_a_number_is_not_taken_for_another(converted: Converted) -> None:
    """Numbers come first: by its number a volume's own image is restored, whatever others are called."""
    with mounted(converted.volume, write=True) as root:
        (root / "second.bin").write_bytes(b"second" * 5000)
    done("update", converted.volume, "--name", "1")
    first = done("images", converted.wim, "--json").json["images"][0]["name"]
    done("restore", converted.volume, "--image", first)
    assert done("restore", converted.volume, "--json").json["image"]["index"] == 1
    assert done("restore", converted.volume, "--image", "1", "--dry-run", "--json").json["image"]["name"] == first
