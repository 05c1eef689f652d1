"""A blob too large for one batch: its chunks are appended window by window, its chunk table filled in at the end."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from wimboot.formats.chunktable import ChunkLayout, pack_chunk_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wimboot.storage.protocol import Data
    from wimboot.wim._codec import Codec
    from wimboot.wim.tail import Tail

__all__ = ["LargeBlob"]


class LargeBlob:
    """One such blob. `windows` gives its data once more, for where it does not shrink."""

    def __init__(self, tail: Tail, codec: Codec, size: int, windows: Callable[[], Iterator[Data]]) -> None:
        self.size = size
        self._tail = tail
        self._codec = codec
        self._windows = windows
        self._stored = array("I")
        self._offset = -1

    def compress(self, piece: Data) -> tuple[Data, array[int]]:
        """A window's chunks, made in any thread. All windows but the last are whole chunks."""
        if not self._codec.compression:
            return piece, array("I")
        return self._codec.compress_chunks(piece)

    def add(self, result: tuple[Data, array[int]]) -> None:
        """Append a window, in their order."""
        out, stored = result
        if self._offset < 0:
            self._offset = self._tail.reserve(self._table_size())
        self._tail.append(out)
        self._stored.extend(stored)

    def _table_size(self) -> int:
        if not self._codec.compression:
            return 0
        return ChunkLayout(size=self.size, size_in_wim=0, chunk_size=self._codec.chunk_size).table_size

    def finish(self) -> tuple[int, int, bool]:
        """(offset, size in the WIM, compressed)."""
        size_in_wim = self._tail.end - self._offset
        if not self._codec.compression:
            return self._offset, size_in_wim, False
        if size_in_wim < self.size:
            self._tail.patch(self._offset, pack_chunk_table(self.size, self._stored))
            return self._offset, size_in_wim, True
        self._tail.rewind(self._offset)
        for piece in self._windows():
            self._tail.append(piece)
        return self._offset, self.size, False
