"""What was changed on a volume since the image that it stands on; and what differs between two images.

What a status does not need to open the volume is imported while that is scanned, and the rest while the image is
loaded: it takes as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.events import Emit, Phase
from wimboot.frozen import Frozen
from wimboot.ops.opening.volume import Opened, open_volume

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.finding.standing import Standing
    from wimboot.ops.options import StatusOptions
    from wimboot.plan.report import Change
    from wimboot.wim import Store

__all__ = ["Difference", "Status", "difference", "status"]


class Status(Frozen):
    """The image that the volume stands on, and every name that changed; `behind` pointers know another table than the
    WIM's present one; with `rewritten` it did not grow from that.
    """

    wim: Path
    number: int
    name: str
    changes: tuple[Change, ...]
    behind: int
    strays: int
    rewritten: bool


class Difference(Frozen):
    """Two images of a WIM, and what happened from the first to the second."""

    older: tuple[int, str]
    newer: tuple[int, str]
    changes: tuple[Change, ...]


def status(options: StatusOptions, emit: Emit) -> Status:
    """Compare a volume with the image that it stands on. What the lists exclude is left out, as `update` would.

    Files of unchanged times and size count as unchanged, but for hives and others that Windows writes through memory,
    and those that `update` would make pointers; with `rehash` all that is real is read.

    Raises NotWimBoot, WimNotFound, OtherWim, WimOlder.
    """
    with open_volume(options.target, emit, write=False, windows=False) as opened:
        opened.scan_ahead()
        from wimboot.ops.finding.backing import require_wim, stores_behind
        from wimboot.ops.finding.standing import Standing
        from wimboot.ops.opening.storing import opened_store
        from wimboot.ops.pointing.placing import volume_sources

        sources = volume_sources(opened.volume)
        source, wim = require_wim(opened, sources, options.wim, emit=emit)
        with (
            opened_store(wim, options.target.folders) as store,
            Standing(source, wim, store, where=opened.where) as standing,
            stores_behind(opened, store, options.target.folders) as stores,
        ):
            return _status(options, opened, standing, wim, stores, emit)


def _status(options: StatusOptions, opened: Opened, standing: Standing, wim: Path, stores: list[Store],
            emit: Emit) -> Status:
    from wimboot.ops.capturing.comparing import hash_streams
    from wimboot.ops.capturing.snapshot import take_snapshot
    from wimboot.ops.finding.numbering import check_number, nearest_note
    from wimboot.ops.finding.standing import carry_known, hash_candidates
    from wimboot.ops.pointing.pointers import count_behind
    from wimboot.ops.preparing.forgiving import as_prepared
    from wimboot.plan.capture import plan_capture
    from wimboot.plan.report import changes_since
    from wimboot.tree.changes import settled

    tree = opened.tree
    emit(Phase(name="scan"))
    rewritten = not check_number(tree, standing.source, stores[0], where=opened.where, wim=wim)
    if rewritten:
        emit(nearest_note(standing.number, stores[0], where=opened.where))
    snapshot = take_snapshot(opened, stores, options.config, wim, emit)
    excluded = plan_capture(tree, snapshot.selection.excluded).excluded
    carried = carry_known(tree, standing, excluded, snapshot.selection.real_by, rehash=options.rehash)
    hash_streams(tree, [stream for _, stream in carried.changes.unknown], snapshot.contents, emit)
    undo = as_prepared(settled(tree, standing.image, carried.changes, excluded), tree, standing.image,
                       snapshot.contents, stores[0])
    candidates = hash_candidates(tree, standing.image, undo)
    if candidates:
        hash_streams(tree, candidates, snapshot.contents, emit)
    return Status(
        wim=wim, number=standing.number, name=standing.name, strays=carried.strays,
        changes=tuple(changes_since(standing.image, tree, undo)),
        behind=count_behind(opened.volume, tree, stores[0]), rewritten=rewritten,
    )


def difference(wim: Path, older: str, newer: str, emit: Emit) -> Difference:
    """What happened from one image of a WIM to another; each by number or name. Raises NoImage, Damaged."""
    from wimboot.ops.opening.storing import choose_image, opened_store
    from wimboot.plan.report import changes_since
    from wimboot.tree import diff

    with opened_store(wim) as store:
        first, second = choose_image(store, older, where=str(wim)), choose_image(store, newer, where=str(wim))
        emit(Phase(name="load"))
        base, now = store.load_tree(first, allow_missing=True), store.load_tree(second, allow_missing=True)
        return Difference(
            older=(first, store.images[first - 1].name),
            newer=(second, store.images[second - 1].name),
            changes=tuple(changes_since(base, now, diff(now, base))),
        )
