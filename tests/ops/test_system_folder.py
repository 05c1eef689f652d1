"""A system partition that is a folder of the host: all of it or nothing, durable, no links followed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from running import unchanged
from wimboot.errors import HostError
from wimboot.events import silent
from wimboot.ops.booting.hostfolder import FolderPartition, LinkInFolder
from wimboot.ops.booting.partition import (
    BadSystemPath,
    FileInTheWay,
    FileTooLarge,
    FolderInTheWay,
    PartitionFull,
    PartitionKind,
)
from wimboot.ops.booting.systempartition import SystemEntry, open_system_partition
from wimboot.storage import Data, HostFile, HostFolder, OutOfSpace


@pytest.fixture
def esp(tmp_path: Path) -> Path:
    """A folder as a mounted system partition has it."""
    root = tmp_path / "esp"
    (root / "EFI/Microsoft/Boot").mkdir(parents=True)
    (root / "EFI/Microsoft/Boot/BCD").write_bytes(b"old store")
    return root


def test_folder_shows_what_will_be(esp: Path) -> None:
    """Before the commit the host has its old files, and the partition already tells of the new ones."""
    with open_system_partition(str(esp), silent, write=True) as system:
        assert system.kind is PartitionKind.FOLDER
        system.write("/efi/microsoft/boot/bcd", b"new store", attributes=6)
        system.write(r"\Boot\中文\bootmgr.exe.mui", b"x" * 1000)
        system.make_folder(r"\EFI\BOOT")
        with unchanged(esp / "EFI/Microsoft/Boot/BCD"):
            assert system.read(r"\EFI\Microsoft\Boot\BCD") == b"new store"
            assert system.list() == (SystemEntry(name="Boot", is_folder=True, size=0),
                                     SystemEntry(name="EFI", is_folder=True, size=0))
            assert [entry.name for entry in system.list("efi")] == ["BOOT", "Microsoft"]
            assert system.exists("boot/中文")
            assert system.is_folder("")
            assert not system.exists("boot/none")
            assert not (esp / "Boot").exists()
        system.commit()
    assert (esp / "EFI/Microsoft/Boot/BCD").read_bytes() == b"new store"
    assert (esp / "Boot/中文/bootmgr.exe.mui").read_bytes() == b"x" * 1000
    assert (esp / "EFI/BOOT").is_dir()
    assert sorted(path.name for path in esp.rglob("*")) == sorted(
        ["BCD", "BOOT", "Boot", "Boot", "EFI", "Microsoft", "bootmgr.exe.mui", "中文"])


def test_folder_left_without_commit_is_unchanged(esp: Path) -> None:
    """Nothing reaches the host before the commit."""
    with unchanged(esp / "EFI/Microsoft/Boot/BCD", esp / "bootmgr"), \
            open_system_partition(str(esp), silent, write=True) as system:
        system.write("bootmgr", b"x")
        system.remove(r"\EFI\Microsoft\Boot\BCD")
        assert not system.exists(r"EFI\Microsoft\Boot\BCD")
        assert system.read("bootmgr") == b"x"


def test_folder_gives_up_files_and_empty_folders(esp: Path) -> None:
    """A folder goes when what was in it goes; before that it is refused."""
    with open_system_partition(str(esp), silent, write=True) as system:
        with pytest.raises(FolderInTheWay):
            system.remove("EFI")
        for path in (r"EFI\Microsoft\Boot\BCD", r"EFI\Microsoft\Boot", r"EFI\Microsoft", "EFI", "none"):
            system.remove(path)
        assert system.list() == ()
        system.commit()
    assert list(esp.iterdir()) == []


def test_folder_refuses_what_cannot_be(esp: Path, tmp_path: Path) -> None:
    """Names no Windows has, files for folders, folders for files, links that lead away, files without end."""
    (esp / "away").symlink_to(tmp_path)
    (esp / "huge").touch()
    with open_system_partition(str(esp), silent, write=True) as system:
        for path in ("a/../b", "a:b", "a\tb", "blank ", "x" * 256):
            with pytest.raises(BadSystemPath):
                system.write(path, b"")
        with pytest.raises(FileInTheWay):
            system.write(r"EFI\Microsoft\Boot\BCD\x", b"")
        with pytest.raises(FolderInTheWay):
            system.write(r"EFI\Microsoft", b"")
        with pytest.raises(LinkInFolder):
            system.write(r"away\x", b"")
        os.truncate(esp / "huge", 257 << 20)
        with pytest.raises(FileTooLarge):
            system.read("huge")


def test_full_folder_is_refused_before_it_is_touched(esp: Path) -> None:
    """The room is looked up before the first byte is written."""
    system = FolderPartition(esp, "esp", Small, lambda: (None, "a test"))
    system.write("small", b"x" * 1000)
    with pytest.raises(PartitionFull):
        system.write("large", b"x" * 126_000)
    with pytest.raises(PartitionFull):
        system.require_room({"a": 65_000, "b": 65_000})
    assert system.why_unknown == "a test"
    assert system.identity is None


class Small(HostFolder):
    """A folder with room for two small files."""

    def free_size(self) -> int:
        return 130_000


class Failing(HostFolder):
    """A folder whose disk gets full, or that fails, at the file called `bad`."""

    code = errno.ENOSPC

    def replace(self, old: str, new: str) -> None:
        if new == "bad":
            raise HostError(what="renaming", where=old, why="a test", errno=self.code)
        super().replace(old, new)


def test_failing_folder_keeps_no_leftovers(esp: Path) -> None:
    """Where the host fails, files are old or new, and no half-made ones stay."""
    system = FolderPartition(esp, "esp", Failing, lambda: (None, ""))
    system.write("EFI/Microsoft/Boot/BCD", b"new")
    system.write("bad", b"x")
    system.write("after", b"x")
    with pytest.raises(HostError):
        system.commit()
    assert sorted(path.name for path in esp.rglob("*")) == ["BCD", "Boot", "EFI", "Microsoft"]
    assert (esp / "EFI/Microsoft/Boot/BCD").read_bytes() == b"new"


def test_disk_that_gets_full_meanwhile_keeps_every_old_file(esp: Path) -> None:
    """Another program took the room that was there: nothing was renamed yet."""

    class Full(HostFile):
        def pwrite(self, offset: int, data: Data) -> None:
            if len(data) > 1000:
                raise OutOfSpace(what="writing", where=self.name)
            super().pwrite(offset, data)

    class Filling(HostFolder):
        def create(self, name: str) -> HostFile:
            return Full(super().create(name).fileno(), name)

    system = FolderPartition(esp, "esp", Filling, lambda: (None, ""))
    system.write("EFI/Microsoft/Boot/BCD", b"new")
    system.write("new/folder/small", b"x")
    system.write("bootmgr", b"x" * 2000)
    with unchanged(esp / "EFI/Microsoft/Boot/BCD", esp / "bootmgr"), pytest.raises(PartitionFull):
        system.commit()
    assert [path.name for path in esp.rglob("*") if path.is_file()] == ["BCD"]
    assert not (esp / "new").exists()


def test_files_of_the_host_are_read_in_whatever_case(esp: Path) -> None:
    """A folder on ext4 minds the case, a system partition does not; a file takes the place of a folder that went."""
    (esp / "old").mkdir()
    with open_system_partition(str(esp), silent, write=True) as system:
        assert system.read(r"\efi\MICROSOFT\Boot\bcd") == b"old store"
        assert system.list(r"efi\microsoft\boot") == (SystemEntry(name="BCD", is_folder=False, size=9),)
        assert system.list("none") == ()
        assert system.read("EFI") is None
        system.remove("OLD")
        system.write(r"efi\new\file", b"1")
        system.commit()
    assert sorted(path.name for path in esp.rglob("*")) == ["BCD", "Boot", "EFI", "Microsoft", "file", "new"]


def test_folder_that_cannot_be_made_changes_nothing(esp: Path) -> None:
    """What came into the way after it was looked at is told, and nothing was written."""
    system = FolderPartition(esp, "esp", HostFolder, lambda: (None, ""))
    system.write("bootmgr", b"x")
    system.write(r"fonts\a", b"x")
    (esp / "fonts").touch()
    with unchanged(esp / "bootmgr", esp / "fonts"), pytest.raises(HostError, match="creating"):
        system.commit()


def test_written_files_are_synced_before_they_are_renamed(esp: Path) -> None:
    """A power cut leaves a file's old or new content, never a name without its bytes."""
    told: list[str] = []

    class Watched(HostFile):
        def pwrite(self, offset: int, data: Data) -> None:
            told.append("write")
            super().pwrite(offset, data)

        def sync(self) -> None:
            told.append("sync")

    class Told(HostFolder):
        def create(self, name: str) -> HostFile:
            told.append(f"create {name.partition('.')[0]}")
            return Watched(super().create(name).fileno(), name)

        def replace(self, old: str, new: str) -> None:
            told.append(f"rename {new}")
            super().replace(old, new)

        def sync(self) -> None:
            told.append("sync folder")
            super().sync()

    system = FolderPartition(esp, "esp", Told, lambda: (None, ""))
    system.write("one", b"1")
    system.write("two", b"2")
    system.commit()
    assert told == ["create one", "write", "sync", "create two", "write", "sync", "rename one", "rename two",
                    "sync folder"]
