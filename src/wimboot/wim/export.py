"""Copying blobs from one WIM into another: out of solid, LZMS and split ones into one that can back files."""

from __future__ import annotations

from array import array
from functools import partial
from typing import TYPE_CHECKING

from wimboot.events import Counter
from wimboot.wim.errors import BlobMissing
from wimboot.wim.workers import Workers
from wimboot.wim.writer import BATCH, BlobWriter, Task, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wimboot.wim.append import Append
    from wimboot.wim.store import Store

__all__ = ["copy_blobs"]


def copy_blobs(source: Store, hashes: Iterable[bytes], append: Append, *, counter: Counter | None = None,
               threads: int = 2) -> None:
    """Add the blobs of `source` that `append` lacks, each checked against its hash and compressed anew.

    They are read in the order in which they lie, so a solid resource is unpacked once. `counter` counts
    uncompressed bytes. Raises BlobMissing, BlobDamaged, HostError.
    """
    wanted = {sha1 for sha1 in hashes if any(sha1)}
    for sha1 in wanted:
        if sha1 not in source:
            raise BlobMissing(where=source.where, sha1=sha1.hex())
    writer = append.writer()
    workers: Workers[Write] = Workers(threads, writer.codec.cancel)
    with workers:
        for write in workers.in_order(_tasks(source, wanted, writer, counter or Counter()), threads + 3):
            write()


def _tasks(source: Store, wanted: set[bytes], writer: BlobWriter, counter: Counter) -> Iterator[Task]:
    batch, spans, fresh = bytearray(), array("Q"), list[bytes]()
    for blob in source.in_file_order(wanted):
        counter.add(blob.size)
        if not writer.blobs.begin(blob.sha1):
            continue
        if blob.size > BATCH:
            writer.blobs.note_size(blob.size)
            windows = partial(_windows, source, blob.sha1)
            yield from writer.large(blob.size, windows(), windows, partial(bytes, blob.sha1))
            continue
        if fresh and len(batch) + blob.size > BATCH:
            yield writer.batch(batch, spans, fresh)
            batch, spans, fresh = bytearray(), array("Q"), list[bytes]()
        spans.append(len(batch))
        for part in source.read_parts(blob.sha1):
            batch += part
        spans.append(len(batch))
        fresh.append(blob.sha1)
    if fresh:
        yield writer.batch(batch, spans, fresh)


def _windows(source: Store, sha1: bytes) -> Iterator[bytes]:
    """A blob in pieces of BATCH bytes, whatever the source's have."""
    kept = bytearray()
    for part in source.read_parts(sha1):
        kept += part
        while len(kept) >= BATCH:
            yield bytes(kept[:BATCH])
            del kept[:BATCH]
    if kept:
        yield bytes(kept)
