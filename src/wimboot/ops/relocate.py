"""Tell a volume where its WIM lies now; its pointers stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.ops.contents import Contents
from wimboot.ops.finding import require_wim
from wimboot.ops.opening import open_volume
from wimboot.ops.placing import find_place, write_sources
from wimboot.ops.storing import commit
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.options import TargetOptions
    from wimboot.windows.wimplace import WimPlace

__all__ = ["Relocated", "relocate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocated:
    """The data source whose place was rewritten, or with a dry run would be."""

    data_source_id: int
    before: WimPlace | None
    after: WimPlace


def relocate(target: TargetOptions, wim: Path, place: str | None, emit: Emit) -> Relocated:
    """Register the place of a WIM, or where it lies now. Raises NotWimBoot, OtherWim, BadPlace, UnreadablePlace."""
    with open_volume(target, emit, write=not target.dry_run, windows=False) as opened:
        sources = read_sources(Contents(opened.tree, opened.device, opened.volume).read_path)
        source, _ = require_wim(opened, sources, wim)
        number = source.data_source_id
        after = find_place(place, wim, emit)
        done = Relocated(data_source_id=number, before=sources.place(number), after=after)
        if opened.transaction is not None:
            write_sources(opened.volume, sources.relocate(number, after).sources)
            opened.volume.close()
            commit(opened.transaction, None, wim)
        return done
