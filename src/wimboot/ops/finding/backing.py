"""Which WIM backs a volume: the one that a user names, or the one that its WimOverlay.dat leads to."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from wimboot.errors import Refused, advice
from wimboot.events import Emit, Note, silent
from wimboot.formats.guid import guid_text
from wimboot.ops.finding.locating import WimState, locate
from wimboot.ops.finding.searching import host_folders
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.opening.wimfiles import WimFile, host_wim, wim_guid
from wimboot.tree import StreamFlag, passes
from wimboot.windows.sources import BACKUP_PATH, DAT_PATH, NEW_PATH, how_to_mend, read_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.finding.locating import Found, Located
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import Folders
    from wimboot.wim import Store
    from wimboot.windows.sources import Sources

__all__ = [
    "NotWimBoot",
    "OtherWim",
    "SourcesMissing",
    "WimNotFound",
    "WimOlder",
    "WimReplaced",
    "likely_folders",
    "not_found",
    "not_wimboot",
    "refuse_unregistered",
    "require_wim",
    "search",
    "stores_behind",
    "wim_guid",
]


class NotWimBoot(Refused):
    """A volume that is not in WIMBoot form."""

    id = "not-wimboot"
    sentence = "{where} is not in WIMBoot form: it has no WimOverlay.dat, so no WIM belongs to it"
    advice = (
        "`wimboot convert {where} --wim WIM` brings it into that form; `wimboot restore {where} --wim WIM --image N` "
        "makes it equal to an image as it is."
    )


class SourcesMissing(Refused):
    """Pointers, and no table that says into which WIM they lead."""

    id = "overlay-missing"
    sentence = "{where} has {count} pointers, and {path}, which says into which WIM they lead, {why}"
    advice = "{repair}"


class WimNotFound(Refused):
    """The WIM of a volume is neither where it is registered nor where a WIM is put."""

    id = "wim-not-found"
    sentence = "the WIM of {where} (GUID {guid}, registered at {place}) was not found; looked at: {folders}"
    advice = (
        "Name it with --wim, or a folder that holds it with --search. Where Windows does not find it either, it reads "
        "none of its files, with status c000046e: see `wimboot explain c000046e`."
    )


class WimReplaced(Refused):
    """At the registered place lies something else, and the WIM is nowhere else either."""

    id = "wim-replaced"
    sentence = (
        "where the WIM of {where} (GUID {guid}) is registered lies {other}, which is not it; it was not found "
        "elsewhere either: {folders}"
    )
    advice = (
        "Put the right WIM back, or name it with --wim. Windows refuses the pointers while the wrong one is there: see "
        "`wimboot explain c000a2a5`."
    )


class WimOlder(Refused):
    """A copy of the WIM from before the image that the volume stands on was added."""

    id = "wim-older"
    sentence = ("{wim} is an older copy of the WIM of {where}: it has {count} images, the volume stands on image "
                "{image:d}")
    advice = (
        "Name a newer copy with --wim, or let one be found with --search. If images were deleted from it on purpose, "
        "`wimboot verify {where} --wim {wim} --repair` finds the volume's among those that are left, and changes no "
        "file; `wimboot restore {where} --wim {wim} --image N` makes the volume another one."
    )


class OtherWim(Refused):
    """The WIM given is not the one that the volume's pointers lead into."""

    id = "other-wim"
    sentence = "{wim} is not the WIM of {where}: its GUID is {found}, the volume stands on {expected}"
    advice = "Give the WIM that the volume uses; `wimboot info {where}` shows which one that is."


def likely_folders(opened: Opened) -> list[Path]:
    """The folders of the host in which the WIM of a volume is likely."""
    return [folder for folder, _ in host_folders(opened)]


def search(opened: Opened, sources: Sources) -> dict[int, Path]:
    """data source id -> its WIM, where one was found; `locate` tells how, and what else there was."""
    located = locate(opened, sources)
    return {number: one.found.path for number, one in located.items() if one.found is not None}


def require_wim(
    opened: Opened, sources: Sources, wim: Path | None, *, older: bool = False, emit: Emit = silent
) -> tuple[DataSource, Path]:
    """The data source that a verb works with, and its WIM file.

    Args:
        opened: the volume.
        sources: its data sources.
        wim: the WIM that the user named, else it is looked for.
        older: whether a copy without the image that the volume stands on will do.
        emit: told which other copies of a WIM that was found were passed over.

    Raises:
        NotWimBoot, SourcesMissing, WimNotFound, WimReplaced, OtherWim, WimOlder, and what opening the WIM that was
        named raises.
    """
    if not sources.all:
        raise not_wimboot(opened)
    source, file = _found(opened, sources, emit) if wim is None else _named(opened, sources, wim)
    if file.image_count < source.wim_index and not older:
        raise WimOlder(wim=file.path, where=opened.where, count=file.image_count, image=source.wim_index)
    return source, file.path


def not_wimboot(opened: Opened) -> NotWimBoot | SourcesMissing:
    """Why a volume without data sources is none to work with: its files are ordinary ones, or its table is gone."""
    pointers = len(passes.flagged_streams(opened.tree, StreamFlag.POINTER))
    if not pointers:
        return NotWimBoot(where=opened.where)
    read = Contents(opened.tree, opened.device, opened.volume).read_path
    why = "is missing" if read(DAT_PATH) is None and read(NEW_PATH) is None else "names none"
    return SourcesMissing(where=opened.where, count=pointers, path=DAT_PATH, why=why,
                          repair=how_to_mend(read(BACKUP_PATH), opened.where))


def refuse_unregistered(opened: Opened) -> None:
    """Raises SourcesMissing, OverlayDamaged."""
    if passes.flagged_streams(opened.tree, StreamFlag.POINTER):
        read = Contents(opened.tree, opened.device, opened.volume).read_path
        if not read_sources(read, where=opened.where).all:
            raise not_wimboot(opened)


def _named(opened: Opened, sources: Sources, wim: Path) -> tuple[DataSource, WimFile]:
    file = host_wim(wim, opened.options.folders)
    if file.guid is None:
        with opened_store(wim, opened.options.folders):     # raises what is wrong with it
            pass
    mine = [source for source in sources.all if source.wim_guid == file.guid]
    if not mine:
        raise OtherWim(
            wim=wim,
            where=opened.where,
            found="none" if file.guid is None else guid_text(file.guid),
            expected=" or ".join(guid_text(source.wim_guid) for source in sources.all),
        )
    return _latest(opened, mine), file


def _latest(opened: Opened, sources: Sequence[DataSource]) -> DataSource:
    """The one that was registered last of those that pointers name, or of all where none is named."""
    used = sources[-1:] if len(sources) == 1 else [
        source for source in sources if passes.pointer_rows(opened.tree, source.data_source_id)]
    return (used or sources)[-1]


def _found(opened: Opened, sources: Sources, emit: Emit) -> tuple[DataSource, WimFile]:
    located = locate(opened, sources)
    there = [source for source in sources.all if located[source.data_source_id].found is not None]
    if there:
        source = _latest(opened, there)
        one = located[source.data_source_id]
        if one.found is not None:
            _tell(one, one.found, opened, emit)
            return source, WimFile(path=one.found.path, guid=source.wim_guid, image_count=one.found.image_count)
    raise not_found(opened, located[sources.all[-1].data_source_id])


def _tell(located: Located, found: Found, opened: Opened, emit: Emit) -> None:
    """Say which copies were passed over that are not as good, and that Windows will not find the one that was taken."""
    for over in (over for over in found.passed_over if not over.alike):
        emit(over.note(found.path))
    if located.state in (WimState.MOVED, WimState.REPLACED):
        emit(Note(id="wim-moved", warning=True, text=advice(
            "{wim} is not where {volume} has it registered ({place}); Windows will not find it: put it there, or tell "
            "its place with `wimboot relocate {volume} --wim {wim}`.",
            wim=found.path, volume=opened.where, place=located.place)))


def not_found(opened: Opened, located: Located) -> WimNotFound | WimReplaced:
    """Why there is no WIM for a data source."""
    guid = guid_text(located.source.wim_guid)
    looked = "; ".join(located.looked) or "nothing"
    if located.other is not None:
        return WimReplaced(where=opened.where, guid=guid, other=located.other.path, folders=looked)
    place = "no place yet" if located.place is not None and located.place.is_later else located.place
    return WimNotFound(where=opened.where, guid=guid, place=place, folders=looked)


@contextmanager
def stores_behind(opened: Opened, own: Store | None, folders: Folders) -> Iterator[list[Store]]:
    """The WIMs that pointers of the volume are followed into: `own`, open already, then those of its data sources.

    One that is not found is missed only when a pointer into it must be read. Raises OverlayDamaged and what opening
    a WIM raises.
    """
    stores = [] if own is None else [own]
    with ExitStack() as stack:
        if passes.flagged_streams(opened.tree, StreamFlag.POINTER):
            sources = read_sources(Contents(opened.tree, opened.device, opened.volume).read_path, where=opened.where)
            for mine in () if own is None else sources.of_wim(own.guid):
                sources = sources.without(mine.data_source_id)
            for path in sorted(set(search(opened, sources).values())) if sources.all else ():
                if own is None or wim_guid(path, folders) != own.guid:
                    stores.append(stack.enter_context(opened_store(path, folders)))
        yield stores
