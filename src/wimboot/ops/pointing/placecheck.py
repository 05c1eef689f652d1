"""Whether a place that a user wrote down fits the disks at hand: one wrong digit, and a system finds no WIM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk import origin_of
from wimboot.disk.lookup import Disk, attached_disks
from wimboot.disk.table import TableKind
from wimboot.errors import Error
from wimboot.events import Emit, Note
from wimboot.formats.bootdevice import PartitionStyle
from wimboot.formats.guid import guid_text
from wimboot.ops.opening.disks import find_disk

if TYPE_CHECKING:
    from wimboot.windows.wimplace import WimPlace

__all__ = ["check_place"]


def check_place(place: WimPlace, target: str | None, emit: Emit) -> None:
    """Say where no disk at hand is the one of the place, or that disk has no such partition. Never a refusal: the disk
    may well be elsewhere. `target` is an open target, whose disk counts too.
    """
    disks = [*attached_disks().found, *_own(target)]
    kind = TableKind.GPT if place.style == PartitionStyle.GPT else TableKind.MBR
    same = [disk for disk in disks if disk.table.kind is kind and disk.table.disk_id == place.disk_id]
    if not same:
        emit(Note(id="place-not-at-hand", text=(
            f"No disk at hand has {_identity(place)}: whether the place is right was not checked.")))
    elif not any(disk.partition(place.style, place.disk_id, place.partition_id) for disk in same):
        emit(Note(id="place-no-partition", warning=True, text=(
            f"{same[0].path} has {_identity(place)}, and no partition like that of the place; it has "
            f"{_partitions(same[0])}.")))
    elif len({origin_of(disk.path) for disk in same}) > 1:
        emit(Note(id="place-ambiguous", warning=True, text=(
            f"{' and '.join(str(disk.path) for disk in same)} have {_identity(place)}: where they are attached to "
            "one machine Windows may take the wrong one. Give one of them another signature or GUID first.")))
    if place.container is not None:
        check_place(place.container, target, emit)


def _own(target: str | None) -> list[Disk]:
    disk = None if target is None else find_disk(target)
    try:
        return [] if disk is None else [Disk(path=disk.target.path, table=disk.target.table)]
    except Error:       # about to be formatted: no table yet
        return []


def _identity(place: WimPlace) -> str:
    if place.style == PartitionStyle.GPT:
        return f"the GUID {guid_text(place.disk_id)}"
    return f"the signature {int.from_bytes(place.disk_id[:4], 'little'):08x}"


def _partitions(disk: Disk) -> str:
    return ", ".join(f"#{part.number} at {part.start}" if part.guid is None else
                     f"#{part.number} {guid_text(part.guid)}" for part in disk.table.partitions) or "none"
