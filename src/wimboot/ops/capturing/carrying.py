"""What a pointer cannot tell of its file, taken from the image that the volume stands on."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from wimboot.tree import FileAttribute, StreamFlag, Tree, diff, passes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.wim import Store
    from wimboot.windows.sources import Sources

__all__ = ["carry_attributes"]


_BITS: Final = int(FileAttribute.SPARSE_FILE | FileAttribute.COMPRESSED)


def carry_attributes(tree: Tree, sources: Sources, stores: Sequence[Store], *, moved: bool = False) -> None:
    """Mark the pointers of `tree` whose files are sparse or compressed in the image that they stand for.

    With `moved` files are also marked by their content, where the image has nothing at their place. Raises what
    reading an image raises.
    """
    if not passes.flagged_streams(tree, StreamFlag.POINTER):
        return
    for source in sources.all:
        for store in stores:
            if store.guid == source.wim_guid and 1 <= source.wim_index <= len(store.images):
                image = store.load_tree(source.wim_index, allow_missing=True)
                pairs = diff(tree, image).pairs
                passes.carry_bits(tree, image, pairs)
                if moved:
                    _carry_to_moved(tree, image, pairs)
                break


def _carry_to_moved(tree: Tree, image: Tree, pairs: array[int]) -> None:
    """What all files of the image with that content are, a pointer at a place of its own is too."""
    marked = {image.stream(image.data_stream(node)).hash: node for node in range(image.node_count)
              if image.attributes(node) & _BITS and image.data_stream(node) >= 0}
    for node in range(image.node_count) if marked else ():
        stream = image.data_stream(node)
        alike = marked.get(image.stream(stream).hash) if stream >= 0 else None
        if alike is not None and (image.attributes(node) ^ image.attributes(alike)) & _BITS:
            del marked[image.stream(stream).hash]
    paired = set(pairs)
    for stream in passes.flagged_streams(tree, StreamFlag.POINTER) if marked else ():
        node, alike = tree.stream_node(stream), marked.get(tree.stream(stream).hash)
        if alike is not None and node not in paired:
            single = array("i", [-1]) * image.node_count
            single[alike] = node
            passes.carry_bits(tree, image, single)
