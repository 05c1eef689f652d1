"""Why one file of a volume is real or a pointer, and where its bytes lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.reparse import FileBacked, WimPointer, parse_wof
from wimboot.frozen import Frozen
from wimboot.ops.capturing.snapshot import take_snapshot
from wimboot.ops.finding.backing import stores_behind
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import NoSuchPath, open_volume
from wimboot.plan.pointing import why_real
from wimboot.tree import StreamFlag
from wimboot.windows.sources import read_sources
from wimboot.windows.whyreal import WhyReal

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.capturing.snapshot import Snapshot
    from wimboot.ops.options import TargetOptions
    from wimboot.tree.selection import Rule
    from wimboot.wim import Store
    from wimboot.windows.wimplace import WimPlace

__all__ = ["Explained", "explain"]

_RUNS_SHOWN = 64


class Explained(Frozen):
    """One file.

    `reason` is None where it could be a pointer and is not; `runs` are (byte on the volume or -1, bytes); `wim` is
    the WIM found here that holds what a pointer stands for.
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


def explain(options: TargetOptions, path: str, config: Path | None, emit: Emit) -> Explained:
    """Explain the file at a path. Raises NoSuchPath and what opening raises."""
    with (
        open_volume(options, emit, write=False, windows=False) as opened,
        stores_behind(opened, None, options.folders) as stores,
    ):
        snapshot = take_snapshot(opened, stores, config, None, emit)
        node = snapshot.tree.find(path)
        if node < 0:
            raise NoSuchPath(where=opened.where, path=path)
        return _explain(snapshot, node, stores)


def _explain(snapshot: Snapshot, node: int, stores: list[Store]) -> Explained:
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
            contents = Contents(tree, snapshot.opened.device, snapshot.opened.volume)
            place = read_sources(contents.read_path).place(backing.data_source_id)
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
        resident=row is not None and bool(row.flags & StreamFlag.RESIDENT),
        fragments=len(runs),
        runs=tuple((-1 if lcn >= 1 << 63 else lcn * size, clusters * size) for lcn, clusters in runs[:_RUNS_SHOWN]),
    )
