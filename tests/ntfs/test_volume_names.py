"""Names: namespaces, links, moves, removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from index_judge import open_volume, read_records
from judges import sound_volume
from mounting import mounted
from volume_rig import ROOT, TIMES, agrees, descriptor, facts_of, fresh_volume, opened, pointer, utf16
from wimboot.ntfs import refusals

if TYPE_CHECKING:
    from pathlib import Path

POSIX, WIN32, DOS, BOTH = range(4)


@pytest.fixture
def volume_file(tmp_path: Path) -> Path:
    return fresh_volume(tmp_path / "volume.img")


def _names(path: Path, file_id: int) -> set[tuple[str, int]]:
    with open_volume(path) as view:
        record = read_records(view)[file_id & (1 << 48) - 1]
        return {(name.shown, name.namespace) for name in record.names}


def test_names_get_the_namespace_windows_gives_them(volume_file: Path) -> None:
    """POSIX without a DOS name, a Win32 and DOS pair with one, both at once when it is its own."""
    with opened(volume_file) as volume:
        plain = volume.create_file(ROOT, utf16("plain name.txt"), b"", 0x20, TIMES, 0)
        pair = volume.create_file(ROOT, utf16("paired name.txt"), utf16("PAIRED~1.TXT"), 0x20, TIMES, 0)
        own = volume.create_file(ROOT, utf16("Own.txt"), utf16("OWN.TXT"), 0x20, TIMES, 0)
        folder = volume.create_folder(ROOT, utf16("a folder with a name"), utf16("AFOLDE~1"), 0x10, TIMES, 0)
    assert _names(volume_file, plain) == {("plain name.txt", POSIX)}
    assert _names(volume_file, pair) == {("paired name.txt", WIN32), ("PAIRED~1.TXT", DOS)}
    assert _names(volume_file, own) == {("Own.txt", BOTH)}
    assert _names(volume_file, folder) == {("a folder with a name", WIN32), ("AFOLDE~1", DOS)}
    sound_volume(volume_file)


def test_a_short_name_is_set_changed_and_taken_away(volume_file: Path) -> None:
    """The long name's namespace follows; times stay."""
    name = utf16("a long name")
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, name, b"", 0x20, TIMES, 0)
    before = facts_of(volume_file, file_id)
    for short, expected in (("ALONG~1", {("a long name", WIN32), ("ALONG~1", DOS)}),
                            ("ALONG~2", {("a long name", WIN32), ("ALONG~2", DOS)}),
                            ("", {("a long name", POSIX)}),
                            ("A LONG NAME", {("a long name", BOTH)}),
                            ("ALONG~3", {("a long name", WIN32), ("ALONG~3", DOS)})):
        with opened(volume_file) as volume:
            volume.set_short_name(file_id, ROOT, name, utf16(short))
        assert _names(volume_file, file_id) == expected
        agrees(volume_file)
    assert facts_of(volume_file, file_id) == before


def test_a_file_with_links_elsewhere_gets_its_short_name(volume_file: Path) -> None:
    """One DOS name a file: giving it to one link takes it from the other."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        file_id = volume.create_file(ROOT, utf16("first name"), utf16("FIRST~1"), 0x20, TIMES, 0)
        volume.link(file_id, folder, utf16("second name"))
        volume.set_short_name(file_id, folder, utf16("second name"), utf16("SECOND~1"))
    assert _names(volume_file, file_id) == {("first name", POSIX), ("second name", WIN32), ("SECOND~1", DOS)}
    sound_volume(volume_file)


def test_names_that_differ_only_in_case_lie_side_by_side(volume_file: Path) -> None:
    """Folders are case-sensitive underneath; only the very same name is taken."""
    with opened(volume_file) as volume:
        ids = [volume.create_file(ROOT, utf16(name), b"", 0x20, TIMES, 0) for name in ("file", "File", "FILE")]
        assert len(set(ids)) == 3
        for taken in ("file", "FILE"):
            with pytest.raises(refusals.NameTaken):
                volume.create_file(ROOT, utf16(taken), b"", 0x20, TIMES, 0)
        assert not volume.torn
    sound_volume(volume_file)


def test_a_taken_short_name_leaves_nothing_behind(volume_file: Path) -> None:
    """The long name that was entered first goes again."""
    with opened(volume_file) as volume:
        volume.create_file(ROOT, utf16("one name here"), utf16("ONE~1"), 0x20, TIMES, 0)
        with pytest.raises(refusals.NameTaken):
            volume.create_file(ROOT, utf16("another name"), utf16("ONE~1"), 0x20, TIMES, 0)
        assert volume.open_path("another name") is None
    agrees(volume_file)


@pytest.mark.parametrize("name", [
    "", ".", "..", "a/b", "a\\b", "a:b", "a*", "a?", 'a"', "a<", "a>", "a|", "a\0", "\1", "x\x1f", "n" * 256,
])
def test_impossible_names_are_refused(volume_file: Path, name: str) -> None:
    """What would mean another place, or nothing, never reaches the volume."""
    with opened(volume_file) as volume:
        file_id = volume.create_file(ROOT, utf16("good"), b"", 0x20, TIMES, 0)
        for call in (lambda: volume.create_file(ROOT, utf16(name), b"", 0x20, TIMES, 0),
                     lambda: volume.create_folder(ROOT, utf16(name), b"", 0x10, TIMES, 0),
                     lambda: volume.create_pointer(ROOT, utf16(name), b"", 0x20, TIMES, 0, 5, pointer(5)),
                     lambda: volume.link(file_id, ROOT, utf16(name)),
                     lambda: volume.rename(file_id, ROOT, utf16("good"), ROOT, utf16(name))):
            with pytest.raises(refusals.NameNotPossible):
                call()


@pytest.mark.parametrize("raw", [b"x", b"abc", utf16("n" * 13)])
def test_impossible_short_names_are_refused(volume_file: Path, raw: bytes) -> None:
    """Twelve characters, and whole ones."""
    with opened(volume_file) as volume, pytest.raises(refusals.NameNotPossible):
        volume.create_file(ROOT, utf16("long"), raw, 0x20, TIMES, 0)


def test_names_that_are_not_valid_text_are_kept(volume_file: Path) -> None:
    """Half a surrogate pair, right-to-left marks, reserved names and the longest name are names."""
    names = ["\ud800", "a\udc00b", "\u202ename", "CON", "trailing.", "trailing ", "n" * 255, "\uffff", "\U0001f600"]
    with opened(volume_file) as volume:
        ids = {name: volume.create_file(ROOT, utf16(name), b"", 0x20, TIMES, 0) for name in names}
    with opened(volume_file, write=False) as volume:
        assert {name: volume.lookup(ROOT, utf16(name)) for name in names} == ids
    agrees(volume_file)


def test_links_come_and_go(volume_file: Path) -> None:
    """The file goes with its last name only; clusters, object id and reparse point with it."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        file_id = volume.create_file(ROOT, utf16("first name"), utf16("FIRST~1"), 0x20, TIMES, 0)
        free = volume.free_clusters     # $MFT has grown by now
        volume.write_data(file_id, b"", [b"x" * 50_000], 50_000)
        volume.write_data(file_id, utf16("stream"), [b"y" * 50_000], 50_000)
        volume.set_object_id(file_id, bytes(range(16)))
        volume.link(file_id, folder, utf16("second"))
        volume.link(file_id, ROOT, utf16("third"))
        volume.point(file_id, pointer(50_000), 50_000)
        volume.unlink(file_id, ROOT, utf16("first name"))
        assert volume.open_path("FIRST~1") is None
        volume.unlink(file_id, folder, utf16("second"))
        assert volume.open_path("third") == file_id
    agrees(volume_file)
    assert _names(volume_file, file_id) == {("third", POSIX)}
    with opened(volume_file) as volume:
        volume.unlink(file_id, ROOT, utf16("third"))
        assert volume.open_path("third") is None
        volume.remove_folder(folder, ROOT, utf16("folder"))
        assert volume.free_clusters == free
    sound_volume(volume_file)


def test_what_is_not_so_is_not_removed(volume_file: Path) -> None:
    """Full folders, files as folders, folders as files, missing names and the root stay."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        file_id = volume.create_file(folder, utf16("file"), b"", 0x20, TIMES, 0)
        with pytest.raises(refusals.FolderNotEmpty):
            volume.remove_folder(folder, ROOT, utf16("folder"))
        with pytest.raises(refusals.NotAFolder):
            volume.remove_folder(file_id, folder, utf16("file"))
        with pytest.raises(refusals.NotAFile):
            volume.unlink(folder, ROOT, utf16("folder"))
        with pytest.raises(refusals.FileNotFound):
            volume.unlink(file_id, ROOT, utf16("file"))
        with pytest.raises(refusals.CallFailed):
            volume.remove_folder(ROOT, ROOT, utf16("."))
        with pytest.raises(refusals.NotAFolder):
            volume.create_file(file_id, utf16("below"), b"", 0x20, TIMES, 0)
        with pytest.raises(refusals.NotAFile):
            volume.link(folder, ROOT, utf16("alias"))
        assert not volume.torn
    agrees(volume_file)


def test_files_and_folders_move_and_keep_their_reference(volume_file: Path) -> None:
    """To another folder, to another case, with and without a short name; what lies in a folder goes with it."""
    with opened(volume_file) as volume:
        here = volume.create_folder(ROOT, utf16("here"), b"", 0x10, TIMES, 0)
        there = volume.create_folder(ROOT, utf16("there"), b"", 0x10, TIMES, 0)
        file_id = volume.create_file(here, utf16("the file"), utf16("THEFIL~1"), 0x20, TIMES, 0)
        volume.write_data(file_id, b"", [b"content"], 7)
        volume.rename(file_id, here, utf16("the file"), here, utf16("The File"), utf16("THEFIL~2"))
        volume.rename(file_id, here, utf16("The File"), there, utf16("moved"), utf16("MOVED"))
        volume.rename(here, ROOT, utf16("here"), there, utf16("inner"))
        assert volume.open_path("there\\moved") == file_id
        assert volume.open_path("there\\inner") == here
        assert volume.open_path("here") is None
    assert _names(volume_file, file_id) == {("moved", BOTH)}
    assert facts_of(volume_file, there)[0][:2] == TIMES[:2]
    sound_volume(volume_file)
    with mounted(volume_file) as root:
        assert (root / "there" / "moved").read_bytes() == b"content"


def test_a_folder_never_comes_to_lie_in_itself(volume_file: Path) -> None:
    """A move that would make a ring is refused, and so is one onto a name that is there."""
    with opened(volume_file) as volume:
        outer = volume.create_folder(ROOT, utf16("outer"), b"", 0x10, TIMES, 0)
        inner = volume.create_folder(outer, utf16("inner"), b"", 0x10, TIMES, 0)
        deep = volume.create_folder(inner, utf16("deep"), b"", 0x10, TIMES, 0)
        for target in (outer, inner, deep):
            with pytest.raises(refusals.CallFailed):
                volume.rename(outer, ROOT, utf16("outer"), target, utf16("ring"))
        volume.create_file(ROOT, utf16("taken"), b"", 0x20, TIMES, 0)
        with pytest.raises(refusals.NameTaken):
            volume.rename(inner, outer, utf16("inner"), ROOT, utf16("taken"))
        assert not volume.torn
    agrees(volume_file)


def test_the_times_of_folders_stay_until_they_are_set(volume_file: Path) -> None:
    """Making, linking, moving and removing what is in a folder is no change of its times."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
    before = facts_of(volume_file, folder)
    root_before = facts_of(volume_file, ROOT)
    with opened(volume_file) as volume:
        first = volume.create_file(folder, utf16("first"), utf16("FIRST"), 0x20, TIMES, 0)
        volume.link(first, folder, utf16("linked"))
        volume.rename(first, folder, utf16("linked"), ROOT, utf16("moved"))
        volume.unlink(first, ROOT, utf16("moved"))
        volume.unlink(first, folder, utf16("first"))
    assert facts_of(volume_file, folder) == before
    assert facts_of(volume_file, ROOT) == root_before
    with opened(volume_file) as volume:
        volume.set_times(folder, 1, 2, 3)
        volume.set_security(folder, volume.security_id(descriptor()))
    times, _, security = facts_of(volume_file, folder)
    assert times == (1, 2, before[0][2], 3)
    assert security >= 0x100
    sound_volume(volume_file)


def test_a_large_folder_is_emptied_and_removed(volume_file: Path) -> None:
    """An index grows over blocks, shrinks back, and its blocks are free again."""
    with opened(volume_file) as volume:
        folder = volume.create_folder(ROOT, utf16("folder"), b"", 0x10, TIMES, 0)
        ids = {utf16(f"file number {n * 7919 % 700:05}"): 0 for n in range(700)}
        for name in ids:
            ids[name] = volume.create_file(folder, name, b"", 0x20, TIMES, 0)
    agrees(volume_file)
    with opened(volume_file) as volume:
        for name, file_id in list(ids.items())[::2]:
            volume.unlink(file_id, folder, name)
    agrees(volume_file)
    with opened(volume_file) as volume:
        for name, file_id in list(ids.items())[1::2]:
            volume.unlink(file_id, folder, name)
        volume.remove_folder(folder, ROOT, utf16("folder"))
    sound_volume(volume_file)
