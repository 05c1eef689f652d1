"""What a dry run of a capture refuses because the capture would, found without reading any data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.ops.capturing.imaging import image_name_for
from wimboot.ops.opening.contents import PointerUnbacked
from wimboot.tree import passes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.ops.capturing.snapshot import Snapshot
    from wimboot.ops.options import CaptureOptions
    from wimboot.plan.capture import CapturePlan
    from wimboot.wim import Store

__all__ = ["foretell_image"]


def foretell_image(own: Store | None, snapshot: Snapshot, plan: CapturePlan, options: CaptureOptions,
                   stores: Sequence[Store]) -> None:
    """Refuse what adding an image would: its name, and pointers whose data none of the WIMs has.

    `own` is the WIM as it is, None for a new one; `stores` have it too. Raises BadImageName, ImageNameTaken,
    PointerUnbacked.
    """
    image_name_for(own, snapshot, options)
    tree = snapshot.tree
    streams, digests = passes.pointer_digests(tree, plan.included)
    for at, stream in enumerate(streams):
        sha1 = digests[20 * at:20 * at + 20]
        if not any(sha1 in store for store in stores):
            links = tree.links_of(tree.stream_node(stream))
            raise PointerUnbacked(where=tree.path(links[0]), volume=snapshot.opened.where, sha1=sha1.hex())
