"""The image that a volume stands on, and what of the volume is known from it without being read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.tree import FileAttribute, StreamFlag, Tree, diff, passes
from wimboot.windows.mapped import written_through_memory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wimboot.formats.overlaydat import DataSource
    from wimboot.tree.changes import Changes
    from wimboot.wim import Store

__all__ = ["OlderWim", "Standing", "carry_known", "hash_candidates", "standing_on"]


class OlderWim(Refused):
    """The WIM lacks the very image that the volume stands on."""

    id = "older-wim"
    sentence = "{where} stands on image {number} of {wim}, which has {count}: an older copy, or images were deleted"
    advice = (
        "Name the newest copy with --wim; `wimboot verify` tells whether pointers still resolve, and `restore --image` "
        "puts the volume onto an image that is there."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Image `number` of the store, which the volume's data source names. `strays` pointers are to none of its blobs.

    Strays are there when images were deleted from the WIM by another tool, which moves the numbers, or when the volume
    was mixed from several images: then nothing is concluded from equal times.
    """

    source: DataSource
    wim: Path
    number: int
    name: str
    image: Tree
    strays: int


def standing_on(tree: Tree, source: DataSource, wim: Path, store: Store, *, where: str) -> Standing:
    """Raises OlderWim where the WIM does not have the image."""
    number = source.wim_index
    if not 1 <= number <= len(store.images):
        raise OlderWim(where=where, wim=wim, number=number, count=len(store.images))
    image = store.load_tree(number, allow_missing=True)
    hashes = passes.hashes(image)
    mine = {sha1 for sha1, _ in passes.pointer_rows(tree, source.data_source_id)}
    return Standing(source=source, wim=wim, number=number, name=store.images[number - 1].name, image=image,
                    strays=len(mine - hashes))


def carry_known(tree: Tree, standing: Standing, ignored: bytes | bytearray, *, rehash: bool) -> Changes:
    """Hash, unread, files of equal size and times, whose hashes the image has; nothing with `rehash`.

    Returns `diff(tree, image)` from before that.
    """
    changes = diff(tree, standing.image, ignored)
    passes.carry_bits(tree, standing.image, changes.pairs)
    if not rehash and not standing.strays:
        passes.carry_hashes(tree, standing.image, changes.unknown, written_through_memory(tree))
    return changes


def hash_candidates(tree: Tree, image: Tree, changes: Changes) -> list[int]:
    """Streams of new files whose size is that of a file that is gone: perhaps moved, their content tells."""
    sizes = {image.stream(stream).size for stream in _data_streams(image, changes.added_links)}
    return [
        stream
        for stream in _data_streams(tree, changes.removed_links)
        if not tree.stream(stream).flags & StreamFlag.HASHED and tree.stream(stream).size in sizes
    ]


def _data_streams(tree: Tree, links: Iterable[int]) -> list[int]:
    nodes = {tree.link(link).node for link in links}
    streams = (tree.data_stream(node) for node in nodes if not tree.attributes(node) & FileAttribute.DIRECTORY)
    return [stream for stream in streams if stream >= 0 and tree.stream(stream).size]
