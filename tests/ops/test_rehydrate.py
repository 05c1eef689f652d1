"""Pointers back to files, judged by others: a rehydrated volume is what a full apply gives, and needs no WIM."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

import build
from converted import OVERLAY_FILES, Converted, fresh_volume, unpacked
from judges import every_pointer_leads_home, read_wim, sound_volume
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, refused, unchanged
from snapshots import Snapshot, differences, pointer, seen_through, snapshot
from volume_edits import rewrite
from wimboot.disk import Transaction
from wimboot.ops.opening.storing import commit

NOT_IN_IMAGE = (*OVERLAY_FILES, "System Volume Information", "Windows/Temp", "pagefile.sys", "Features/encrypted", "")
METADATA = 2
BOTH_WAYS = 0x80
"""NORMAL, which ntfs-3g shows of files with no other attribute, or not."""


def pointers(now: Snapshot) -> set[str]:
    return {path for path, facts in now.items() if pointer(facts) is not None}


def test_rehydrated_volume_equals_a_full_apply(converted: Converted, tmp_path: Path) -> None:
    """Names, contents, times, security, streams, links and attribute bits are those of `apply --full`."""
    full = fresh_volume(tmp_path / "full.img")
    done("apply", converted.wim, "1", full, "--full")
    told = done("rehydrate", converted.volume, "--json").json
    assert (told["pointers_left"], told["sources_unregistered"]) == (0, 1)
    assert told["files"] == len({facts.record for facts in converted.after.values() if pointer(facts)})
    sound_volume(converted.volume)
    now = snapshot(converted.volume)
    assert not pointers(now)
    assert not differences(snapshot(full), now, attribute_mask=BOTH_WAYS, without=NOT_IN_IMAGE)


def test_rehydrated_volume_is_the_one_that_was_converted(converted: Converted) -> None:
    """Conversion and rehydration cancel each other, but for the Compact OS file, which was unpacked to be pointed."""
    done("rehydrate", converted.volume)
    now = snapshot(converted.volume)
    assert not differences(converted.before, now, attribute_mask=BOTH_WAYS, without=("Features/compact",))
    data = unpacked(converted.original, "Features/compact/compact.exe")
    digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    assert now["Features/compact/compact.exe"].streams == {"": (len(data), digest)}


def test_moved_files_are_sparse_and_compressed_again(converted: Converted) -> None:
    """The image has nothing at their new places, but it has their contents."""
    before = converted.before
    chosen = [path for path, facts in before.items() if facts.attributes & 0xA00 and not (facts.folder or facts.reparse)
              and pointer(converted.after[path]) and len(facts.links) == 1]
    assert {before[path].attributes & 0xA00 for path in chosen} == {0x200, 0x800}
    with mounted(converted.volume, write=True) as root:
        (root / "moved").mkdir()
        for path in chosen:
            (root / path).rename(root / "moved" / Path(path).name)
    done("rehydrate", converted.volume)
    now = snapshot(converted.volume)
    for path in chosen:
        moved = now[f"moved/{Path(path).name}"]
        assert (moved.attributes & 0xA00, moved.streams) == (before[path].attributes & 0xA00, before[path].streams)
    sound_volume(converted.volume)


def test_no_wim_belongs_to_a_rehydrated_volume(converted: Converted) -> None:
    """The tables of data sources are gone, so `info` finds none and `verify` no pointers."""
    with mounted(converted.volume, write=True) as root:
        table = (root / OVERLAY_FILES[0]).read_bytes()
        (root / "System Volume Information/WimOverlay.new").write_bytes(table)
    done("rehydrate", converted.volume)
    with mounted(converted.volume) as root:
        assert not [path.name for path in (root / "System Volume Information").iterdir() if "Overlay" in path.name]
    converted.wim.unlink()
    told = done("info", converted.volume, "--json").json["volume"]
    assert (told["wimboot"], told["pointers"], told["sources"]) == (False, 0, [])
    refused("not-wimboot", 4, "restore", converted.volume)


def test_paths_rehydrate_what_is_below_them_alone(converted: Converted) -> None:
    """A folder with either slash, in any case, and a glob; all other pointers and the data sources stay."""
    before = pointers(converted.after)
    told = done("rehydrate", converted.volume, "/PROGRAM files/Product 1/", "*kernel32.dll", "--json").json
    sound_volume(converted.volume)
    now = snapshot(converted.volume)
    wanted = {path for path in before if path.startswith("Program Files/Product 1/") or path.endswith("kernel32.dll")}
    linked = {name for path in wanted for name in now[path].links}
    assert before - pointers(now) == linked
    assert len(linked) > 2
    assert not differences(seen_through(converted.after), seen_through(now), attribute_mask=0xA80)
    assert {path.lstrip("\\").replace("\\", "/") for path in told["paths"]} <= linked
    assert told["pointers_left"] == done("info", converted.volume, "--json").json["volume"]["pointers"]
    assert told["sources_unregistered"] == 0
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) == told["pointers_left"]


def test_what_is_no_pointer_is_said(converted: Converted) -> None:
    """An ordinary file among the paths is no error, and nothing is written for its sake."""
    with unchanged(converted.volume):
        told = done("rehydrate", converted.volume, "\\Windows\\System32\\config\\SYSTEM")
    assert "no pointer there" in told.out


def test_a_path_that_is_not_there_is_a_slip(converted: Converted) -> None:
    """Brackets stand for themselves, so this is no class of characters."""
    refused("path-matches-nothing", 2, "rehydrate", converted.volume, "\\Windows\\[explorer].exe",
            watching=(converted.volume,))


def test_a_dry_run_tells_files_and_bytes(converted: Converted) -> None:
    """And writes nothing."""
    with unchanged(converted.volume, converted.wim):
        told = done("rehydrate", converted.volume, "--dry-run", "--json").json
        people = done("rehydrate", converted.volume, "--dry-run", "\\Windows").out
        whole = done("rehydrate", converted.volume, "--dry-run").out
        everything = done("rehydrate", converted.volume, "--dry-run", "-v").out
    after = done("rehydrate", converted.volume, "--json").json
    assert {**told, "dry_run": False} == after
    assert "would be made ordinary files" in people
    assert "\\Windows\\explorer.exe" in people
    assert re.search(r"They take \S+ MB of the \S+ MB that are free there\.", people)
    assert told["files"] == len(told["paths"]) > 20
    assert whole.splitlines()[:20] == told["paths"][:20]      # of all files too, not only of paths that were given
    assert f"... and {told['files'] - 20} more (-v shows all)" in whole
    assert everything.splitlines()[:told["files"]] == told["paths"]
    assert told["on_volume_bytes"] < told["free_bytes"]


def test_what_does_not_fit_is_refused_with_both_figures(converted: Converted) -> None:
    """Before anything is written, by a dry run too."""
    with mounted(converted.volume, write=True) as root, (root / "filling").open("wb") as file:
        status = os.statvfs(root)
        file.write(b"\1" * (status.f_bavail * status.f_frsize - (1 << 20)))
    for more in ((), ("--dry-run",)):
        told = refused("not-enough-space", 4, "rehydrate", converted.volume, *more, watching=(converted.volume,))
        assert "free" in told.err


def test_a_missing_wim_is_named(converted: Converted) -> None:
    """By its GUID and its last known place; --wim and --search lead to it."""
    moved = converted.wim.parent / "elsewhere"
    moved.mkdir()
    converted.wim.rename(moved / "other name.wim")
    told = refused("wim-not-found", 4, "rehydrate", converted.volume, watching=(converted.volume,))
    assert converted.told["image"]["wim_guid"] in told.err
    done("rehydrate", converted.volume, "--wim", moved / "other name.wim", "\\Windows\\*")
    done("rehydrate", converted.volume, "--search", moved)
    assert not pointers(snapshot(converted.volume, contents=False))


def test_a_wim_inside_the_volume_that_it_backs_will_do(small_volume: Path) -> None:
    """It is read while the volume is written, and stays."""
    before = snapshot(small_volume)
    done("convert", small_volume, "--wim", f"{small_volume}:/WIMBOOT/s.wim", *NO_PLACE)
    told = done("rehydrate", small_volume, "--json").json
    assert told["pointers_left"] == 0
    assert told["files"] > 20
    sound_volume(small_volume)
    own = ("WIMBOOT", *OVERLAY_FILES, "System Volume Information", "")
    assert not differences(before, snapshot(small_volume), attribute_mask=BOTH_WAYS, without=own)
    with mounted(small_volume) as root:
        read_wim(root / "WIMBOOT/s.wim")


def test_a_partition_of_a_disk_is_rehydrated(sample_disk: build.System, tmp_path: Path) -> None:
    """Found by itself or by its number; nothing outside the partition changes."""
    wim = tmp_path / "s.wim"
    before = snapshot(sample_disk.path, sample_disk.offset)
    done("convert", sample_disk.path, "--wim", wim, "--wim-place", "later")
    head = sample_disk.path.read_bytes()[:sample_disk.offset]
    told = done("rehydrate", f"{sample_disk.path}#1", "\\Windows", "--json").json
    assert told["files"]
    told = done("rehydrate", sample_disk.path, "--json").json
    assert (told["pointers_left"], told["sources_unregistered"]) == (0, 1)
    assert sample_disk.path.read_bytes()[:sample_disk.offset] == head
    sound_volume(sample_disk.path, sample_disk.offset)
    now = snapshot(sample_disk.path, sample_disk.offset)
    assert not differences(before, now, attribute_mask=BOTH_WAYS, without=("Features/compact",))


def test_an_older_copy_of_the_wim_will_do(converted: Converted, tmp_path: Path) -> None:
    """As long as it holds the data of the files that are wanted; what it lacks is named."""
    old = tmp_path / "older.wim"
    copy_sparse(converted.wim, old)
    with mounted(converted.volume, write=True) as root:
        (root / "Users/new.txt").write_bytes(b"new " * 4000)
    done("convert", converted.volume, "--wim", converted.wim, "--name", "second", *NO_PLACE)
    converted.wim.unlink()
    told = refused("pointers-unbacked", 1, "rehydrate", converted.volume, "--wim", old, watching=(converted.volume,))
    assert "\\Users\\new.txt" in told.err
    done("rehydrate", converted.volume, "--wim", old, "\\Windows")


def test_damaged_data_is_named_and_nothing_changed(converted: Converted) -> None:
    """Every file whose blob is not what it should be, in one message."""
    wanted = {"\\Windows\\explorer.exe", "\\Windows\\System32\\user32.dll"}
    _damage(converted, wanted)
    told = refused("pointers-unbacked", 1, "rehydrate", converted.volume)   # free clusters may have been written to
    assert all(path in told.err for path in wanted), told.err
    assert not differences(converted.after, snapshot(converted.volume))
    sound_volume(converted.volume)
    done("rehydrate", converted.volume, "\\Windows\\System32\\kernel32.dll")


def test_a_damaged_list_of_files_costs_no_data(converted: Converted) -> None:
    """Without the image it is not known which files were sparse; their contents come from the WIM all the same."""
    metadata = next(blob for blob in read_wim(converted.wim).blobs.values() if blob.flags & METADATA)
    with converted.wim.open("r+b") as file:
        file.seek(metadata.offset + metadata.stored_size - 9)
        file.write(b"\xa5\x5a\xa5\x5a")
    told = done("rehydrate", converted.volume)
    assert "become plain ones" in told.err
    now = snapshot(converted.volume)
    assert not pointers(now)
    assert not differences(seen_through(converted.after), now, attribute_mask=0xA80, without=OVERLAY_FILES)


def _damage(converted: Converted, paths: set[str]) -> None:
    store = read_wim(converted.wim)
    with converted.wim.open("r+b") as file:
        for path in paths:
            promise = pointer(converted.after[path.lstrip("\\").replace("\\", "/")])
            assert promise is not None
            blob = store.blobs[bytes.fromhex(promise[1])]
            file.seek(blob.offset + blob.stored_size - 9)
            file.write(b"\xa5\x5a\xa5\x5a")


def test_several_wims_behind_one_volume_are_all_used_or_refused(converted: Converted, tmp_path: Path) -> None:
    """Files pointed into a second WIM come from there; without that WIM nothing is written."""
    with mounted(converted.volume, write=True) as root:
        rewrite(root / "Windows/explorer.exe", b"a second edition of it" * 3000)
    other = tmp_path / "other.wim"
    done("convert", converted.volume, "--wim", other, *NO_PLACE)
    was = seen_through(snapshot(converted.volume))
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    other.rename(hidden / "other.wim")
    refused("wim-not-found", 4, "rehydrate", converted.volume, watching=(converted.volume,))
    (hidden / "other.wim").rename(other)
    told = done("rehydrate", converted.volume, "--json").json
    assert (len(told["wims"]), told["sources_unregistered"], told["pointers_left"]) == (2, 2, 0)
    sound_volume(converted.volume)
    assert not differences(was, snapshot(converted.volume), attribute_mask=0xA80, without=OVERLAY_FILES)


def test_data_is_written_once(converted: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes straight to free clusters; the log holds metadata only."""
    seen = []

    def spy(transaction: Transaction, append: None, wim: Path) -> None:
        seen.append((transaction.straight_bytes, transaction.logged_bytes))
        commit(transaction, append, wim)

    monkeypatch.setattr("wimboot.ops.rehydrate.commit", spy)
    told = done("rehydrate", converted.volume, "--json").json
    straight, logged = seen[0]
    assert straight > 0.9 * told["on_volume_bytes"] > 3e6
    assert logged < 0.2 * straight


def test_a_volume_without_pointers_has_nothing_to_do(small_volume: Path) -> None:
    """It is said, and no WIM is asked for."""
    with unchanged(small_volume):
        assert "nothing to do" in done("rehydrate", small_volume).out
