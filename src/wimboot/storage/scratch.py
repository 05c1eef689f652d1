"""Scratch files without a name: they take room while they are open, and nothing is left of them however a run ends."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from wimboot.storage.host import HostFile, host_error

__all__ = ["path_for_child", "scratch_file", "scratch_folder"]


def scratch_folder() -> Path:
    """Where the host has such files: the first of TMPDIR, TEMP, TMP, /tmp and /var/tmp that can be written.

    tempfile.gettempdir() finds it with a file that has a name, and a killed process leaves that one behind.
    """
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    folders = [Path(name).absolute() for name in [*named, "/tmp", "/var/tmp"] if name]   # noqa: S108 - no name is made in them
    return next((one for one in folders if one.is_dir() and os.access(one, os.W_OK | os.X_OK)), folders[-1])


def scratch_file(folder: Path | None = None, *, size: int = 0) -> HostFile:
    """A file of `size` bytes, all of them a hole, in `folder` or where the host has such files. Raises HostError."""
    where = folder or scratch_folder()
    try:
        with tempfile.TemporaryFile(prefix="wimboot-", dir=where) as made:
            file = HostFile.open(Path(f"/proc/self/fd/{made.fileno()}"), write=True)
    except OSError as error:
        raise host_error("making a scratch file in", str(where), error) from error
    try:
        file.name = f"the scratch file in {where}"
        file.truncate(size)
    except BaseException:
        file.close()
        raise
    return file


def path_for_child(file: HostFile) -> str:
    """By which a child process reaches the file; its descriptor has to be handed on with `pass_fds`."""
    return f"/proc/self/fd/{file.fileno()}"
