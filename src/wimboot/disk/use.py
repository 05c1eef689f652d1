"""Who uses a device or image: mounts, swap, and devices made of it (its partitions, loop devices, mapped
devices).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk.loops import attached, backing_of, identity_of
from wimboot.disk.mounts import HOST, Host, mounts
from wimboot.errors import Busy

if TYPE_CHECKING:
    from wimboot.disk.loops import Identity, Loop
    from wimboot.disk.mounts import Mount

__all__ = ["Mounted", "refuse_if_used", "related_devices"]

_MOST_DEVICES = 4096


class Mounted(Busy):
    """The target is mounted, or used as swap or by another device."""

    id = "mounted"
    sentence = "{where} is in use: {what}"
    advice = "Unmount it first (umount; losetup --detach; or shut the program down that uses it)."


def refuse_if_used(path: Path, *, write: bool, host: Host = HOST) -> None:
    """`path` is resolved. Reading is refused only where something may write. Raises Mounted."""
    try:
        status = path.stat()
    except OSError:
        return
    devices: dict[str, str] = {}
    sources = {str(path)}
    identity: Identity | None = None
    loops: list[Loop] = []
    if stat.S_ISBLK(status.st_mode):
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        _add_device(host.sys / "dev" / "block" / number, devices)
        loop = backing_of(path, host)
        if loop:
            sources.add(loop.backing)
            identity = loop.identity
            loops = [other for other in attached(host)
                     if other.name != loop.name and other.stands_on(loop.backing, identity)]
        sources |= {str(host.dev / name) for name in devices.values()}
    else:
        identity = status.st_dev, status.st_ino
        loops = [other for other in attached(host) if other.stands_on(str(path), identity)]
    for other in loops:
        _add_device(other.node, devices)
    for mount in mounts(host):
        if (write or mount.writable) and (
                mount.device in devices or mount.source in sources or _is_source(mount, identity)):
            raise Mounted(where=str(path), what=f"mounted at {mount.point}")
    swaps = {line.split()[0] for line in _text(host.proc / "swaps").splitlines()[1:] if line.strip()}
    if swaps & (sources | {str(host.dev / name) for name in devices.values()}):
        raise Mounted(where=str(path), what="it is swap space")
    if write and loops and not stat.S_ISBLK(status.st_mode):
        raise Mounted(where=str(path), what=f"the device {host.dev / loops[0].name} is made of it")


def _is_source(mount: Mount, identity: Identity | None) -> bool:
    """Whether FUSE mounted this file, under whatever name."""
    return (identity is not None and mount.kind.startswith("fuse") and mount.source.startswith("/")
            and identity_of(Path(mount.source)) == identity)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape").strip("\n")
    except OSError:
        return ""


def _add_device(node: Path, devices: dict[str, str]) -> None:
    """A device, the disk it is a part of, its partitions, and what stands on them: number -> name."""
    waiting = [node]
    first = True
    while waiting and len(devices) < _MOST_DEVICES:
        try:
            here = waiting.pop().resolve(strict=True)
        except OSError:
            continue
        number = _text(here / "dev")
        if not number or number in devices:
            continue
        devices[number] = here.name.replace("!", "/")
        if first and (here / "partition").exists():
            # a disk mounted as a whole holds its partitions too; its other partitions do not matter
            devices[_text(here.parent / "dev")] = here.parent.name.replace("!", "/")
        first = False
        try:
            waiting += [part for part in here.iterdir() if (part / "partition").exists()]
            waiting += list((here / "holders").iterdir())
        except OSError:
            continue


def related_devices(path: Path, host: Host = HOST) -> list[Path]:
    """The disk that a partition is on, or the partitions of a disk, as device nodes."""
    number = path.stat().st_rdev
    node = host.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    try:
        node = node.resolve(strict=True)
        if (node / "partition").exists():
            return [host.dev / node.parent.name.replace("!", "/")]
        return [host.dev / part.name.replace("!", "/") for part in sorted(node.iterdir())
                if (part / "partition").exists()]
    except OSError:
        return []
