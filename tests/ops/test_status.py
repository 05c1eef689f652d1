"""`status` and `diff`: what is told to have changed is what was changed, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from converted import Converted
from mounting import mounted
from running import done, refused, unchanged, wimboot
from volume_edits import edit, rewrite


def _changes(told: dict[str, Any]) -> dict[str, set[str]]:
    """Kind -> paths; folders of which only the times moved are left out."""
    found: dict[str, set[str]] = {}
    for one in told["changes"]:
        if not (one["folder"] and one.get("properties") == ["times"]):
            found.setdefault(one["change"], set()).add(one["path"])
    return found


def test_a_converted_volume_is_unchanged(converted_once: Converted) -> None:
    """Right after the conversion, whatever form its files have; only looking changes nothing."""
    with unchanged(converted_once.volume, converted_once.wim):
        told = done("status", converted_once.volume, "--exit-code", "--json").json
    assert told["changes"] == []
    assert (told["behind"], told["strays"]) == (0, 0)
    assert "Nothing has changed." in done("status", converted_once.volume).out


def test_each_kind_of_change_is_told_as_what_it_is(converted: Converted) -> None:
    """One of each: by content a renamed pointer is a move, by its time of creation a renamed and changed file is."""
    with mounted(converted.volume, write=True) as root:
        (root / "new folder").mkdir()
        (root / "new folder/new.bin").write_bytes(os.urandom(5000))
        (root / "Windows/explorer.exe").unlink()
        rewrite(root / "Windows/System32/kernel32.dll", b"changed" * 900)
        (root / "Windows/System32/user32.dll").rename(root / "user33.dll")
        (root / "Features/resident").rename(root / "Features/in the record")
        os.setxattr(root / "Windows/System32/drivers/ntfs.sys", "system.ntfs_attrib_be", b"\0\0\0\x22")
    told = done("status", converted.volume, "--json").json
    found = _changes(told)
    assert found["added"] == {"\\new folder", "\\new folder\\new.bin"}
    assert found["removed"] == {"\\Windows\\explorer.exe"}
    assert found["modified"] == {"\\Windows\\System32\\kernel32.dll"}
    assert "\\user33.dll" in found["moved"]
    assert found["metadata"] == {"\\Windows\\System32\\drivers\\ntfs.sys"}
    was = {one["path"]: one["was"] for one in told["changes"] if one["change"] == "moved"}
    assert was["\\user33.dll"] == "\\Windows\\System32\\user32.dll"
    assert was["\\Features\\in the record"] == "\\Features\\resident"
    assert was["\\Features\\in the record\\400 bytes.txt"] == "\\Features\\resident\\400 bytes.txt"
    sizes = {one["path"]: (one.get("old_bytes"), one.get("bytes")) for one in told["changes"]}
    assert sizes["\\new folder\\new.bin"] == (None, 5000)
    assert sizes["\\Windows\\System32\\kernel32.dll"][1] == 6300


def test_people_are_not_told_what_follows_from_something_else(converted: Converted) -> None:
    """A new folder is one line, so is one that was renamed; -v tells what is in them."""
    with mounted(converted.volume, write=True) as root:
        (root / "new folder").mkdir()
        for number in range(5):
            (root / f"new folder/{number}.bin").write_bytes(os.urandom(5000))
        (root / "Features/resident").rename(root / "Features/in the record")
    told, all_of_it = done("status", converted.volume).out, done("status", converted.volume, "-v").out
    assert "\\new folder\\\n" in told
    assert "3.bin" not in told
    assert "3.bin" in all_of_it
    assert "\\Features\\resident\\ -> \\Features\\in the record\\" in told
    assert "400 bytes.txt" not in told
    assert "400 bytes.txt" in all_of_it


def test_the_exit_code_tells_whether_anything_changed(converted: Converted) -> None:
    """3 as for every check, and only where it was asked for."""
    with mounted(converted.volume, write=True) as root:
        (root / "new.bin").write_bytes(os.urandom(5000))
    assert wimboot("status", converted.volume).code == 0
    assert wimboot("status", converted.volume, "--exit-code").code == 3


def test_what_the_list_excludes_is_no_change(converted: Converted) -> None:
    """Page file, temporary files, System Volume Information: `update` would leave them out too."""
    with mounted(converted.volume, write=True) as root:
        (root / "pagefile.sys").write_bytes(os.urandom(90_000))
        (root / "Windows/Temp/more.tmp").write_bytes(os.urandom(9000))
        (root / "System Volume Information/tracking.log").write_bytes(os.urandom(9000))
    assert not {path for paths in _changes(done("status", converted.volume, "--json").json).values() for path in paths}


def test_a_diff_of_two_images_is_the_status_from_between_them(converted: Converted) -> None:
    """The same edits seen from the volume before the update, and from the WIM after it."""
    edit(converted.volume)
    before = _changes(done("status", converted.volume, "--json").json)
    done("update", converted.volume, "--name", "second")
    told = done("diff", converted.wim, "1", "second", "--json").json
    assert (told["older"], told["newer"]) == ({"index": 1, "name": "first"}, {"index": 2, "name": "second"})
    assert _changes(told) == before
    back = _changes(done("diff", converted.wim, "second", "first", "--json").json)
    assert back["removed"] == before["added"]
    assert back["added"] == before["removed"]
    assert back["modified"] == before["modified"]


def test_an_image_does_not_differ_from_itself(converted_once: Converted) -> None:
    """Nothing is told, and the exit code says so."""
    told = done("diff", converted_once.wim, "1", "first", "--exit-code")
    assert "Nothing has changed." in told.out


def test_bad_images_and_wims_are_refused(converted_once: Converted, tmp_path: Path) -> None:
    """A number or name that is not there; a file that is no WIM; a missing one."""
    watching = (converted_once.wim,)
    refused("no-image", 2, "diff", converted_once.wim, "1", "2", watching=watching)
    refused("no-image", 2, "diff", converted_once.wim, "nothing", "1", watching=watching)
    (tmp_path / "no.wim").write_bytes(b"not a WIM" * 100)
    refused("not-a-wim", 1, "diff", tmp_path / "no.wim", "1", "1")
    refused("wim-missing", 2, "diff", tmp_path / "missing.wim", "1", "1")


def test_what_happened_in_a_folder_that_moved_is_told(converted: Converted) -> None:
    """It came or went by itself; what only went along is counted."""
    with mounted(converted.volume, write=True) as root:
        folder = root / "Users/letters"
        folder.mkdir(parents=True)
        for name in ("one.txt", "two.txt", "three.txt"):
            (folder / name).write_text(name * 100)
    done("update", converted.volume)
    with mounted(converted.volume, write=True) as root:
        moved = (root / "Users/letters").rename(root / "Users/post")
        (moved / "two.txt").unlink()
        (moved / "four.txt").write_text("new")
    out = done("status", converted.volume).out
    assert "moved     \\Users\\letters\\ -> \\Users\\post\\" in out
    assert "removed   \\Users\\letters\\two.txt" in out
    assert "added     \\Users\\post\\four.txt" in out
    assert "one.txt" not in out
    assert "more (-v shows all)" in out
