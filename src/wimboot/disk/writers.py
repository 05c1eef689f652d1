"""Which other process has a file open for writing, whatever the file is called by now.

A program that locks nothing is found so: ntfs-3g on an image, a virtual machine. Source of the forms: proc(5),
/proc/PID/fdinfo.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wimboot.disk.mounts import HOST, Host

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk.loops import Identity

__all__ = ["other_writer"]


def other_writer(identity: Identity, host: Host = HOST) -> str | None:
    """`program (process N)`, or None. Processes that we may not look into are passed over."""
    try:
        processes = [entry for entry in host.proc.iterdir() if entry.name.isdecimal()]
    except OSError:
        return None
    for process in processes:
        if process.name != str(os.getpid()) and _writes(process, identity):
            try:
                name = (process / "comm").read_text(errors="replace").strip()
            except OSError:
                name = "a program"
            return f"{name} (process {process.name})"
    return None


def _writes(process: Path, identity: Identity) -> bool:
    try:
        descriptors = os.listdir(process / "fd")  # noqa: PTH208 - names are all that is needed
    except OSError:
        return False
    base = str(process)     # plain strings: a desktop has thousands of descriptors
    return any(_is_writer(base, descriptor, identity) for descriptor in descriptors)


def _is_writer(process: str, descriptor: str, identity: Identity) -> bool:
    try:
        # most are sockets and pipes, whose names tell it for a tenth of the price
        if not os.readlink(f"{process}/fd/{descriptor}").startswith("/"):  # noqa: PTH115 - so are these
            return False
        flags, inode = _facts(f"{process}/fdinfo/{descriptor}")
        # told since Linux 5.14; asking only for this one leaves files on a server that is gone alone
        if not flags & os.O_ACCMODE or flags & os.O_PATH or inode not in (None, identity[1]):
            return False
        status = os.stat(f"{process}/fd/{descriptor}")  # noqa: PTH116 - so is this
    except (OSError, ValueError):
        return False
    return (status.st_dev, status.st_ino) == identity


def _facts(path: str) -> tuple[int, int | None]:
    """The flags that a descriptor was opened with, and the file's inode where that is told."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(file, 4096).split(b"\n")
    finally:
        os.close(file)
    flags, inode = 0, None
    for line in lines:
        if line.startswith(b"flags:"):
            flags = int(line[6:], 8)
        elif line.startswith(b"ino:"):
            inode = int(line[4:])
    return flags, inode
