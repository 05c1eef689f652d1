"""Rewriting a WIM with some of its images: what stays is what it was, what only the others used is gone."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import judges
from wim_making import SAMPLES, add_image, applied, host, verified, wimlib
from wimboot.errors import Error, Refused
from wimboot.events import Counter
from wimboot.formats.wimheader import HeaderFlag
from wimboot.formats.wimxml import WimXml
from wimboot.storage import Folder, HostFile, HostFolder
from wimboot.storage.faults import CrashState, Fault, Faulty, Image, Kind, MemoryFolder, Model, Recorder, states
from wimboot.wim import Append, CreateOptions, Outcome, Rewrite, Store, keep_images, open_store, recover
from wimboot.wim.errors import BlobDamaged, WimBusy, WimMissing, WimReadOnly

CHANCE = random.Random(3)
SHARED = {"shared": b"shared" * 9000, "empty": b"", "noise": CHANCE.randbytes(30_000)}
IMAGES = {
    "one": SHARED | {"own": b"1" * 70_000, "a": CHANCE.randbytes(5000)},
    "two": SHARED | {"own": b"2" * 70_000, "a": CHANCE.randbytes(6000), "again": SHARED["shared"]},
    "three": SHARED | {"own": b"3" * 70_000, "a": CHANCE.randbytes(7000), "big": CHANCE.randbytes(3 << 20)},
}
NAME = "s.wim"


def make(folder: Folder, *, guid: bytes = bytes(range(16)), images: Sequence[str] = tuple(IMAGES)) -> None:
    """A WIM of three images, each by its own append."""
    for name in images:
        with Append(folder, NAME, create=CreateOptions(guid=guid), where=NAME) as append:
            add_image(append, IMAGES[name], name)
            append.finish()


def rewrite(folder: Folder, images: Sequence[int]) -> None:
    """What prune does with a WIM."""
    with Rewrite(folder, NAME, where=NAME) as change:
        kept = keep_images(change.store, images)
        change.write(kept, Counter())
        assert change.check(kept, Counter(), 2) == []
        change.finish()


@pytest.mark.parametrize("keep", [[1], [2], [3], [1, 3], [2, 3], [1, 2, 3]])
def test_what_stays_is_what_it_was(keep: list[int], tmp_path: Path) -> None:
    """wimlib finds the rewritten WIM sound, extracts the kept images as before, and would write the same blob table."""
    make(HostFolder(tmp_path))
    path, again = tmp_path / NAME, tmp_path / "again.wim"
    before = path.stat().st_size
    rewrite(HostFolder(tmp_path), keep)
    judges.sound_wim(path)
    names = list(IMAGES)
    with open_store(path) as store:
        assert [image.name for image in store.images] == [names[number - 1] for number in keep]
        assert store.guid == bytes(range(16))
    for place, number in enumerate(keep, start=1):
        assert applied(path, place, tmp_path / str(place)) == IMAGES[names[number - 1]]
        assert wimlib("export", path, str(place), again).returncode == 0
    ours, theirs = judges.read_wim(path), judges.read_wim(again)
    assert {sha1: (blob.size, blob.references) for sha1, blob in ours.blobs.items()} == {
        sha1: (blob.size, blob.references) for sha1, blob in theirs.blobs.items()}
    assert len(keep) == 3 or path.stat().st_size < before
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.suffix == ".wim") == [again.name, NAME]


def test_foreign_xml_integrity_flags_and_boot_image_survive(tmp_path: Path) -> None:
    """Elements that we do not know, the integrity table, the read/write rights and the boot image stay, renumbered."""
    path, source = tmp_path / NAME, tmp_path / "files"
    for name, files in IMAGES.items():
        source.mkdir(exist_ok=True)
        for old in source.iterdir():
            old.unlink()
        for file, data in files.items():
            (source / file).write_bytes(data)
        assert wimlib("append" if path.exists() else "capture", source, path, name, "--check", "--rpfix",
                      "--compress=LZX", f"--image-property=FOREIGN/{name.upper()}=kept {name}").returncode == 0
    assert wimlib("info", path, "3", "--boot", "--check").returncode == 0
    path.chmod(0o640)
    flags = judges.read_wim(path).flags
    rewrite(HostFolder(tmp_path), [2, 3])
    judges.sound_wim(path)
    assert judges.read_wim(path).flags == flags
    said = wimlib("info", path).stdout
    assert "Boot Index:     2" in said
    assert "Integrity info" in said
    with open_store(path) as store:
        text = store.parts[0].xml.decode("utf-16")
        assert "<THREE>kept three</THREE>" in text
        assert "kept one" not in text
        assert store.header.boot_metadata == store.parts[0].table.row(store.parts[0].table.metadata[1]).resource
        assert len(WimXml.parse(store.parts[0].xml, 2).images) == 2
    assert path.stat().st_mode & 0o777 == 0o640
    with path.open("r+b") as opened:
        os.pwrite(opened.fileno(), b"\xff", 300)
    assert not verified(path)


def test_a_dropped_boot_image_is_none(tmp_path: Path) -> None:
    """A WIM whose boot image goes boots nothing."""
    make(HostFolder(tmp_path))
    assert wimlib("info", tmp_path / NAME, "2", "--boot").returncode == 0
    rewrite(HostFolder(tmp_path), [1, 3])
    judges.sound_wim(tmp_path / NAME)
    assert "Boot Index:     0" in wimlib("info", tmp_path / NAME).stdout


@pytest.mark.parametrize("name", ["MultiImage.wim", "XPRESS.wim", "BootLZX.wim", "dissect_basic16k.wim"])
def test_wims_of_others_are_rewritten(name: str, tmp_path: Path) -> None:
    """Their kept images are the same for wimlib: the same entries, the same hashes."""
    if not (SAMPLES / name).exists():
        pytest.skip("the folder ../shared with third-party WIMs is not here")
    path = tmp_path / NAME
    path.write_bytes((SAMPLES / name).read_bytes())
    with open_store(path) as store:
        last = len(store.images)
    before = wimlib("dir", path, str(last), "--detailed").stdout
    rewrite(HostFolder(tmp_path), [last])
    assert verified(path)
    after = wimlib("dir", path, "1", "--detailed").stdout
    assert _without_counts(after) == _without_counts(before)


def _without_counts(listing: str) -> list[str]:
    changing = ("Reference Count", "Raw offset", "Offset")
    return [line for line in listing.splitlines() if not line.strip().startswith(changing)]


def test_what_cannot_be_rewritten_is_refused(tmp_path: Path) -> None:
    """Solid, split, LZMS, read-only and missing WIMs, and one that another process has locked."""
    for name in ("LZMS.wim", "Split.swm"):
        if (SAMPLES / name).exists():
            (tmp_path / name).write_bytes((SAMPLES / name).read_bytes())
            with pytest.raises(Refused):
                Rewrite(HostFolder(tmp_path), name, where=name)
    with pytest.raises(WimMissing):
        Rewrite(HostFolder(tmp_path), NAME, where=NAME)
    make(HostFolder(tmp_path))
    with Append(HostFolder(tmp_path), NAME, create=None, where=NAME), pytest.raises(WimBusy):
        Rewrite(HostFolder(tmp_path), NAME, where=NAME)
    with Rewrite(HostFolder(tmp_path), NAME, where=NAME), pytest.raises(WimBusy):
        Append(HostFolder(tmp_path), NAME, create=None, where=NAME)
    with (tmp_path / NAME).open("r+b") as opened:
        flags = int.from_bytes(os.pread(opened.fileno(), 4, 16), "little") | HeaderFlag.READONLY
        os.pwrite(opened.fileno(), flags.to_bytes(4, "little"), 16)
    with pytest.raises(WimReadOnly):
        Rewrite(HostFolder(tmp_path), NAME, where=NAME)


def test_a_wim_replaced_while_it_was_opened_is_not_appended_to(tmp_path: Path) -> None:
    """Who opened the old file just before a rewriting ended does not write into what no name leads to any more."""
    make(HostFolder(tmp_path))

    class Late(HostFolder):
        """The WIM is replaced between its opening and its locking."""

        def open(self, name: str, *, write: bool = False) -> HostFile:
            file = super().open(name, write=write)
            if write:
                rewrite(HostFolder(tmp_path), [2])
            return file

    with pytest.raises(WimBusy):
        Append(Late(tmp_path), NAME, create=None, where=NAME)
    with open_store(tmp_path / NAME) as store:
        assert len(store.images) == 1


def test_damage_in_what_stays_is_found_before_the_old_wim_goes(tmp_path: Path) -> None:
    """A blob that is not what its hash says is named; one that only dropped images use bothers nobody."""
    make(HostFolder(tmp_path))
    with open_store(tmp_path / NAME) as store:
        tree = store.load_tree(2)
        own = tree.stream(tree.data_stream(tree.find("\\a")))
        blob = store.blob(own.hash)
    assert blob is not None
    with (tmp_path / NAME).open("r+b") as file:
        os.pwrite(file.fileno(), b"damage", blob.offset + 50)
    damaged = (tmp_path / NAME).read_bytes()
    with Rewrite(HostFolder(tmp_path), NAME, where=NAME) as change:
        kept = keep_images(change.store, [1, 2])
        change.write(kept, Counter())
        problems = change.check(kept, Counter(), 2)
        assert [problem.sha1 for problem in problems] == [own.hash]
    assert (tmp_path / NAME).read_bytes() == damaged
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    rewrite(HostFolder(tmp_path), [1, 3])
    judges.sound_wim(tmp_path / NAME)


def test_damaged_metadata_of_what_stays_is_refused(tmp_path: Path) -> None:
    """An image whose list of files cannot be read is not carried over; without it the others are."""
    make(HostFolder(tmp_path))
    with open_store(tmp_path / NAME) as store:
        table = store.parts[0].table
        row = table.row(table.metadata[1])
    with (tmp_path / NAME).open("r+b") as file:
        os.pwrite(file.fileno(), b"damage", row.offset + 20)
    with Rewrite(HostFolder(tmp_path), NAME, where=NAME) as change, pytest.raises(BlobDamaged):
        keep_images(change.store, [1, 2])
    rewrite(HostFolder(tmp_path), [1, 3])
    judges.sound_wim(tmp_path / NAME)


@cache
def _sample() -> bytes:
    folder = MemoryFolder()
    make(folder, images=("one", "two"))
    return _content(folder)


@given(data=st.data())
def test_damaged_wims_end_in_an_error_or_a_sound_wim(data: st.DataObject) -> None:
    """Whatever bytes header, tables and lists of files hold: nothing but our errors, and no new WIM that is damaged."""
    wim = bytearray(_sample())
    table = int.from_bytes(wim[0x38:0x40], "little")
    places = st.one_of(st.integers(0, 207), st.integers(table, len(wim) - 1), st.integers(0, len(wim) - 1))
    for at in data.draw(st.lists(places, min_size=1, max_size=6)):
        wim[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    folder = MemoryFolder({NAME: Image(bytes(wim))})
    try:
        with Rewrite(folder, NAME, where=NAME) as change:
            kept = keep_images(change.store, [data.draw(st.integers(1, 2))])
            assume(kept.size < 1 << 24)
            change.write(kept, Counter())
            if change.check(kept, Counter(), 1):
                return
            change.finish()
    except Error:
        assert _content(folder) == wim
        return
    assert Store.open(folder.open(NAME), where=NAME).check_blobs(None, Counter(), 1) == []


# -- interrupted -------------------------------------------------------------------------------------------------

def _content(folder: MemoryFolder) -> bytes:
    return folder.images[NAME].read(0, folder.images[NAME].size)


def _recorded(start: bytes) -> tuple[Recorder, bytes]:
    recorder, inner = Recorder(), MemoryFolder({NAME: Image(start)})
    folder = recorder.folder(inner, "here")
    folder.open(NAME).close()
    rewrite(folder, [2])
    return recorder, _content(inner)


def test_every_crash_leaves_old_or_new() -> None:
    """Kills, torn and dropped writes at every step: one of the two WIMs, and nothing beside it."""
    old = _sample()
    recorder, new = _recorded(old)
    seen = set()
    for model in Model:
        for state in states(recorder, model, seeds=range(8)):
            seen.add(_check(state, old, new))
    assert seen == {old, new}
    last = [state for seed in range(20) for state in states(recorder, Model.POWER, points=[recorder.point],
                                                            seeds=[seed])]
    assert {_check(state, old, new) for state in last} == {new}


def _check(state: CrashState, old: bytes, new: bytes) -> bytes:
    folder = state.folder("here")
    assert recover(folder, NAME, where=NAME).outcome is Outcome.NOTHING
    assert list(folder.images) == [NAME], state.key
    assert _content(folder) in (old, new), state.key
    return _content(folder)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.LOST])
def test_every_failing_operation_leaves_old_or_new(kind: Kind) -> None:
    """The n-th operation fails, or Ctrl-C comes then, for every n."""
    old = _sample()
    new = _recorded(old)[1]
    for at in range(400):
        inner, faulty = MemoryFolder({NAME: Image(old)}), Faulty(Fault(at=at, kind=kind))
        try:
            rewrite(faulty.folder(inner), [2])
        except (Error, KeyboardInterrupt):
            recover(inner, NAME, where=NAME)
            assert list(inner.images) == [NAME]
            assert _content(inner) in (old, new)
        else:
            assert not faulty.fired
            return
    pytest.fail("the rewriting never succeeded")


def test_no_judge_of_this_module_is_blind(tmp_path: Path) -> None:
    """wimlib objects to a WIM that was rewritten and cut."""
    make(HostFolder(tmp_path))
    rewrite(host(tmp_path / NAME), [3])
    data = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(data[:-20])
    with pytest.raises(AssertionError):
        judges.sound_wim(tmp_path / NAME)
    assert subprocess.run(["7z", "t", str(tmp_path / NAME)], capture_output=True, check=False).returncode != 0
