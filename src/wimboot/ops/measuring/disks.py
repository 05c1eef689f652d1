"""The file or device that holds a disk or a volume: what it takes on its host, and what it can take."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from wimboot.disk import LogWaits, peek
from wimboot.errors import HostError
from wimboot.formats.vhdfooter import DiskType
from wimboot.formats.vhdsparse import UNUSED, bitmap_size
from wimboot.ops.measuring.figures import DiskFigures
from wimboot.ops.measuring.kinds import FileKind, packed_disk_size
from wimboot.storage import host_error

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from wimboot.disk import Target
    from wimboot.disk.foreign import Foreign
    from wimboot.disk.vhd import Vhd

__all__ = ["disk_figures", "packed_figures"]

_BLOCK = 512
"""The unit of st_blocks, whatever the file system's is."""


def disk_figures(target: Target) -> DiskFigures:
    """Of an opened target. Raises LogWaits where an interrupted run waits, what reading its table raises, HostError."""
    if peek(target.folder, target.log_name):
        raise LogWaits(where=str(target.place.path))
    vhd, foreign, size = target.vhd, target.foreign, target.file.size()
    partitions = target.partitions
    occupied, free = None, None
    if not target.is_device:
        occupied = _stat(target.path).st_blocks * _BLOCK
        with suppress(HostError):
            free = target.folder.free_size()
    return DiskFigures(
        path=target.place.path,
        form="vhd" if vhd is not None else "raw" if foreign is None else foreign.form.lower(),
        kind=None if vhd is None else vhd.kind.name.lower(),
        table=target.table.kind,
        partitions=len(partitions),
        size=size,
        occupied=occupied,
        disk_size=target.disk.size(),
        full=_full(vhd, size) if vhd is not None else size if foreign is None else _full_foreign(foreign, size),
        free=free,
        parent=None if vhd is None or vhd.parent is None else vhd.parent.path,
        damage="" if vhd is None else vhd.damage,
    )


def packed_figures(path: Path, kind: FileKind) -> DiskFigures:
    """Of a compressed disk, which a boot loader unpacks into memory. Raises HostError."""
    status = _stat(path)
    return DiskFigures(path=path, form=kind.name.lower(), kind=None, table=None, partitions=0, size=status.st_size,
                       occupied=status.st_blocks * _BLOCK, disk_size=packed_disk_size(path, kind),
                       full=status.st_size, free=None)


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise host_error("looking at", path, error) from error


def _full_foreign(foreign: Foreign, size: int) -> int:
    """The file once every byte of the disk has its place in it, but for the tables that lead there."""
    return size + foreign.size - foreign.mapped_size


def _full(vhd: Vhd, size: int) -> int:
    """The file once every block has its place in it."""
    header, table = vhd.layout.header, vhd.layout.table
    if vhd.kind is DiskType.FIXED or header is None or table is None:
        return size
    return size + table.count(UNUSED) * (header.block_size + bitmap_size(header.block_size))
