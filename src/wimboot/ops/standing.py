"""The image that a volume stands on, and what of the volume is known from it without being read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.ops.finding import WimOlder
from wimboot.tree import FileAttribute, StreamFlag, Tree, diff, passes
from wimboot.windows.mapped import written_through_memory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wimboot.formats.overlaydat import DataSource
    from wimboot.tree.changes import Changes
    from wimboot.wim import Store

__all__ = ["Carried", "Standing", "carry_known", "hash_candidates", "standing_on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Image `number` of the store, which the volume's data source names."""

    source: DataSource
    wim: Path
    number: int
    name: str
    image: Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What is known without reading: `diff(tree, image)` from before hashes were carried, and how many pointers lead to
    none of the image's blobs.

    Strays are there when images were deleted from the WIM by another tool, which moves the numbers, or when the volume
    was mixed from several images: then nothing is concluded from equal times.
    """

    changes: Changes
    strays: int


def standing_on(source: DataSource, wim: Path, store: Store, *, where: str) -> Standing:
    """Raises WimOlder where the WIM does not have the image."""
    number = source.wim_index
    if not 1 <= number <= len(store.images):
        raise WimOlder(where=where, wim=wim, image=number, count=len(store.images))
    image = store.load_tree(number, allow_missing=True)
    return Standing(source=source, wim=wim, number=number, name=store.images[number - 1].name, image=image)


def carry_known(tree: Tree, standing: Standing, ignored: bytes | bytearray, *, rehash: bool) -> Carried:
    """Hash, unread, files of equal size and times, whose hashes the image has; nothing with `rehash`."""
    image = standing.image
    changes = diff(tree, image, ignored)
    passes.carry_bits(tree, image, changes.pairs)
    loose = passes.unmatched_pointers(tree, image, changes.pairs, standing.source.data_source_id)
    strays = len(set(loose) - passes.hashes(image)) if loose else 0
    if not rehash and not strays:
        passes.carry_hashes(tree, image, changes.unknown, written_through_memory(tree))
    return Carried(changes=changes, strays=strays)


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
