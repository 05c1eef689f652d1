"""The mount table, and where a file of the host lies: on which volume, on which partition of which disk.

Source of the forms: proc(5), /proc/PID/mountinfo; Linux' Documentation/ABI for /sys/dev/block.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wimboot.disk.table import TableKind, read_table
from wimboot.errors import Error, Refused
from wimboot.frozen import Frozen
from wimboot.storage import HostFile

__all__ = ["HOST", "SECTOR", "Host", "Lies", "Mount", "PlaceUnknown", "mount_of", "mounts", "where_is"]

SECTOR = 512
_OCTAL = re.compile(r"\\([0-7]{3})")
_WITHOUT_DISK = re.compile(
    r"overlay|tmpfs|ramfs|devtmpfs|nfs.*|cifs|smb.*|9p|virtiofs|fuse(\..*)?|squashfs|ceph|zfs")


class PlaceUnknown(Refused):
    """It cannot be found out on which disk and partition a file lies."""

    id = "place-unknown"
    sentence = "on which disk and partition {where} lies cannot be told: {why}"
    advice = ("Say where it will lie when Windows runs: --wim-place mbr:SIGNATURE:OFFSET:\\path or "
              "gpt:DISK-GUID:PARTITION-GUID:\\path, or later.")


class Host(Frozen):
    """The roots under which the kernel tells about itself; tests give others."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")


HOST = Host()


class Mount(Frozen):
    """One line of the mount table. `device` is "major:minor", `root` the folder of the volume that is
    mounted.
    """

    device: str
    root: str
    point: Path
    kind: str
    source: str
    writable: bool


def mounts(host: Host = HOST) -> list[Mount]:
    """The mount table, later mounts last. Raises HostError never: an unreadable table is an empty one."""
    try:
        lines = (host.proc / "self" / "mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        head, _, tail = line.partition(" - ")
        fields, rest = head.split(" "), tail.split(" ")
        if len(fields) < 6 or len(rest) < 3:
            continue
        found.append(Mount(device=fields[2], root=_plain(fields[3]), point=Path(_plain(fields[4])),
                           kind=rest[0], source=_plain(rest[1]),
                           writable="ro" not in fields[5].split(",") and "ro" not in rest[2].split(",")))
    return found


def _plain(text: str) -> str:
    """Undo the octal escapes of blanks, tabs, newlines and backslashes."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def mount_of(path: Path, host: Host = HOST) -> Mount | None:
    """The mount that a resolved path lies in: the last one of those with the longest mount point."""
    best = None
    for mount in mounts(host):
        if path.is_relative_to(mount.point) and (
                best is None or len(mount.point.parts) >= len(best.point.parts)):
            best = mount
    return best


@dataclass(frozen=True)
class Lies:
    """Where a file lies. `kind` is the file system as the mount table names it; `inside` the path within
    the volume.

    The other facts are read from the disk when first asked for; each raises PlaceUnknown where that cannot
    be.
    """

    path: Path
    mount_point: Path
    kind: str
    inside: str
    device: str
    host: Host = HOST

    @cached_property
    def _found(self) -> _Found:
        try:
            return _find_partition(self)
        except PlaceUnknown:
            raise
        except Error as error:
            raise PlaceUnknown(where=self.path, why=str(error)) from error

    @property
    def disk(self) -> Path:
        """The disk's device node."""
        return self._found.disk

    @property
    def partition(self) -> int:
        """The partition's number."""
        return self._found.partition

    @property
    def start(self) -> int:
        """The partition's first byte."""
        return self._found.start

    @property
    def signature(self) -> int:
        """An MBR disk's signature, else 0."""
        return self._found.signature

    @property
    def disk_guid(self) -> bytes | None:
        """A GPT disk's GUID, in stored form."""
        return self._found.disk_guid

    @property
    def partition_guid(self) -> bytes | None:
        """The partition's GUID on a GPT disk, in stored form."""
        return self._found.partition_guid


class _Found(Frozen):
    disk: Path
    partition: int
    start: int
    signature: int
    disk_guid: bytes | None
    partition_guid: bytes | None


def where_is(path: Path, host: Host = HOST) -> Lies:
    """Where a file or folder of the host lies. Raises PlaceUnknown where it does not exist or no mount
    holds it.
    """
    try:
        real = path.resolve(strict=True)
        status = real.stat()
    except OSError as error:
        raise PlaceUnknown(where=path, why=error.strerror or str(error)) from error
    mount = mount_of(real, host)
    if mount is None:
        raise PlaceUnknown(where=path, why="it is on no mounted volume")
    inside = (Path(mount.root) / real.relative_to(mount.point)).as_posix()
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    if not (host.sys / "dev" / "block" / device).exists():
        device = mount.device
    return Lies(path=path, mount_point=mount.point, kind=mount.kind, inside=inside, device=device, host=host)


def _find_partition(lies: Lies) -> _Found:
    """Ask the kernel for the partition and the disk's own table for its names."""
    if _WITHOUT_DISK.fullmatch(lies.kind):
        raise PlaceUnknown(where=lies.path, why=f"{lies.kind} is no volume of a disk")
    node = lies.host.sys / "dev" / "block" / lies.device
    if not node.exists():
        raise PlaceUnknown(where=lies.path, why=f"device {lies.device} is not known to the kernel")
    node = node.resolve()
    if not (node / "partition").exists():
        what = "a mapped device" if (node / "dm").exists() else "a disk without partitions"
        raise PlaceUnknown(where=lies.path, why=f"its volume fills {what} ({node.name})")
    number, start = _number(node / "partition", lies), _number(node / "start", lies) * SECTOR
    disk = lies.host.dev / node.parent.name.replace("!", "/")
    file = HostFile.open(disk)
    try:
        table = read_table(file, where=str(disk),
                           sector_size=_number(node.parent / "queue" / "logical_block_size", lies))
    finally:
        file.close()
    partition = next((one for one in table.partitions if one.start == start), None)
    if partition is None or table.kind is TableKind.NONE:
        raise PlaceUnknown(where=lies.path, why=f"the table of {disk} has no partition at byte {start:,}")
    if table.kind is TableKind.MBR and not table.signature:
        raise PlaceUnknown(where=lies.path, why=f"{disk} has no disk signature")
    return _Found(disk=disk, partition=number, start=start, signature=table.signature or 0,
                  disk_guid=table.disk_guid, partition_guid=partition.guid)


def _number(path: Path, lies: Lies) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError) as error:
        raise PlaceUnknown(where=lies.path, why=f"{path} cannot be read") from error
