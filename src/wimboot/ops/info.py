"""What a target is: its disk, its partitions, and on a Windows volume the system and the form it is in."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from wimboot.disk import PartitionNeeded, TableKind, open_target, parse_place
from wimboot.errors import Error
from wimboot.events import Emit, Note, silent
from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.ntfs.refusals import NotNtfs
from wimboot.ops.capturing.rules import find_lists
from wimboot.ops.finding.backing import refuse_unregistered
from wimboot.ops.finding.locating import Located, locate
from wimboot.ops.finding.numbering import check_number
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.opening.volume import NoVolume, NoWindows, SeveralWindows, finish_interrupted, open_volume
from wimboot.tree import StreamFlag, passes
from wimboot.tree.selection import select
from wimboot.wim.usage import Usage
from wimboot.windows.identify import System, UnknownWindows, identify, image_name
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk import Table, Target
    from wimboot.formats.overlaydat import DataSource
    from wimboot.formats.vhdfooter import DiskType
    from wimboot.ntfs import VolumeFacts
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import Folders, TargetOptions
    from wimboot.windows.wimplace import WimPlace

__all__ = ["DiskInfo", "Info", "SourceInfo", "VhdInfo", "VolumeInfo", "info"]


class VhdInfo(Frozen):
    """The VHD that holds a disk. `size` is that of the file; `problem` what is wrong with one of its two footers."""

    kind: DiskType
    size: int
    unique_id: bytes
    parent: Path | None
    problem: str


class DiskInfo(Frozen):
    """The target as a disk. `form` says in which form its file holds it: "raw", "vhd", "vhdx", "qcow2", "vmdk", "vdi";
    `file_size` is that of the file.
    """

    path: Path
    size: int
    table: Table
    form: str
    file_size: int
    vhd: VhdInfo | None = None


class SourceInfo(Frozen):
    """One WIM that the volume knows: its record, where it was looked for and found, how its pointers stand."""

    source: DataSource
    place: WimPlace | None
    wim: Path | None
    located: Located
    pointers: int
    in_wim: int | None
    behind: bool | None


class VolumeInfo(Frozen):
    """A volume. Sizes are bytes: `virtual` as Windows shows them, `occupied` in clusters.

    `state` is why it may not be changed: "hibernated", "log-not-clean", "volume-dirty", or None.
    """

    where: str
    facts: VolumeFacts
    system: System | None
    next_name: str | None
    files: int
    folders: int
    pointers: int
    compact: int
    full: int
    resident: int
    prepopulated: int
    state: str | None
    virtual: int
    occupied: int
    sources: tuple[SourceInfo, ...]
    unknown: bool = False
    """A Windows is there, and which one could not be read."""


class Info(Frozen):
    """All that is known of a target; `volume` None where there is none or not exactly one, and then `advice` is what to
    name instead, if there is anything: the partitions are told here.
    """

    disk: DiskInfo
    volume: VolumeInfo | None
    why_no_volume: Error | None
    advice: str = ""


def info(options: TargetOptions, emit: Emit) -> Info:
    """Look at a target. Raises what opening the file or device raises."""
    finish_interrupted(options, emit)
    with open_target(parse_place(options.place), write=False, log_folder=options.log_folder) as target:
        form = "vhd" if target.vhd is not None else "raw" if target.foreign is None else target.foreign.form.lower()
        disk = DiskInfo(path=target.path, size=target.disk.size(), table=target.table, vhd=_vhd(target), form=form,
                        file_size=target.file.size())
    try:
        with open_volume(options, emit, write=False, windows=False, inspect=True) as opened:
            return Info(disk=disk, volume=_volume(opened, emit), why_no_volume=None)
    except PartitionNeeded:     # a table with no partitions in it: none can be named
        return Info(disk=disk, volume=None, why_no_volume=NoVolume(where=options.place))
    except (NoVolume, NoWindows, NotNtfs, SeveralWindows) as error:
        if disk.table.kind is TableKind.NONE or (isinstance(error, NotNtfs) and not _holds_other(disk, options.place)):
            raise
        return Info(disk=disk, volume=None, why_no_volume=error, advice=_advice(error, options.place))


def _advice(error: Error, place: str) -> str:
    """Not what other verbs advise, which is to look here."""
    if isinstance(error, NoVolume):
        return ""
    return f"Name a partition to see what is on it: {place}#N." if isinstance(error, NoWindows) else error.hint


def _holds_other(disk: DiskInfo, place: str) -> bool:
    """Whether the partition that was named holds a file system that is known, so that there is something to tell."""
    number = parse_place(place).partition
    return any(one.number == number and one.file_system not in ("", "ntfs") for one in disk.table.partitions)


def _vhd(target: Target) -> VhdInfo | None:
    vhd = target.vhd
    if vhd is None:
        return None
    return VhdInfo(kind=vhd.kind, size=target.file.size(), unique_id=vhd.unique_id, problem=vhd.damage,
                   parent=None if vhd.parent is None else vhd.parent.path)


def _volume(opened: Opened, emit: Emit) -> VolumeInfo:
    tree = opened.tree
    contents = Contents(tree, opened.device, opened.volume)
    kinds = passes.classify(tree, MAX_POINTER_SIZE)
    classes = Counter(kinds)
    pointers = classes[passes.IS_POINTER]
    folders = classes[passes.FOLDER]
    compact = len(passes.flagged_streams(tree, StreamFlag.COMPACT))
    virtual, occupied = passes.sizes(tree)
    sources: tuple[SourceInfo, ...] = ()
    try:
        refuse_unregistered(opened)
        located = locate(opened, read_sources(contents.read_path, where=opened.where))
        sources = tuple(_source(one, opened, emit) for one in located.values())
    except Error as error:
        emit(Note(id=error.id, text=error.told, warning=True))
    system, unknown = None, False
    try:
        system = _identify(contents, sources, opened.options.folders)
    except UnknownWindows as error:
        unknown = True
        emit(Note(id=error.id, text=error.told, warning=True))
    resident = classes[passes.RESIDENT_DATA] + classes[passes.EMPTY]
    lists = find_lists(None, None, contents.read_path, system, silent)
    ruled = select(tree, lists).real_by
    prepopulated = sum(1 for node, rule in enumerate(ruled) if rule >= 0 and kinds[node] == passes.CANDIDATE)
    return VolumeInfo(
        where=opened.where,
        facts=opened.facts,
        system=system,
        next_name=None if system is None else image_name(system, datetime.now().astimezone()),
        files=tree.node_count - folders,
        folders=folders,
        pointers=pointers,
        compact=compact,
        resident=resident,
        prepopulated=prepopulated,
        state=opened.volume.state or ("volume-dirty" if opened.facts.dirty else None),
        full=tree.node_count - folders - pointers - resident,
        virtual=virtual,
        occupied=occupied,
        sources=sources,
        unknown=unknown,
    )


def _identify(contents: Contents, sources: tuple[SourceInfo, ...], folders: Folders) -> System | None:
    for source in sources:
        if source.wim is not None and source.in_wim is not None:
            with opened_store(source.wim, folders) as store:
                return identify(contents.through(store).read_path)
    return identify(contents.read_path)


def _source(located: Located, opened: Opened, emit: Emit) -> SourceInfo:
    mine = passes.pointer_rows(opened.tree, located.source.data_source_id)
    wim = None if located.found is None else located.found.path
    in_wim, behind = None, None
    if wim is not None:
        try:
            with opened_store(wim, opened.options.folders) as store:
                usage = Usage(store)
                used = usage.pointers(opened.tree, located.source.data_source_id).marks
                in_wim = usage.sums([used]).together.in_wim
                behind = bool({table_hash for _, table_hash in mine} - {store.table_hash})
                check_number(opened.tree, located.source, store, where=opened.where, wim=wim)
        except Error as error:
            emit(Note(id=error.id, text=error.told, warning=True))
    return SourceInfo(
        source=located.source,
        place=located.place,
        wim=wim,
        located=located,
        pointers=len(mine),
        in_wim=in_wim,
        behind=behind,
    )
