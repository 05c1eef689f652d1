"""Scratch files: room for a while, and no name that could be left over."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from wimboot.errors import HostError
from wimboot.storage.scratch import path_for_child, scratch_file, scratch_folder


def test_scratch_file_has_no_name(tmp_path: Path) -> None:
    """While it is open, and so after whatever end; it reads as zeros and takes no room."""
    file = scratch_file(tmp_path, size=1 << 30)
    assert not list(tmp_path.iterdir())
    assert (file.size(), file.pread((1 << 30) - 4, 9)) == (1 << 30, bytes(4))
    assert os.fstat(file.fileno()).st_blocks == 0
    file.pwrite(5, b"written")
    file.close()


def test_child_process_reads_and_writes_it(tmp_path: Path) -> None:
    """By a path of its own."""
    file = scratch_file(tmp_path, size=64)
    subprocess.run(["sh", "-c", f"printf child > {path_for_child(file)}"], check=True, pass_fds=[file.fileno()])
    assert file.pread(0, 9) == b"child"
    file.close()


def test_what_cannot_be_made_is_said(tmp_path: Path) -> None:
    """No such folder, or more than a file may have; no descriptor stays open."""
    open_before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names
    with pytest.raises(HostError, match="none"):
        scratch_file(tmp_path / "none")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(HostError):
            scratch_file(tmp_path, size=1 << 21)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(os.listdir("/proc/self/fd")) == len(open_before)  # noqa: PTH208


def test_finding_their_folder_makes_no_name(tmp_path: Path) -> None:
    """The first that is there; a process killed meanwhile would leave a name behind."""
    code = ("import os, sys; from wimboot.storage.scratch import scratch_file\n"
            "sys.addaudithook(lambda event, said: event == 'open' and str(said[0]).startswith(sys.argv[1]) and "
            "print(said[0]))\nprint(scratch_file().name)")
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True,
                          env={**os.environ, "TMPDIR": str(tmp_path)}).stdout.splitlines()
    assert set(said) == {str(tmp_path), f"the scratch file in {tmp_path}"}


def test_folder_that_is_not_there_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As other programs do."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    assert scratch_folder() == tmp_path
