"""A blob read in parts, in any order. What a part hashes to nobody can say: whoever reads all of it compares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.chunktable import MAX_SOLID_CHUNK_SIZE, ChunkLayout
from wimboot.wim.chunked import Chunked
from wimboot.wim.errors import BlobDamaged, TooLarge

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.wim.part import Blob, Part

__all__ = ["RangedBlob", "WholeBlob"]


class RangedBlob:
    """One blob that is not solid, in an open WIM. Any number of threads may read."""

    def __init__(self, part: Part, blob: Blob) -> None:
        self.sha1 = blob.sha1
        self.size = blob.size
        self._part = part
        self._blob = blob
        self._chunks = self._chunked() if blob.compressed and blob.size else None

    def _chunked(self) -> Chunked:
        header = self._part.header
        if not 0 < header.chunk_size <= MAX_SOLID_CHUNK_SIZE:
            raise TooLarge(what="a chunk", where=self._part.where, size=header.chunk_size, limit=MAX_SOLID_CHUNK_SIZE)
        layout = ChunkLayout(size=self.size, size_in_wim=self._blob.size_in_wim, chunk_size=header.chunk_size)
        return Chunked(self._inside, layout, self._part.resources.codec, self.damaged)

    def _inside(self, offset: int, size: int) -> bytes:
        return self._part.file.pread(self._blob.offset + offset, size)

    def damaged(self, problem: str) -> BlobDamaged:
        """The error that says so."""
        return BlobDamaged(where=self._part.where, offset=self._blob.offset, sha1=self.sha1.hex(), problem=problem)

    def read(self, offset: int, size: int) -> bytes | memoryview:
        """Up to `size` bytes from `offset`; fewer where the blob ends. Raises BlobDamaged, TooLarge, HostError."""
        if self._chunks is not None:
            return self._chunks.read(offset, size)
        size = max(min(size, self.size - offset), 0)
        data = self._inside(offset, size)
        if len(data) != size:
            raise self.damaged("is cut short")
        return data


class WholeBlob:
    """A blob of a solid resource, which cannot be had in parts: read at the first call, and kept. `whole` checks it."""

    def __init__(self, blob: Blob, whole: Callable[[bytes], bytes]) -> None:
        self.sha1 = blob.sha1
        self.size = blob.size
        self._whole = whole
        self._data: bytes | None = None

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`. One thread at a time. Raises what `whole` does."""
        if self._data is None:
            self._data = self._whole(self.sha1)
        return self._data[offset:offset + size]
