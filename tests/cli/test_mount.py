"""`wimboot mount` as a program: how it begins, what it holds, how it ends, what it refuses."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import build
from converted import Converted, fresh_volume
from mounting import UTF_8, mounted, need_mounts
from running import refused
from shown import PATIENCE_SECONDS, fails, shown


def _unmount(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["umount", str(folder)], check=False, capture_output=True, text=True)


def _mount(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "wimboot", "mount", *map(str, arguments)], check=False,
                          capture_output=True, text=True, env=UTF_8, timeout=PATIENCE_SECONDS)


def _gone(process: int) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


def test_it_goes_on_in_the_background(converted_once: Converted, tmp_path: Path) -> None:
    """The command returns when the folder can be used; the process ends when it is unmounted."""
    need_mounts()
    folder = tmp_path / "mnt"
    folder.mkdir()
    run = _mount(converted_once.volume, folder, "--json")
    try:
        assert run.returncode == 0, run.stderr
        told = json.loads(run.stdout)
        assert (told["schema"], told["mounted"]) == (1, str(folder))
        assert (folder / "Windows/explorer.exe").stat().st_size > 0
        os.kill(told["process"], 0)
    finally:
        assert _unmount(folder).returncode == 0
    assert _gone(told["process"])
    assert not list(folder.iterdir())


def test_what_goes_wrong_at_first_is_told_by_the_command(tmp_path: Path) -> None:
    """Once, with the exit code of the error, and nothing is mounted."""
    need_mounts()
    folder = tmp_path / "mnt"
    folder.mkdir()
    run = _mount(tmp_path / "no such.img", folder)
    assert (run.returncode, run.stderr.count("wimboot: ")) == (2, 1)
    assert not os.path.ismount(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unmounts(converted_once: Converted, number: signal.Signals) -> None:
    """Ctrl-C, the service manager and a closed terminal end it as an unmount does, with exit code 0."""
    with shown(converted_once.volume) as running:
        running.process.send_signal(number)
        assert running.process.wait(PATIENCE_SECONDS) == 0
        assert not os.path.ismount(running.folder)


def test_it_is_not_unmounted_under_an_open_file(converted_once: Converted) -> None:
    """The kernel says busy; when the file is closed it goes."""
    with shown(converted_once.volume) as running:
        with (running.folder / "Windows/explorer.exe").open("rb") as file:
            file.read(1)
            assert "busy" in _unmount(running.folder).stderr
            assert file.read()
        assert running.end() == 0


def test_nobody_writes_to_a_volume_that_is_shown(converted: Converted) -> None:
    """Other runs that would are refused; those that read are not, nor a second mount."""
    with shown(converted.volume) as running, shown(converted.volume) as second:
        for folder in (running.folder, second.folder):
            assert (folder / "Windows/explorer.exe").read_bytes()
        refused("mounted", 4, "restore", converted.volume, "--wim", converted.wim, watching=(converted.volume,))
        assert second.end() == running.end() == 0


def test_a_place_that_is_no_empty_folder_is_refused(converted_once: Converted, tmp_path: Path) -> None:
    """Missing, a file, or with something in it."""
    need_mounts()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "missing", tmp_path / "file", tmp_path):
        refused("mount-point", 2, "mount", converted_once.volume, folder, "-f")


def test_without_its_binding_it_says_what_to_install(
    converted_once: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is an extra: its absence is an error with the command that brings it."""
    monkeypatch.setitem(sys.modules, "mfusepy", None)
    told = refused("no-fuse-binding", 1, "mount", converted_once.volume, tmp_path, "-f")
    assert "pip install 'wimboot[mount]'" in told.err


def test_names_that_no_folder_can_hold_are_escaped(tmp_path: Path) -> None:
    """A slash, a NUL, `..`: a hostile volume may have them, and its other files are to be seen all the same."""
    volume = fresh_volume(tmp_path / "hostile.img", 16 << 20)
    names = {"up_slash": "up/slash", "zero_zero": "zero\0zero", "QZ": ".."}
    with mounted(volume, write=True) as root:
        for name in (*names, "plain"):
            (root / name).write_bytes(name.encode())
    data = volume.read_bytes()
    for name, evil in names.items():
        found = bytes([len(name), 0]) + name.encode("utf-16-le")
        assert data.count(found) >= 2, "in the file's record and in the folder"
        data = data.replace(found, bytes([len(name), 0]) + evil.encode("utf-16-le"))
    volume.write_bytes(data)
    with shown(volume) as running:
        assert sorted(path.name for path in running.folder.iterdir()) == [
            "%2E%2E", "plain", "up%2Fslash", "zero%00zero"]
        for name, shown_as in (("up_slash", "up%2Fslash"), ("zero_zero", "zero%00zero"), ("QZ", "%2E%2E")):
            assert (running.folder / shown_as).read_bytes() == name.encode()
        with fails(errno.ENOENT):
            (running.folder / "no%2Fsuch").stat()


def test_a_partition_of_a_disk_is_shown(sample_disk: build.System, tmp_path: Path) -> None:
    """PATH#N, of which the number must be one that there is."""
    with shown(f"{sample_disk.path}#1") as running:
        assert (running.folder / "Windows/explorer.exe").read_bytes()
    folder = tmp_path / "mnt"
    folder.mkdir()
    refused("no-partition", 2, "mount", f"{sample_disk.path}#3", folder, "-f")
