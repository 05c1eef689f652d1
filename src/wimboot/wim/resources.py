"""Writing one resource whose bytes are in memory."""

from __future__ import annotations

from array import array
from functools import partial
from typing import TYPE_CHECKING

from wimboot.wim.large import LargeBlob
from wimboot.wim.workers import Workers

if TYPE_CHECKING:
    from wimboot.wim._codec import Codec
    from wimboot.wim.tail import Tail

__all__ = ["write_resource"]

_WINDOW = 2 << 20


def write_resource(tail: Tail, codec: Codec, data: bytes, *, threads: int) -> tuple[int, int, bool]:
    """Append `data`, compressed where that is smaller; (offset, size in the WIM, compressed)."""
    if len(data) <= _WINDOW:
        out, sizes, flags = codec.compress_batch(data, array("Q", (0, len(data))))
        return tail.append(out), sizes[0], bool(flags[0])
    view = memoryview(data)
    pieces = [view[at:at + _WINDOW] for at in range(0, len(data), _WINDOW)]
    blob = LargeBlob(tail, codec, len(data), lambda: iter(pieces))
    workers: Workers[tuple[bytes | bytearray | memoryview, array[int]]]
    with Workers(threads, codec.cancel) as workers:
        for result in workers.in_order((partial(blob.compress, piece) for piece in pieces), threads + 2):
            blob.add(result)
    return blob.finish()
