"""An image of what changed on a volume, appended to the WIM that it stands on, and pointers to it."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from wimboot.events import Emit, Phase
from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.ops.capturing.carrying import carry_attributes
from wimboot.ops.capturing.comparing import hash_streams
from wimboot.ops.capturing.foretelling import foretell_image
from wimboot.ops.capturing.imaging import Image, add_contents, add_image, image_name_for
from wimboot.ops.capturing.readingback import ReadingBack, read_back, reading_list
from wimboot.ops.capturing.snapshot import Snapshot, capture_plan, take_snapshot
from wimboot.ops.finding.backing import stores_behind
from wimboot.ops.finding.numbering import check_number
from wimboot.ops.finding.standing import carry_known
from wimboot.ops.opening.inside import free_size
from wimboot.ops.opening.meanwhile import Meanwhile
from wimboot.ops.opening.storing import commit_all
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

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.finding.standing import Standing
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import CaptureOptions, UpdateOptions
    from wimboot.ops.updating.beginning import Begun
    from wimboot.plan.report import ChangeKind
    from wimboot.tree.changes import Changes
    from wimboot.wim import Append, Store

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


def append_changes(begun: Begun, options: UpdateOptions, emit: Emit) -> Updated:
    """`update` of what has begun. Raises what that raises."""
    opened, store, wim = begun.opened, begun.store, begun.capturing.wim
    with (
        stores_behind(opened, store, options.target.folders) as stores,
        open_others(options.others, options.target, store, wim, emit, besides=opened) as others,
    ):
        looked = _look(options, begun, stores, emit)
        if begun.append is None:
            return _foretell(looked, others, begun.capturing, stores, emit)
        return _carry_out(looked, others, begun.append, begun.capturing, stores, emit)


class _Looked(Frozen):
    """A volume compared with its image as far as that is possible unread."""

    opened: Opened
    snapshot: Snapshot
    standing: Standing
    plan: CapturePlan
    changes: Changes


def _look(options: UpdateOptions, begun: Begun, stores: list[Store], emit: Emit) -> _Looked:
    """All that is refused is refused here; `stores` begin with the WIM that grows."""
    opened, standing, capturing = begun.opened, begun.standing, begun.capturing
    check_number(opened.tree, standing.source, stores[0], where=opened.where, wim=capturing.wim, sure=True)
    snapshot = take_snapshot(opened, stores, capturing.config, capturing.wim, emit)
    excluded = capture_plan(snapshot, emit).excluded
    emit(Phase(name="compare"))
    carry_attributes(opened.tree, begun.sources, stores[1:])
    carried = carry_known(opened.tree, standing, excluded, snapshot.selection.real_by, rehash=options.rehash)
    plan = plan_capture(opened.tree, excluded)
    free = free_size(capturing.wim, options.target.folders)
    check_wim_space(plan.read_size, free, where=str(real_path(capturing.wim).parent))
    check_log_space(sum(plan.included), opened.target.folder.free_size(), where=str(opened.target.path.parent))
    return _Looked(opened=opened, snapshot=snapshot, standing=standing, plan=plan, changes=carried.changes)


def _carry_out(looked: _Looked, others: list[Opened], append: Append, capturing: CaptureOptions, stores: list[Store],
               emit: Emit) -> Updated:
    plan, tree = looked.plan, looked.opened.tree
    name = image_name_for(append.store, looked.snapshot, capturing)
    add_contents(append, looked.snapshot, plan, capturing, emit, stores[1:])
    undo = _undo(looked, stores[0])
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
        work = _Work(store=store, image=image, pointing=pointing, undo=undo, reading=reading, listing=listing,
                     old=stores[0], capturing=capturing)
        if image is None and not pointing.rows and not _behind([looked.opened, *others], store):
            return _updated(looked, work, _counts(looked, undo))
        return _point(looked, others, append, work, emit)


def _undo(looked: _Looked, store: Store) -> Changes:
    """What would make the volume's files the image's again, all of them read; what setting a system up did aside."""
    tree, image = looked.opened.tree, looked.standing.image
    return as_prepared(settled(tree, image, looked.changes, looked.plan.excluded), tree, image,
                       looked.snapshot.contents, store)


def _counts(looked: _Looked, undo: Changes) -> dict[ChangeKind, int]:
    return count_changes(looked.standing.image, looked.opened.tree, undo)


class _Work(Frozen):
    """The new image, or None, what becomes pointers into `store`, and the reading back that they wait for."""

    store: Store
    image: Image | None
    pointing: PointingPlan
    undo: Changes
    reading: ReadingBack | None
    listing: Meanwhile[None] | None
    old: Store
    capturing: CaptureOptions


def _updated(looked: _Looked, work: _Work, counts: dict[ChangeKind, int], *, refreshed: int = 0, others: int = 0,
             freed: int = 0) -> Updated:
    stands_on = looked.standing if work.image is None else work.image
    return Updated(
        wim=work.capturing.wim, image=work.image, number=stands_on.number, name=stands_on.name, counts=counts,
        read_size=looked.plan.read_size, pointed=len(work.pointing.rows), refreshed=refreshed, others=others,
        freed=freed,
    )


def _wait(work: _Work, emit: Emit) -> None:
    """Until every blob that a pointer leads to was read back from where it leads, and the image's list of files.

    Raises what that raises.
    """
    places: dict[bytes, tuple[int, int]] = {}
    if work.reading is not None:
        if work.reading.places:
            emit(work.reading.phase)
        work.reading.result()
        places = work.reading.places
    left = {sha1: size for (_, sha1, size), place in zip(work.pointing.rows, work.pointing.places, strict=True)
            if places.get(sha1) != place}
    if left:
        read_back(work.store, left, work.capturing, emit, old=work.old)
    if work.listing is not None:
        work.listing.result()


def _point(looked: _Looked, others: list[Opened], append: Append, work: _Work, emit: Emit) -> Updated:
    """Change the volumes, and commit."""
    opened, source, store, wim = looked.opened, looked.standing.source, work.store, work.capturing.wim
    free_before = opened.volume.free_clusters
    if work.image is not None:
        write_sources(opened.volume, volume_sources(opened.volume).stand_on(source.data_source_id, work.image.number))
    phase = Phase(name="point", total=len(work.pointing.rows))
    emit(phase)
    refreshed = refresh_pointers(opened.volume, opened.tree, store)
    point_files(opened.volume, opened.tree, work.pointing, store, source.data_source_id, phase.counter)
    freed = (opened.volume.free_clusters - free_before) * opened.facts.cluster_size
    opened.volume.close()
    refreshed_others = refresh_others(others, store)
    _wait(work, emit)       # nothing is given up before the commit
    emit(Phase(name="commit"))
    volumes, grows = [opened, *others], work.image is not None
    with (
        Meanwhile(partial(users_of, store.guid, wim), apart=grows) as users,
        Meanwhile(partial(_counts, looked, work.undo)) as counts,
    ):
        commit_all(transactions_of(volumes), append if grows else None, wim)
    if grows:
        tell_of_others(append, wim, emit, volumes, users.result())
    return _updated(looked, work, counts.result(), refreshed=refreshed, others=refreshed_others, freed=freed)


def _behind(volumes: list[Opened], store: Store) -> int:
    return sum(count_behind(one.volume, one.tree, store) for one in volumes)


def _foretell(looked: _Looked, others: list[Opened], capturing: CaptureOptions, stores: list[Store], emit: Emit
              ) -> Updated:
    """What would be done; nothing is written, and files that must be read to know whether they changed are read."""
    opened, standing, plan, store = looked.opened, looked.standing, looked.plan, stores[0]
    tree = opened.tree
    foretell_image(store, looked.snapshot, plan, capturing, stores)
    hash_streams(tree, [stream for _, stream in looked.changes.unknown], looked.snapshot.contents, emit)
    classes, ruled_by = passes.classify(tree, MAX_POINTER_SIZE), looked.snapshot.selection.real_by
    candidates = (node for node, kind in enumerate(classes) if kind == passes.CANDIDATE and plan.included[node])
    return Updated(
        wim=capturing.wim, image=None, number=standing.number, name=standing.name,
        counts=_counts(looked, _undo(looked, store)), read_size=plan.read_size,
        pointed=sum(1 for node in candidates if ruled_by[node] < 0),
        refreshed=_behind([opened], store), others=_behind(others, store),
    )
