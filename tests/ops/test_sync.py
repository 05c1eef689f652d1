"""The spare copy of a WIM that a system stands on: grown, pruned, moved, mixed up, rotten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import judges
from converted import Converted
from mounting import copy_sparse, mounted
from running import done, refused, unchanged, wimboot
from volume_edits import rewrite
from wim_making import wimlib
from wimboot.events import Counter, silent
from wimboot.formats.blobtable import ROW_SIZE
from wimboot.formats.wimheader import ResourceFlag
from wimboot.ops.options import SyncOptions
from wimboot.ops.sync import sync
from wimboot.plan.space import NotEnoughSpace
from wimboot.storage import HostFolder
from wimboot.wim import Append, Spare, open_store
from wimboot.wim.errors import WimMissing
from wimboot.wim.resource import WINDOW


def _grow(converted: Converted, name: str) -> None:
    with mounted(converted.volume, write=True) as root:
        rewrite(root / "Windows/System32/user32.dll", name.encode() * 30_000)
    done("update", converted.volume, "--name", name)


def _same(wim: Path, copy: Path) -> None:
    assert wim.read_bytes() == copy.read_bytes()
    assert not [path.name for path in [*wim.parent.iterdir(), *copy.parent.iterdir()] if "wimboot-" in path.name]


def test_a_spare_is_made_kept_up_and_backs_the_volume(converted: Converted, tmp_path: Path) -> None:
    """Made in a folder, then grown by what is new only; pointers lead into it as into the WIM; told in figures."""
    spares = tmp_path / "spares"
    spares.mkdir()
    copy = spares / converted.wim.name
    converted.wim.chmod(0o600)
    with unchanged(converted.wim, converted.volume):
        told = done("sync", converted.wim, spares, "--json").json
    first = converted.wim.stat().st_size
    assert (told["was"], told["written_bytes"], told["bytes"], told["copy"]) == ("missing", first, first, str(copy))
    _same(converted.wim, copy)
    assert copy.stat().st_mode & 0o777 == 0o600
    _grow(converted, "second")
    with unchanged(converted.wim, copy):
        assert "append" in done("sync", converted.wim, copy, "--dry-run").out
    told = done("sync", converted.wim, copy, "--full", "--json").json
    assert (told["was"], told["rewritten"], told["written_bytes"]) == (
        "earlier", False, converted.wim.stat().st_size - first)
    assert told["compared_bytes"] == first - 208
    _same(converted.wim, copy)
    judges.sound_wim(copy)
    assert judges.every_pointer_leads_home(converted.volume, copy, {}) > 20
    with unchanged(converted.wim, copy):
        assert "is up to date. Nothing was written." in done("sync", converted.wim, copy).out
        assert done("sync", converted.wim, copy, "--json").json["written_bytes"] == 0


def test_what_wimlib_appended_is_followed(converted: Converted, tmp_path: Path) -> None:
    """Another program's image behind the end is a growth like ours."""
    copy, source = tmp_path / "spare.wim", tmp_path / "files"
    done("sync", converted.wim, copy, "-q")
    source.mkdir()
    (source / "theirs.bin").write_bytes(os.urandom(50_000))
    assert wimlib("append", source, converted.wim, "theirs").returncode == 0
    assert done("sync", converted.wim, copy, "--json").json["was"] == "earlier"
    _same(converted.wim, copy)


def test_after_a_prune_the_copy_is_written_anew_when_told_so(converted: Converted, tmp_path: Path) -> None:
    """It holds images that the WIM does not any more: refused, naming them, unless forced."""
    copy = tmp_path / "spare.wim"
    _grow(converted, "second")
    done("sync", converted.wim, copy)
    done("prune", converted.wim, "--drop", "first", "--target", converted.volume, "--yes")
    run = refused("copy-has-more", 4, "sync", converted.wim, copy, watching=(converted.wim, copy))
    assert "1 (first)" in run.err
    copy.chmod(0o640)
    told = done("sync", converted.wim, copy, "--force", "--json").json
    assert (told["was"], told["rewritten"], copy.stat().st_mode & 0o777) == ("apart", True, 0o640)
    _same(converted.wim, copy)
    assert wimlib("info", converted.wim, "1", "second renamed", "--boot").returncode == 0
    done("sync", converted.wim, copy)
    _same(converted.wim, copy)


def test_the_wrong_way_round_is_refused(converted: Converted, tmp_path: Path) -> None:
    """A copy that is ahead is never put back to an older state, forced or not."""
    old = tmp_path / "old.wim"
    done("sync", converted.wim, old)
    _grow(converted, "second")
    run = refused("copy-is-newer", 4, "sync", old, converted.wim, "--force", watching=(old, converted.wim))
    assert f"wimboot sync {converted.wim} {old}" in run.err


def test_a_copy_from_before_the_newest_image_was_pruned_can_be_made_anew(converted: Converted, tmp_path: Path) -> None:
    """It cannot be told from one that went on: what is said to be done then leads on."""
    copy = tmp_path / "copy.wim"
    _grow(converted, "second")
    done("sync", converted.wim, copy)
    done("restore", converted.volume, "--image", "1")
    done("prune", converted.wim, "--drop", "2", "--target", converted.volume, "--yes")
    run = refused("copy-is-newer", 4, "sync", converted.wim, copy, "--force", watching=(converted.wim, copy))
    assert f"remove {copy} and make it anew" in run.err
    copy.unlink()
    done("sync", converted.wim, copy)
    _same(converted.wim, copy)


def test_what_is_no_copy_is_left_alone(converted: Converted, tmp_path: Path) -> None:
    """Another WIM, no WIM, the WIM itself under another name, a place inside a volume, a WIM that is not there."""
    other, text, link = tmp_path / "other.wim", tmp_path / "notes.txt", tmp_path / "link.wim"
    source = tmp_path / "files"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 9000)
    assert wimlib("capture", source, other).returncode == 0
    text.write_bytes(b"what I must not forget" * 100)
    link.symlink_to(converted.wim)
    both = (converted.wim, converted.volume)
    refused("copy-of-another-wim", 4, "sync", converted.wim, other, "--force", watching=(*both, other))
    refused("host-not-usable", 1, "sync", converted.wim, "/dev/null", "--force", "--yes", watching=both)
    refused("same-file", 2, "sync", converted.wim, link, watching=both)
    refused("same-file", 2, "sync", converted.wim, converted.wim.parent, watching=both)
    refused("copy-inside-volume", 4, "sync", converted.wim, f"{converted.volume}:/store.wim", watching=both)
    refused("wim-missing", WimMissing.exit_code, "sync", tmp_path / "none.wim", tmp_path / "new.wim", watching=both)
    assert not (tmp_path / "new.wim").exists()


def test_a_copy_that_was_cut_short_is_written_anew_when_told_so(converted: Converted, tmp_path: Path) -> None:
    """An interrupted `cp` leaves such a one; another WIM that is damaged is left alone."""
    copy, other = tmp_path / "spare.wim", tmp_path / "other.wim"
    copy.write_bytes(converted.wim.read_bytes()[:-5000])
    refused("copy-damaged", 4, "sync", converted.wim, copy, watching=(converted.wim, copy))
    assert done("sync", converted.wim, copy, "--force", "--json").json["was"] == "damaged"
    _same(converted.wim, copy)
    data = converted.wim.read_bytes()
    other.write_bytes(data[:0x18] + bytes(16) + data[0x28:-5000])
    refused("copy-of-another-wim", 4, "sync", converted.wim, other, "--force", watching=(converted.wim, other))


@pytest.mark.parametrize("kept", [0, 22, None])
def test_what_does_not_begin_as_a_wim_is_asked_about(kept: int | None, converted: Converted, tmp_path: Path) -> None:
    """A copy without its beginning, or empty, or notes of somebody: never without --force, nor without a yes."""
    copy = tmp_path / "spare.wim"
    headless = bytes(208) + converted.wim.read_bytes()[208:]
    copy.write_bytes(headless if kept is None else b"what I must not forget"[:kept])
    both = (converted.wim, copy)
    told = refused("copy-unknown", 4, "sync", converted.wim, copy, "--yes", watching=both)
    assert "--force" in told.err
    with unchanged(*both):
        asked = wimboot("sync", converted.wim, copy, "--force")
        assert (asked.code, "Write the WIM over it?" in asked.err) == (4, True)
        assert wimboot("sync", converted.wim, copy, "--force", "--json").json["error"]["id"] == "confirmation-needed"
        assert "write it anew" in done("sync", converted.wim, copy, "--force", "--dry-run").out
    told_json = done("sync", converted.wim, copy, "--force", "--yes", "--json").json
    assert (told_json["was"], told_json["rewritten"]) == ("unknown", True)
    _same(*both)


def test_rot_in_the_copy_is_mended_by_a_full_comparison(converted: Converted, tmp_path: Path) -> None:
    """What the tables do not show, --full does."""
    copy = tmp_path / "spare.wim"
    done("sync", converted.wim, copy)
    with copy.open("r+b") as file:
        os.pwrite(file.fileno(), b"rot", 5000)
    assert done("sync", converted.wim, copy, "--json").json["was"] == "same"
    run = done("sync", converted.wim, copy, "--full")
    assert "written anew" in run.out
    assert f"{copy} differs from {converted.wim} (the first difference is at byte 5,000)" in run.err
    _same(converted.wim, copy)


def test_rot_in_the_wim_does_not_reach_the_copy(converted: Converted, tmp_path: Path) -> None:
    """A damaged blob among what is new, or a whole new copy of a damaged WIM: refused, and the copy is as it was."""
    copy = tmp_path / "spare.wim"
    copy_sparse(converted.wim, copy)
    _grow(converted, "second")
    with open_store(converted.wim) as store:
        tree = store.load_tree(2)
        blob = store.blob(tree.stream(tree.data_stream(tree.find("\\Windows\\System32\\user32.dll"))).hash)
    assert blob is not None
    assert blob.offset >= copy.stat().st_size
    with converted.wim.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xff" * 64, blob.offset + blob.size_in_wim - 100)
    refused("sync-source-damaged", 1, "sync", converted.wim, copy, watching=(converted.wim, copy))
    refused("sync-source-damaged", 1, "sync", converted.wim, tmp_path / "new.wim", watching=(converted.wim, copy))
    assert not (tmp_path / "new.wim").exists()


@pytest.mark.parametrize("full", [(), ("--full",)])
@pytest.mark.parametrize(("what", "at", "bit"), [
    ("blob", 8, 0x10),      # its offset
    ("blob", 16, 0x01),     # its size
    ("blob", 30, 0x01),     # its hash
    ("blob", 7, 0x01),      # that the row is free: the blob is not there any more
    ("new blob", 7, 0x01),
    ("image", 8, 0x10),
    ("new image", 30, 0x01),
])
def test_rot_in_the_new_table_does_not_reach_the_copy(
    what: str, at: int, bit: int, full: tuple[str, ...], converted: Converted, tmp_path: Path
) -> None:
    """What it says of data that the copy has already would make a sound copy a damaged one."""
    copy = tmp_path / "spare.wim"
    copy_sparse(converted.wim, copy)
    _grow(converted, "second")
    with open_store(converted.wim) as store:
        tree, table = store.load_tree(1), store.parts[0].table
        sha1 = tree.stream(tree.data_stream(tree.find("\\Windows\\explorer.exe"))).hash
        tree = store.load_tree(2)
        new = tree.stream(tree.data_stream(tree.find("\\Windows\\System32\\user32.dll"))).hash
        row = {"blob": table.index[sha1], "new blob": table.index[new], "image": table.metadata[0],
               "new image": table.metadata[1]}[what]
        place = store.header.blob_table.offset + row * ROW_SIZE + at
        assert table.row(row).flags & ResourceFlag.COMPRESSED
    with converted.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([os.pread(file.fileno(), 1, place)[0] ^ bit]), place)
    for into in (copy, tmp_path / "new.wim"):
        refused("sync-source-damaged", 1, "sync", converted.wim, into, *full, watching=(converted.wim, into))


def test_a_dry_run_leaves_what_an_interrupted_run_left(converted: Converted, tmp_path: Path) -> None:
    """It tells what the run does, which finishes or removes that first: a new file that is not whole, a copy that was
    growing, with its record, its old end torn."""
    copy = tmp_path / "spare.wim"
    copy_sparse(converted.wim, copy)
    size = copy.stat().st_size
    _grow(converted, "second")
    record, new = tmp_path / "spare.wim.wimboot-undo", tmp_path / "spare.wim.wimboot-new"
    with open_store(converted.wim) as store, Spare(store, HostFolder(tmp_path), copy.name, where="x") as spare:
        spare.append(Counter())
        left, grown = record.read_bytes(), copy.read_bytes()
    record.write_bytes(left)
    copy.write_bytes(grown[:size - 100] + bytes(100) + grown[size:])
    new.write_bytes(b"the beginning of a WIM")
    with unchanged(converted.wim, copy, record, new):
        told = done("sync", converted.wim, copy, "--dry-run", "--json").json
    assert told["was"] == "earlier"
    assert {**told, "dry_run": False} == done("sync", converted.wim, copy, "--json").json
    _same(converted.wim, copy)
    with Append(HostFolder(tmp_path), copy.name, create=None, where="x"):
        refused("wim-busy", 4, "sync", converted.wim, copy, "--dry-run")


def test_a_dry_run_leaves_what_an_interrupted_run_left_of_the_wim(converted: Converted, tmp_path: Path) -> None:
    """It compares with the WIM as the run itself makes it again first."""
    wim, copy = converted.wim, tmp_path / "spare.wim"
    folder, record = HostFolder(wim.parent), wim.with_name(f"{wim.name}.wimboot-undo")
    new = wim.with_name(f"{wim.name}.wimboot-new")
    copy_sparse(wim, copy)
    _grow(converted, "second")
    with Append(folder, wim.name, create=None, where="x") as append:
        append.add_blob(b"data of a run that was killed" * 100)
        append.sync()
        left, grown = record.read_bytes(), wim.read_bytes()
    record.write_bytes(left)
    wim.write_bytes(grown)
    new.write_bytes(b"the beginning of a WIM")
    with unchanged(wim, copy, record, new):
        told = done("sync", wim, copy, "--dry-run", "--json").json
        assert "append" in done("sync", wim, copy, "--dry-run", "--full").out
    assert {**told, "dry_run": False} == done("sync", wim, copy, "--json").json
    assert wim.stat().st_size < len(grown)
    _same(wim, copy)


def test_a_copy_that_reads_back_as_something_else_is_given_up(
    converted: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not keep what it is given: no copy, rather than that one."""
    monkeypatch.setattr(Spare, "reads_back", lambda *_: False)
    told = refused("copy-read-back", 1, "sync", converted.wim, tmp_path / "spare.wim", watching=(converted.wim,))
    assert "does not read back" in told.err
    assert not list(tmp_path.glob("spare.wim*"))


def test_what_wimlib_removed_is_followed(converted: Converted, tmp_path: Path) -> None:
    """It leaves the blobs where they are; a row that no image refers to may be missing in the new table."""
    copy = tmp_path / "spare.wim"
    _grow(converted, "second")
    done("sync", converted.wim, copy)
    assert wimlib("delete", converted.wim, "1", "--soft").returncode == 0
    with open_store(converted.wim) as store:
        table = store.parts[0].table
        row = next(row for row in table.index.rows() if table.row(row).reference_count == 0)
        place = store.header.blob_table.offset + row * ROW_SIZE + 7
    with converted.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([table.row(row).flags | ResourceFlag.FREE]), place)
    assert done("sync", converted.wim, copy, "--json").json["was"] == "earlier"
    _same(converted.wim, copy)
    assert wimlib("verify", copy).returncode == 0


def test_a_damaged_wim_is_not_said_to_be_the_copy(tmp_path: Path) -> None:
    """The data that a full comparison would copy is damaged: it is the WIM that is named, in a large blob too."""
    wim, copy, files = tmp_path / "store.wim", tmp_path / "spare.wim", tmp_path / "files"
    files.mkdir()
    (files / "large.txt").write_text("".join(f"{number:x}\n" for number in range(900_000)))
    assert wimlib("capture", files, wim).returncode == 0
    done("sync", wim, copy)
    with open_store(wim) as store:
        blob = next(store.blob(sha1) for sha1 in store.hashes())
    assert blob is not None
    assert blob.size > WINDOW   # smaller ones are hashed another way
    with wim.open("r+b") as file:
        os.pwrite(file.fileno(), b"\xff" * 8, blob.offset)
    told = refused("sync-source-damaged", 1, "sync", wim, copy, "--full", watching=(wim, copy))
    assert f"{wim} is damaged" in told.err
    assert f"{copy} is damaged" not in told.err
    assert f"{copy} differs from {wim}" in told.err


@pytest.mark.parametrize("there", [True, False])
def test_too_little_room_is_said_beforehand(converted: Converted, tmp_path: Path, there: bool) -> None:
    """For what is missing, or for the whole."""
    class Full(HostFolder):
        """A disk that has no room."""

        def free_size(self) -> int:
            return 100

    copy = tmp_path / "spare.wim"
    if there:
        copy_sparse(converted.wim, copy)
        _grow(converted, "second")
    with unchanged(converted.wim, copy), pytest.raises(NotEnoughSpace, match="100 bytes are free"):
        sync(SyncOptions(wim=converted.wim, copy=copy, folders=Full), silent)
