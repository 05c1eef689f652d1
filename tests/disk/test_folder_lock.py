"""A folder has one holder at a time, whoever else has locks of another kind on it."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wimboot.disk import folderlock
from wimboot.disk.folderlock import folder_lock
from wimboot.disk.locking import Locked
from wimboot.errors import HostError

HOLD = """
import sys, time
from pathlib import Path
from wimboot.disk.folderlock import folder_lock
with folder_lock(Path(sys.argv[1]), "menu", "the folder"):
    print("held", flush=True)
    time.sleep(60)
"""


class Clock:
    """Goes on only while somebody sleeps, so what else the machine does changes nothing."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second, until that one ends, even if it is killed; not for another purpose; nothing of the lock lies in
    the folder.
    """
    clock = Clock()
    monkeypatch.setattr(folderlock, "time", clock)
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Locked, match="the folder is being used"), folder_lock(tmp_path, "menu", "the folder"):
            pass
        assert 1 <= clock.now < 1.1
        with folder_lock(tmp_path, "another", "the folder"):
            pass
        other.kill()
        other.wait()
        with folder_lock(tmp_path, "menu", "the folder"):
            assert list(tmp_path.iterdir()) == []


def test_all_who_come_at_once_have_their_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten add to a number that is read, and written a moment later: none is lost."""
    monkeypatch.setattr(folderlock, "_PATIENCE", 60.0)      # the machine may be busy
    number = tmp_path / "number"
    number.write_text("0")
    failed: list[Locked] = []

    def add() -> None:
        try:
            with folder_lock(tmp_path, "menu", "the folder"):
                seen = int(number.read_text())
                time.sleep(0.005)
                number.write_text(str(seen + 1))
        except Locked as error:
            failed.append(error)

    threads = [threading.Thread(target=add) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert number.read_text() == "10"


def test_who_builds_in_the_folder_is_not_in_the_way(tmp_path: Path) -> None:
    """A run of a plan has an flock on its folder, and writes a boot menu there."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with folder_lock(tmp_path, "menu", "the folder") as alone:
            assert alone
    finally:
        os.close(descriptor)


def test_a_file_system_without_locks_grants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To everybody, and says so; other errors of the host are told, and so is a folder that is not there."""
    with folder_lock(tmp_path, "menu", "the folder") as alone:
        assert alone
    code = errno.ENOLCK

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(folderlock, "_call", refuse)
    with folder_lock(tmp_path, "menu", "the folder") as alone:
        assert not alone
    code = errno.EIO
    with pytest.raises(HostError, match="locking"), folder_lock(tmp_path, "menu", "the folder"):
        pass
    with pytest.raises(HostError, match="does not exist"), folder_lock(tmp_path / "none", "menu", "the folder"):
        pass
