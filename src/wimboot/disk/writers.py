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
        descriptors = [entry.name for entry in (process / "fd").iterdir()]
    except OSError:
        return False
    return any(_is_writer(process, descriptor, identity) for descriptor in descriptors)


def _is_writer(process: Path, descriptor: str, identity: Identity) -> bool:
    try:
        info = (process / "fdinfo" / descriptor).read_text(errors="replace")
        facts = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        flags = int(facts.get("flags", "0"), 8)
        # told since Linux 5.14; asking only for this one leaves files on a server that is gone alone
        inode = int(facts.get("ino", identity[1]))
        if not flags & os.O_ACCMODE or flags & os.O_PATH or inode != identity[1]:
            return False
        status = (process / "fd" / descriptor).stat()
    except (OSError, ValueError):
        return False
    return (status.st_dev, status.st_ino) == identity
