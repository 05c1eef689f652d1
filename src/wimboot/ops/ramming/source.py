"""What a RAM image is made from: which image of which WIM, where that will lie, and which disks it will lie among."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from wimboot.disk import NotADisk, parse_place
from wimboot.errors import Refused, UsageError
from wimboot.frozen import Frozen
from wimboot.ops.finding.backing import require_wim
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.pointing.placecheck import check_place
from wimboot.ops.pointing.placing import volume_sources
from wimboot.windows.wimplace import WimPlace

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.ramming.options import RamOptions

__all__ = ["NoRamSource", "OutIsSource", "RamPlaceNeeded", "RamSource", "WimInOwnVhd", "find_source"]

_LATER: Final = "later"


class NoRamSource(UsageError):
    """Nothing to make an image from."""

    id = "no-ram-source"
    sentence = "what is to be in the RAM image was not said"
    advice = "Name a WIMBoot system (wimboot ram TARGET OUT), or a WIM and one of its images: --wim WIM --image N."


class OutIsSource(Refused):
    """The new file would take the place of what it is made from."""

    id = "out-is-source"
    sentence = "{where} is what the RAM image is made from"
    advice = "Name another file."


class WimInOwnVhd(Refused):
    """The WIM lies in the very VHD that the system starts from otherwise."""

    id = "wim-in-own-vhd"
    sentence = "the WIM of {where} lies inside the VHD {vhd}, which a system in memory does not have"
    advice = "Put a copy of the WIM on a partition of the machine's disk, and say where it lies: --wim, --wim-place."


class RamPlaceNeeded(Refused):
    """A place that is to be told later."""

    id = "ram-place-needed"
    sentence = "where the WIM of the RAM image {where} will lie is not known, and cannot be told it later"
    advice = "Say it: --wim-place mbr:SIGNATURE:OFFSET:\\path, or gpt:DISK-GUID:PARTITION-GUID:\\path."


class RamSource(Frozen):
    """`place` None: where the WIM lies now. `disks` are ids that the new disk must not have."""

    wim: Path
    image: str
    place: str | None
    disks: frozenset[bytes]


def find_source(options: RamOptions, emit: Emit) -> RamSource:
    """Find it; the place of a system's WIM is checked.

    Raises NoRamSource, OutIsSource, WimInOwnVhd, RamPlaceNeeded, and what opening the system and looking
    for its WIM raises.
    """
    if options.wim_place is not None and options.wim_place.lower() == _LATER:
        raise RamPlaceNeeded(where=options.out)
    if options.target is None:
        if options.wim is None or options.image is None:
            raise NoRamSource
        _check_out(options, options.wim)
        return RamSource(wim=options.wim, image=options.image, place=options.wim_place, disks=_disks(options.wim_place))
    _check_out(options, parse_place(options.target.place).path)
    with open_volume(options.target, emit, write=False, windows=False) as opened:
        sources = volume_sources(opened.volume)
        source, wim = require_wim(opened, sources, options.wim, emit=emit)
        _check_out(options, wim)
        place = options.wim_place or _registered(options, opened, sources.place(source.data_source_id))
        if place is not None:   # while the system's own disk is open: it is one of those that may have the place
            check_place(WimPlace.parse(place, name=wim.name), options.target.place, emit)
        own = {opened.target.disk_id} if _has_table(opened) else set()
    return RamSource(wim=wim, image=options.image or str(source.wim_index), place=place,
                     disks=_disks(place) | {one for one in own if one is not None})


def _check_out(options: RamOptions, source: Path) -> None:
    with suppress(OSError):
        if options.out.samefile(source):
            raise OutIsSource(where=options.out)


def _has_table(opened: Opened) -> bool:
    with suppress(NotADisk):
        return bool(opened.target.partitions)
    return False


def _registered(options: RamOptions, opened: Opened, place: WimPlace | None) -> str | None:
    """Where the system says that its WIM lies. Raises WimInOwnVhd."""
    if place is None or place.is_later:
        return None
    own = opened.target.disk_id if opened.target.vhd is not None and _has_table(opened) else None
    if own is not None and place.container is None and place.disk_id == own:
        raise WimInOwnVhd(where=opened.where, vhd=options.target.place if options.target else "")
    return str(place)


def _disks(place: str | None) -> frozenset[bytes]:
    found = set()
    at = None if place is None else WimPlace.parse(place)
    while at is not None:
        found.add(at.disk_id)
        at = at.container
    return frozenset(found)

