"""A folder of a system partition that others write too: nobody's entry is lost, and nobody's files are taken away."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from running import unchanged
from wimboot.disk.locking import Locked
from wimboot.events import silent
from wimboot.ops.booting.hostfolder import FolderChanged, FolderPartition
from wimboot.ops.booting.systempartition import open_system_partition
from wimboot.storage import HostFile, HostFolder

STORE = "EFI/Microsoft/Boot/BCD"


@pytest.fixture
def esp(tmp_path: Path) -> Path:
    """A folder as a mounted system partition has it."""
    root = tmp_path / "esp"
    (root / STORE).parent.mkdir(parents=True)
    (root / STORE).write_bytes(b"old store")
    return root


def names(esp: Path) -> list[str]:
    """Of the files in it."""
    return sorted(path.name for path in esp.rglob("*") if path.is_file())


def test_runs_at_once_lose_no_entry(esp: Path) -> None:
    """Each waits for the one before it, and finds what that one wrote."""
    failed: list[Exception] = []
    begin = threading.Barrier(5)

    def add(number: int) -> None:
        begin.wait()
        try:
            with open_system_partition(str(esp), silent, write=True) as system:
                system.write(STORE, (system.read(STORE) or b"") + f" {number}".encode())
                system.write(f"Boot/{number}", b"x")
                system.commit()
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted((esp / STORE).read_bytes().split()) == [b"0", b"1", b"2", b"3", b"4", b"old", b"store"]
    assert names(esp) == ["0", "1", "2", "3", "4", "BCD"]


def test_a_folder_that_another_run_writes_is_refused(esp: Path) -> None:
    """By whatever path it is named; to read it is allowed, and so is to write it when the other run is done."""
    (esp.parent / "link").symlink_to(esp)
    with unchanged(esp / STORE), open_system_partition(str(esp), silent, write=True):
        for place in (esp, esp.parent / "link"):
            with pytest.raises(Locked, match="is being used"), open_system_partition(str(place), silent, write=True):
                pass
        with open_system_partition(str(esp), silent, write=False) as system:
            assert system.read(STORE) == b"old store"
    with open_system_partition(str(esp), silent, write=True) as system:
        system.write(STORE, b"new store")
        system.commit()
    assert (esp / STORE).read_bytes() == b"new store"


def test_a_store_that_another_program_wrote_is_kept(esp: Path) -> None:
    """After it was read here: nothing is written, and nothing half-written stays."""
    with open_system_partition(str(esp), silent, write=True) as system:
        assert system.read(STORE.lower()) == b"old store"
        system.write("Boot/new/bootmgr", b"x")
        system.write(STORE, b"old store and mine")
        (esp / STORE).write_bytes(b"old store and theirs")
        with pytest.raises(FolderChanged, match="is not as it was"):
            system.commit()
    assert (esp / STORE).read_bytes() == b"old store and theirs"
    assert [path.name for path in esp.iterdir()] == ["EFI"]
    assert names(esp) == ["BCD"]


@pytest.mark.parametrize("made", [True, False])
def test_a_log_that_comes_or_goes_is_noticed(esp: Path, *, made: bool) -> None:
    """What was not there when it was looked for, and is now, has been made by another program; likewise the other way.
    """
    log = esp / (STORE + ".LOG")
    if not made:
        log.write_bytes(b"a log")
    with open_system_partition(str(esp), silent, write=True) as system:
        system.read(STORE + ".LOG")
        system.write(STORE, b"new store")
        if made:
            log.write_bytes(b"a log")
        else:
            log.unlink()
        with pytest.raises(FolderChanged):
            system.commit()
    assert (esp / STORE).read_bytes() == b"old store"
    assert log.exists() == made


def test_half_written_files_of_others_stay(esp: Path) -> None:
    """Where a file system has no locks, two may write at once: none takes the other's file for a leftover."""
    first = FolderPartition(esp, "esp", HostFolder, lambda: (None, ""))

    class Slow(HostFolder):
        """While one has written its file, the other does all of its work."""

        def replace(self, old: str, new: str) -> None:
            first.commit()
            super().replace(old, new)

    second = FolderPartition(esp, "esp", Slow, lambda: (None, ""))
    first.write(STORE, b"the first one's")
    second.write(STORE, b"the second one's")
    second.commit()
    assert (esp / STORE).read_bytes() == b"the second one's"
    assert names(esp) == ["BCD"]


def test_what_a_killed_run_left_is_removed(esp: Path) -> None:
    """By the next run that writes these files, and nothing else of such a name."""

    class Killed(BaseException):
        pass

    class Dying(HostFolder):
        def create(self, name: str) -> HostFile:
            file = super().create(name)
            if name.startswith("bootmgr"):
                raise Killed
            return file

        def remove(self, name: str) -> None:
            raise Killed(name)

    dying = FolderPartition(esp, "esp", Dying, lambda: (None, ""))
    dying.write(STORE, b"x")
    dying.write("bootmgr", b"x")
    with pytest.raises(Killed):
        dying.commit()
    (esp / "store.wim.wimboot-new").write_bytes(b"a WIM that is being made")
    assert len(names(esp)) == len(["BCD", "BCD's leftover", "bootmgr's leftover", "the WIM"])
    with open_system_partition(str(esp), silent, write=True) as system:
        system.write(STORE, b"new")
        system.write("bootmgr", b"new")
        system.commit()
    assert names(esp) == ["BCD", "bootmgr", "store.wim.wimboot-new"]
