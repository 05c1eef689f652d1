"""Blobs on their way into a WIM: what the compressing threads do, and what is written of it in order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from wimboot.wim.large import LargeBlob

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from wimboot.storage.protocol import Data
    from wimboot.wim._codec import Codec
    from wimboot.wim.newblobs import NewBlobs
    from wimboot.wim.tail import Tail

__all__ = ["BATCH", "BlobWriter", "Task", "Write"]

BATCH = 2 << 20
"""Bytes that one task compresses; larger blobs go in windows of so many."""

Write = Callable[[], None]
Task = Callable[[], Write]


class BlobWriter:
    """Makes tasks for `Workers`: each compresses in any thread and gives what writes the result, in order."""

    def __init__(self, blobs: NewBlobs, tail: Tail, codec: Codec) -> None:
        self.blobs = blobs
        self.tail = tail
        self.codec = codec

    def batch(self, data: bytearray, spans: array[int], hashes: list[bytes],
              release: Callable[[bytearray], None] | None = None) -> Task:
        """Whole blobs of at most BATCH bytes at the `spans` of `data`; `release` is given the buffer back."""
        return partial(self._compress_batch, data, spans, hashes, release)

    def _compress_batch(self, data: bytearray, spans: array[int], hashes: list[bytes],
                        release: Callable[[bytearray], None] | None) -> Write:
        out, stored, flags = self.codec.compress_batch(data, spans)

        def write() -> None:
            if release is not None:
                release(data)
            offset = self.tail.append(out)
            for number, sha1 in enumerate(hashes):
                self.blobs.place(sha1, offset=offset, size_in_wim=stored[number], compressed=bool(flags[number]),
                                 size=spans[2 * number + 1] - spans[2 * number])
                offset += stored[number]

        return write

    def large(self, size: int, pieces: Iterator[Data], again: Callable[[], Iterator[Data]],
              sha1: Callable[[], bytes]) -> Iterator[Task]:
        """A blob of `size` bytes as `pieces` of BATCH bytes; `sha1` is asked when the last of them was drawn.

        `again` gives the pieces once more, for a blob that does not shrink.
        """
        blob = LargeBlob(self.tail, self.codec, size, again)
        at = 0
        for piece in pieces:
            at += len(piece)
            yield partial(self._compress_window, blob, piece, sha1() if at == size else None)

    def _compress_window(self, blob: LargeBlob, piece: Data, last: bytes | None) -> Write:
        result = blob.compress(piece)

        def write() -> None:
            blob.add(result)
            if last is not None:
                offset, size_in_wim, compressed = blob.finish()
                self.blobs.place(last, offset=offset, size_in_wim=size_in_wim, size=blob.size, compressed=compressed)

        return write
