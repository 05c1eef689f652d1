"""What a pointer cannot tell of its file, taken from the image that the volume stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.tree import StreamFlag, Tree, diff, passes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.wim import Store
    from wimboot.windows.sources import Sources

__all__ = ["carry_attributes"]


def carry_attributes(tree: Tree, sources: Sources, stores: Sequence[Store]) -> None:
    """Mark the pointers of `tree` whose files are sparse or compressed in the image that they stand for.

    A file that has moved since, or stands for none of the images, is not marked. Raises what reading an image raises.
    """
    if not passes.flagged_streams(tree, StreamFlag.POINTER):
        return
    for source in sources.all:
        for store in stores:
            if store.guid == source.wim_guid and 1 <= source.wim_index <= len(store.images):
                image = store.load_tree(source.wim_index, allow_missing=True)
                passes.carry_bits(tree, image, diff(tree, image).pairs)
                break
