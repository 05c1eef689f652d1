"""`update`: an image of what changed, pointers to it, and every volume of the WIM brought up to it."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import build
from converted import LOST_BITS, OVERLAY_FILES, Converted
from index_judge import index_problems
from judges import (
    apply_with_wimlib,
    dissector,
    every_pointer_leads_home,
    fixer,
    resizer,
    sound_volume,
    sound_wim,
    tracer,
)
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, refused, unchanged, wimboot
from sample_features import set_attributes, set_times
from snapshots import differences, seen_through, snapshot
from volume_edits import edit, rewrite
from wim_bytes import read_wim
from wimboot.errors import Internal
from wimboot.events import silent
from wimboot.ops.capturing.readingback import ReadingBack
from wimboot.ops.opening.storing import commit_all
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import TargetOptions
from wimboot.wim import Append

NOT_IN_IMAGE = ("pagefile.sys", "System Volume Information", "Windows/Temp/left over.tmp", "Features/encrypted")


def test_what_changed_is_captured_and_pointed_and_nothing_else_moves(converted: Converted) -> None:
    """After all kinds of edits the volume is what it was, pointers seen through, and every pointer leads home."""
    edit(converted.volume)
    left_by_edits = index_problems(converted.volume)
    before = seen_through(snapshot(converted.volume))
    told = done("update", converted.volume, "--name", "second", "--json").json
    assert told["stands_on"] == {"index": 2, "name": "second"}
    assert told["image"]["index"] == 2
    sound_wim(converted.wim)
    for judge in (resizer, fixer, tracer, dissector):
        judge(converted.volume)
    assert index_problems(converted.volume) == left_by_edits
    now = snapshot(converted.volume)
    assert not differences(before, seen_through(now), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 90
    assert done("status", converted.volume, "--json").json["changes"] == []
    done("verify", converted.volume)


def test_an_updated_volume_equals_a_freshly_applied_one(converted: Converted, tmp_path: Path) -> None:
    """Every pointer, kept or new, carries what `apply` would write: the same hash, place and table."""
    edit(converted.volume)
    done("update", converted.volume)
    applied = tmp_path / "applied.img"
    build.make_volume(applied, size=64 << 20)
    done("apply", converted.wim, "2", applied, *NO_PLACE)
    was, now = snapshot(converted.volume), snapshot(applied)
    # what fits into its record stays there on the volume, and is only guessed where the record is still to be made
    borderline = ("Features/resident/600 bytes.txt",)
    assert not differences(was, now, without=(*NOT_IN_IMAGE, *OVERLAY_FILES, *borderline, ""),
                           attribute_mask=LOST_BITS, ignore=("change_time", "record", "last_access"))


def test_wimlib_lays_out_both_images(converted: Converted, tmp_path: Path) -> None:
    """The image before is as it was, the new one holds the edited volume."""
    edit(converted.volume)
    edited = seen_through(snapshot(converted.volume))
    done("update", converted.volume)
    for number, wanted in ((1, converted.before), (2, edited)):
        out = tmp_path / f"{number}.img"
        apply_with_wimlib(converted.wim, number, out, size=64 << 20)
        assert not differences(wanted, snapshot(out), without=(*NOT_IN_IMAGE, "Features/compact/compact.exe", ""),
                               attribute_mask=LOST_BITS, ignore=("change_time", "record", "eas"))


def test_nothing_changed_adds_no_image_and_writes_nothing(converted: Converted) -> None:
    """Not one byte, and it says so."""
    with unchanged(converted.volume, converted.wim):
        told = done("update", converted.volume)
    assert "no image was added" in told.out
    with unchanged(converted.volume, converted.wim):
        assert done("update", converted.volume, "--rehash", "--json").json["image"] is None


def test_what_did_not_happen_is_not_spoken_of(converted: Converted) -> None:
    """A file that went makes an image, and no pointer."""
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/System32/kernel32.dll").unlink()
    told = done("update", converted.volume).out
    assert "1 removed" in told
    assert not [words for words in (" 0 ", "became") if words in told]


def test_a_file_that_only_looks_changed_is_pointed_without_an_image(converted: Converted) -> None:
    """Real again with its old content and times, as an editor or a copy leaves it: the pointer comes back."""
    path, folder = "Windows/System32/kernel32.dll", "Windows/System32"
    with mounted(converted.original) as root:
        data = (root / path).read_bytes()
    with mounted(converted.volume, write=True) as root:
        rewrite(root / path, data)
        for name in (path, folder):
            was = converted.after[name]
            set_times(root / name, was.creation, was.last_write, was.last_access)
        set_attributes(root / path, converted.before[path].attributes)
        os.setxattr(root / path, "system.ntfs_acl", converted.before[path].security)
        os.setxattr(root / path, "system.ntfs_dos_name", converted.before[path].short_name.encode())
    told = done("update", converted.volume, "--json").json
    assert told["pointed"] == 1
    assert told["changes"] == {"added": 0, "modified": 0, "removed": 0, "moved": 0, "metadata": 0}
    assert told["stands_on"]["index"] == 1
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    every_pointer_leads_home(converted.volume, converted.wim, {path: sha1})


def test_unchanged_real_files_are_not_read(converted: Converted) -> None:
    """A real file of the same size and times counts as unchanged; with --rehash it is read, and found changed."""
    path = "Windows/System32/drivers/ntfs.sys"
    was = converted.before[path]
    with mounted(converted.volume, write=True) as root:
        size = (root / path).stat().st_size
        with (root / path).open("r+b") as file:
            file.write(os.urandom(size))
        set_times(root / path, was.creation, was.last_write, was.last_access)
    assert done("status", converted.volume, "--json").json["changes"] == []
    seen = done("status", converted.volume, "--rehash", "--json").json["changes"]
    assert [(one["change"], one["path"]) for one in seen] == [("modified", "\\Windows\\System32\\drivers\\ntfs.sys")]
    assert done("update", converted.volume, "--json").json["image"] is None
    assert done("update", converted.volume, "--rehash", "--json").json["changes"]["modified"] == 1


def test_no_file_is_given_up_for_a_pointer_unread(converted: Converted) -> None:
    """A program may write to a file and put its times back, as keepers of encrypted containers do: it is read before
    it becomes a pointer, and the new content is what the pointer leads to."""
    path = "Windows/System32/kernel32.dll"
    was = converted.after[path]
    data = os.urandom(was.streams[""][0])
    with mounted(converted.volume, write=True) as root:
        rewrite(root / path, data)
        set_times(root / path, was.creation, was.last_write, was.last_access)
    seen = done("status", converted.volume, "--json").json["changes"]
    assert ("modified", "\\Windows\\System32\\kernel32.dll") in [(one["change"], one["path"]) for one in seen]
    told = done("update", converted.volume, "--json").json
    assert (told["pointed"], told["changes"]["modified"]) == (1, 1)
    sha1 = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    every_pointer_leads_home(converted.volume, converted.wim, {path: sha1})


@pytest.mark.parametrize("meddle", ["move", "replace"])
def test_a_wim_that_goes_during_an_update_takes_no_data_along(
    converted: Converted, monkeypatch: pytest.MonkeyPatch, meddle: str
) -> None:
    """Moved away, or replaced by an older copy as a backup program does: the volume stays as it was."""
    older = converted.wim.parent / "older"
    shutil.copy(converted.wim, older)
    with mounted(converted.volume, write=True) as root:
        (root / "added.bin").write_bytes(os.urandom(70_000))
    before = converted.volume.read_bytes()

    def late(*arguments: Any) -> None:
        if meddle == "move":
            converted.wim.rename(converted.wim.with_name("moved"))
        else:
            older.replace(converted.wim)
        commit_all(*arguments)

    monkeypatch.setattr("wimboot.ops.updating.appending.commit_all", late)
    run = wimboot("update", converted.volume, "--json")
    assert converted.volume.read_bytes() == before
    assert (run.code, run.json["error"]["id"]) == (4, "wim-changed-meanwhile")
    left = sorted(path.name for path in converted.wim.parent.iterdir())
    assert left == sorted(["system.img", "older", "moved"] if meddle == "move" else ["system.img", converted.wim.name])


def test_hives_are_always_read(converted: Converted) -> None:
    """Windows writes them through memory: their times need not tell that they changed."""
    path = "Windows/System32/config/SOFTWARE"
    was = converted.before[path]
    with mounted(converted.volume, write=True) as root:
        with (root / path).open("r+b") as file:
            file.seek(-16, os.SEEK_END)
            file.write(os.urandom(16))
        set_times(root / path, was.creation, was.last_write, was.last_access)
    seen = done("status", converted.volume, "--json").json["changes"]
    assert [one["path"] for one in seen if one["change"] == "modified"] == ["\\Windows\\System32\\config\\SOFTWARE"]


def test_two_systems_share_a_wim_and_learn_of_each_other(converted: Converted, tmp_path: Path) -> None:
    """With --target the other volume's pointers get the new table in the same run; without, it falls behind and is
    told."""
    other = tmp_path / "other.img"
    copy_sparse(converted.volume, other)
    with mounted(converted.volume, write=True) as root:
        (root / "one.bin").write_bytes(os.urandom(50_000))
    told = done("update", converted.volume, "--target", other, "--json").json
    assert told["refreshed_elsewhere"] > 90
    every_pointer_leads_home(other, converted.wim, {})
    assert done("status", other, "--json").json["behind"] == 0
    with mounted(converted.volume, write=True) as root:
        (root / "two.bin").write_bytes(os.urandom(50_000))
    warned = done("update", converted.volume)
    assert "other" in warned.err
    assert done("status", other, "--json").json["behind"] > 90
    behind = done("update", other, "--json").json
    assert behind["image"] is None
    assert behind["refreshed"] > 90
    every_pointer_leads_home(other, converted.wim, {})


def test_volumes_that_do_not_belong_are_refused(converted: Converted, tmp_path: Path) -> None:
    """The volume itself, one named twice, one of another WIM, one of none: nothing is changed."""
    other, plain = tmp_path / "other.img", tmp_path / "plain.img"
    copy_sparse(converted.volume, other)
    copy_sparse(converted.original, plain)
    with mounted(converted.volume, write=True) as root:
        (root / "one.bin").write_bytes(os.urandom(50_000))
    watching = (converted.volume, converted.wim, other, plain)
    volume = converted.volume
    refused("same-volume", 2, "update", volume, "--target", volume, watching=watching)
    refused("same-volume", 2, "update", volume, "--target", other, "--target", other, watching=watching)
    refused("not-wimboot", 4, "update", volume, "--target", plain, watching=watching)
    done("convert", plain, "--wim", tmp_path / "another.wim", *NO_PLACE)
    refused("other-wim", 4, "update", volume, "--target", plain, watching=watching)


def test_an_older_copy_of_the_wim_is_named_as_that(converted: Converted, tmp_path: Path) -> None:
    """It lacks the image that the volume stands on: nothing is built on it."""
    older = tmp_path / "older"
    older.mkdir()
    shutil.copyfile(converted.wim, older / "store.wim")
    with mounted(converted.volume, write=True) as root:
        (root / "one.bin").write_bytes(os.urandom(50_000))
    done("update", converted.volume)
    for verb in ("update", "status"):
        refused("wim-older", 4, verb, converted.volume, "--wim", older / "store.wim",
                watching=(converted.volume, converted.wim, older / "store.wim"))


def test_a_dry_run_says_what_would_happen_and_writes_nothing(converted: Converted) -> None:
    """The counts of a dry run are those of the run."""
    edit(converted.volume)
    with unchanged(converted.volume, converted.wim):
        would = done("update", converted.volume, "--dry-run", "--json").json
    did = done("update", converted.volume, "--json").json
    assert would["changes"] == did["changes"]
    assert would["pointed"] == did["pointed"]
    assert would["dry_run"]
    assert not did["dry_run"]


def test_restore_goes_back_to_any_image(converted: Converted) -> None:
    """Three states, and from the last to each of them."""
    states = {1: seen_through(snapshot(converted.volume))}
    for number in (2, 3):
        with mounted(converted.volume, write=True) as root:
            (root / f"file {number}.bin").write_bytes(os.urandom(60_000))
            rewrite(root / "Windows/System32/user32.dll", b"version" * 9000 * number)
        done("update", converted.volume)
        states[number] = seen_through(snapshot(converted.volume))
    for number in (1, 3, 2):
        done("restore", converted.volume, "--image", str(number))
        now = seen_through(snapshot(converted.volume))
        assert not differences(states[number], now, attribute_mask=LOST_BITS, without=(*OVERLAY_FILES, *NOT_IN_IMAGE))
        assert done("status", converted.volume, "--json").json["image"]["index"] == number
    sound_volume(converted.volume)


def test_a_damaged_blob_that_a_changed_file_would_share_is_refused(converted: Converted) -> None:
    """A new file with the content of a damaged blob would lose its bytes: they are read back first."""
    with mounted(converted.original) as root:
        data = (root / "Windows/explorer.exe").read_bytes()
    found = read_wim(converted.wim).blobs[hashlib.sha1(data, usedforsecurity=False).digest()]
    with converted.wim.open("r+b") as file:
        file.seek(found.offset + found.stored_size // 2)
        file.write(b"\xff" * 16)
    with mounted(converted.volume, write=True) as root:
        (root / "a copy.exe").write_bytes(data)
    refused("older-data-damaged", 1, "update", converted.volume, watching=(converted.volume, converted.wim))


@pytest.mark.parametrize("when", ["while the image is made", "after it was read back elsewhere"])
def test_no_pointer_leads_to_what_was_not_read_back(
        when: str, converted: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong on the disk with the data of a new file, it keeps that, and the WIM is the old one."""
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/new.dll").write_bytes(random.Random(0).randbytes(1 << 20))
    size = converted.wim.stat().st_size

    def spoil() -> None:
        with converted.wim.open("r+b") as file:
            file.seek(size + (1 << 19))
            file.write(b"\xff" * 16)

    if when == "while the image is made":
        sync = Append.sync

        def spoiled(append: Append) -> None:
            sync(append)
            spoil()

        monkeypatch.setattr(Append, "sync", spoiled)
    else:
        result = ReadingBack.result

        def elsewhere(reading: ReadingBack) -> None:
            result(reading)
            reading.places = {sha1: (offset + 1, stored) for sha1, (offset, stored) in reading.places.items()}
            spoil()

        monkeypatch.setattr(ReadingBack, "result", elsewhere)
    refused("read-back", 1, "update", converted.volume, watching=(converted.volume, converted.wim))


@pytest.mark.parametrize("verb", ["update", "status"])
def test_a_volume_without_pointers_is_refused(verb: str, pristine_small: Path, tmp_path: Path) -> None:
    """It stands on nothing."""
    volume = tmp_path / "plain.img"
    copy_sparse(pristine_small, volume)
    told = refused("not-wimboot", 4, verb, volume, watching=(volume,))
    assert "convert" in told.err


@pytest.mark.parametrize("verb", ["convert", "capture"])
def test_a_second_system_in_the_wim_does_not_leave_the_first_behind(
    verb: str, converted: Converted, pristine_small: Path, tmp_path: Path
) -> None:
    """With --target the volumes that stand on the WIM learn its new table when another system is added."""
    second = tmp_path / "second.img"
    copy_sparse(pristine_small, second)
    place = NO_PLACE if verb == "convert" else ()
    done(verb, second, "--wim", converted.wim, "--target", converted.volume, *place)
    every_pointer_leads_home(converted.volume, converted.wim, {})
    assert done("status", converted.volume, "--json").json["behind"] == 0
    sound_volume(converted.volume)
    refused("wim-missing", 2, verb, second, "--wim", tmp_path / "new.wim", "--target", converted.volume, *place,
            watching=(second, converted.volume, tmp_path / "new.wim"))


def test_a_volume_that_is_written_while_it_is_scanned_is_no_basis(converted: Converted) -> None:
    """Whoever begins the scan ahead writes nothing before it is over; a slip is an error, never a wrong image."""
    with open_volume(TargetOptions(place=str(converted.volume)), silent, write=True, windows=False) as opened:
        opened.scan_ahead()
        opened.writing.device.pwrite(0, opened.writing.device.pread(0, 512))
        with pytest.raises(Internal, match="while it was scanned"):
            opened.tree  # noqa: B018 - asked for is enough
    with open_volume(TargetOptions(place=str(converted.volume)), silent, write=True, windows=False) as opened:
        opened.scan_ahead()
        opened.wait_for_scan()
        opened.writing.device.pwrite(0, opened.writing.device.pread(0, 512))
        assert opened.tree.node_count
