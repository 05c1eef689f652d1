"""Why one file of a volume is real or a pointer, and where its bytes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from wimboot.errors import Error
from wimboot.events import silent
from wimboot.formats.reparse import FileBacked, WimPointer, parse_wof
from wimboot.frozen import Frozen
from wimboot.ops.capturing.snapshot import Snapshot, capture_plan, take_snapshot
from wimboot.ops.finding.backing import require_wim
from wimboot.ops.finding.numbering import check_number
from wimboot.ops.finding.unbacked import backed_stores
from wimboot.ops.opening.volume import NoSuchPath, NoWindows, open_volume, refuse_changing
from wimboot.ops.pointing.placing import volume_sources
from wimboot.ops.preparing.wishes import Wanted, wish_in_place
from wimboot.plan.pointing import why_real
from wimboot.tree import StreamFlag, passes
from wimboot.windows.identify import identify, looks_like_windows
from wimboot.windows.sources import read_sources
from wimboot.windows.whyreal import WhyReal

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import ExplainOptions
    from wimboot.tree.selection import Rule
    from wimboot.wim import Store
    from wimboot.windows.wimplace import WimPlace

__all__ = ["Explained", "explain"]

_RUNS_SHOWN = 64

_Behind: TypeAlias = "tuple[DataSource, Path] | Error | None"
"""What an update would go by, or why there would be none; None: the volume is for a conversion."""


class Explained(Frozen):
    """One file.

    `reason` is None where it could be a pointer and is not, `refusal` then what keeps a conversion or an update of the
    volume from making it one; `runs` are (byte on the volume or -1, bytes); `wim` is the WIM found here that holds what
    a pointer stands for.
    """

    path: str
    names: tuple[str, ...]
    size: int
    reason: WhyReal | None
    rule: Rule | None
    pointer: WimPointer | None
    compact: FileBacked | None
    place: WimPlace | None
    resident: bool
    runs: tuple[tuple[int, int], ...]
    fragments: int
    wim: str | None = None
    refusal: Error | None = None


def explain(options: ExplainOptions, emit: Emit) -> Explained:
    """Explain the file at a path. Raises NoSuchPath and what opening raises."""
    target = options.target
    with (
        open_volume(target, emit, write=False, windows=False) as opened,
        backed_stores(opened, options.wim, emit) as stores,
    ):
        node = opened.tree.find(options.path)
        if node < 0:
            raise NoSuchPath(where=opened.where, path=options.path)
        behind = _behind(opened, options.wim)
        wim = behind[1] if isinstance(behind, tuple) else options.wim
        snapshot = take_snapshot(opened, stores, options.config, wim, emit, lenient=True)
        return _explain(snapshot, node, stores, behind, options)


def _behind(opened: Opened, wim: Path | None) -> _Behind:
    try:
        sources = volume_sources(opened.volume)
        if sources.all or passes.flagged_streams(opened.tree, StreamFlag.POINTER):
            return require_wim(opened, sources, wim)
    except Error as error:
        return error
    return None


def _explain(
    snapshot: Snapshot, node: int, stores: list[Store], behind: _Behind, options: ExplainOptions
) -> Explained:
    tree, selection = snapshot.tree, snapshot.selection
    links = tree.links_of(node)
    stream = tree.data_stream(node)
    row = None if stream < 0 else tree.stream(stream)
    excluding = [selection.exclusion(link) for link in links if selection.excluded[link]]
    reason = why_real(tree, node, excluded=len(excluding) == len(links), ruled=selection.real(node) is not None)
    rule = selection.real(node) if reason is WhyReal.RULE else excluding[0] if reason is WhyReal.EXCLUDED else None
    pointer, compact, place = None, None, None
    if row is not None and row.flags & (StreamFlag.POINTER | StreamFlag.COMPACT):
        backing = parse_wof(tree.stream_bytes(stream))
        if isinstance(backing, WimPointer):
            pointer = backing
            place = read_sources(snapshot.contents.read_path).place(backing.data_source_id)
        else:
            compact = backing
    runs = [] if stream < 0 else tree.stream_runs(stream)
    size = snapshot.opened.facts.cluster_size
    return Explained(
        path=tree.path(links[0]),
        names=tuple(tree.path(link) for link in links),
        size=0 if row is None else row.size,
        reason=None if pointer is not None else reason,
        rule=rule,
        pointer=pointer,
        compact=compact,
        place=place,
        wim=None if pointer is None else next((store.where for store in stores if pointer.hash in store), None),
        refusal=None if pointer is not None or reason is not None else _refusal(snapshot, stores, behind, options),
        resident=row is not None and bool(row.flags & StreamFlag.RESIDENT),
        fragments=len(runs),
        runs=tuple((-1 if lcn >= 1 << 63 else lcn * size, clusters * size) for lcn, clusters in runs[:_RUNS_SHOWN]),
    )


def _refusal(
    snapshot: Snapshot, stores: list[Store], behind: _Behind, options: ExplainOptions
) -> Error | None:
    """Why no file of the volume would become a pointer, as far as that can be told without naming more."""
    try:
        _refuse(snapshot, stores, behind, options)
    except Error as error:
        return error
    return None


def _refuse(snapshot: Snapshot, stores: list[Store], behind: _Behind, options: ExplainOptions) -> None:
    """Raises what an update of a volume in WIMBoot form would, or a conversion of any other."""
    opened = snapshot.opened
    refuse_changing(opened)
    if not looks_like_windows(lambda path: opened.tree.find(path) >= 0):
        raise NoWindows(where=opened.where)
    if isinstance(behind, Error):
        raise behind
    if behind is None:
        beside = options.wim or opened.target.path      # where a driver may lie as well
        wish_in_place(opened, stores, Wanted(wim=beside, driver=options.driver), silent)
    else:
        source, wim = behind
        store = next((store for store in stores if store.guid == source.wim_guid), None)
        if store is not None:       # without pointers none is open, and nothing could tell
            check_number(opened.tree, source, store, where=opened.where, wim=wim, sure=True)
    if snapshot.system is None:
        identify(snapshot.contents.read_path)
    capture_plan(snapshot, silent)
