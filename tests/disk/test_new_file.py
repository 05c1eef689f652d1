"""The file of a new disk: there when it is whole, never in another file's place, and nothing is left when it fails."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from wimboot.disk.newfile import DiskExists, new_file
from wimboot.disk.target import Locked
from wimboot.errors import HostError
from wimboot.storage import HostFolder, newname
from wimboot.storage.faults import Fault, Faulty, Kind, MemoryFolder, Model, Recorder, states

NAME, LEFT = "new.vhd", "new.vhd.wimboot-new"


def make(folder: object, *, final: bool = False) -> None:
    """A file of three bytes."""
    with new_file(folder, NAME, where=NAME, final=final) as file:  # type: ignore[arg-type]  # any Folder
        file.pwrite(0, b"new")


def test_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """And not before."""
    with new_file(HostFolder(tmp_path), NAME, where=NAME) as file:
        file.pwrite(0, b"new")
        assert [path.name for path in tmp_path.iterdir()] == [LEFT]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert (tmp_path / NAME).read_bytes() == b"new"


def test_existing_file_keeps_its_bytes(tmp_path: Path) -> None:
    """Also one that came while the new one was written, and a link that leads nowhere."""
    (tmp_path / NAME).symlink_to("nowhere")
    with pytest.raises(DiskExists):
        make(HostFolder(tmp_path))
    (tmp_path / NAME).unlink()
    with pytest.raises(DiskExists), new_file(HostFolder(tmp_path), NAME, where=NAME):
        (tmp_path / NAME).write_bytes(b"theirs")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(NAME, b"theirs")]


@pytest.mark.parametrize("knows", ["renameat2", "link", "neither"])
def test_file_that_comes_in_the_last_moment_stays(knows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the last look and the new name; on file systems of any age, but for the poorest."""
    def no(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no")

    if knows != "renameat2":
        monkeypatch.setattr(newname, "_rename", no)
    if knows == "neither":
        monkeypatch.setattr(newname, "_link", no)
    rename_new = HostFolder.rename_new

    def late(self: HostFolder, old: str, new: str) -> None:
        (tmp_path / NAME).write_bytes(b"theirs")
        rename_new(self, old, new)

    make(HostFolder(tmp_path))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(NAME, b"new")]
    (tmp_path / NAME).unlink()
    monkeypatch.setattr(HostFolder, "rename_new", late)
    with pytest.raises(DiskExists):
        make(HostFolder(tmp_path))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(NAME, b"theirs")]


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    """By the next run for the same name."""
    (tmp_path / LEFT).write_bytes(b"half of a disk, and longer than the new one")
    make(HostFolder(tmp_path))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(NAME, b"new")]


def test_two_runs_do_not_make_one_file(tmp_path: Path) -> None:
    """The second one is told that the first is at it, and takes nothing from it."""
    with new_file(HostFolder(tmp_path), NAME, where=NAME) as file:
        with pytest.raises(Locked):
            make(HostFolder(tmp_path))
        file.pwrite(0, b"first")
    assert (tmp_path / NAME).read_bytes() == b"first"


def test_file_that_another_run_took_for_a_leftover_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its making and its locking; what that run put there stays."""
    def meanwhile(_descriptor: int, _kind: int) -> None:
        (tmp_path / LEFT).unlink()
        (tmp_path / LEFT).write_bytes(b"theirs")

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    with pytest.raises(Locked):
        make(HostFolder(tmp_path))
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(LEFT, b"theirs")]


@pytest.mark.parametrize("kind", [Kind.IO, Kind.SPACE, Kind.SHORT, Kind.INTERRUPT])
@pytest.mark.parametrize("final", [True, False])
def test_a_failure_at_any_operation_leaves_nothing(kind: Kind, final: bool) -> None:
    """Or the whole file, where nothing failed any more."""
    for at in range(20):
        images = MemoryFolder()
        faulty = Faulty(Fault(at=at, kind=kind))
        try:
            make(faulty.folder(images), final=final)
        except (HostError, KeyboardInterrupt):
            assert images.images == {}
        else:
            assert not faulty.fired
            assert list(images.images) == [NAME]
            return
    pytest.fail("it never ended")


def test_a_crash_leaves_the_file_whole_or_not_at_all(tmp_path: Path) -> None:
    """Beside a leftover."""
    recorder = Recorder()
    make(recorder.host(tmp_path))
    seen = set()
    for model in Model:
        for state in states(recorder, model, seeds=range(4)):
            images = state.folders[str(tmp_path)]
            assert set(images) <= {NAME, LEFT}
            if NAME in images:
                assert images[NAME].read(0, 9) == b"new"
            seen.add(NAME in images)
    assert seen == {True, False}
