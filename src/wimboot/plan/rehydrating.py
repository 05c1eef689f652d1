"""Which pointers become ordinary files, and the room that takes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.frozen import Frozen
from wimboot.tree import FileAttribute, StreamFlag, Tree, passes

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Rehydrated", "clusters_for", "plan_rehydration"]

_MAYBE_RESIDENT: Final = 700
"""Data up to this size may find room in its 1 KiB MFT record."""


class Rehydrated(Frozen):
    """One pointer that becomes a file; `sparse` and `compressed` as its data is to be written."""

    node: int
    sha1: bytes
    size: int
    sparse: bool
    compressed: bool


def plan_rehydration(tree: Tree, nodes: Collection[int] | None) -> list[Rehydrated]:
    """The pointers among these nodes (None: all), whose attributes are what their files are to have."""
    chosen = []
    for stream in passes.flagged_streams(tree, StreamFlag.POINTER):
        node = tree.stream_node(stream)
        if nodes is None or node in nodes:
            row, attributes = tree.stream(stream), tree.attributes(node)
            chosen.append(Rehydrated(node=node, sha1=row.hash, size=row.size,
                                     sparse=bool(attributes & FileAttribute.SPARSE_FILE),
                                     compressed=bool(attributes & FileAttribute.COMPRESSED)))
    return chosen


def clusters_for(files: list[Rehydrated], size_in_wim: dict[bytes, int], cluster_size: int) -> int:
    """Clusters that the data of these files takes at the least.

    What NTFS compresses, or leaves out as zeros, takes about what it takes in the WIM; that is counted.
    """
    clusters = 0
    for file in files:
        size = min(file.size, size_in_wim[file.sha1]) if file.sparse or file.compressed else file.size
        if size > _MAYBE_RESIDENT:
            clusters += -(-size // cluster_size)
    return clusters
