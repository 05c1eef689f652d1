"""Making files of a volume pointers. One coarse call a file; the plan has decided which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.formats.reparse import COMPACT_STREAM, PointerMaker
from wimboot.ops.pointing.placing import volume_sources
from wimboot.tree import StreamFlag, Tree, passes, pointers_behind

if TYPE_CHECKING:
    from array import array

    from wimboot.events import Counter
    from wimboot.ntfs import Volume
    from wimboot.plan.pointing import PointingPlan
    from wimboot.wim import Store

__all__ = ["NotBackable", "count_behind", "point_files", "refresh_pointers"]


class NotBackable(Refused):
    """A WIM that Windows' overlay driver cannot read. A verb with another way on has its own class."""

    id = "wim-not-backable"
    sentence = "Windows cannot read pointers into {wim}: {why}"
    advice = "Write its data with --full, or bring the image into a WIM that Windows can read: --export STORE.wim."


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
    file_ids, values = _behind(volume, tree, store)
    volume.refresh(file_ids, values)
    return len(file_ids)


def count_behind(volume: Volume, tree: Tree, store: Store) -> int:
    """How many pointers `refresh_pointers` would change."""
    return len(_behind(volume, tree, store)[0])


def _behind(volume: Volume, tree: Tree, store: Store) -> tuple[array[int], bytes]:
    """The pointers that should have another reparse value, and these values one after the other."""
    numbers = [source.data_source_id for source in volume_sources(volume).of_wim(store.guid)]
    templates = (PointerMaker(number, store.table_hash).pack(bytes(20), 0, 0, 0) for number in numbers)
    return pointers_behind(tree, b"".join(templates), store.place_columns)


def _unpack_compact(volume: Volume, tree: Tree, plan: PointingPlan) -> None:
    """A Compact OS file gives up its compressed stream and its own reparse point first."""
    compact = {tree.stream_node(stream) for stream in passes.flagged_streams(tree, StreamFlag.COMPACT)}
    for node in compact.intersection(plan.nodes):
        volume.remove_reparse(tree.file_id(node))
        volume.remove_stream(tree.file_id(node), COMPACT_STREAM)
