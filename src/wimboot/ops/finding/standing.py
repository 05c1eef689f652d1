"""The image that a volume stands on, and what of the volume is known from it without being read."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from wimboot.disk.inside import parse_inside
from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.ops.finding.backing import WimOlder
from wimboot.ops.opening.meanwhile import Meanwhile
from wimboot.tree import FileAttribute, StreamFlag, Tree, diff, passes
from wimboot.windows.mapped import written_through_memory

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from wimboot.formats.overlaydat import DataSource
    from wimboot.tree.changes import Changes
    from wimboot.wim import Store

__all__ = ["Carried", "Standing", "carry_known", "hash_candidates"]


class Standing:
    """Image `number` of the store, which the volume's data source names; its tree is loaded while other work goes on.

    A context manager; leaving it waits for the loading.
    """

    def __init__(self, source: DataSource, wim: Path, store: Store, *, where: str) -> None:
        """Raises WimOlder where the WIM does not have the image."""
        number = source.wim_index
        if not 1 <= number <= len(store.images):
            raise WimOlder(where=where, wim=wim, image=number, count=len(store.images))
        self.source = source
        self.number = number
        self.name = store.images[number - 1].name
        # the bytes of a WIM inside a volume come from a library for one thread
        self._tree = Meanwhile(partial(store.apart().load_tree, number, allow_missing=True),
                               apart=parse_inside(wim) is None)

    @property
    def image(self) -> Tree:
        """Its files. Raises what loading raised: BlobDamaged, WimDamaged."""
        return self._tree.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._tree.__exit__(kind, error, trace)


class Carried(Frozen):
    """What is known without reading: `diff(tree, image)`, whose `unknown` is what has to be read, and how many pointers
    lead to none of the image's blobs.

    Strays are there when images were deleted from the WIM by another tool, which moves the numbers, or when the volume
    was mixed from several images: then nothing is concluded from equal times.
    """

    changes: Changes
    strays: int


def carry_known(
    tree: Tree, standing: Standing, ignored: bytes | bytearray, ruled_by: array[int], *, rehash: bool
) -> Carried:
    """Hash, unread, files of equal size and times, whose hashes the image has; nothing with `rehash`.

    `ruled_by` has for each node the rule that keeps it real, -1 for none: those without would become pointers.
    """
    image = standing.image
    changes = diff(tree, image, ignored)
    passes.carry_bits(tree, image, changes.pairs)
    loose = passes.unmatched_pointers(tree, image, changes.pairs, standing.source.data_source_id)
    strays = len(set(loose) - passes.hashes(image)) if loose else 0
    if not rehash and not strays:
        left = passes.carry_hashes(tree, image, changes.unknown, _distrusted(tree, ruled_by))
        changes = replace(changes, unknown=left)
    return Carried(changes=changes, strays=strays)


def _distrusted(tree: Tree, ruled_by: array[int]) -> bytearray:
    """One byte a node: 1 for what Windows writes through memory, and for what would be given up for a pointer.

    A file that was a pointer and is real was written to, whatever its times say: some programs put them back. What
    stays real costs the image no more than an update; what becomes a pointer could never be read again.
    """
    marks = written_through_memory(tree)
    anywhere = b"\1" * tree.node_count
    for node in passes.choose(passes.classify(tree, MAX_POINTER_SIZE), anywhere, ruled_by)[0]:
        marks[node] = 1
    return marks


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
