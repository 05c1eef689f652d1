"""Who uses a device or image: mounts, swap, and devices made of it (its partitions, loop devices, mapped
devices).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from wimboot.disk.mounts import HOST, Host, mounts
from wimboot.errors import Busy

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Mounted", "refuse_if_used", "related_devices"]

_MOST_DEVICES = 4096


class Mounted(Busy):
    """The target is mounted, or used as swap or by another device."""

    id = "mounted"
    sentence = "{where} is in use: {what}"
    advice = "Unmount it first (umount, or shut the program down that uses it)."


def refuse_if_used(path: Path, *, write: bool, host: Host = HOST) -> None:
    """`path` is resolved. Reading is refused only where something may write. Raises Mounted."""
    try:
        status = path.stat()
    except OSError:
        return
    devices: dict[str, str] = {}
    sources = {str(path)}
    if stat.S_ISBLK(status.st_mode):
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        _add_device(host.sys / "dev" / "block" / number, devices)
        backing = _text(host.sys / "dev" / "block" / number / "loop" / "backing_file")
        if backing:
            _add_loops(backing, devices, host)
            sources.add(backing)
        sources |= {str(host.dev / name) for name in devices.values()}
    else:
        _add_loops(str(path), devices, host)
    for mount in mounts(host):
        if (mount.device in devices or mount.source in sources) and (write or mount.writable):
            raise Mounted(where=str(path), what=f"mounted at {mount.point}")
    swaps = {line.split()[0] for line in _text(host.proc / "swaps").splitlines()[1:] if line.strip()}
    if swaps & (sources | {str(host.dev / name) for name in devices.values()}):
        raise Mounted(where=str(path), what="it is swap space")


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


def _add_loops(backing: str, devices: dict[str, str], host: Host) -> None:
    """Loop devices over a file."""
    try:
        blocks = list((host.sys / "block").iterdir())
    except OSError:
        return
    for block in blocks:
        if block.name.startswith("loop") and _text(block / "loop" / "backing_file") == backing:
            _add_device(block, devices)
