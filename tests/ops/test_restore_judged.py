"""Restoring, judged by others: after any change the volume is again what its image says, and only that changed."""

from __future__ import annotations

import os
import re

from converted import OVERLAY_FILES, Converted
from judges import every_pointer_leads_home, sound_volume
from mounting import mounted
from running import NO_PLACE, done, unchanged
from snapshots import differences, pointer, seen_through, snapshot
from volume_edits import edit

OUTSIDE = (*OVERLAY_FILES, "System Volume Information", "Windows/Temp", "")


def test_restore_undoes_every_kind_of_change(converted: Converted) -> None:
    """Deleted, rewritten, added, renamed, relinked, with other properties, streams and kinds: all is as it was."""
    edit(converted.volume)
    assert len(differences(converted.after, snapshot(converted.volume))) > 60
    done("restore", converted.volume, "--wim", converted.wim)
    sound_volume(converted.volume)
    now = snapshot(converted.volume)
    assert not differences(seen_through(converted.after), seen_through(now), attribute_mask=0x280)
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100


def test_a_second_restore_finds_nothing_to_do(converted: Converted) -> None:
    """What was restored equals the image, as our own comparison sees it too."""
    edit(converted.volume)
    done("restore", converted.volume, "--wim", converted.wim)
    told = done("restore", converted.volume, "--wim", converted.wim, "--json").json
    assert (told["removed"], told["added"], told["changed"], told["metadata"]) == (0, 0, 0, 0), told["paths"]


def test_restoring_an_unchanged_volume_changes_no_file(converted: Converted) -> None:
    """A conversion leaves a volume that equals its image."""
    told = done("restore", converted.volume, "--wim", converted.wim, "--json", "--dry-run").json
    assert (told["removed"], told["added"], told["changed"], told["metadata"]) == (0, 0, 0, 0), told["paths"]


def test_a_dry_run_of_restore_tells_and_writes_nothing(converted: Converted) -> None:
    """It names what would be removed, made and changed; the volume keeps its bytes."""
    edit(converted.volume)
    with unchanged(converted.volume, converted.wim):
        told = done("restore", converted.volume, "--wim", converted.wim, "--json", "--dry-run").json
        people = done("restore", converted.volume, "--wim", converted.wim, "--dry-run")
    paths = {(each["change"], each["path"]) for each in told["paths"]}
    assert {("removed", "\\added folder\\deeper\\new.bin"), ("added", "\\Windows\\explorer.exe"),
            ("changed", "\\Windows\\System32\\drivers\\ntfs.sys")} <= paths
    assert told["dry_run"] is True
    assert "Would restore" in people.out


def test_what_restore_does_is_the_other_way_round_than_status(converted: Converted) -> None:
    """What status calls added would be removed, what it calls removed brought back; and so it is said, and done."""
    edit(converted.volume)
    since = {change["path"]: change["change"] for change in
             done("status", converted.volume, "--wim", converted.wim, "--json").json["changes"]}
    new, gone = "\\added folder\\deeper\\new.bin", "\\Windows\\explorer.exe"
    other = "\\Windows\\System32\\drivers\\ntfs.sys"
    assert (since[new], since[gone], since[other]) == ("added", "removed", "modified")
    would = done("restore", converted.volume, "--wim", converted.wim, "--dry-run", "-v").out
    document = done("restore", converted.volume, "--wim", converted.wim, "--dry-run", "--json").json
    did = done("restore", converted.volume, "--wim", converted.wim, "-v").out
    actions = {each["path"]: each["action"] for each in document["paths"]}
    for path, action, word in ((new, "remove", "removed"), (gone, "bring-back", "brought back"),
                               (other, "change", "changed")):
        assert actions[path] == action
        assert re.search(rf"^would {action.replace('-', ' ')} +{re.escape(path)}$", would, re.MULTILINE)
        assert re.search(rf"^{word} +{re.escape(path)}$", did, re.MULTILINE)
    count = document["added"]
    assert f"bring back {count:,} name" in would
    assert " added" not in re.sub(r"\\.*", "", would)


def test_keep_leaves_what_it_names_alone(converted: Converted) -> None:
    """A kept path stays added, deleted or changed; everything beside it is restored."""
    edit(converted.volume)
    edited = snapshot(converted.volume)
    keep = ("\\added folder*", "new.dll", "/Windows/System32/Drivers/*")
    told = done("restore", converted.volume, "--wim", converted.wim, "--json",
                *(part for glob in keep for part in ("--keep", glob))).json
    sound_volume(converted.volume)
    now = snapshot(converted.volume)
    kept = ("added folder", "Windows/System32/new.dll", "Windows/System32/drivers")
    assert not differences(seen_through(converted.after), seen_through(now), attribute_mask=0x280, without=kept)
    for path in (*kept, "added folder/deeper/new.bin", "Windows/System32/drivers/ntfs.sys"):
        assert not differences({path: edited[path]}, {path: now[path]},
                               ignore=("change_time", "record", "last_write", "last_access")), path
    assert "\\added folder" in told["kept"]


def test_restore_goes_to_an_older_image_and_back(converted: Converted) -> None:
    """With two images in the WIM, the volume becomes either of them, by number and by name."""
    edit(converted.volume)
    told = done("convert", converted.volume, "--wim", converted.wim, "--name", "second", *NO_PLACE, "--json").json
    assert told["image"]["index"] == 2
    second = snapshot(converted.volume)
    done("restore", converted.volume, "--wim", converted.wim, "--image", "1")
    sound_volume(converted.volume)
    assert not differences(seen_through(converted.after), seen_through(snapshot(converted.volume)),
                           attribute_mask=0x280, without=OVERLAY_FILES)
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100
    done("verify", converted.volume, "--wim", converted.wim)
    done("restore", converted.volume, "--wim", converted.wim, "--image", "second")
    sound_volume(converted.volume)
    assert not differences(seen_through(second), seen_through(snapshot(converted.volume)), attribute_mask=0x280,
                           without=OVERLAY_FILES)
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100


def test_restore_finds_the_wim_beside_the_volume(converted: Converted) -> None:
    """The volume names its WIM by GUID, so no option is needed, whatever the file is called."""
    converted.wim.rename(converted.wim.with_name("renamed.wim"))
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/explorer.exe").unlink()
    done("restore", converted.volume)
    assert pointer(snapshot(converted.volume, contents=False)["Windows/explorer.exe"]) is not None


def test_restore_with_full_writes_the_data(converted: Converted) -> None:
    """What is written anew is an ordinary file; what stands as a pointer already may stay one."""
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/explorer.exe").unlink()
    done("restore", converted.volume, "--wim", converted.wim, "--full")
    now = snapshot(converted.volume)["Windows/explorer.exe"]
    assert pointer(now) is None
    assert now.streams == converted.before["Windows/explorer.exe"].streams
    sound_volume(converted.volume)


def test_restore_with_format_builds_the_volume_anew(converted: Converted) -> None:
    """Everything of the image is there, nothing else is but what Windows would make by itself."""
    edit(converted.volume)
    with mounted(converted.volume, write=True) as root:
        (root / "Features" / "encrypted" / "encrypted.bin").unlink()    # or it would be refused
    done("restore", converted.volume, "--wim", converted.wim, "--format", "--yes")
    sound_volume(converted.volume)
    now = snapshot(converted.volume)
    gone = ("Windows/Temp/left over.tmp", "pagefile.sys", "System Volume Information", "Features/encrypted")
    assert not differences(seen_through(converted.after), seen_through(now), attribute_mask=0x280,
                           without=(*gone, "Windows/Temp"))
    assert every_pointer_leads_home(converted.volume, converted.wim, {}) > 100
    done("verify", converted.volume, "--wim", converted.wim)


def test_restore_leaves_excluded_and_encrypted_files_alone(converted: Converted) -> None:
    """The page file that grew, a temporary file and an encrypted one are no part of an image."""
    with mounted(converted.volume, write=True) as root:
        (root / "pagefile.sys").write_bytes(os.urandom(30_000))
        (root / "Windows/Temp/newer.tmp").write_bytes(b"newer")
    before = snapshot(converted.volume)
    done("restore", converted.volume, "--wim", converted.wim)
    now = snapshot(converted.volume)
    for path in ("pagefile.sys", "Windows/Temp/newer.tmp", "Features/encrypted/encrypted.bin"):
        assert not differences({path: before[path]}, {path: now[path]}), path


def test_only_what_is_done_is_counted(converted: Converted) -> None:
    """Nobody has to read that nothing was done of a kind."""
    with mounted(converted.volume, write=True) as root:
        (root / "Windows/System32/drivers/etc").mkdir(parents=True, exist_ok=True)
        (root / "Program Files/new.txt").write_text("new")
    would = " ".join(done("restore", converted.volume, "--dry-run").out.split())
    did = " ".join(done("restore", converted.volume).out.split())
    for said in (would, did):
        assert not re.search(r"\b0 (names|files)", said)
    assert re.search(r"Would restore .*: remove \d+ names?\b", would)
    assert re.search(r"Restored .*: \d+ names? removed\b", did)
