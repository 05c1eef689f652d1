"""Scratch files: room for a while, and no name that could be left over."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from wimboot.errors import HostError
from wimboot.storage.scratch import path_for_child, scratch_file


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
    """No such folder, or more than the host's files can have; no descriptor stays open."""
    open_before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names
    with pytest.raises(HostError, match="none"):
        scratch_file(tmp_path / "none")
    with pytest.raises(HostError):
        scratch_file(tmp_path, size=1 << 62)
    assert len(os.listdir("/proc/self/fd")) == len(open_before)  # noqa: PTH208
