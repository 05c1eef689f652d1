"""Making files of a volume pointers. One coarse call a file; the plan has decided which."""

from __future__ import annotations

from array import array
from enum import Enum
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Refused
from wimboot.events import Counter
from wimboot.formats.reparse import COMPACT_STREAM, POINTER_SIZE, PointerMaker, WimPointer
from wimboot.ops.pointing.placing import volume_sources
from wimboot.tree import StreamFlag, Tree, passes, pointers_behind

if TYPE_CHECKING:
    from wimboot.ntfs import Volume
    from wimboot.plan.pointing import PointingPlan
    from wimboot.wim import Store

__all__ = ["Moved", "NotBackable", "PointersAstray", "count_behind", "point_files", "refresh_pointers"]

_THREADS = 2


class NotBackable(Refused):
    """A WIM that Windows' overlay driver cannot read. A verb with another way on has its own class."""

    id = "wim-not-backable"
    sentence = "Windows cannot read pointers into {wim}: {why}"
    advice = "Write its data with --full, or bring the image into a WIM that Windows can read: --export STORE.wim."


class PointersAstray(Damaged):
    """What a WIM says of its data is wrong, and what pointers say of it may be right."""

    id = "pointers-astray"
    sentence = (
        "{count} pointers would be led to other places of {wim}, where their data is not (the first: {first}): the "
        "WIM's table is damaged, or its data"
    )
    advice = (
        "Nothing was changed. `wimboot verify TARGET --wim {wim} --repair --spare COPY` mends it from a spare copy, or "
        "from real files."
    )


class Moved(Enum):
    """What becomes of pointers that will lead to another place than before. An append moves no data, so it has none."""

    READ = "their data is read there first; where it is not, PointersAstray"
    LEAVE = "the same, but those whose data is not there stay as they are"
    READ_BEFORE = "the caller has read all of the WIM back"


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


def refresh_pointers(volume: Volume, tree: Tree, store: Store, *, moved: Moved = Moved.READ) -> int:
    """Bring the pointers into this WIM that the volume has up to its present table; returns how many were behind.

    Windows may refuse a pointer that carries the hash of an older table. One whose blob the WIM does not have stays as
    it is, for `verify` to tell. Raises PointersAstray.
    """
    file_ids, values, marks = _behind(volume, tree, store)
    if moved is not Moved.READ_BEFORE and 1 in marks:
        file_ids, values = _with_data(file_ids, values, marks, store, moved)
    volume.refresh(file_ids, values)
    return len(file_ids)


def count_behind(volume: Volume, tree: Tree, store: Store) -> int:
    """How many pointers `refresh_pointers` would change."""
    return len(_behind(volume, tree, store)[0])


def _with_data(file_ids: array[int], values: bytes, marks: bytes, store: Store, moved: Moved
               ) -> tuple[array[int], bytes]:
    """Those that lead where they led, and those that will lead to a place where their data was found."""
    hashes = {number: WimPointer.parse(values[number * POINTER_SIZE:(number + 1) * POINTER_SIZE]).hash
              for number, mark in enumerate(marks) if mark}
    unsound = {problem.sha1: problem for problem in store.check_blobs(set(hashes.values()), Counter(), _THREADS)}
    astray = {number for number, sha1 in hashes.items() if sha1 in unsound}
    if moved is Moved.READ and astray:
        raise PointersAstray(count=len(astray), wim=store.where, first=next(iter(unsound.values())).text)
    kept = [number for number in range(len(file_ids)) if number not in astray]
    return (array("Q", (file_ids[number] for number in kept)),
            b"".join(values[number * POINTER_SIZE:(number + 1) * POINTER_SIZE] for number in kept))


def _behind(volume: Volume, tree: Tree, store: Store) -> tuple[array[int], bytes, bytes]:
    """The pointers that should have another reparse value, these values one after the other, and a 1 for each that will
    lead to another place.
    """
    numbers = [source.data_source_id for source in volume_sources(volume).of_wim(store.guid)]
    templates = (PointerMaker(number, store.table_hash).pack(bytes(20), 0, 0, 0) for number in numbers)
    return pointers_behind(tree, b"".join(templates), store.place_columns)


def _unpack_compact(volume: Volume, tree: Tree, plan: PointingPlan) -> None:
    """A Compact OS file gives up its compressed stream and its own reparse point first."""
    compact = {tree.stream_node(stream) for stream in passes.flagged_streams(tree, StreamFlag.COMPACT)}
    for node in compact.intersection(plan.nodes):
        volume.remove_reparse(tree.file_id(node))
        volume.remove_stream(tree.file_id(node), COMPACT_STREAM)
