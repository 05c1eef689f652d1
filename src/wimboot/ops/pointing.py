"""Making files of a volume pointers. One coarse call a file; the plan has decided which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.reparse import PointerMaker
from wimboot.tree import StreamFlag, Tree

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
    point, blob_place = volume.point, store.place
    for done, (file_id, sha1, size) in enumerate(plan.rows, start=1):
        offset, size_in_wim = blob_place(sha1)
        point(file_id, make(sha1, size, size_in_wim, offset), size)
        if not done & 0xFF:
            counter.add(256)
    counter.add(len(plan.rows) & 0xFF)


def _unpack_compact(volume: Volume, tree: Tree, plan: PointingPlan) -> None:
    """A Compact OS file gives up its compressed stream and its own reparse point first."""
    for node in plan.nodes:
        stream = tree.data_stream(node)
        if tree.stream(stream).flags & StreamFlag.COMPACT:
            volume.remove_reparse(tree.file_id(node))
            volume.remove_stream(tree.file_id(node), COMPACT_STREAM)
