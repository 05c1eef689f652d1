"""A Windows on a disk in memory: an image of that disk for grub4dos, whose files are pointers into the WIM outside.

 1. a dynamic VHD is made beside the file that is wanted, and the image deployed onto it, as `create` and `apply` do
 2. its system is told that its disk is memory; boot files and a store whose entry is `boot` go onto the same volume
 3. it is packed into a file under another name, which takes the wanted one when it is durable
 4. the VHD goes; the menu's entry is written

A run that fails or is interrupted leaves the folder as it was; one that is killed leaves files that the next removes.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.disk import DECIDED, PlaceUnknown
from wimboot.disk.newfile import new_file, refuse_existing
from wimboot.disk.packing import Packing, PackingOptions, check_packing, pack_disk
from wimboot.disk.unused import FreeMap
from wimboot.disk.vhd import Vhd
from wimboot.disk.vhdlayout import read_layout
from wimboot.errors import Refused, UsageError, advice
from wimboot.events import Emit, Event, Note, Phase, silent
from wimboot.figures import told_size
from wimboot.formats.vhdfooter import MAX_DISK_SIZE
from wimboot.frozen import Frozen
from wimboot.ntfs import cluster_bitmap, volume_facts
from wimboot.ops.apply import apply
from wimboot.ops.boot import boot
from wimboot.ops.booting.options import BootFiles, BootOptions
from wimboot.ops.opening.disks import open_disk
from wimboot.ops.opening.volume import NoWindows, open_volume
from wimboot.ops.options import ApplyOptions, StatusOptions, TargetOptions
from wimboot.ops.pointing.placing import UnreadablePlace
from wimboot.ops.preparing.prepare import SYSTEM_HIVE
from wimboot.ops.ramming.building import built_disk, fleeting
from wimboot.ops.ramming.menu import change_menu, check_menu, make_entry, write_menu
from wimboot.ops.ramming.source import RamPlaceNeeded, find_source
from wimboot.ops.ramming.telling import tell_of_machine
from wimboot.ops.status import status
from wimboot.plan.space import NotEnoughSpace, check_room
from wimboot.registry.edit import edit
from wimboot.storage import FileDevice, SliceDevice
from wimboot.windows.ramsystem import settle_in_memory

if TYPE_CHECKING:
    from wimboot.disk.vhdlayout import Layout
    from wimboot.ops.apply import Applied
    from wimboot.ops.creating.shape import MadeDisk
    from wimboot.ops.ramming.menu import Menu
    from wimboot.ops.ramming.options import RamOptions
    from wimboot.ops.ramming.source import RamSource
    from wimboot.storage import File
    from wimboot.windows.bcdentries import Firmware

__all__ = ["MadeRam", "OutNotAFile", "RamSize", "RamTooSmall", "VhdTooLarge", "make_ram"]

_SMALLEST: Final = 64 << 20
_VHD_LIMIT: Final = 1 << 32
"""grub4dos counts places in a dynamic VHD in 32 bits (stage2/dec_vhd.c)."""
_OF_NO_ACCOUNT: Final = frozenset({"vhd-expands", "uefi-reads-fat"})
"""What deploying and booting say of a disk that is to stay one."""
_TOLD: Final = frozenset({"place-not-at-hand", "place-no-partition", "place-ambiguous"})
"""What `find_source` has said of a system's place; deploying knows the new disk only, not that system's."""


class RamSize(UsageError):
    """A size that such a disk cannot have."""

    id = "ram-size"
    sentence = "a disk in memory of {size:size} cannot be made: {why}"
    advice = "Say another --size; 5G is usual, and the machine needs 2 to 3 GB of memory more."


class RamTooSmall(Refused):
    """A disk that its system does not fit on."""

    id = "ram-too-small"
    sentence = "the system needs about {needed:size}, and a disk of {size:size} has {free:size} for it"
    advice = "Say a larger --size; Windows wants some room besides."


class OutNotAFile(UsageError):
    """What an image cannot replace."""

    id = "out-not-a-file"
    sentence = "{where} is {what}, and a RAM image is a file of its own"
    advice = "Name another file."


class VhdTooLarge(Refused):
    """A dynamic VHD that grub4dos would misread."""

    id = "ram-vhd-too-large"
    sentence = "{where} would have {size:size}, and grub4dos reads dynamic VHDs below 4 GiB only"
    advice = "Take --form lz4."


class MadeRam(Frozen):
    """The image that was made, or with a dry run would be: then its sizes are 0 and the signature an example.

    `size` is the disk's; `packed_size`: so many bytes of it are in the image, from its start; `file_size`: the image's.
    """

    path: Path
    packing: Packing
    firmware: Firmware
    size: int
    packed_size: int
    file_size: int
    signature: int
    wim: Path
    wim_place: str | None
    applied: Applied
    drivers: tuple[str, ...]
    entry: tuple[str, ...]
    menu_changed: bool


def make_ram(options: RamOptions, emit: Emit) -> MadeRam:
    """Make the image.

    Raises RamSize, TooLargeForGzip, Lz4Missing, VhdTooLarge, RamTooSmall, OutNotAFile, DiskExists, Locked (another
    run is making it), what `find_source` and `check_menu` raise, and what creating, deploying and booting raise; with
    the image in its place, what `write_menu` does. A dry run makes the empty disk where the host has scratch files, to
    tell what would not fit.
    """
    DECIDED.clear()
    _check_size(options)
    _check_out(options)
    source = find_source(options, emit)
    check_menu(options)
    _tell_of_changes(options, source.wim, emit)
    if options.dry_run:
        with tempfile.TemporaryDirectory(prefix="wimboot-") as scratch:
            return _make(options, source, Path(scratch), None, emit)[0]
    folder = options.folders(options.out.parent)
    with new_file(folder, options.out.name, where=str(options.out), final=True, replace=options.replace) as file:
        made, menu = _make(options, source, options.out.parent, file, emit)
    return replace(made, menu_changed=write_menu(menu).changed)


def _make(options: RamOptions, source: RamSource, place: Path, file: File | None, emit: Emit) -> tuple[MadeRam, Menu]:
    """Build the disk in `place`, and pack it into `file`; without one it is only seen that it can be built."""
    with built_disk(options, source, place, emit) as disk:
        applied = _deploy(disk, options, source, _sifted(emit, _TOLD if options.target is not None else frozenset()))
        if applied.system is None:
            raise NoWindows(where=f"image {applied.number} of {source.wim}")
        drivers = tell_of_machine(options, applied.system, emit)
        product = applied.system.product or f"Windows {applied.system.version}"
        entry = make_entry(options, product, emit)
        menu = change_menu(options.menu, entry)
        packed_size = 0
        if file is not None:
            _settle(disk, options, source, _sifted(emit))
            DECIDED.clear()     # what was committed so far is nothing that stays
            packed_size = _pack(disk, file, options, emit)
        return MadeRam(path=options.out, packing=options.packing, firmware=options.firmware, size=options.size,
                       packed_size=packed_size, file_size=0 if file is None else file.size(),
                       signature=disk.table.signature, wim=source.wim, wim_place=source.place, applied=applied,
                       drivers=drivers, entry=entry.lines(), menu_changed=menu.changed), menu


def _check_out(options: RamOptions) -> None:
    """Raises OutNotAFile, NotEnoughSpace for a file of all bytes, DiskExists."""
    out = options.out.absolute()
    if out.exists() and not out.is_file():
        raise OutNotAFile(where=options.out, what="a folder" if out.is_dir() else "a device")
    if options.menu is not None and options.menu.absolute() == out:
        raise OutNotAFile(where=options.out, what="the menu")
    if options.packing is Packing.FIXED:
        check_room(options.size, options.folders(options.out.parent).free_size(), where=str(options.out.parent))
    if not options.replace:
        refuse_existing(options.folders(options.out.parent), options.out.name, str(options.out))


def _check_size(options: RamOptions) -> None:
    """Raises RamSize, and what `check_packing` does."""
    why = None
    if options.size < _SMALLEST:
        why = f"no Windows fits into less than {told_size(_SMALLEST)}"
    elif options.size > MAX_DISK_SIZE:
        why = "a VHD has 2040 GiB at most"
    elif options.size % 512:
        why = "a disk has whole sectors of 512 bytes"
    if why is not None:
        raise RamSize(size=options.size, why=why)
    check_packing(options.packing, 0 if options.cut else options.size)


def _tell_of_changes(options: RamOptions, wim: Path, emit: Emit) -> None:
    """Say what of the system the image will not have."""
    if options.target is None or options.image is not None:
        return
    found = status(StatusOptions(target=options.target, wim=wim, config=options.config), silent)
    if found.changes:
        emit(Note(id="not-in-image", warning=True, text=advice(
            "{count:,} changes on {volume} are not in image {number}, {name}, and so not in the RAM image: `wimboot "
            "update {volume}` first adds them.",
            count=len(found.changes), volume=options.target.place, number=found.number, name=found.name)))


def _target(disk: MadeDisk, options: RamOptions) -> TargetOptions:
    return TargetOptions(place=f"{disk.path}#{disk.number}", folders=fleeting(options.folders), dry_run=options.dry_run)


def _deploy(disk: MadeDisk, options: RamOptions, source: RamSource, emit: Emit) -> Applied:
    """Deploy the image onto it; with a dry run only see that it can be. Raises RamTooSmall,
    RamPlaceNeeded, and what `apply` does.
    """
    target = _target(disk, options)
    try:
        return apply(ApplyOptions(target=target, wim=source.wim, image=source.image, wim_place=source.place,
                                  driver=options.driver, config=options.config, in_memory=True), emit)
    except (UnreadablePlace, PlaceUnknown) as error:    # they advise to tell it later
        raise RamPlaceNeeded(where=options.out) from error
    except NotEnoughSpace as error:
        if error.facts["where"] != target.place:
            raise
        raise RamTooSmall(needed=error.facts["needed"], size=options.size, free=error.facts["free"]) from error


def _settle(disk: MadeDisk, options: RamOptions, source: RamSource, emit: Emit) -> None:
    """Make it a system that starts from memory. Raises what editing its registry and `boot` do."""
    target = _target(disk, options)
    with open_disk(target, emit, write=True):
        with open_volume(target, emit, write=True) as opened:
            with edit(opened.volume, SYSTEM_HIVE) as editing:
                settle_in_memory(editing.root)
            opened.close(discard=False)
        boot(BootOptions(
            to=target.place, target=target, inside=True, wim=source.wim, title=options.title, default=True, timeout=0,
            firmware=(options.firmware,), boot_files=BootFiles.SYSTEM, test_signing=options.test_signing,
            no_integrity_checks=options.no_integrity_checks, folders=target.folders), emit)


def _sifted(emit: Emit, told: frozenset[str] = frozenset()) -> Emit:
    def listen(event: Event) -> None:
        if not isinstance(event, Note) or event.id not in _OF_NO_ACCOUNT | told:
            emit(event)

    return listen


def _used_end(disk: MadeDisk, source: File, layout: Layout) -> int:
    """Where the last cluster of its volume that is in use ends. Raises FormatError."""
    device = SliceDevice(Vhd(layout).over(FileDevice(source)), disk.start, disk.volume_size)
    facts = volume_facts(device)
    return FreeMap(start=disk.start, unit_size=facts.cluster_size, bitmap=cluster_bitmap(device),
                   count=facts.total_clusters).used_end


def _pack(disk: MadeDisk, file: File, options: RamOptions, emit: Emit) -> int:
    """Write the image; how many bytes of the disk it has. Raises VhdTooLarge, and what `pack_disk` does."""
    source = options.folders(disk.path.parent).open(disk.path.name)
    try:
        layout = read_layout(source, str(disk.path))
        if options.packing is Packing.VHD and source.size() >= _VHD_LIMIT:
            raise VhdTooLarge(where=options.out, size=source.size())
        end = _used_end(disk, source, layout) if options.cut else options.size
        phase = Phase(name="pack", total=end, unit="bytes")
        emit(phase)
        how = PackingOptions(packing=options.packing, threads=options.threads, thorough=options.thorough, end=end)
        pack_disk(source, layout, file, how, phase.counter)
        return end
    finally:
        source.close()
