"""Writing one resource whose bytes are in memory."""

from __future__ import annotations

from array import array
from functools import partial
from typing import TYPE_CHECKING

from wimboot.wim.large import LargeBlob
from wimboot.wim.workers import Workers
from wimboot.wim.writer import BATCH

if TYPE_CHECKING:
    from wimboot.storage.protocol import Data
    from wimboot.wim.writer import BlobWriter

__all__ = ["write_resource"]


def write_resource(writer: BlobWriter, data: bytes | bytearray, *, threads: int) -> tuple[int, int, bool]:
    """Append `data`, compressed where that is smaller; (offset, size in the WIM, compressed)."""
    tail, codec = writer.tail, writer.codec
    if len(data) <= BATCH:
        out, sizes, flags = codec.compress_batch(data, array("Q", (0, len(data))))
        return tail.append(out), sizes[0], bool(flags[0])
    view = memoryview(data)
    pieces = [view[at:at + BATCH] for at in range(0, len(data), BATCH)]
    blob = LargeBlob(tail, codec, len(data), lambda: iter(pieces))
    workers: Workers[tuple[Data, array[int]]] = Workers(threads, codec.cancel)
    with workers:
        for result in workers.in_order((partial(blob.compress, piece) for piece in pieces), threads + 2):
            blob.add(result)
    return blob.finish()
