"""Images made by hand to do harm: names that lead elsewhere, twins, cycles, missing data. None is deployed."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import plain_wim
from converted import fresh_volume
from judges import sound_volume
from running import NO_PLACE, Run, unchanged, wimboot
from snapshots import snapshot

FOLDER, ARCHIVE = 0x10, 0x20
CONTENT = b"content" * 500
SHA1 = hashlib.sha1(CONTENT, usedforsecurity=False).digest()


@dataclass(slots=True)
class Entry:
    """One entry of an image; `below` None makes it a file of CONTENT."""

    name: bytes
    below: list[Entry] | None = None
    attributes: int | None = None
    sha1: bytes = SHA1
    place: int = field(default=0, compare=False)

    def pack(self) -> bytes:
        """A directory entry, 8-byte aligned."""
        attributes = self.attributes
        if attributes is None:
            attributes = ARCHIVE if self.below is None else FOLDER
        size = 102 + (len(self.name) + 2 if self.name else 0)
        size += -size % 8
        head = struct.pack("<QIiQQQQQQ20sIQHHH", size, attributes, -1, self.place, 0, 0, 1, 2, 3,
                           self.sha1 if self.below is None else bytes(20), 0, 0, 0, 0, len(self.name))
        return (head + self.name).ljust(size, b"\0")


def _name(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _image(entries: Sequence[Entry]) -> bytes:
    """Metadata of an image: no security, a root, its entries."""
    root = Entry(b"", list(entries))
    folders = [root]
    for each in folders:
        folders += [entry for entry in each.below or [] if entry.below is not None]
    at = 8 + len(root.pack()) + 8
    for each in folders:
        each.place = at if not each.place else each.place
        at += sum(len(entry.pack()) for entry in each.below or []) + 8
    out = struct.pack("<II", 8, 0) + root.pack() + bytes(8)
    for each in folders:
        out += b"".join(entry.pack() for entry in each.below or []) + bytes(8)
    return out


def _apply(metadata: bytes, folder: Path, *arguments: object) -> Run:
    """Deploy the image in full; whatever comes of it, the volume is what it was and sound."""
    wim, fresh = folder / "hostile.wim", fresh_volume(folder / "fresh.img", 8 << 20)
    plain_wim.write(wim, metadata, [CONTENT], {SHA1: 1})
    empty = set(snapshot(fresh))
    with unchanged(wim):
        run = wimboot("apply", wim, "1", fresh, *(arguments or ("--full",)))
    if run.code:
        assert set(snapshot(fresh)) == empty
    sound_volume(fresh)
    return run


def test_the_forger_makes_images_that_are_sound_without_malice(tmp_path: Path) -> None:
    """Otherwise the refusals below would prove nothing."""
    inner = Entry(_name("folder"), [Entry(_name("file.txt"))])
    run = _apply(_image([inner, Entry(_name("other.txt"))]), tmp_path)
    assert run.code == 0, run.err
    found = snapshot(tmp_path / "fresh.img")
    assert {"folder", "folder/file.txt", "other.txt"} <= set(found)
    assert found["other.txt"].streams == {"": (len(CONTENT), SHA1.hex())}


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a\\b", "..\\..\\etc", "/etc/passwd", "a\0b", "\0", "C:\\x"])
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    """Dots, slashes and NUL in a name of a file and of a folder."""
    for number, entry in enumerate((Entry(_name(name)), Entry(_name(name), [Entry(_name("inside"))]))):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = _apply(_image([entry]), folder)
        assert run.code == 1, run.out
        assert "wimboot: " in run.err


@pytest.mark.parametrize("names", [("same", "same")])
def test_two_entries_of_one_name_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    """One of them would have to be lost."""
    run = _apply(_image([Entry(_name(name)) for name in names]), tmp_path)
    assert run.code == 1, run.out


def test_an_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    """Only the root has none."""
    assert _apply(_image([Entry(b""), Entry(_name("other"))]), tmp_path).code == 1


@pytest.mark.parametrize("target", ["root", "itself", "each other"])
def test_a_folder_that_contains_itself_is_refused(target: str, tmp_path: Path) -> None:
    """A cycle has no end; it is found, not followed."""
    below = Entry(_name("inside"), [])
    folder = Entry(_name("folder"), [below])
    metadata = _image([folder])
    first = 8 + len(Entry(b"", []).pack()) + 8
    below.place = {"root": first, "itself": below.place, "each other": folder.place}[target]
    if target == "itself":  # the list below "inside" becomes the one that holds "inside"
        below.place = folder.place
    out = _repack([folder], below.place, metadata)
    assert _apply(out, tmp_path).code == 1


def _repack(entries: Sequence[Entry], place: int, metadata: bytes) -> bytes:
    """The same image, its folder "inside" leading to the list at `place`."""
    (folder,) = entries
    at = folder.place
    name_at = metadata.index(_name("inside"), at)
    entry = name_at - 102
    return metadata[:entry + 16] + struct.pack("<Q", place) + metadata[entry + 24:]


@pytest.mark.parametrize("place", [1 << 40, (1 << 64) - 8, 3])
def test_a_folder_whose_list_lies_nowhere_is_refused(place: int, tmp_path: Path) -> None:
    """Past the end, or in the middle of something else."""
    folder = Entry(_name("folder"), [Entry(_name("inside"), [])])
    metadata = _image([folder])
    assert _apply(_repack([folder], place, metadata), tmp_path).code == 1


def test_a_blob_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A file whose data the WIM does not have is not deployed as nothing."""
    assert _apply(_image([Entry(_name("file"), sha1=b"\x11" * 20)]), tmp_path).code == 1


def test_a_file_that_says_it_is_a_folder_is_no_folder_with_data(tmp_path: Path) -> None:
    """What it is remains one of the two, and the volume sound."""
    run = _apply(_image([Entry(_name("both"), attributes=FOLDER)]), tmp_path)
    assert run.code in (0, 1)


def test_metadata_that_is_cut_is_refused(tmp_path: Path) -> None:
    """At every eighth byte."""
    metadata = _image([Entry(_name("folder"), [Entry(_name("inside"))]), Entry(_name("file"))])
    wim, fresh = tmp_path / "hostile.wim", fresh_volume(tmp_path / "fresh.img", 8 << 20)
    wim.touch()
    with unchanged(fresh):
        for size in range(0, len(metadata) - 8, 8):
            plain_wim.write(wim, metadata[:size], [CONTENT], {SHA1: 1})
            assert wimboot("apply", wim, "1", fresh, "--full").code == 1, size


def test_hostile_images_are_not_restored_to_either(tmp_path: Path, small_volume: Path) -> None:
    """A restore loads the image before it touches the volume."""
    wim = tmp_path / "hostile.wim"
    plain_wim.write(wim, _image([Entry(_name(".."))]), [CONTENT], {SHA1: 1})
    with unchanged(wim, small_volume):
        assert wimboot("restore", small_volume, "--wim", wim, "--image", "1").code == 1
        assert wimboot("images", wim).code == 1
        assert wimboot("verify", "--wim", wim).code == 3


def test_names_that_windows_does_not_take_are_deployed_where_ntfs_does(tmp_path: Path) -> None:
    """`a:b`, `*` or a final dot were on some NTFS volume once, and may be again; nothing else is made of them."""
    names = ("question?", "star*", "final dot.", "final space ", "pipe|", 'quote"')
    run = _apply(_image([Entry(_name(name)) for name in names]), tmp_path)
    if run.code == 0:
        assert set(names) <= set(snapshot(tmp_path / "fresh.img"))
    else:
        assert "wimboot: " in run.err


def test_a_system_is_not_read_out_of_noise(tmp_path: Path) -> None:
    """Hives and kernels that are noise end in one message, not in a system taken for another."""
    config = Entry(_name("config"), [Entry(_name("SYSTEM")), Entry(_name("SOFTWARE"))])
    system = Entry(_name("System32"), [config, Entry(_name("ntoskrnl.exe"))])
    image = _image([Entry(_name("Windows"), [system])])
    for number, arguments in enumerate((("--full",), ("--export", tmp_path / "store.wim", *NO_PLACE))):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = _apply(image, folder, *arguments)
        assert run.code == 1
        assert "its version cannot be read" in run.err
