"""Making files of a volume pointers. One coarse call a file; the plan has decided which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.reparse import PointerMaker
from wimboot.tree import StreamFlag, Tree, _passes

if TYPE_CHECKING:
    from wimboot.events import Counter
    from wimboot.ntfs import Volume
    from wimboot.plan.pointing import PointingPlan
    from wimboot.wim import Store

__all__ = ["point_files"]

COMPACT_STREAM = "WofCompressedData".encode("utf-16-le")


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


def _unpack_compact(volume: Volume, tree: Tree, plan: PointingPlan) -> None:
    """A Compact OS file gives up its compressed stream and its own reparse point first."""
    compact = {tree.stream_node(stream) for stream in _passes.flagged_streams(tree, StreamFlag.COMPACT)}
    for node in compact.intersection(plan.nodes):
        volume.remove_reparse(tree.file_id(node))
        volume.remove_stream(tree.file_id(node), COMPACT_STREAM)
