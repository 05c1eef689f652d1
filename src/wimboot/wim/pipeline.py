"""Reading, hashing, deduplicating and compressing the streams of a volume into a WIM.

One thread, the caller's, reads batches of whole streams in the order in which they lie on the disk, hashes each and
drops what is known already; `threads` others compress; the results are appended in the order in which they were read,
so the same input makes the same WIM. Streams larger than a batch go through in windows. What is read and not yet
written is capped, so that memory does not grow with the volume.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter as Tally
from functools import partial
from typing import TYPE_CHECKING, Protocol

from wimboot.wim import _streams
from wimboot.wim.errors import SourceFailed
from wimboot.wim.workers import Workers
from wimboot.wim.writer import BATCH, BlobWriter, Task, Write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.events import Counter
    from wimboot.tree import Tree

__all__ = ["BlobSource", "Pipeline"]

_NO_HASH = bytes(20)


class BlobSource(Protocol):
    """Where the streams' bytes come from."""

    def in_disk_order(self, streams: array[int]) -> array[int]:
        """The streams in the order in which reading them moves the disk's head least."""
        ...

    def fill(self, streams: array[int], first: int, buffer: bytearray) -> list[int]:
        """Read whole streams, from number `first` on, back to back into `buffer`, as many as fit: the end of each."""
        ...

    def read_into(self, stream: int, offset: int, into: memoryview) -> int:
        """Read a part of a stream; the bytes read."""
        ...


class Pipeline:
    """One run over the streams of a tree."""

    def __init__(self, tree: Tree, source: BlobSource, writer: BlobWriter, counter: Counter) -> None:
        self._tree = tree
        self._source = source
        self._writer = writer
        self._blobs = writer.blobs
        self._counter = counter
        self._buffers: list[bytearray] = []

    def run(self, streams: array[int], threads: int) -> None:
        """Add every stream's content. Raises SourceFailed, HostError and what the source raises."""
        order = self._source.in_disk_order(streams)
        workers: Workers[Write] = Workers(threads, self._writer.codec.cancel)
        with workers:
            for write in workers.in_order(self._tasks(order), threads + 3):
                write()

    def _tasks(self, order: array[int]) -> Iterator[Task]:
        """What the workers do; each task gives what the writing side is to do with its result."""
        sizes, states = _streams.facts(self._tree, order)
        alike = Tally(size for size in sizes if size > BATCH)
        small = array("I")
        small_sizes = array("Q")
        for index, stream in enumerate(order):
            size, state = sizes[index], states[index]
            if state == _streams.EMPTY:
                self._tree.set_hash(stream, _NO_HASH)
            elif state == _streams.KNOWN and self._tree.stream(stream).hash in self._blobs:
                self._counter.add(size)
            elif size <= BATCH:
                small.append(stream)
                small_sizes.append(size)
            else:
                yield from self._small_tasks(small, small_sizes)
                small, small_sizes = array("I"), array("Q")
                yield from self._large_tasks(stream, size, alone=alike[size] == 1)
        yield from self._small_tasks(small, small_sizes)

    # ---- streams that fit in a batch

    def _small_tasks(self, streams: array[int], sizes: array[int]) -> Iterator[Task]:
        first = 0
        while first < len(streams):
            buffer = self._buffers.pop() if self._buffers else bytearray(BATCH)
            ends = self._source.fill(streams, first, buffer)
            spans, fresh = self._hash_batch(streams, sizes, first, buffer, ends)
            first += len(ends)
            if fresh:
                yield self._writer.batch(buffer, spans, fresh, self._buffers.append)
            else:
                self._buffers.append(buffer)

    def _hash_batch(self, streams: array[int], sizes: array[int], first: int, buffer: bytearray,
                    ends: list[int]) -> tuple[array[int], list[bytes]]:
        """Note the hash of each stream in the buffer; spans and hashes of those not yet in the WIM."""
        if not 0 < len(ends) <= len(streams) - first:
            raise self._failed(streams[first], "it was not read")
        sha1, begin = hashlib.sha1, self._blobs.begin
        view = memoryview(buffer)
        spans, fresh, hashes = array("Q"), [], []
        start = 0
        for number, end in enumerate(ends, first):
            if end - start != sizes[number] or end > BATCH:
                raise self._failed(streams[number], f"{end - start:,} bytes came, not {sizes[number]:,}")
            digest = sha1(view[start:end], usedforsecurity=False).digest()
            hashes.append(digest)
            if begin(digest):
                spans.extend((start, end))
                fresh.append(digest)
            start = end
        _streams.set_hashes(self._tree, streams, first, hashes)
        self._counter.add(start)
        return spans, fresh

    # ---- large ones

    def _large_tasks(self, stream: int, size: int, *, alone: bool) -> Iterator[Task]:
        """In one pass where no other blob can be equal, else hashed first."""
        unique = alone and not self._blobs.has_size(size, BATCH + 1)
        self._blobs.note_size(size)
        again = partial(self._windows, stream, size)
        if unique:
            digest = hashlib.sha1(usedforsecurity=False)
            pieces = self._hashing(again(), digest)
            yield from self._writer.large(size, pieces, again, partial(self._note, stream, digest))
            return
        digest = hashlib.sha1(usedforsecurity=False)
        for _ in self._hashing(again(), digest):
            pass
        sha1 = digest.digest()
        self._tree.set_hash(stream, sha1)
        if self._blobs.begin(sha1):
            yield from self._writer.large(size, again(), again, lambda: sha1)

    def _hashing(self, pieces: Iterator[bytearray], digest: hashlib._Hash) -> Iterator[bytearray]:
        for piece in pieces:
            digest.update(piece)
            self._counter.add(len(piece))
            yield piece

    def _note(self, stream: int, digest: hashlib._Hash) -> bytes:
        sha1 = digest.digest()
        self._tree.set_hash(stream, sha1)
        self._blobs.begin(sha1)
        return sha1

    def _windows(self, stream: int, size: int) -> Iterator[bytearray]:
        for at in range(0, size, BATCH):
            piece = bytearray(min(BATCH, size - at))
            got = self._source.read_into(stream, at, memoryview(piece))
            if got != len(piece):
                raise self._failed(stream, f"{got:,} bytes came, not {len(piece):,}")
            yield piece

    def _failed(self, stream: int, why: str) -> SourceFailed:
        links = self._tree.links_of(self._tree.stream_node(stream))
        where = self._tree.path(links[0]) if links else f"stream {stream}"
        return SourceFailed(what="reading", where=where, why=why)
