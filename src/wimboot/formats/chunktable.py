"""Chunk tables: how the pieces of a compressed resource lie behind each other.

Ordinary resource (checked against a WIM made by wimlib 1.13): n = ceil(size / chunk size) chunks, in front of them
n - 1 entries of 4 bytes, 8 where the resource has more than 0xFFFFFFFF bytes uncompressed. Entry i is where chunk
i + 1 starts, counted from the end of the table; chunk 0 starts at 0. A chunk stored with as many bytes as it holds
is raw.

Solid resource (version 0xE00; wimlib 1.14.5's source, checked against a small LZMS WIM):

    off   size  field
    0     8     size of all its blobs together
    8     4     chunk size
    12    4     codec (Compression)
    16    4n    stored size of each of the n chunks
"""

from __future__ import annotations

import struct
import sys
from array import array
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.wimheader import Compression, check_chunk_size
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_SOLID_CHUNK_SIZE", "ChunkLayout", "SolidHeader", "pack_chunk_table"]

MAX_SOLID_CHUNK_SIZE = 256 << 20    # one such chunk is held in memory; imaging tools use 64 MiB
_SOLID = struct.Struct("<QII")


class ChunkLayout(Frozen):
    """The shape of an ordinary compressed resource: what follows from its two sizes alone."""

    size: int
    size_in_wim: int
    chunk_size: int

    @property
    def count(self) -> int:
        """Number of chunks."""
        return -(-self.size // self.chunk_size)

    @property
    def entry_size(self) -> int:
        """Bytes of one entry of the table."""
        return 8 if self.size > 0xFFFFFFFF else 4

    @property
    def table_size(self) -> int:
        """Bytes of the table."""
        return (self.count - 1) * self.entry_size

    def check(self) -> None:
        """Raises FormatError where the table and a byte a chunk do not fit in the resource."""
        if self.size <= 0 or self.table_size + self.count > self.size_in_wim:
            raise FormatError("chunk table", 0, f"{self.size_in_wim:,} bytes cannot hold {self.count:,} chunks")

    def stored_sizes(self, first: int, count: int, entries: bytes) -> tuple[int, list[int]]:
        """Start (from the end of the table) and stored sizes of `count` chunks from `first`.

        `entries` are the bytes of the table's entries max(first - 1, 0) to first + count - 1, as far as it has them:
        where chunk `first` starts, unless it is 0, and where each later one and the one behind them does.
        Raises FormatError where the starts do not ascend, leave the resource, or a chunk is longer than its data.
        """
        code = "<Q" if self.entry_size == 8 else "<I"
        starts = [value for (value,) in struct.iter_unpack(code, entries)]
        if first == 0:
            starts.insert(0, 0)
        if first + count == self.count:
            starts.append(self.size_in_wim - self.table_size)
        if len(starts) != count + 1:
            raise FormatError("chunk table", first * self.entry_size, "it is cut short")
        sizes = [after - before for before, after in pairwise(starts)]
        for number, stored in enumerate(sizes, first):
            if not 0 < stored <= self.chunk_bytes(number):
                raise FormatError("chunk table", number * self.entry_size, f"chunk {number} takes {stored} bytes")
        if starts[-1] > self.size_in_wim - self.table_size:
            raise FormatError("chunk table", first * self.entry_size, "a chunk lies behind the resource")
        return starts[0], sizes

    def chunk_bytes(self, number: int) -> int:
        """Uncompressed size of chunk `number`."""
        return min(self.chunk_size, self.size - number * self.chunk_size)

    def entries_range(self, first: int, count: int) -> tuple[int, int]:
        """The bytes of the table that `stored_sizes` needs for those chunks: start and end."""
        low = max(first - 1, 0)
        high = min(first + count, self.count - 1)
        return low * self.entry_size, high * self.entry_size


def pack_chunk_table(size: int, stored_sizes: Sequence[int]) -> bytes:
    """The table of a resource of `size` bytes whose chunks are stored with those sizes."""
    starts = array("Q" if size > 0xFFFFFFFF else "I", accumulate(islice(stored_sizes, len(stored_sizes) - 1)))
    if sys.byteorder == "big":
        starts.byteswap()
    return starts.tobytes()


class SolidHeader(Frozen):
    """The 16 bytes in front of a solid resource; see the table above."""

    size: int
    chunk_size: int
    compression: Compression

    @classmethod
    def parse(cls, data: bytes, size_in_wim: int) -> SolidHeader:
        """The header at the start of a solid resource of `size_in_wim` bytes. Raises FormatError."""
        if len(data) < _SOLID.size:
            raise FormatError("solid resource", len(data), "it is cut short")
        size, chunk_size, codec = _SOLID.unpack_from(data)
        if codec not in set(Compression):
            raise FormatError("solid resource", 12, f"codec {codec} is not known")
        compression = Compression(codec)
        if not 0 < chunk_size <= MAX_SOLID_CHUNK_SIZE or not (
                compression == Compression.NONE or check_chunk_size(compression, chunk_size)):
            raise FormatError("solid resource", 8, f"chunks of {chunk_size:,} bytes")
        header = cls(size=size, chunk_size=chunk_size, compression=compression)
        if size == 0 or header.table_size + header.count > size_in_wim - _SOLID.size:
            raise FormatError("solid resource", 0,
                              f"{size_in_wim:,} bytes cannot hold {size:,} in chunks of {chunk_size:,}")
        return header

    def pack(self) -> bytes:
        """The 16 bytes."""
        return _SOLID.pack(self.size, self.chunk_size, self.compression)

    @property
    def count(self) -> int:
        """Number of chunks."""
        return -(-self.size // self.chunk_size)

    @property
    def table_size(self) -> int:
        """Bytes of the table behind the header."""
        return self.count * 4

    def stored_sizes(self, table: bytes, size_in_wim: int) -> list[int]:
        """The stored size of each chunk. Raises FormatError where they are not possible."""
        if len(table) != self.table_size:
            raise FormatError("solid resource", _SOLID.size + len(table), "its chunk table is cut short")
        sizes = list(struct.unpack(f"<{self.count}I", table))
        for number, stored in enumerate(sizes):
            if not 0 < stored <= min(self.chunk_size, self.size - number * self.chunk_size):
                raise FormatError("solid resource", 16 + 4 * number, f"chunk {number} takes {stored} bytes")
        if _SOLID.size + self.table_size + sum(sizes) > size_in_wim:
            raise FormatError("solid resource", 16, "its chunks do not fit in it")
        return sizes
