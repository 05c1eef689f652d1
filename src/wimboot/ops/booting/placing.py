"""Where the system that is to be started lies: which partition of which disk, or in which VHD file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.disk import Lies, PlaceUnknown, parse_place
from wimboot.errors import Refused, UsageError
from wimboot.events import Note
from wimboot.formats.bootdevice import BootDevice, FileDevice, PartitionDevice
from wimboot.ops.booting.identity import identity_of
from wimboot.ops.pointing.placecheck import check_place
from wimboot.ops.pointing.placing import UnreadablePlace, find_place
from wimboot.windows.bootplace import BootPlace
from wimboot.windows.wimplace import WimPlace

if TYPE_CHECKING:
    from wimboot.disk import Partition
    from wimboot.events import Emit
    from wimboot.ops.booting.options import BootOptions
    from wimboot.ops.opening.volume import Opened

__all__ = ["NotAVhd", "VhdPlaceNeeded", "VolumePlaceNeeded", "boot_place"]

_NATIVE: Final = ("VHDX",)
"""What Windows starts from besides VHDs, since Windows 8. Disks of other forms belong to virtual machines."""


class VolumePlaceNeeded(Refused):
    """Nobody can tell on which disk a volume will be."""

    id = "volume-place-unknown"
    sentence = "which partition {where} is when its machine starts cannot be told: {why}"
    advice = "Say it: --volume-place mbr:SIGNATURE:OFFSET, or gpt:DISK-GUID:PARTITION-GUID."


class VhdPlaceNeeded(Refused):
    """Nobody can tell where a VHD file will lie."""

    id = "vhd-place-unknown"
    sentence = "where {where} lies when its machine starts cannot be told: {why}"
    advice = (
        "Say it: --vhd-place mbr:SIGNATURE:OFFSET:\\path, gpt:DISK-GUID:PARTITION-GUID:\\path, boot:\\path (on the "
        "system partition), or locate:\\path (searched for on every disk)."
    )


class NotAVhd(UsageError):
    """A place of a VHD for what is none."""

    id = "not-a-vhd"
    sentence = "{where} is no VHD, and --vhd-place is for one"
    advice = "Say which partition the volume is with --volume-place."


def boot_place(opened: Opened, options: BootOptions, emit: Emit) -> BootPlace:
    """The devices of the system's entry. Raises VolumePlaceNeeded, VhdPlaceNeeded, NotAVhd, BadVhdPlace,
    BadVolumePlace.
    """
    if options.inside:
        return BootPlace.volume(BootDevice())
    if options.volume_place is not None:
        return _checked(BootPlace.parse_volume(options.volume_place), opened, emit)
    target = opened.target
    virtual = target.vhd is not None or (target.foreign is not None and target.foreign.form in _NATIVE)
    if options.vhd_place is not None:
        if not virtual:
            raise NotAVhd(where=opened.where)
        return _checked(BootPlace.parse_vhd(options.vhd_place), opened, emit)
    if virtual and not _same_disk(options.to, target.path):
        return _vhd_now(target.path, emit)
    return BootPlace.volume(_partition_now(opened))


def _same_disk(system_partition: str, disk: Path) -> bool:
    """Whether the system partition is on that disk: then it is no VHD on another one, but a disk by itself."""
    try:
        return parse_place(system_partition).path.resolve() == disk.resolve()
    except (OSError, RuntimeError):
        return False


def _partition_now(opened: Opened) -> PartitionDevice:
    target = opened.target
    identity, why = identity_of(target.table, _partition_of(opened))
    if identity is not None:
        return identity.device
    try:
        status = target.path.stat()
        if stat.S_ISBLK(status.st_mode):
            return _of_device(target.path, status.st_rdev)
    except OSError as error:
        why = error.strerror or why
    except PlaceUnknown as error:
        why = str(error.facts["why"])
    raise VolumePlaceNeeded(where=opened.where, why=why)


def _partition_of(opened: Opened) -> Partition | None:
    return next((one for one in opened.target.table.partitions if one.start == opened.start), None)


def _of_device(path: Path, number: int) -> PartitionDevice:
    """The partition that a device node is of. Raises PlaceUnknown."""
    lies = Lies(path=path, mount_point=Path("/"), kind="block", inside="/",
                device=f"{os.major(number)}:{os.minor(number)}")
    if lies.disk_guid is not None and lies.partition_guid is not None:
        return PartitionDevice.gpt(lies.disk_guid, lies.partition_guid)
    return PartitionDevice.mbr(lies.signature, lies.start)


def _vhd_now(path: Path, emit: Emit) -> BootPlace:
    """Where a VHD file of the host lies. Raises VhdPlaceNeeded."""
    try:
        place = find_place(None, path, emit)
    except PlaceUnknown as error:
        raise VhdPlaceNeeded(where=path, why=error.facts["why"]) from error
    except UnreadablePlace as error:
        raise VhdPlaceNeeded(where=path, why=f"it is on {error.facts['kind']}, which Windows cannot read") from error
    return BootPlace.vhd(place.device)


def _checked(place: BootPlace, opened: Opened, emit: Emit) -> BootPlace:
    """Say what is not certain of a place that was given."""
    parent = place.device if place.file is None else place.file.parent
    if isinstance(parent, PartitionDevice):
        known = WimPlace.of_device(FileDevice(parent=parent, path="\\"))
        if known is not None:
            check_place(known, str(opened.target.place), emit)
    elif not isinstance(parent, BootDevice):
        emit(Note(id="vhd-searched-for", text=(
            "The boot manager will look for the VHD on every disk, and take the first with such a path.")))
    return place
