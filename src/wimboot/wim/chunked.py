"""Any part of a chunked resource, without the rest of it: a WIM's blob, or the compressed stream of a Compact OS file.

Only the chunks that are asked for are decompressed, a run of them in one call without the GIL; of the chunk table a
page at a time is read, and the last one kept. Any number of threads may read.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.wim._codec import SOUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.errors import Error
    from wimboot.formats.chunktable import ChunkLayout
    from wimboot.wim._codec import Codec

__all__ = ["Chunked"]

_TABLE_PAGE = 64 << 10
_RUN = 8 << 20
"""The most bytes that one call unpacks."""


class Chunked:
    """One resource. `pread(offset, size)` gives its bytes, the chunk table first; `failed(why)` the error to raise."""

    def __init__(self, pread: Callable[[int, int], bytes], layout: ChunkLayout, codec: Codec,
                 failed: Callable[[str], Error]) -> None:
        self.size = layout.size
        self._pread = pread
        self._layout = layout
        self._codec = codec
        self._failed = failed
        self._page = (0, b"")
        try:
            layout.check()
        except FormatError as error:
            raise failed("has a chunk table that does not fit in it") from error

    def read(self, offset: int, size: int) -> bytes | memoryview:
        """Up to `size` bytes from `offset`; fewer where the data ends. Raises what `failed` and `pread` give."""
        size = min(size, self.size - offset)
        parts = []
        while size > 0:
            part = self._run(offset, min(size, _RUN))
            parts.append(part)
            offset += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _run(self, offset: int, size: int) -> memoryview:
        chunk_size = self._layout.chunk_size
        first, skipped = divmod(offset, chunk_size)
        count = -(-(skipped + size) // chunk_size)
        start, stored = self._places(first, count)
        data = self._exactly(self._layout.table_size + start, sum(stored))
        out = bytearray(min(count * chunk_size, self.size - first * chunk_size))
        try:
            sound = self._codec.decompress_chunks(data, array("Q", stored), out) == SOUND
        except ValueError as error:     # chunks, in a WIM that says it has no compression
            raise self._failed("does not decompress") from error
        if not sound:
            raise self._failed("does not decompress")
        return memoryview(out)[skipped:skipped + size]

    def _places(self, first: int, count: int) -> tuple[int, list[int]]:
        low, high = self._layout.entries_range(first, count)
        start, page = self._page
        if low < start or high > start + len(page):
            start = low - low % _TABLE_PAGE
            page = self._exactly(start, min(max(high - start, _TABLE_PAGE), self._layout.table_size - start))
            self._page = start, page
        try:
            return self._layout.stored_sizes(first, count, page[low - start:high - start])
        except FormatError as error:
            raise self._failed("has a chunk table that is not sound") from error

    def _exactly(self, offset: int, size: int) -> bytes:
        data = self._pread(offset, size)
        if len(data) != size:
            raise self._failed("is cut short")
        return data
