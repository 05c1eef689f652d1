"""The disks attached to this host: their volumes, the NTFS ones among what is mounted, and what a device really is.

Source of the forms: Linux' Documentation/ABI for /sys/block and /sys/dev/block.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk.loops import backing_of, identity_of
from wimboot.disk.mounts import HOST, Host, mounts

if TYPE_CHECKING:
    from wimboot.disk.mounts import Mount

__all__ = ["Origin", "attached_volumes", "mounts_of_ntfs", "origin_of"]

_SECTOR = 512
_NTFS_KINDS = ("ntfs", "fuse")
"""What the kinds of NTFS drivers begin with in the mount table: ntfs, ntfs3; fuse and fuseblk for ntfs-3g."""

Origin = tuple[int, int, int]
"""A file (st_dev, st_ino) or a disk (0, its device number), and the byte in it: the same for a partition's node, for
the disk with an offset, and for a loop device and its file.
"""


def attached_volumes(host: Host = HOST) -> list[Path]:
    """The device nodes of all partitions, and of disks without any; loop devices on a file among them."""
    found: list[Path] = []
    with contextlib.suppress(OSError):
        for block in sorted((host.sys / "block").iterdir()):
            with contextlib.suppress(OSError):
                parts = sorted(part.name for part in block.iterdir() if (part / "partition").exists())
                if _number(block / "size"):
                    found += [host.dev / name.replace("!", "/") for name in parts or [block.name]]
    return found


def mounts_of_ntfs(host: Host = HOST) -> list[Mount]:
    """Mounts that may be of NTFS volumes, whose source is a path."""
    return [mount for mount in mounts(host)
            if mount.kind.startswith(_NTFS_KINDS) and mount.source.startswith("/") and mount.root == "/"]


def origin_of(path: Path, start: int = 0, host: Host = HOST) -> Origin | None:
    """Where byte `start` of a file or device really lies; None where there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISBLK(status.st_mode):
        return status.st_dev, status.st_ino, start
    number = status.st_rdev
    with contextlib.suppress(OSError):
        node = (host.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True)
        if (node / "partition").exists():
            start += _number(node / "start") * _SECTOR
            node = node.parent
            major, _, minor = (node / "dev").read_text().partition(":")
            number = os.makedev(int(major), int(minor))
        loop = backing_of(path, host)
        identity = (loop.identity or identity_of(Path(loop.backing))) if loop else None
        if loop and identity:
            return (*identity, start + _number(loop.node / "loop" / "offset"))
    return 0, number, start


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
