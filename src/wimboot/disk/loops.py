"""Loop devices: which files they stand on.

A file is known by device and inode: the path that /sys tells is the one it had when it was attached. Source of the
structure: Linux' include/uapi/linux/loop.h.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from typing import TYPE_CHECKING

from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk.mounts import Host

__all__ = ["Identity", "Loop", "attached", "backing_of", "identity_of"]

_GET_STATUS64 = 0x4C05
_INFO_SIZE = 232
_INFO_START = struct.Struct("<QQ" if struct.pack("=H", 1) == b"\1\0" else ">QQ")

Identity = tuple[int, int]
"""st_dev and st_ino."""


class Loop(Frozen):
    """An attached loop device. `node` is its folder in /sys/block, `backing` the path of its file as it once was,
    `identity` None where the kernel does not let us ask.
    """

    name: str
    node: Path
    backing: str
    identity: Identity | None

    def stands_on(self, path: str, identity: Identity | None) -> bool:
        """Whether this file is the one; by its path only where that is all there is."""
        if self.identity is not None and identity is not None:
            return self.identity == identity
        return self.backing == path


def identity_of(path: Path) -> Identity | None:
    """None where there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def attached(host: Host) -> list[Loop]:
    """All loop devices that stand on a file."""
    try:
        blocks = sorted((host.sys / "block").iterdir())
    except OSError:
        return []
    loops = []
    for block in blocks:
        if not block.name.startswith("loop"):
            continue
        try:
            backing = (block / "loop" / "backing_file").read_text(errors="surrogateescape").strip("\n")
        except OSError:
            continue
        loops.append(Loop(name=block.name, node=block, backing=backing, identity=_ask(host.dev / block.name)))
    return loops


def _ask(device: Path) -> Identity | None:
    try:
        if not stat.S_ISBLK(device.stat().st_mode):
            return None
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        with contextlib.suppress(OSError):
            where, inode = _INFO_START.unpack_from(fcntl.ioctl(descriptor, _GET_STATUS64, bytes(_INFO_SIZE)))
            return int(where), int(inode)
    finally:
        os.close(descriptor)
    return None


def backing_of(device: Path, host: Host) -> Loop | None:
    """The loop device that this block device is, or is a partition of."""
    try:
        number = device.stat().st_rdev
        node = (host.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    except OSError:
        return None
    names = {node.name, node.parent.name}
    return next((loop for loop in attached(host) if loop.name in names), None)
