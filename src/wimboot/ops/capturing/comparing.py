"""Comparing a volume with an image: files are read where sizes alone do not tell whether they differ."""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING

from wimboot.errors import Internal
from wimboot.events import Counter, Emit, Phase
from wimboot.tree import StreamFlag, Tree, diff
from wimboot.tree.changes import settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.ops.opening.contents import Contents
    from wimboot.tree.changes import Changes

__all__ = ["changes_between", "hash_streams"]

_WINDOW = 4 << 20


def changes_between(tree: Tree, image: Tree, ignored: bytearray, contents: Contents, emit: Emit) -> Changes:
    """What must happen to the volume; reads the files whose sizes alone do not tell whether they differ."""
    changes = diff(tree, image, ignored=ignored)
    if not changes.unknown:
        return changes
    hash_streams(tree, [stream for _, stream in changes.unknown], contents, emit)
    return settled(tree, image, changes, ignored)


def hash_streams(tree: Tree, streams: Sequence[int], contents: Contents, emit: Emit) -> None:
    """Read streams of a volume and note their hashes: small ones many at a time, in the order in which they lie.

    Raises what Contents raises.
    """
    rows = {stream: tree.stream(stream) for stream in streams}
    phase = Phase(name="compare", total=sum(row.size for row in rows.values()), unit="bytes")
    emit(phase)
    small = array("I", (stream for stream, row in rows.items()
                        if row.size <= _WINDOW and not row.flags & StreamFlag.COMPACT))
    _hash_small(tree, contents.in_disk_order(small), contents, phase.counter)
    for stream in rows.keys() - set(small):
        tree.set_hash(stream, _sha1(tree, stream, contents, phase.counter))


def _hash_small(tree: Tree, streams: array[int], contents: Contents, counter: Counter) -> None:
    buffer, first = bytearray(_WINDOW), 0
    view = memoryview(buffer)
    while first < len(streams):
        ends = contents.fill(streams, first, buffer)
        start = 0
        for stream, end in zip(streams[first:first + len(ends)], ends, strict=True):
            if end - start != tree.stream(stream).size:
                raise Internal(what=f"stream {stream} came as {end - start:,} bytes")
            tree.set_hash(stream, hashlib.sha1(view[start:end], usedforsecurity=False).digest())
            start = end
        counter.add(start)
        first += len(ends)


def _sha1(tree: Tree, stream: int, contents: Contents, counter: Counter) -> bytes:
    row = tree.stream(stream)
    if row.flags & StreamFlag.COMPACT:
        counter.add(row.size)
        return hashlib.sha1(contents.read(stream), usedforsecurity=False).digest()
    digest = hashlib.sha1(usedforsecurity=False)
    buffer = memoryview(bytearray(min(_WINDOW, row.size)))
    for offset in range(0, row.size, _WINDOW):
        part = buffer[: min(_WINDOW, row.size - offset)]
        contents.read_into(stream, offset, part)
        digest.update(part)
        counter.add(len(part))
    return digest.digest()
