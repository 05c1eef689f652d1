"""Give back the room in a disk that its volumes do not use: a VHD's blocks, holes in a raw image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk import DECIDED, NotADisk, TableKind, Transaction, open_target, parse_place, uninterrupted
from wimboot.disk.punching import claimed_bytes, occupied_size, punch
from wimboot.disk.unused import FreeMap, unused_runs
from wimboot.disk.vhdcompact import PAGE, free_pages, idle_blocks, plan_compaction, write_compaction
from wimboot.errors import Refused, UsageError
from wimboot.events import Note, Phase
from wimboot.formats.names import decode_name
from wimboot.formats.vhdfooter import DiskType
from wimboot.frozen import Frozen
from wimboot.ntfs import Volume, VolumeDirty, cluster_bitmap, list_folder, volume_facts
from wimboot.ops.opening.disks import finish_interrupted, tell_of_footer
from wimboot.storage import SliceDevice

if TYPE_CHECKING:
    from wimboot.disk import Target
    from wimboot.disk.vhd import Vhd
    from wimboot.disk.vhdcompact import Compaction
    from wimboot.events import Emit
    from wimboot.ops.options import TargetOptions

__all__ = ["CompactDisk", "CompactOptions", "Compacted", "NothingToCompact", "compact"]

_SHADOW_COPIES = "{3808876b-c176-4e48-b7ae-04046e6cc752}"
"""In the names of the files that hold them: the identifier of Windows' own provider."""
_MOST_NAMES = 10_000


class NothingToCompact(Refused):
    """A form of disk that always has its full size."""

    id = "compact-not-possible"
    sentence = "{where} cannot become smaller: {why}"
    advice = "{hint}"


class CompactDisk(UsageError):
    """A partition was named; room is given back by the whole disk."""

    id = "compact-disk"
    sentence = "{where} names a partition, and a disk gives back room as a whole"
    advice = "Name the disk: {disk}."


class CompactOptions(Frozen):
    """What is to be compacted: a disk, in a VHD or as a raw image."""

    target: TargetOptions


class Compacted(Frozen):
    """What was given back, or with a dry run would be; sizes are bytes of the file on its disk.

    `blocks` the VHD had; `dropped` of them went, `moved` were put elsewhere in the file. Of a raw image None.
    """

    before: int
    after: int
    blocks: int | None = None
    dropped: int | None = None
    moved: int | None = None


def compact(options: CompactOptions, emit: Emit) -> Compacted:
    """Make the file of a disk smaller, and change nothing that its volumes use.

    Raises CompactDisk, NothingToCompact, NotADisk, HolesNotPossible, VhdHasChildren, DiskHasOverlay, what opening a
    target and its volumes raises: one that is hibernated, dirty or damaged does not say for certain what it uses.
    """
    DECIDED.clear()
    target = options.target
    place = parse_place(target.place)
    if place.partition is not None:
        raise CompactDisk(where=target.place, disk=place.path)
    if place.path.is_block_device():
        raise NothingToCompact(where=target.place, why="it is a device", hint="What its file system does not use is "
                               "told to the device by fstrim, while it is mounted.")
    finish_interrupted(target, emit)
    with open_target(place, write=not target.dry_run, log_folder=target.log_folder, opener=target.folders) as opened:
        _refuse_form(opened, target.place)
        if target.dry_run:
            opened.refuse_writing()
        tell_of_footer(opened, emit)
        maps = _free_maps(opened, target.place, emit)
        if opened.vhd is not None:
            return _compact_vhd(opened, opened.vhd, maps, options, emit)
        return _compact_raw(opened, maps, options, emit)


def _refuse_form(opened: Target, where: str) -> None:
    if opened.foreign is not None:
        raise NothingToCompact(where=where, why=f"room within a {opened.foreign.form} is given back by other programs",
                               hint="Copy it: qemu-img convert leaves zeros out.")
    if opened.vhd is not None and opened.vhd.kind is DiskType.FIXED:
        raise NothingToCompact(where=where, why="a fixed VHD always has the size of its disk", hint=(
            "Make a dynamic one of it: qemu-img convert -f vpc -O vpc -o subformat=dynamic,force_size=on "
            f"{where} small.vhd"))


def _free_maps(opened: Target, where: str, emit: Emit) -> list[FreeMap]:
    """What the NTFS volumes on the disk do not use, in the order of their places."""
    try:
        bare = opened.table.kind is TableKind.NONE
    except NotADisk:
        if opened.vhd is None:      # some other file, or one that nobody can tell from it
            raise
        return []
    places = ([(0, opened.disk.size(), where)] if bare else
              [(one.start, one.size, f"{where}#{one.number}") for one in opened.partitions if one.ntfs])
    maps: list[FreeMap] = []
    for start, size, name in sorted(places):
        device = SliceDevice(opened.disk, start, size)
        facts = volume_facts(device)
        if facts.dirty:
            raise VolumeDirty(where=name)
        with Volume(device, write=False, where=name) as volume:
            if _has_shadow_copies(volume):
                emit(Note(id="shadow-copies", warning=True, text=(
                    f"{name} holds shadow copies (restore points), which need clusters that it does not use itself: "
                    "none of them is given back. Windows deletes them by: vssadmin delete shadows /all")))
                continue
        maps.append(FreeMap(start=start, unit_size=facts.cluster_size, bitmap=cluster_bitmap(device),
                            count=facts.total_clusters))
    return maps


def _has_shadow_copies(volume: Volume) -> bool:
    folder = volume.open_path("System Volume Information")
    if folder is None or not volume.is_folder(folder):
        return False
    names, more = list_folder(volume, folder, _MOST_NAMES)
    return more or any(_SHADOW_COPIES in decode_name(name).casefold() for name, _ in names)


def _compact_vhd(opened: Target, vhd: Vhd, maps: list[FreeMap], options: CompactOptions, emit: Emit) -> Compacted:
    below = None if vhd.parent is None else vhd.parent.disk
    looking = Phase(name="blocks", total=vhd.allocated_size, unit="bytes")
    emit(looking)
    plan = plan_compaction(vhd.layout, idle_blocks(vhd.layout, opened.disk, below, maps, looking.counter))
    before = opened.file.size()
    done = Compacted(before=before, after=min(before, plan.file_size), blocks=plan.blocks, dropped=len(plan.dropped),
                     moved=len(plan.moves))
    if not options.target.dry_run and done.after < before:
        _carry_out(opened, vhd, maps, plan, emit)
    return done


def _carry_out(opened: Target, vhd: Vhd, maps: list[FreeMap], plan: Compaction, emit: Emit) -> None:
    moving = Phase(name="move", total=len(plan.moves) * plan.block_size, unit="bytes")
    with Transaction(opened.file, opened.folder, opened.log_name, where=str(opened.place)) as transaction:
        bitmap, pages = free_pages(opened.disk, maps)
        transaction.set_free(0, PAGE, bitmap, pages)
        emit(moving)
        write_compaction(plan, vhd.layout, transaction, moving.counter)
        copying = Phase(name="commit", total=transaction.logged_bytes, unit="bytes")
        emit(copying)
        with uninterrupted(forget=True):
            transaction.commit(copying.counter)
            opened.file.truncate(plan.file_size)
            opened.file.sync()
            DECIDED.set()


def _compact_raw(opened: Target, maps: list[FreeMap], options: CompactOptions, emit: Emit) -> Compacted:
    where, size = str(opened.place), opened.disk.size()
    before = occupied_size(opened.file, where)
    free = [run for run in unused_runs(maps, 0, size) if run[1] - run[0] >= 4096]
    if options.target.dry_run:
        return Compacted(before=before, after=max(0, before - claimed_bytes(opened.file, free, where)))
    punching = Phase(name="holes", total=sum(end - start for start, end in free), unit="bytes")
    emit(punching)
    punch(opened.file, free, where, punching.counter)
    return Compacted(before=before, after=occupied_size(opened.file, where))
