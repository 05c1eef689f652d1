"""What --keep promises: the paths that it names stay exactly as they are, there or not, and nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converted import OVERLAY_FILES, Converted
from judges import every_pointer_leads_home, sound_volume
from mounting import mounted
from running import NO_PLACE, done, refused, unchanged
from snapshots import Facts, Snapshot, differences, pointer, seen_through, snapshot
from volume_edits import edit, rewrite

TOUCHED_BY_READING = ("change_time", "record", "last_access")


def same(before: Snapshot, now: Snapshot, *paths: str) -> list[str]:
    """How these files differ."""
    def pick(these: Snapshot) -> dict[str, Facts]:
        return {path: facts for path, facts in these.items() if path in paths}

    return differences(pick(before), pick(now), ignore=TOUCHED_BY_READING)


@pytest.mark.parametrize("glob", ["\\Users\\*", "/users/*", "C:\\USERS\\*", "Users\\", "\\Users"])
def test_all_spellings_of_a_folder_keep_all_in_it(glob: str, converted: Converted) -> None:
    """Either slash, any case, with a drive, with and without the last star; and the system is restored."""
    with mounted(converted.volume, write=True) as root:
        (root / "Users/Public/mine.txt").write_bytes(b"mine")
        (root / "Users/Public/Documents/letter 1.txt").unlink()
        rewrite(root / "Users/Default/Documents/letter 2.txt", b"rewritten" * 900)
        (root / "Users/me/deep").mkdir(parents=True)
        (root / "Users/me/deep/er.txt").write_bytes(b"deep")
        rewrite(root / "Windows/explorer.exe", b"another explorer")
        (root / "Windows/stray.txt").write_bytes(b"stray")
    before = snapshot(converted.volume)
    users = [path for path in before if path.startswith("Users/")]
    done("restore", converted.volume, "--wim", converted.wim, "--keep", glob)
    now = snapshot(converted.volume)
    assert [path for path in now if path.startswith("Users/")] == users
    assert not same(before, now, *users)
    assert seen_through(now)["Windows/explorer.exe"].streams == converted.before["Windows/explorer.exe"].streams
    assert "Windows/stray.txt" not in now
    sound_volume(converted.volume)


def test_kept_file_stays_in_a_folder_that_the_image_does_not_have(converted: Converted) -> None:
    """The folders down to it stay for its sake; what is beside it goes."""
    with mounted(converted.volume, write=True) as root:
        (root / "Work/project [1]").mkdir(parents=True)
        (root / "Work/project [1]/plan.txt").write_bytes(b"plan")
        (root / "Work/project [1]/junk.txt").write_bytes(b"junk")
        (root / "Work/other").mkdir()
    done("restore", converted.volume, "--wim", converted.wim, "--keep", "\\Work\\project [1]\\plan.txt")
    now = snapshot(converted.volume)
    assert sorted(path for path in now if path.startswith("Work")) == [
        "Work", "Work/project [1]", "Work/project [1]/plan.txt"]
    sound_volume(converted.volume)


def test_what_the_user_deleted_is_not_made_again_where_it_is_kept(converted: Converted) -> None:
    """To leave a path alone is to leave it away, too; how many are, is said. Others like it come back."""
    with mounted(converted.volume, write=True) as root:
        (root / "Users/Public/Documents/letter 1.txt").unlink()
        (root / "Users/Public/Documents/letter 2.txt").unlink()
        (root / "Windows/explorer.exe").unlink()
    told = done("restore", converted.volume, "--wim", converted.wim, "--keep", "letter ?.txt", "--keep", "letter 1*")
    now = snapshot(converted.volume, contents=False)
    assert "2 names of the image" in told.err
    assert "Users/Public/Documents/letter 1.txt" not in now
    assert {"Users/Public/Documents/letter 3.txt", "Windows/explorer.exe"} <= set(now)
    again = done("restore", converted.volume, "--wim", converted.wim, "--json").json
    assert {each["path"] for each in again["paths"]} == {
        "\\Users\\Public\\Documents\\letter 1.txt", "\\Users\\Public\\Documents\\letter 2.txt"}


def test_data_of_a_kept_folder_is_not_changed_through_another_name(converted: Converted) -> None:
    """A hard link outside, where the image has a file of its own: that name is left alone as well, and said."""
    with mounted(converted.volume, write=True) as root:
        (root / "Kept/inner").mkdir(parents=True)
        (root / "Kept/inner/mine.txt").write_bytes(b"mine" * 500)
        (root / "Windows/explorer.exe").unlink()
        os.link(root / "Kept/inner/mine.txt", root / "Windows/explorer.exe")
    told = done("restore", converted.volume, "--wim", converted.wim, "--keep", "\\Kept", "--json").json
    with mounted(converted.volume) as root:
        assert (root / "Kept/inner/mine.txt").read_bytes() == b"mine" * 500
        assert (root / "Windows/explorer.exe").samefile(root / "Kept/inner/mine.txt")
    assert "\\Windows\\explorer.exe" in told["kept"]


def test_kept_file_stands_where_the_image_has_a_folder(converted: Converted) -> None:
    """And the other way round: what is in the image's folder has no place, and is left out."""
    with mounted(converted.volume, write=True) as root:
        for path in (root / "Users/Public/Documents").iterdir():
            path.unlink()
        (root / "Users/Public/Documents").rmdir()
        (root / "Users/Public/Documents").write_bytes(b"a file now")
        (root / "Windows/explorer.exe").unlink()
        (root / "Windows/explorer.exe").mkdir()
        (root / "Windows/explorer.exe/mine.txt").write_bytes(b"mine")
    done("restore", converted.volume, "--wim", converted.wim, "--keep", "\\Users\\Public\\Documents", "--keep",
         "mine.txt")
    with mounted(converted.volume) as root:
        assert (root / "Users/Public/Documents").read_bytes() == b"a file now"
        assert (root / "Windows/explorer.exe/mine.txt").read_bytes() == b"mine"
    sound_volume(converted.volume)


def test_folder_with_kept_files_does_not_become_a_junction(converted: Converted) -> None:
    """What stands in it could not be reached any more."""
    with mounted(converted.volume, write=True) as root:
        (root / "Features/junctions/to Windows").unlink()
        (root / "Features/junctions/to Windows").mkdir()
        (root / "Features/junctions/to Windows/mine.txt").write_bytes(b"mine")
        (root / "Features/junctions/to Windows/other.txt").write_bytes(b"other")
    done("restore", converted.volume, "--wim", converted.wim, "--keep", "mine.txt")
    with mounted(converted.volume) as root:
        assert [path.name for path in (root / "Features/junctions/to Windows").iterdir()] == ["mine.txt"]
        assert (root / "Features/junctions/to Windows/mine.txt").read_bytes() == b"mine"
    done("restore", converted.volume, "--wim", converted.wim)
    assert not differences(seen_through(converted.after), seen_through(snapshot(converted.volume)),
                           attribute_mask=0x280, without=(*OVERLAY_FILES, "Windows/Temp", ""))
    sound_volume(converted.volume)


def test_empty_streams_of_pointers_need_no_blob(converted: Converted) -> None:
    """A file whose data is to be pointed again, and whose named stream without contents is missing."""
    streams = [path for path, facts in converted.after.items()
               if pointer(facts) and any(name and not size for name, (size, _) in facts.streams.items())]
    with mounted(converted.volume, write=True) as root:
        for path in streams:
            rewrite(root / path, b"without its streams")
    assert streams
    done("restore", converted.volume, "--wim", converted.wim)
    assert not differences(seen_through(converted.after), seen_through(snapshot(converted.volume)),
                           attribute_mask=0x280, without=(*OVERLAY_FILES, "Windows/Temp", ""))


def test_kept_pointers_lead_home_after_the_wim_has_grown(converted: Converted) -> None:
    """They know the WIM's new table; what they hold is theirs, though the image holds something else there."""
    edit(converted.volume)
    done("convert", converted.volume, "--wim", converted.wim, "--name", "second", *NO_PLACE)
    now = snapshot(converted.volume)
    assert pointer(now["Windows/System32/kernel32.dll"]) != pointer(converted.after["Windows/System32/kernel32.dll"])
    done("restore", converted.volume, "--wim", converted.wim, "--image", "first", "--keep", "*kernel32.dll")
    after = snapshot(converted.volume)
    assert pointer(after["Windows/System32/kernel32.dll"]) == pointer(now["Windows/System32/kernel32.dll"])
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100
    done("verify", converted.volume, "--wim", converted.wim)


def test_kept_pointers_into_another_wim_keep_their_data_source(converted: Converted, tmp_path: Path) -> None:
    """A file that was converted into a second WIM is kept while the rest goes back to the first."""
    with mounted(converted.volume, write=True) as root:
        (root / "Users/Public/new.txt").write_bytes(b"new " * 5000)
    other = tmp_path / "other.wim"
    done("convert", converted.volume, "--wim", other, *NO_PLACE)
    before = snapshot(converted.volume)
    assert pointer(before["Users/Public/new.txt"]) is not None
    done("restore", converted.volume, "--wim", converted.wim, "--image", "1", "--keep", "\\Users\\*")
    now = snapshot(converted.volume)
    assert not same(before, now, "Users/Public/new.txt")
    with mounted(converted.volume) as root:
        assert other.read_bytes()[24:40] in (root / "System Volume Information/WimOverlay.dat").read_bytes()
    done("rehydrate", converted.volume, "new.txt")
    with mounted(converted.volume) as root:
        assert (root / "Users/Public/new.txt").read_bytes() == b"new " * 5000


def _mixed(converted: Converted) -> str:
    """A volume back on its first image but for what came below Users, and a file there that was edited."""
    with mounted(converted.volume, write=True) as root:
        (root / "Users/Public/new.txt").write_bytes(b"new " * 5000)
        rewrite(root / "Users/Public/Documents/letter 1.txt", b"rewritten" * 900)
    done("update", converted.volume, "--name", "second")
    done("restore", converted.volume, "--image", "1", "--keep", "\\Users\\*")
    return "Users/Public/new.txt"


def test_a_kept_pointer_that_the_image_lacks_is_a_file_that_was_added(converted: Converted) -> None:
    """A plain restore removes it as it does any other, and the WIM keeps its data."""
    new = _mixed(converted)
    done("restore", converted.volume, "--image", "1", "--keep", new.replace("/", "\\"))
    assert pointer(snapshot(converted.volume)[new]) is not None
    done("restore", converted.volume)
    now = snapshot(converted.volume)
    assert new not in now
    assert not differences(seen_through(converted.after), seen_through(now), attribute_mask=0x280,
                           without=(*OVERLAY_FILES, "Windows/Temp", ""))
    done("restore", converted.volume, "--image", "second")
    assert pointer(snapshot(converted.volume)[new]) is not None


def test_a_kept_pointer_of_a_file_that_the_image_has_otherwise_is_asked_about(converted: Converted) -> None:
    """It could be that the image's number has moved; the refusal names the file, and --image is the way on."""
    new = _mixed(converted)
    told = refused("image-unsure", 4, "restore", converted.volume, watching=(converted.volume, converted.wim))
    assert "such as \\Users\\Public\\Documents\\letter 1.txt" in told.err
    done("restore", converted.volume, "--image", "1")
    assert new not in snapshot(converted.volume)


@pytest.mark.parametrize("glob", ["", "\\", "\\Usrs\\*", "\\Users\\nobody", "[a-z]*"])
def test_globs_that_match_nothing_are_slips(glob: str, converted_once: Converted) -> None:
    """The root is no path to keep, and brackets stand for themselves; nothing is changed."""
    refused("nothing-kept", 2, "restore", converted_once.volume, "--wim", converted_once.wim, "--keep", glob,
            watching=(converted_once.volume,))


def test_keeping_everything_changes_nothing(converted: Converted) -> None:
    """`*` is all: no file is touched, and none is made."""
    edit(converted.volume)
    before = snapshot(converted.volume)
    done("restore", converted.volume, "--wim", converted.wim, "--keep", "*")
    now = snapshot(converted.volume)
    assert not same(before, now, *(path for path in before if path and "System Volume Information" not in path))
    assert set(before) == set(now)


def test_a_dry_run_tells_what_is_kept_as_the_run_does(converted: Converted) -> None:
    """The same document but for the word."""
    edit(converted.volume)
    command = ("restore", converted.volume, "--wim", converted.wim, "--keep", "\\added folder", "--keep", "*.dll",
               "--json")
    with unchanged(converted.volume):
        told = done(*command, "--dry-run").json
    assert {**told, "dry_run": False} == done(*command).json
