"""Which files become pointers, and why each other one stays real. Pure: a Tree, the lists' verdicts, the store's rows."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wimboot.tree import _passes
from wimboot.windows.lists import WhyReal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wimboot.tree import Tree

__all__ = ["POINTER_SIZE_LIMIT", "PointingPlan", "class_reason", "plan_pointing", "why_real"]

POINTER_SIZE_LIMIT = 4_200_000_000
"""Windows' driver fails reads that end past 4 GiB, so wimlib draws its line here; so do we."""

_CLASSES = {
    _passes.FOLDER: WhyReal.FOLDER,
    _passes.REPARSE_POINT: WhyReal.REPARSE_POINT,
    _passes.EMPTY: WhyReal.EMPTY,
    _passes.RESIDENT_DATA: WhyReal.RESIDENT,
    _passes.ENCRYPTED_DATA: WhyReal.ENCRYPTED,
    _passes.TOO_LARGE: WhyReal.TOO_LARGE,
    _passes.IS_POINTER: WhyReal.ALREADY_POINTER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PointingPlan:
    """`rows` are (file_id, SHA-1, size) of the files to point, in MFT order; `real` counts the others by reason."""

    nodes: array[int]
    rows: list[tuple[int, bytes, int]]
    real: Counter[WhyReal] = field(default_factory=Counter)

    @property
    def bytes_pointed(self) -> int:
        return sum(size for _, _, size in self.rows)


def plan_pointing(
    tree: Tree, *, included: bytes | bytearray, ruled_by: Sequence[int], backable: Callable[[bytes], bool]
) -> PointingPlan:
    """Choose the files to point.

    Args:
        tree: the volume, every included stream hashed.
        included: one byte a node, 0 where no name of it is in the image.
        ruled_by: for each node the rule that keeps it real, -1 for none.
        backable: whether the store holds a blob of this SHA-1 in a form that the driver reads.
    """
    classes = _passes.classify(tree, POINTER_SIZE_LIMIT)
    real: Counter[WhyReal] = Counter()
    chosen = array("I")
    for node, kind in enumerate(classes):
        if kind:
            real[_CLASSES[kind]] += 1
        elif not included[node]:
            real[WhyReal.EXCLUDED] += 1
        elif ruled_by[node] >= 0:
            real[WhyReal.RULE] += 1
        else:
            chosen.append(node)
    rows = _passes.data_rows(tree, chosen)
    held = [backable(row[1]) for row in rows]
    if not all(held):
        real[WhyReal.NOT_IN_WIM] += held.count(False)
        chosen = array("I", (node for node, here in zip(chosen, held, strict=True) if here))
        rows = [row for row, here in zip(rows, held, strict=True) if here]
    return PointingPlan(nodes=chosen, rows=rows, real=real)


def class_reason(kind: int) -> WhyReal:
    """The reason behind one of `tree._passes.classify`'s classes."""
    return _CLASSES[kind]


def why_real(tree: Tree, node: int, *, excluded: bool, ruled: bool) -> WhyReal | None:
    """Why this one file is real, or would stay so; None where it can be a pointer."""
    kind = _passes.classify(tree, POINTER_SIZE_LIMIT)[node]
    if kind:
        return _CLASSES[kind]
    if excluded:
        return WhyReal.EXCLUDED
    return WhyReal.RULE if ruled else None
