"""Scratch files without a name: they take room while they are open, and nothing is left of them however a run ends."""

from __future__ import annotations

import tempfile
from pathlib import Path

from wimboot.storage.host import HostFile, host_error

__all__ = ["path_for_child", "scratch_file"]


def scratch_file(folder: Path | None = None, *, size: int = 0) -> HostFile:
    """A file of `size` bytes, all of them a hole, in `folder` or where the host has such files. Raises HostError."""
    try:
        with tempfile.TemporaryFile(prefix="wimboot-", dir=folder) as made:
            file = HostFile.open(Path(f"/proc/self/fd/{made.fileno()}"), write=True)
    except OSError as error:
        where = str(folder or tempfile.gettempdir())
        raise host_error("making a scratch file in", where, error) from error
    try:
        file.name = f"the scratch file in {folder or tempfile.gettempdir()}"
        file.truncate(size)
    except BaseException:
        file.close()
        raise
    return file


def path_for_child(file: HostFile) -> str:
    """By which a child process reaches the file; its descriptor has to be handed on with `pass_fds`."""
    return f"/proc/self/fd/{file.fileno()}"
