"""Where the WIM will lie when Windows runs, and writing that onto the volume that points into it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.disk import PlaceUnknown, TableKind, open_target, parse_place, where_is
from wimboot.disk.inside import parse_inside
from wimboot.errors import Refused
from wimboot.formats.filetime import from_unix_ns
from wimboot.formats.names import encode_name
from wimboot.formats.overlaydat import MAX_FILE_SIZE
from wimboot.ntfs.volume import ROOT
from wimboot.ops.opening.disks import find_disk
from wimboot.ops.pointing.placecheck import check_place
from wimboot.tree import FileAttribute
from wimboot.wim import real_path
from wimboot.windows.security import SYSTEM_ONLY
from wimboot.windows.sources import BACKUP_PATH, DAT_PATH, FOLDER_PATH, NEW_PATH, read_sources
from wimboot.windows.wimplace import WimPlace

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk import Lies
    from wimboot.disk.inside import Inside
    from wimboot.events import Emit
    from wimboot.ntfs import Volume
    from wimboot.windows.sources import Sources

__all__ = ["UnreadablePlace", "find_place", "place_inside", "register", "volume_sources", "write_sources"]

_READABLE = frozenset({"ntfs", "ntfs3", "fuseblk", "vfat", "msdos", "exfat"})
"""File systems of Linux' mount table that Windows can read a WIM from; fuseblk is ntfs-3g."""


class UnreadablePlace(Refused):
    """The WIM lies where no Windows could read it."""

    id = "wim-unreadable"
    sentence = "{wim} lies on {kind}, which Windows cannot read"
    advice = (
        "Say where it will lie when Windows runs: --wim-place mbr:SIGNATURE:OFFSET:\\path, or "
        "gpt:DISK-GUID:PARTITION-GUID:\\path, or later and then `wimboot relocate TARGET --wim WIM --as PLACE`."
    )


def find_place(wim_place: str | None, wim: Path, emit: Emit, *, target: str | None = None) -> WimPlace:
    """The place given, or that where the WIM lies now; `target` is the volume of the pointers, if it is known.

    Raises BadPlace, UnreadablePlace, PlaceUnknown.
    """
    if wim_place is not None:
        place = WimPlace.parse(wim_place, name=wim.name)
        if not place.is_later:      # of that `info` and `verify` remind
            check_place(place, target, emit)
        return place
    real = real_path(wim)
    inside = parse_inside(real)
    if inside is not None:
        return place_inside(inside, target)
    return _place_now(real)


def place_inside(inside: Inside, pointers: str | None = None) -> WimPlace:
    """The place of a file in a volume that is not mounted: its disk's own table tells it.

    For pointers on another disk than this, a VHD or VHDX has to be found first, so its own place belongs to that of the
    file.
    Raises PlaceUnknown, UnreadablePlace.
    """
    where = str(inside.volume)
    with ExitStack() as stack:
        disk = find_disk(where)
        target = disk.target if disk else stack.enter_context(open_target(inside.volume, write=False))
        table = target.table
        partition = next((one for one in table.partitions if one.number == inside.volume.partition), None)
        if table.kind is TableKind.NONE or partition is None:
            raise PlaceUnknown(where=inside, why="it is a volume by itself, not a partition of a disk")
        apart = pointers is not None and parse_place(pointers).path.resolve() != target.path
        attachable = target.vhd is not None or (target.foreign is not None and target.foreign.form == "VHDX")
        container = _place_now(target.path) if apart and attachable else None
    if partition.guid is not None and table.disk_guid is not None:
        place = WimPlace.gpt(table.disk_guid, partition.guid, inside.path)
    elif table.signature:
        place = WimPlace.mbr(table.signature, partition.start, inside.path)
    else:
        raise PlaceUnknown(where=inside, why="its disk has no disk signature")
    return replace(place, container=container)


def _place_now(file: Path) -> WimPlace:
    """Where a file of the host lies. Raises UnreadablePlace, PlaceUnknown."""
    lies = where_is(file.parent)    # the file itself may still have to be made
    if lies.kind not in _READABLE:
        raise UnreadablePlace(wim=file, kind=lies.kind)
    return _place_of(lies, file.name)


def _place_of(lies: Lies, name: str) -> WimPlace:
    path = f"{lies.inside.rstrip('/')}/{name}".replace("/", "\\")
    if lies.disk_guid is not None and lies.partition_guid is not None:
        return WimPlace.gpt(lies.disk_guid, lies.partition_guid, path)
    return WimPlace.mbr(lies.signature, lies.start, path)


def volume_sources(volume: Volume) -> Sources:
    """The data sources of a volume as it is now, which may differ from its scan. Raises OverlayDamaged."""
    return read_sources(lambda path: volume.read_path(path, MAX_FILE_SIZE))


def register(volume: Volume, wim_guid: bytes, wim_index: int, place: WimPlace) -> int:
    """Write WimOverlay.dat and its backup; returns the data source id for the pointers. Raises OverlayFull."""
    registration = volume_sources(volume).register(wim_guid=wim_guid, place=place, wim_index=wim_index)
    write_sources(volume, registration.sources)
    return registration.data_source_id


def write_sources(volume: Volume, sources: Sources) -> None:
    """Write WimOverlay.dat and its backup, the same bytes; a .new that was left over goes. Raises OverlayFull."""
    data = sources.pack()
    now = from_unix_ns(time.time_ns())
    times, security = (now, now, now), volume.security_id(SYSTEM_ONLY)
    hidden = FileAttribute.HIDDEN | FileAttribute.SYSTEM
    folder = volume.open_path(FOLDER_PATH)
    if folder is None:
        folder = volume.create_folder(
            ROOT, encode_name(FOLDER_PATH[1:]), b"", hidden | FileAttribute.DIRECTORY, times, security
        )
    for path in (DAT_PATH, BACKUP_PATH):
        file = volume.open_path(path)
        if file is None:
            file = volume.create_file(folder, encode_name(_name(path)), b"", hidden, times, security)
        volume.write_data(file, b"", iter((data,)), len(data))
    left = volume.open_path(NEW_PATH)
    if left is not None:
        volume.unlink(left, folder, encode_name(_name(NEW_PATH)))


def _name(path: str) -> str:
    return path.rpartition("\\")[2]
