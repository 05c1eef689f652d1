"""Capture a volume into an image of a WIM, leaving the volume as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import advice
from wimboot.events import Note
from wimboot.frozen import Frozen
from wimboot.ops.capturing.foretelling import foretell_image
from wimboot.ops.capturing.growing import begin_append, existing_store
from wimboot.ops.capturing.imaging import Image, write_image
from wimboot.ops.capturing.readingback import read_back_list, read_back_shared
from wimboot.ops.capturing.snapshot import Snapshot, capture_plan, take_snapshot
from wimboot.ops.finding.backing import stores_behind
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.inside import free_size
from wimboot.ops.opening.storing import commit_all
from wimboot.ops.opening.volume import Opened, open_volume, refuse_dirty
from wimboot.ops.sharing.fallenbehind import tell_of_others
from wimboot.ops.sharing.together import open_others, refresh_others, transactions_of
from wimboot.plan.space import check_wim_space
from wimboot.tree import passes
from wimboot.wim import real_path
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.options import CaptureOptions
    from wimboot.plan.capture import CapturePlan
    from wimboot.wim import Store
    from wimboot.windows.identify import System

__all__ = ["Captured", "capture"]


class Captured(Frozen):
    """What a capture did, or with `image` None would do. `system` is None where the volume holds no Windows."""

    image: Image | None
    files: int
    excluded: int
    read_size: int
    encrypted: tuple[str, ...]
    system: System | None


def capture(options: CaptureOptions, emit: Emit) -> Captured:
    """Append one image of the target to the WIM; a new WIM is made where there is none.

    Raises:
        Refused: see `open_volume`; too little space; a WIM that cannot be appended to.
        Damaged: the volume or the WIM.
    """
    if options.target.dry_run:
        with (
            existing_store(options) as store,
            open_volume(replace(options.target, dry_run=False), emit, write=False) as opened,    # the run reads it only
            stores_behind(opened, store, options.target.folders) as stores,
            open_others(options.others, options.target, store, options.wim, emit),
        ):
            snapshot, plan = _look(options, opened, stores, emit)
            foretell_image(store, snapshot, plan, options, stores)
            return _told(snapshot, plan, None)
    with (
        begin_append(options) as append,
        open_volume(options.target, emit, write=False) as opened,
        stores_behind(opened, append.store, options.target.folders) as stores,
        open_others(options.others, options.target, append.store, options.wim, emit) as others,
    ):
        snapshot, plan = _look(options, opened, stores, emit)
        image = write_image(append, snapshot, plan, options, emit, stores)
        read_back_shared(append, snapshot.tree, options, emit)
        pending = append.pending()
        read_back_list(pending, image.number)
        refresh_others(others, pending)
        commit_all(transactions_of(others), append, options.wim)
        tell_of_others(append, options.wim, emit, [opened, *others])
        _tell_if_behind(opened, image.guid, emit)
        return _told(snapshot, plan, image)


def _tell_if_behind(opened: Opened, guid: bytes, emit: Emit) -> None:
    """Say so where the volume itself stands on the WIM that has just grown, for only reading it was allowed."""
    sources = read_sources(Contents(opened.tree, opened.device, opened.volume).read_path, where=opened.where)
    pointers = sum(len(passes.pointer_rows(opened.tree, source.data_source_id)) for source in sources.of_wim(guid))
    if pointers:
        emit(
            Note(
                id="behind",
                warning=True,
                text=advice(
                    "{pointers:,} pointers of {volume} now carry the hash of an older table, and Windows may refuse "
                    "them: `wimboot relocate {volume} --wim WIM` brings them up to date.",
                    pointers=pointers, volume=opened.where,
                ),
            )
        )


def _look(
    options: CaptureOptions, opened: Opened, stores: list[Store], emit: Emit
) -> tuple[Snapshot, CapturePlan]:
    if opened.facts.dirty:
        refuse_dirty(opened)
    snapshot = take_snapshot(opened, stores, options.config, options.wim, emit)
    plan = capture_plan(snapshot, emit)
    free = free_size(options.wim, options.target.folders)
    check_wim_space(plan.read_size, free, where=str(real_path(options.wim).parent))
    return snapshot, plan


def _told(snapshot: Snapshot, plan: CapturePlan, image: Image | None) -> Captured:
    return Captured(
        image=image,
        files=sum(plan.included),
        excluded=sum(map(bool, plan.excluded)),
        read_size=plan.read_size,
        encrypted=tuple(plan.encrypted),
        system=snapshot.system,
    )
