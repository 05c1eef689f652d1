"""Making files of a volume pointers. One coarse call a file; the plan has decided which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.reparse import COMPACT_STREAM, PointerMaker, WimPointer
from wimboot.ops.placing import volume_sources
from wimboot.tree import StreamFlag, Tree, passes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.events import Counter
    from wimboot.ntfs import Volume
    from wimboot.plan.pointing import PointingPlan
    from wimboot.wim import Store

__all__ = ["count_behind", "point_files", "refresh_pointers"]


def point_files(
    volume: Volume, tree: Tree, plan: PointingPlan, store: Store, data_source_id: int, counter: Counter
) -> None:
    """Point every file of the plan at its blob; times, security, streams and links stay."""
    make = PointerMaker(data_source_id, store.table_hash).pack
    _unpack_compact(volume, tree, plan)
    point = volume.point
    for (file_id, sha1, size), (offset, size_in_wim) in zip(plan.rows, plan.places, strict=True):
        point(file_id, make(sha1, size, size_in_wim, offset), size)
        counter.done += 1


def refresh_pointers(volume: Volume, tree: Tree, store: Store) -> int:
    """Bring the pointers into this WIM that the volume has up to its present table; returns how many were behind.

    Windows may refuse a pointer that carries the hash of an older table. One whose blob the WIM does not have stays as
    it is, for `verify` to tell.
    """
    behind = 0
    for file_id, value in _behind(volume, tree, store):
        volume.replace_reparse(file_id, value)
        behind += 1
    return behind


def count_behind(volume: Volume, tree: Tree, store: Store) -> int:
    """How many pointers `refresh_pointers` would change."""
    return sum(1 for _ in _behind(volume, tree, store))


def _behind(volume: Volume, tree: Tree, store: Store) -> Iterator[tuple[int, bytes]]:
    """(file, reparse value that it should have) of each pointer that has another."""
    sources = volume_sources(volume).of_wim(store.guid)
    makers = {source.data_source_id: PointerMaker(source.data_source_id, store.table_hash).pack for source in sources}
    for stream in passes.flagged_streams(tree, StreamFlag.POINTER) if makers else ():
        old = tree.stream_bytes(stream)
        pointer = WimPointer.parse(old)
        make = makers.get(pointer.data_source_id)
        place = store.pointer_places((pointer.hash,))[0] if make is not None else None
        if make is None or place is None:
            continue
        new = make(pointer.hash, tree.stream(stream).size, place[1], place[0])
        if new != old:
            yield tree.file_id(tree.stream_node(stream)), new


def _unpack_compact(volume: Volume, tree: Tree, plan: PointingPlan) -> None:
    """A Compact OS file gives up its compressed stream and its own reparse point first."""
    compact = {tree.stream_node(stream) for stream in passes.flagged_streams(tree, StreamFlag.COMPACT)}
    for node in compact.intersection(plan.nodes):
        volume.remove_reparse(tree.file_id(node))
        volume.remove_stream(tree.file_id(node), COMPACT_STREAM)
