"""What is to be done for the pointers into one WIM, worked out anew from what the volume and the WIM hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from wimboot.formats.overlaydat import DataSource, Overlay
from wimboot.ops.checking.diagnosis import compare, uses_of
from wimboot.ops.checking.overlayfiles import read_overlay_files
from wimboot.ops.finding.numbering import has_grown, nearest_image, nearest_note
from wimboot.ops.mending.adopting import belongs, holds_all
from wimboot.ops.mending.doubting import doubt
from wimboot.ops.mending.soundblobs import RealFiles, count_references
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.pointing.placing import find_place

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.checking.diagnosis import Use
    from wimboot.ops.checking.findings import Verified
    from wimboot.ops.mending.doubting import Doubt
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import RepairOptions
    from wimboot.tree import Tree
    from wimboot.wim import Store

__all__ = ["Mending", "plan_mending"]


class _Choice(Protocol):
    """Which image these pointers mean; `registered` is its number so far."""

    def __call__(self, uses: Sequence[Use], registered: int = 0) -> int: ...


@dataclass(slots=True, kw_only=True)
class Mending:
    """The plan for one WIM. `overlay` is the table to be written, None where it stays.

    `wanted` are blobs that are missing, damaged or not backable, with their sizes; `missing` those of them that the
    WIM does not have at all. `doubt` is what speaks against leading pointers to the table of the WIM, `table_hash`,
    and `spared` the plan that is left where that stays.
    """

    overlay: Overlay | None = None
    table_hash: bytes = b""
    doubt: Doubt | None = None
    spared: Mending | None = None
    pointers: int = 0
    relinkable: int = 0
    wanted: dict[bytes, int | None] = field(default_factory=dict)
    missing: set[bytes] = field(default_factory=set)

    @property
    def worthwhile(self) -> bool:
        """Whether there is anything that might be put right."""
        return self.overlay is not None or bool(self.relinkable or self.wanted)

    def real_files(self, opened: Opened) -> RealFiles:
        """The volume as a place where its own files' data may be found."""
        contents = Contents(opened.tree, opened.device, opened.volume)
        return RealFiles(tree=opened.tree, contents=contents, where=opened.where)

    def references(self, store: Store, brought: Collection[bytes]) -> dict[bytes, int]:
        """How often images refer to those of the missing blobs that were brought; 1 where only pointers do."""
        fresh = self.missing.intersection(brought)
        return count_references(store, fresh) if fresh else {}


def plan_mending(
    opened: Opened, wim: Path | None, options: RepairOptions, before: Verified, emit: Emit,
    earlier: Mending | None = None,
) -> Mending:
    """Work out what is to be done with this WIM, or with WimOverlay.dat alone; `earlier` is a plan that has read it.

    Raises UnreadablePlace, BadPlace.
    """
    uses = uses_of(opened.tree)
    files = read_overlay_files(Contents(opened.tree, opened.device, opened.volume).read_path)
    in_force, table = files.in_force.table, files.mended(uses)
    flawed = bool(files.flaws(uses, ""))
    spared = Mending(overlay=table if flawed or table != in_force else None)
    if wim is None:
        return spared
    with opened_store(wim, opened.options.folders) as store:
        choose = partial(_chosen, opened, store, emit)
        if options.check.wim is not None and str(options.check.wim) == store.where and store.not_backable is None:
            others = () if table is None or any(one.wim_guid == store.guid for one in table.sources) else table.sources
            table = _entered(table, uses, store, options, emit, choose, target=opened.options.place)
            spared.overlay = table if flawed or table != in_force else None
            table = _taken_over(table, others, uses, store, choose)
        known = () if table is None else table.sources
        mine = {source.data_source_id for source in known if source.wim_guid == store.guid}
        mending = Mending(overlay=table if table != in_force or (flawed and table is not None) else None,
                          table_hash=store.table_hash, spared=spared)
        led = {number: uses[number] for number in sorted(mine & uses.keys()) if store.not_backable is None}
        if earlier is not None and earlier.table_hash == store.table_hash:
            mending.doubt = earlier.doubt
        else:
            mending.doubt = doubt([use for each in led.values() for use in each], store, wim, emit,
                                  threads=options.check.threads)
        damaged = {sha1 for one in before.sources if one.wim == wim for sha1 in one.damaged}
        if mending.doubt is not None:
            damaged |= mending.doubt.blobs
        for each in led.values():
            _add(mending, each, store, damaged)
        if mending.doubt is not None and mending.doubt.stays(mending.wanted):
            return mending
        if table is not None:
            right = _renumber(table, mine, uses, store, opened.tree, choose)
            mending.overlay = right if right != table else mending.overlay
    return mending


def _chosen(opened: Opened, store: Store, emit: Emit, uses: Sequence[Use], registered: int = 0) -> int:
    """The image that the volume stands on, as far as its files tell; which is told."""
    number = nearest_image(opened.tree, store, {use.pointer.hash for use in uses}, registered=registered)
    emit(nearest_note(number, store, where=opened.where, registered=registered))
    return number


def _add(mending: Mending, uses: list[Use], store: Store, damaged: set[bytes]) -> None:
    found = compare(uses, store)
    mending.pointers += found.count
    mending.relinkable += found.relinkable
    for use in (*found.missing, *found.unbackable):
        mending.wanted[use.pointer.hash] = use.size
    mending.missing.update(use.pointer.hash for use in found.missing)
    mending.wanted |= {use.pointer.hash: use.size for use in uses if use.pointer.hash in damaged & found.hashes}


def _entered(
    table: Overlay | None, uses: dict[int, list[Use]], store: Store, options: RepairOptions, emit: Emit,
    choose: _Choice, *, target: str
) -> Overlay | None:
    """The table, with the data sources that pointers into this WIM name and no table has; where it has others of the
    WIM, at the place of these.

    Only for a WIM that the user named, and only where its data is that of the pointers.
    """
    wim = options.check.wim
    table = table or Overlay()
    unknown = [number for number in sorted(uses) if table.get(number) is None and belongs(uses[number], store)]
    if unknown and wim is not None:
        known = [source.location for source in table.sources if source.wim_guid == store.guid]
        location = known[-1] if known and options.wim_place is None else find_place(
            options.wim_place, wim, emit, target=target).device
        made = tuple(DataSource(
            data_source_id=number, wim_guid=store.guid, location=location,
            wim_index=choose(uses[number])) for number in unknown)
        table = replace(table, sources=(*table.sources, *made), next_id=max(table.next_id, unknown[-1] + 1))
    return table if table.sources else None


def _taken_over(
    table: Overlay | None, others: Sequence[DataSource], uses: dict[int, list[Use]], store: Store, choose: _Choice
) -> Overlay | None:
    """The table, with these data sources of other WIMs as this one's, where it was named and has all their data."""
    for source in others:
        mine = uses.get(source.data_source_id, [])
        if table is not None and holds_all(mine, store):
            table = table.replace(source.data_source_id, wim_guid=store.guid, wim_index=choose(mine))
    return table


def _renumber(table: Overlay, mine: set[int], uses: dict[int, list[Use]], store: Store, tree: Tree, choose: _Choice
              ) -> Overlay:
    """Where the WIM was rewritten without this volume, its image has another number now."""
    for number in sorted(mine & uses.keys()):
        source = table.get(number)
        if source is None:
            continue
        if 1 <= source.wim_index <= len(store.images):
            if has_grown(tree, source, store):
                continue
        elif not compare(uses[number], store).moved and not holds_all(uses[number], store):
            continue    # an older copy of the WIM
        table = table.replace(number, wim_index=choose(uses[number], source.wim_index))
    return table
