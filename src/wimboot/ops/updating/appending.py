"""An image of what changed on a volume, appended to the WIM that it stands on, and pointers to it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.events import Emit, Phase
from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.ops.capturing.carrying import carry_attributes
from wimboot.ops.capturing.comparing import hash_streams
from wimboot.ops.capturing.foretelling import foretell_image
from wimboot.ops.capturing.imaging import Image, add_contents, add_image, begin_append, image_name_for
from wimboot.ops.capturing.readingback import ReadingBack, read_back, reading_list
from wimboot.ops.capturing.snapshot import Snapshot, capture_plan, take_snapshot
from wimboot.ops.finding.backing import require_wim, stores_behind
from wimboot.ops.finding.numbering import check_number
from wimboot.ops.finding.standing import Standing, carry_known
from wimboot.ops.opening.inside import free_size
from wimboot.ops.opening.meanwhile import Meanwhile
from wimboot.ops.opening.storing import commit_all, opened_store
from wimboot.ops.options import CaptureOptions
from wimboot.ops.pointing.placing import volume_sources, write_sources
from wimboot.ops.pointing.pointers import count_behind, point_files, refresh_pointers
from wimboot.ops.preparing.forgiving import as_prepared
from wimboot.ops.sharing.fallenbehind import tell_of_others
from wimboot.ops.sharing.together import open_others, refresh_others, transactions_of
from wimboot.ops.sharing.users import users_of
from wimboot.plan.capture import CapturePlan, plan_capture
from wimboot.plan.pointing import PointingPlan, plan_pointing
from wimboot.plan.report import count_changes
from wimboot.plan.space import check_log_space, check_wim_space
from wimboot.tree import passes
from wimboot.tree.changes import settled
from wimboot.wim import real_path
from wimboot.wim.errors import WimMissing

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import UpdateOptions
    from wimboot.plan.report import ChangeKind
    from wimboot.tree.changes import Changes
    from wimboot.wim import Append, Store
    from wimboot.windows.sources import Sources

__all__ = ["Updated", "append_changes"]


class Updated(Frozen):
    """What an update did, or with a dry run would do. Sizes are bytes; `freed` on the volume.

    `image` is None where nothing had changed (or nothing was written); `number` and `name` are of the image that the
    volume stands on now. `counts` are changes against the image before; `refreshed` pointers that were behind the WIM,
    and `others` those of further volumes.
    """

    wim: Path
    image: Image | None
    number: int
    name: str
    counts: dict[ChangeKind, int]
    read_size: int
    pointed: int = 0
    refreshed: int = 0
    others: int = 0
    freed: int = 0


def append_changes(opened: Opened, options: UpdateOptions, emit: Emit) -> Updated:
    """`update` on a volume that is open and may be being scanned. Raises what that raises."""
    sources = volume_sources(opened.volume)
    source, wim = require_wim(opened, sources, options.wim, emit=emit)
    capturing = CaptureOptions(target=options.target, wim=wim, config=options.config, fast=options.fast,
                               threads=options.threads, name=options.name)
    if opened.transaction is None:
        return _preview(options, opened, sources, source, capturing, emit)
    if parse_inside(real_path(wim)) is not None:
        opened.wait_for_scan()      # the WIM may lie on this very disk, and is about to be written
    with ExitStack() as stack:
        append = stack.enter_context(begin_append(capturing, check_images=False))
        if append.store is None:
            raise WimMissing(where=str(wim))
        standing = stack.enter_context(Standing(source, wim, append.store, where=opened.where))
        stores = stack.enter_context(stores_behind(opened, append.store, options.target.folders))
        others = stack.enter_context(open_others(options.others, options.target, append.store, wim, emit,
                                                 besides=opened))
        looked = _look(options, opened, sources, standing, capturing, stores, emit)
        return _carry_out(looked, others, append, capturing, stores, emit)


class _Looked(Frozen):
    """A volume compared with its image as far as that is possible unread."""

    opened: Opened
    snapshot: Snapshot
    standing: Standing
    plan: CapturePlan
    changes: Changes


def _look(options: UpdateOptions, opened: Opened, sources: Sources, standing: Standing, capturing: CaptureOptions,
          stores: list[Store], emit: Emit) -> _Looked:
    """All that is refused is refused here; `stores` begin with the WIM that grows."""
    check_number(opened.tree, standing.source, stores[0], where=opened.where, wim=capturing.wim)
    snapshot = take_snapshot(opened, stores, capturing.config, capturing.wim, emit)
    excluded = capture_plan(snapshot, emit).excluded
    emit(Phase(name="compare"))
    carry_attributes(opened.tree, sources, stores[1:])
    carried = carry_known(opened.tree, standing, excluded, snapshot.selection.real_by, rehash=options.rehash)
    plan = plan_capture(opened.tree, excluded)
    free = free_size(capturing.wim, options.target.folders)
    check_wim_space(plan.read_size, free, where=str(real_path(capturing.wim).parent))
    check_log_space(sum(plan.included), opened.target.folder.free_size(), where=str(opened.target.path.parent))
    return _Looked(opened=opened, snapshot=snapshot, standing=standing, plan=plan, changes=carried.changes)


def _carry_out(looked: _Looked, others: list[Opened], append: Append, capturing: CaptureOptions, stores: list[Store],
               emit: Emit) -> Updated:
    plan, standing, tree = looked.plan, looked.standing, looked.opened.tree
    name = image_name_for(append.store, looked.snapshot, capturing)
    add_contents(append, looked.snapshot, plan, capturing, emit, stores[1:])
    undo = as_prepared(settled(tree, standing.image, looked.changes, plan.excluded), tree, standing.image,
                       looked.snapshot.contents, stores[0])
    image, reading = None, None
    with ExitStack() as stack:
        if undo or undo.skipped:
            read = {tree.stream(stream).hash for stream in plan.streams}
            reading = stack.enter_context(ReadingBack(append, read, capturing))
            image = add_image(append, looked.snapshot, plan, name, emit)
        store = stores[0] if image is None else append.pending()
        listing = None
        if image is not None:
            listing = stack.enter_context(reading_list(store, image.number, capturing))
        pointing = plan_pointing(tree, included=plan.included, ruled_by=looked.snapshot.selection.real_by,
                                 places=store.pointer_places)
        done = Updated(
            wim=capturing.wim, image=image, number=standing.number if image is None else image.number,
            name=standing.name if image is None else image.name, counts=count_changes(standing.image, tree, undo),
            read_size=plan.read_size, pointed=len(pointing.rows),
        )
        work = _Pointing(store=store, plan=pointing, reading=reading, listing=listing, old=stores[0],
                         capturing=capturing)
        return _point(looked, others, None if image is None else append, work, done, emit)


class _Pointing(Frozen):
    """What becomes pointers into `store`, and the reading back that they wait for."""

    store: Store
    plan: PointingPlan
    reading: ReadingBack | None
    listing: Meanwhile[None] | None
    old: Store
    capturing: CaptureOptions


def _wait(pointing: _Pointing, emit: Emit) -> None:
    """Until every blob that a pointer will lead to was read back from where it leads, and the image's list of files.

    Raises what that raises.
    """
    places: dict[bytes, tuple[int, int]] = {}
    if pointing.reading is not None:
        pointing.reading.result()
        places = pointing.reading.places
    left = {sha1: size for (_, sha1, size), place in zip(pointing.plan.rows, pointing.plan.places, strict=True)
            if places.get(sha1) != place}
    if left:
        read_back(pointing.store, left, pointing.capturing, emit, old=pointing.old)
    if pointing.listing is not None:
        pointing.listing.result()


def _point(looked: _Looked, others: list[Opened], append: Append | None, pointing: _Pointing, done: Updated, emit: Emit
           ) -> Updated:
    """Change the volumes and commit, where there is anything to change."""
    opened, source, store = looked.opened, looked.standing.source, pointing.store
    if append is None and not pointing.plan.rows and not _behind([opened, *others], store):
        return done
    free_before = opened.volume.free_clusters
    if append is not None:
        write_sources(opened.volume, volume_sources(opened.volume).stand_on(source.data_source_id, done.number))
    if pointing.reading is not None and pointing.reading.places:
        emit(pointing.reading.phase)
    refreshed = refresh_pointers(opened.volume, opened.tree, store)
    _wait(pointing, emit)   # what follows gives files up
    phase = Phase(name="point", total=len(pointing.plan.rows))
    emit(phase)
    point_files(opened.volume, opened.tree, pointing.plan, store, source.data_source_id, phase.counter)
    freed = (opened.volume.free_clusters - free_before) * opened.facts.cluster_size
    opened.volume.close()
    refreshed_others = refresh_others(others, store)
    emit(Phase(name="commit"))
    volumes = [opened, *others]
    with Meanwhile(partial(users_of, store.guid, done.wim), apart=append is not None) as users:
        commit_all(transactions_of(volumes), append, done.wim)
    if append is not None:
        tell_of_others(append, done.wim, emit, volumes, users.result())
    return replace(done, refreshed=refreshed, others=refreshed_others, freed=freed)


def _behind(volumes: list[Opened], store: Store) -> int:
    return sum(count_behind(one.volume, one.tree, store) for one in volumes)


def _preview(options: UpdateOptions, opened: Opened, sources: Sources, source: DataSource,
             capturing: CaptureOptions, emit: Emit) -> Updated:
    """What would be done; nothing is written, and files that must be read to know whether they changed are read."""
    with (
        opened_store(capturing.wim, options.target.folders) as store,
        Standing(source, capturing.wim, store, where=opened.where) as standing,
        stores_behind(opened, store, options.target.folders) as stores,
        open_others(options.others, options.target, store, capturing.wim, emit, besides=opened) as others,
    ):
        looked = _look(options, opened, sources, standing, capturing, stores, emit)
        tree, plan = opened.tree, looked.plan
        foretell_image(store, looked.snapshot, plan, capturing, stores)
        hash_streams(tree, [stream for _, stream in looked.changes.unknown], looked.snapshot.contents, emit)
        undo = as_prepared(settled(tree, standing.image, looked.changes, plan.excluded), tree, standing.image,
                       looked.snapshot.contents, stores[0])
        classes, ruled_by = passes.classify(tree, MAX_POINTER_SIZE), looked.snapshot.selection.real_by
        candidates = (node for node, kind in enumerate(classes) if kind == passes.CANDIDATE and plan.included[node])
        return Updated(
            wim=capturing.wim, image=None, number=standing.number, name=standing.name,
            counts=count_changes(standing.image, tree, undo), read_size=plan.read_size,
            pointed=sum(1 for node in candidates if ruled_by[node] < 0),
            refreshed=_behind([opened], store), others=_behind(others, store),
        )
