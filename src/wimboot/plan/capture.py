"""What a capture takes: the names a list leaves out, the streams to be read, what must be said. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.frozen import Frozen
from wimboot.tree import StreamFlag, Tree, passes

if TYPE_CHECKING:
    from array import array

__all__ = ["CapturePlan", "plan_capture"]


class CapturePlan(Frozen):
    """One byte a link in `excluded`, one a node in `included`; `streams` are read, `encrypted` stay out."""

    excluded: bytearray
    included: bytearray
    streams: array[int]
    read_size: int
    encrypted: list[str]


def plan_capture(tree: Tree, excluded: bytearray) -> CapturePlan:
    """Decide what to read.

    Args:
        tree: the scanned volume.
        excluded: the verdict of the list, one byte a link.

    Encrypted files are left out of the image, for their raw form can only be exported by a running Windows; they
    stay on the volume as they are.
    """
    excluded = bytearray(excluded)
    encrypted = []
    for stream in passes.flagged_streams(tree, StreamFlag.ENCRYPTED):
        for link in tree.links_of(tree.stream_node(stream)):
            if not excluded[link]:
                excluded[link] = 1
                encrypted.append(tree.path(link))
    included = passes.included_nodes(tree, excluded)
    streams = passes.unhashed_streams(tree, included)
    return CapturePlan(
        excluded=excluded,
        included=included,
        streams=streams,
        read_size=passes.stream_sizes(tree, streams),
        encrypted=encrypted,
    )
