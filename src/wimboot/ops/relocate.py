"""Tell a volume where its WIM lies now, and bring its pointers up to the WIM's present table."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from wimboot.disk import PlaceUnknown
from wimboot.errors import UsageError, advice
from wimboot.events import Note
from wimboot.formats.guid import guid_text
from wimboot.frozen import Frozen
from wimboot.ops.finding.backing import OtherWim, not_wimboot, require_wim
from wimboot.ops.finding.numbering import check_number, nearest_note
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import commit, held_wim, opened_store
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.pointing.placing import UnreadablePlace, find_place, write_sources
from wimboot.ops.pointing.pointers import NotBackable, count_behind, refresh_pointers
from wimboot.tree import passes
from wimboot.windows.sources import DAT_PATH, NEW_PATH, read_sources

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import RelocateOptions
    from wimboot.wim import Store
    from wimboot.windows.sources import Sources
    from wimboot.windows.wimplace import WimPlace

__all__ = ["MovedNotBackable", "NoDataSource", "Relocated", "SeveralSources", "relocate"]


class SeveralSources(UsageError):
    """One WIM is registered more than once, and no word which is meant."""

    id = "several-sources"
    sentence = "{where} has several data sources of {wim}: {sources}"
    advice = "Say which one was moved: --id N."


class NoDataSource(UsageError):
    """An id that WimOverlay.dat does not have."""

    id = "no-data-source"
    sentence = "{where} has no data source {number:d}; it has {numbers}"
    advice = "`wimboot info {where}` lists them."


class MovedNotBackable(NotBackable):
    """A WIM of the right GUID in a form that the overlay driver does not read."""

    id = "relocate-not-backable"
    advice = "Put a copy back as it was; or let `wimboot rehydrate {where} --wim {wim}` make ordinary files of them."


class Relocated(Frozen):
    """The data source whose place was rewritten, or with a dry run would be; `refreshed` pointers were behind.

    `dropped` are the ids of data sources that no pointer named; `left_over` what became of a WimOverlay.new that an
    interrupted change had left: "adopted", "removed", or None.
    """

    data_source_id: int
    before: WimPlace | None
    after: WimPlace
    refreshed: int
    dropped: tuple[int, ...] = ()
    left_over: str | None = None


def relocate(options: RelocateOptions, emit: Emit) -> Relocated:
    """Register the place of a WIM, and let the pointers into it know its table.

    Without `place` it is where the WIM lies now; where Windows could read no WIM, the place registered stays.
    Raises NotWimBoot, SourcesMissing, OtherWim, SeveralSources, NoDataSource, MovedNotBackable, BadPlace,
    UnreadablePlace, PlaceUnknown.
    """
    target, wim = options.target, options.wim
    with (
        open_volume(target, emit, write=not target.dry_run, windows=False) as opened,
        nullcontext() if opened.transaction is None else held_wim(wim, target.folders),
    ):
        contents = Contents(opened.tree, opened.device, opened.volume)
        sources = read_sources(contents.read_path, where=opened.where)
        source = _choose(opened, sources, options)
        number = source.data_source_id
        before = sources.place(number)
        after = _place(options, before, opened, emit)
        refresh = count_behind if opened.transaction is None else refresh_pointers
        with opened_store(wim, target.folders) as store:
            if store.not_backable is not None:
                raise MovedNotBackable(wim=wim, why=store.not_backable, where=opened.where)
            if not check_number(opened.tree, source, store, where=opened.where, wim=wim):
                emit(nearest_note(source.wim_index, store, where=opened.where))
            _warn_of_lacking(source, store, wim, opened, emit)
            refreshed = refresh(opened.volume, opened.tree, store)
        moved = sources.relocate(number, after).sources
        dropped = _unused(moved, opened, besides=number) if options.drop_unused else ()
        for unused in dropped:
            moved = moved.without(unused)
        left_over = _left_over(contents)
        if opened.transaction is not None:
            write_sources(opened.volume, moved)
            opened.volume.close()
            commit(opened.transaction, None, wim)
        return Relocated(data_source_id=number, before=before, after=after, refreshed=refreshed, dropped=dropped,
                         left_over=left_over)


def _choose(opened: Opened, sources: Sources, options: RelocateOptions) -> DataSource:
    """The data source that is meant: the one with that id, else the WIM's only one, or its only one that is used."""
    if not sources.all:
        raise not_wimboot(opened)
    newest, _ = require_wim(opened, sources, options.wim, older=True)
    mine = sources.of_wim(newest.wim_guid)
    if options.data_source_id is not None:
        return _by_id(opened, sources, mine, options.data_source_id, options.wim)
    used = [source for source in mine if passes.pointer_rows(opened.tree, source.data_source_id)]
    candidates = used or list(mine)
    if len(candidates) > 1:
        listed = "; ".join(f"{one.data_source_id} at {sources.place(one.data_source_id)}" for one in candidates)
        raise SeveralSources(where=opened.where, wim=options.wim, sources=listed)
    return candidates[0]


def _by_id(
    opened: Opened, sources: Sources, mine: tuple[DataSource, ...], number: int, wim: Path
) -> DataSource:
    source = sources.get(number)
    if source is None:
        numbers = ", ".join(str(one.data_source_id) for one in sources.all)
        raise NoDataSource(where=opened.where, number=number, numbers=numbers)
    if source not in mine:
        raise OtherWim(wim=wim, where=f"data source {number} of {opened.where}", found=guid_text(mine[0].wim_guid),
                       expected=guid_text(source.wim_guid))
    return source


def _place(options: RelocateOptions, before: WimPlace | None, opened: Opened, emit: Emit) -> WimPlace:
    try:
        return find_place(options.place, options.wim, emit, target=str(opened.target.place))
    except (UnreadablePlace, PlaceUnknown) as error:
        if options.place is not None or before is None:
            raise
        told = (f"There is no place yet: {error}. Copy the WIM to where Windows can read it" if before.is_later else
                f"The place registered stays: {error}. Copy the WIM there")
        emit(Note(id="place-kept", warning=True, text=f"{told}, or say with --as where it will lie."))
        return before


def _warn_of_lacking(source: DataSource, store: Store, wim: Path, opened: Opened, emit: Emit) -> None:
    """Say where pointers will stay that this WIM does not have the data of."""
    if source.wim_index > len(store.images):
        emit(Note(id="wim-older", warning=True, text=advice(
            "{wim} has {images:,} images, and {volume} stands on image {number}: it is an older copy, or one whose "
            "images were deleted. Pointers to what it lacks stay: `wimboot verify {volume} --wim {wim}` names them.",
            wim=wim, images=len(store.images), volume=opened.where, number=source.wim_index)))
        return
    lacking = sum(sha1 not in store for sha1, _ in passes.pointer_rows(opened.tree, source.data_source_id))
    if lacking:
        emit(Note(id="blob-missing", warning=True, text=advice(
            "{wim} does not have the data of {lacking:,} pointers of {volume}, which stay as they are: `wimboot verify "
            "{volume} --wim {wim} --repair --spare COPY` brings it from a copy that has.",
            wim=wim, lacking=lacking, volume=opened.where)))


def _unused(sources: Sources, opened: Opened, *, besides: int) -> tuple[int, ...]:
    """The data sources that no pointer names."""
    numbers = (source.data_source_id for source in sources.all)
    return tuple(number for number in numbers
                 if number != besides and not passes.pointer_rows(opened.tree, number))


def _left_over(contents: Contents) -> str | None:
    """What becomes of WimOverlay.new: Windows makes it .dat where there is none, and goes by .dat where there is."""
    if contents.read_path(NEW_PATH) is None:
        return None
    return "removed" if contents.read_path(DAT_PATH) is not None else "adopted"
