"""Tell a volume where its WIM lies now, and bring its pointers up to the WIM's present table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.ops.contents import Contents
from wimboot.ops.finding import require_wim
from wimboot.ops.opening import open_volume
from wimboot.ops.placing import UnreadablePlace, find_place, write_sources
from wimboot.ops.pointing import count_behind, refresh_pointers
from wimboot.ops.storing import commit, opened_store
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.options import TargetOptions
    from wimboot.windows.wimplace import WimPlace

__all__ = ["Relocated", "relocate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocated:
    """The data source whose place was rewritten, or with a dry run would be; `refreshed` pointers were behind."""

    data_source_id: int
    before: WimPlace | None
    after: WimPlace
    refreshed: int


def relocate(target: TargetOptions, wim: Path, place: str | None, emit: Emit) -> Relocated:
    """Register the place of a WIM, and let the pointers into it know its table.

    Without `place` it is where the WIM lies now; where Windows could read no WIM, the place registered stays.
    Raises NotWimBoot, OtherWim, BadPlace, UnreadablePlace.
    """
    with open_volume(target, emit, write=not target.dry_run, windows=False) as opened:
        sources = read_sources(Contents(opened.tree, opened.device, opened.volume).read_path)
        source, _ = require_wim(opened, sources, wim)
        number = source.data_source_id
        before = sources.place(number)
        after = _place(place, wim, before, emit)
        refresh = count_behind if opened.transaction is None else refresh_pointers
        with opened_store(wim, target.folders) as store:
            refreshed = refresh(opened.volume, opened.tree, store)
        if opened.transaction is not None:
            write_sources(opened.volume, sources.relocate(number, after).sources)
            opened.volume.close()
            commit(opened.transaction, None, wim)
        return Relocated(data_source_id=number, before=before, after=after, refreshed=refreshed)


def _place(place: str | None, wim: Path, before: WimPlace | None, emit: Emit) -> WimPlace:
    try:
        return find_place(place, wim, emit)
    except UnreadablePlace:
        if place is not None or before is None:
            raise
        return before
