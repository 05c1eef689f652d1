"""Disks by the names that Windows knows them by, and the files of their partitions where those are mounted.

Source of the forms: Linux' Documentation/ABI for /sys/block; proc(5) for the mount table.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wimboot.disk.mounts import HOST, SECTOR, Host, mounts
from wimboot.disk.table import DiskFormat, TableKind, container_of, read_table
from wimboot.disk.vhd import open_vhd
from wimboot.disk.vhdlayout import is_vhd
from wimboot.errors import Error, HostError
from wimboot.formats.names import fold_text
from wimboot.formats.vhdfooter import DiskType
from wimboot.frozen import Frozen
from wimboot.storage import FileDevice, HostFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wimboot.disk.table import Partition, Table
    from wimboot.storage import Device

__all__ = [
    "Disk", "Disks", "attached_disks", "disk_bytes", "disk_in", "disk_of_partition", "mount_points", "path_in_mount",
]

_NO_DISKS = re.compile(r"(sr|fd|ram|zram)[0-9].*")
"""Drives of removable discs (asking them takes seconds), and memory."""

_MOST_DISKS = 256
_MOST_NAMES = 100_000


class Disk(Frozen):
    """A disk that has a partition table: a device, or a disk image. `node` is a device's folder in /sys/block."""

    path: Path
    table: Table
    node: Path | None = None

    def partition(self, style: int, disk_id: bytes, partition_id: bytes) -> Partition | None:
        """What Windows would find by these ids (`style` 0 GPT, 1 MBR); None where this is another disk."""
        kind = {0: TableKind.GPT, 1: TableKind.MBR}.get(style)
        if self.table.kind is not kind or self.table.disk_id != disk_id or not any(disk_id):
            return None
        return next((one for one in self.table.partitions if one.id == partition_id), None)


class Disks(Frozen):
    """The disks that were found; `unread` are the devices that this user may not read, or that failed."""

    found: tuple[Disk, ...]
    unread: tuple[Path, ...]


def attached_disks(host: Host = HOST) -> Disks:
    """Every block device that has a partition table of its own."""
    disks: list[Disk] = []
    unread: list[Path] = []
    try:
        nodes = sorted((host.sys / "block").iterdir())
    except OSError:
        nodes = []
    for node in nodes[:_MOST_DISKS]:
        if _NO_DISKS.fullmatch(node.name) or _text(node / "size") in ("", "0") or _is_part(node):
            continue
        path = host.dev / node.name.replace("!", "/")
        sector = _text(node / "queue" / "logical_block_size")
        try:
            found = disk_in(path, sector_size=int(sector) if sector.isdecimal() else None, node=node)
        except HostError:
            unread.append(path)
            continue
        if found is not None:
            disks.append(found)
    return Disks(found=tuple(disks), unread=tuple(unread))


@contextmanager
def disk_bytes(path: Path) -> Iterator[Device]:
    """The disk in a device or an image, that inside a VHD, VHDX, QCOW2, VMDK or VDI too; it is only read, not locked.

    Raises HostError, FormatError, Unsupported. A differencing VHD is not read: its parent may be anywhere.
    """
    file = HostFile.open(path)
    try:
        if path.is_block_device():
            yield FileDevice(file)
            return
        if not is_vhd(file):
            foreign = None
            if container_of(file.pread(0, SECTOR)) is not None:
                from wimboot.disk.foreign import open_foreign  # few disks need what it brings along

                foreign = open_foreign(file, path, where=str(path), write=False)
            yield FileDevice(file) if foreign is None else foreign.over(FileDevice(file))
            return
        vhd = open_vhd(file, path, where=str(path), write=False, parent_opener=None)
        if vhd.kind is DiskType.DIFFERENCING:
            raise DiskFormat(where=str(path), format="differencing VHD")
        yield vhd.over(FileDevice(file))
    finally:
        file.close()


def _is_part(node: Path) -> bool:
    """Whether a disk is one of several that a device stands on as a whole: a RAID or a multipath, listed by itself."""
    try:
        return any((node / "holders").iterdir())
    except OSError:
        return False


def disk_in(path: Path, *, sector_size: int | None = None, node: Path | None = None) -> Disk | None:
    """The disk in a device or an image; None where there is no partition table. Raises HostError."""
    try:
        with disk_bytes(path) as device:
            table = read_table(device, where=str(path), sector_size=sector_size)
    except HostError:
        raise
    except Error:
        return None
    return Disk(path=path, table=table, node=node) if table.kind is not TableKind.NONE else None


def mount_points(disk: Disk, partition: Partition, host: Host = HOST) -> list[tuple[Path, str]]:
    """Where a partition of an attached disk is mounted: (mount point, the folder of the volume that is seen there)."""
    node = None if disk.node is None else _partition_node(disk.node, partition)
    if node is None:
        return []
    number, source = _text(node / "dev"), str(host.dev / node.name.replace("!", "/"))
    return [(mount.point, mount.root) for mount in mounts(host) if mount.device == number or mount.source == source]


def _partition_node(disk: Path, partition: Partition) -> Path | None:
    try:
        nodes = sorted(disk.iterdir())
    except OSError:
        return None
    return next((node for node in nodes if (node / "partition").exists()
                 and _text(node / "start") == str(partition.start // SECTOR)), None)


def disk_of_partition(device: Path, host: Host = HOST) -> tuple[Disk, Partition] | None:
    """The attached disk that a block device is a partition of, and which; None where it is none."""
    for disk in attached_disks(host).found:
        node = None if disk.node is None else disk.node / device.name.replace("/", "!")
        if node is None or not (node / "partition").exists():
            continue
        start = _text(node / "start")
        return next(((disk, one) for one in disk.table.partitions if str(one.start // SECTOR) == start), None)
    return None


def path_in_mount(point: Path, root: str, parts: Sequence[str]) -> Path | None:
    """What lies at a path of the mounted volume, in whatever case; None where it is not seen there.

    The path comes from a volume and is not trusted: no name of it, and no symbolic link on the way, leads out of the
    mount point.
    """
    inside = [part for part in root.split("/") if part]
    if [fold_text(part) for part in parts[:len(inside)]] != [fold_text(part) for part in inside]:
        return None
    try:
        found = start = point.resolve(strict=True)
        device = found.stat().st_dev
        for part in parts[len(inside):]:
            name = _name_in(found, part)
            if name is None:
                return None
            found = (found / name).resolve(strict=True)
            if not found.is_relative_to(start) or found.stat().st_dev != device:
                return None
    except (OSError, RuntimeError, ValueError):
        return None
    return found


def _name_in(folder: Path, name: str) -> str | None:
    """How the folder spells a name: as it is given, else in another case."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return None
    if (folder / name).exists():
        return name
    wanted = fold_text(name)
    for count, entry in enumerate(folder.iterdir()):
        if count >= _MOST_NAMES:
            return None
        if fold_text(entry.name) == wanted:
            return entry.name
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
