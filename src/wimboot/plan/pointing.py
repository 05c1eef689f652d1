"""Which files become pointers, and why each other one stays real. Pure: a Tree, the lists' verdicts, blobs' places."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import field
from typing import TYPE_CHECKING, TypeAlias

from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.tree import passes
from wimboot.windows.whyreal import WhyReal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wimboot.tree import Tree

__all__ = ["Places", "PointingPlan", "class_reason", "plan_pointing", "why_real"]

_CLASSES = {
    passes.FOLDER: WhyReal.FOLDER,
    passes.REPARSE_POINT: WhyReal.REPARSE_POINT,
    passes.EMPTY: WhyReal.EMPTY,
    passes.RESIDENT_DATA: WhyReal.RESIDENT,
    passes.ENCRYPTED_DATA: WhyReal.ENCRYPTED,
    passes.TOO_LARGE: WhyReal.TOO_LARGE,
    passes.IS_POINTER: WhyReal.ALREADY_POINTER,
}


Places: TypeAlias = "Callable[[Sequence[bytes]], list[tuple[int, int] | None]]"


class PointingPlan(Frozen):
    """What becomes a pointer, in MFT order; `real` counts the other files by reason.

    `rows` are (file_id, SHA-1, size) and `places` (offset, size in the WIM) of the nodes' data.
    """

    nodes: array[int]
    rows: list[tuple[int, bytes, int]]
    places: list[tuple[int, int]]
    real: Counter[WhyReal] = field(default_factory=Counter)

    @property
    def blobs(self) -> dict[bytes, int]:
        """The blobs that pointers will lead to, with their sizes."""
        return {sha1: size for _, sha1, size in self.rows}


def plan_pointing(
    tree: Tree, *, included: bytes | bytearray, ruled_by: array[int], places: Places
) -> PointingPlan:
    """Choose the files to point.

    Args:
        tree: the volume, every included stream hashed.
        included: one byte a node, 0 where no name of it is in the image.
        ruled_by: for each node the rule that keeps it real, -1 for none.
        places: for each of these hashes (offset, size in the WIM), None where no pointer can lead to such a blob.
    """
    classes = passes.classify(tree, MAX_POINTER_SIZE)
    chosen, excluded, ruled = passes.choose(classes, included, ruled_by)
    counts = {reason: classes.count(kind) for kind, reason in _CLASSES.items()}
    real = +Counter(counts | {WhyReal.EXCLUDED: excluded, WhyReal.RULE: ruled})
    rows = passes.data_rows(tree, chosen)
    found = places([sha1 for _, sha1, _ in rows])
    if None in found:
        real[WhyReal.NOT_IN_WIM] += found.count(None)
        chosen = array("I", (node for node, place in zip(chosen, found, strict=True) if place is not None))
        rows = [row for row, place in zip(rows, found, strict=True) if place is not None]
    return PointingPlan(nodes=chosen, rows=rows, places=[place for place in found if place is not None], real=real)


def class_reason(kind: int) -> WhyReal:
    """The reason behind one of `tree.passes.classify`'s classes."""
    return _CLASSES[kind]


def why_real(tree: Tree, node: int, *, excluded: bool, ruled: bool) -> WhyReal | None:
    """Why this one file is real, or would stay so; None where it can be a pointer."""
    kind = passes.classify(tree, MAX_POINTER_SIZE)[node]
    if kind:
        return _CLASSES[kind]
    if excluded:
        return WhyReal.EXCLUDED
    return WhyReal.RULE if ruled else None
