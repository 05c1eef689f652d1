"""What a RAM image that is there stands on: packed with LZ4 it is read as it lies, else it is a VHD like any other."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.disk import NotADisk, read_table
from wimboot.disk.lz4disk import Lz4Disk
from wimboot.errors import FormatError
from wimboot.formats.lz4frame import FRAME_HEADER_SIZE, FrameHeader
from wimboot.formats.vhdfooter import DiskType
from wimboot.ntfs import Volume, scan
from wimboot.ops.assembling.present import standing
from wimboot.ops.opening.volume import NoVolume, open_volume
from wimboot.plan.deploying import FoundSystem, Ground
from wimboot.storage import FileDevice, HostFile, SliceDevice

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.options import TargetOptions
    from wimboot.storage import File
    from wimboot.wim import Store

__all__ = ["look_at_ram"]

_LZ4: Final = "lz4"
_FIXED: Final = {True: "vhd-fixed", False: "vhd"}


def look_at_ram(path: Path, store: Store | None, like: TargetOptions, emit: Emit) -> FoundSystem:
    """The image at `path`; `store` None: there is none yet. Raises Lz4Missing, and what opening a VHD raises."""
    if not os.path.lexists(path):
        return FoundSystem(ground=Ground.ABSENT)
    try:
        if _is_lz4(path):
            return _packed(path, store)
        options = replace(like, place=str(path))
        with open_volume(options, emit, write=False, windows=False) as opened:
            found, vhd = standing(opened.volume, opened.tree, store), opened.target.vhd
            if vhd is None:
                return FoundSystem(ground=Ground.OTHER, why="it is in no form that a plan knows")
            return replace(found, size=vhd.size, form=_FIXED[vhd.kind is DiskType.FIXED])
    except (FormatError, NotADisk, NoVolume) as error:
        return FoundSystem(ground=Ground.OTHER, why=str(error))


def _is_lz4(path: Path) -> bool:
    file = HostFile.open(path)
    try:
        FrameHeader.parse(file.pread(0, FRAME_HEADER_SIZE))
    except FormatError:
        return False
    finally:
        file.close()
    return True


def _packed(path: Path, store: Store | None) -> FoundSystem:
    file = HostFile.open(path)
    try:
        return _inside(Lz4Disk(file), str(path), store)
    finally:
        file.close()


def _inside(disk: File, where: str, store: Store | None) -> FoundSystem:
    """Raises NotADisk, FormatError, NoVolume, and what reading a volume raises."""
    table = read_table(disk, where=where)
    partition = next((one for one in table.partitions if one.ntfs), None)
    if partition is None:
        raise NoVolume(where=where)
    device = SliceDevice(FileDevice(disk), partition.start, partition.size)
    tree = scan(device)
    with Volume(device, write=False, where=where, inspect=True) as volume:
        return replace(standing(volume, tree, store), size=disk.size(), form=_LZ4)
