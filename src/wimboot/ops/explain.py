"""Why one file of a volume is real or a pointer, and where its bytes lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.errors import Error
from wimboot.events import Note, silent
from wimboot.formats.reparse import FileBacked, WimPointer, parse_wof
from wimboot.frozen import Frozen
from wimboot.ops.capturing.rules import find_lists
from wimboot.ops.capturing.snapshot import Snapshot, capture_plan
from wimboot.ops.finding.backing import require_wim
from wimboot.ops.finding.ownwims import own_files
from wimboot.ops.finding.unbacked import backed_stores
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import NoSuchPath, NoWindows, open_volume, refuse_dirty
from wimboot.ops.pointing.placing import volume_sources
from wimboot.ops.preparing.wishes import Wanted, wish_in_place
from wimboot.plan.pointing import why_real
from wimboot.tree import StreamFlag, passes
from wimboot.tree.selection import select
from wimboot.windows.identify import UnknownWindows, identify, looks_like_windows
from wimboot.windows.sources import read_sources
from wimboot.windows.whyreal import WhyReal

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.options import ExplainOptions
    from wimboot.tree.selection import Rule
    from wimboot.wim import Store
    from wimboot.windows.identify import System
    from wimboot.windows.wimplace import WimPlace

__all__ = ["Explained", "explain"]

_RUNS_SHOWN = 64


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
        wim = Path(stores[0].where) if options.wim is None and stores else options.wim
        contents = Contents(opened.tree, opened.device, opened.volume, stores)
        system = _system(contents, emit)
        lists = find_lists(options.config, wim, contents.read_path, system, emit, own_files(opened))
        snapshot = Snapshot(opened=opened, tree=opened.tree, contents=contents, system=system,
                            selection=select(opened.tree, lists))
        return _explain(snapshot, node, stores, options)


def _system(contents: Contents, emit: Emit) -> System | None:
    """The Windows, whose version is part of the rules; one that cannot be read leaves those of all."""
    try:
        return identify(contents.read_path)
    except UnknownWindows as error:
        emit(Note(id=error.id, text=error.told, warning=True))
        return None


def _explain(snapshot: Snapshot, node: int, stores: list[Store], options: ExplainOptions) -> Explained:
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
        refusal=None if pointer is not None or reason is not None else _refusal(snapshot, stores, options),
        resident=row is not None and bool(row.flags & StreamFlag.RESIDENT),
        fragments=len(runs),
        runs=tuple((-1 if lcn >= 1 << 63 else lcn * size, clusters * size) for lcn, clusters in runs[:_RUNS_SHOWN]),
    )


def _refusal(snapshot: Snapshot, stores: list[Store], options: ExplainOptions) -> Error | None:
    """Why no file of the volume would become a pointer, as far as that can be told without naming more."""
    try:
        _refuse(snapshot, stores, options)
    except Error as error:
        return error
    return None


def _refuse(snapshot: Snapshot, stores: list[Store], options: ExplainOptions) -> None:
    """Raises what an update of a volume in WIMBoot form would, or a conversion of any other."""
    opened = snapshot.opened
    if opened.facts.dirty:
        refuse_dirty(opened)
    opened.target.refuse_writing()
    if not looks_like_windows(lambda path: opened.tree.find(path) >= 0):
        raise NoWindows(where=opened.where)
    if snapshot.system is None:
        identify(snapshot.contents.read_path)
    sources = volume_sources(opened.volume)
    if sources.all or passes.flagged_streams(opened.tree, StreamFlag.POINTER):
        require_wim(opened, sources, options.wim)
    else:
        beside = options.wim or opened.target.path      # where a driver may lie as well
        wish_in_place(opened, stores, Wanted(wim=beside, driver=options.driver), silent)
    capture_plan(snapshot, silent)
