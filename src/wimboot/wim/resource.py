"""Reading one resource: raw, chunked or inside a solid one, in windows. What the bytes hash to is not checked here."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from wimboot.formats.chunktable import MAX_SOLID_CHUNK_SIZE, ChunkLayout, SolidHeader
from wimboot.formats.wimheader import Compression, ResourceFlag, WimHeader
from wimboot.wim._codec import SOUND, Codec
from wimboot.wim.errors import BlobDamaged, TooLarge, locating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wimboot.formats.blobtable import BlobRow, SolidRun

__all__ = ["WINDOW", "ResourceReader"]

WINDOW = 4 << 20
"""The most bytes of a blob that are given at once."""

_SOLID_HEADER_SIZE = 16
_SHORT = "is cut short"


class ResourceReader:
    """Reads the resources of one WIM file. Solid ones by one thread at a time: the last chunk is kept."""

    def __init__(self, pread: Callable[[int, int], bytes], header: WimHeader, where: str) -> None:
        self._pread = pread
        self.where = where
        self.codec = Codec(header.compression, header.chunk_size)
        self._compression = header.compression
        self._chunk_size = header.chunk_size
        self._solid: dict[tuple[int, int], tuple[SolidHeader, list[int]]] = {}
        self._kept: tuple[tuple[int, int], bytes] | None = None

    def windows(self, row: BlobRow, run: SolidRun | None = None) -> Iterator[memoryview]:
        """The data of a blob in pieces of at most WINDOW bytes; a piece is valid until the next is asked for.

        Raises BlobDamaged, WimDamaged, TooLarge.
        """
        if run is not None:
            return self._solid_windows(row, run)
        if row.flags & ResourceFlag.COMPRESSED:
            return self._chunk_windows(row)
        return self._raw_windows(row)

    def read_into(self, whole: bytearray, row: BlobRow, run: SolidRun | None = None) -> None:
        """All data of a blob into a buffer of its size. Raises as `windows` does."""
        if run is None and row.flags & ResourceFlag.COMPRESSED:
            for _ in self._chunk_windows(row, whole):   # unpacked where it stays
                pass
            return
        at = 0
        for window in self.windows(row, run):
            whole[at:at + len(window)] = window
            at += len(window)

    def _damaged(self, row: BlobRow, problem: str) -> BlobDamaged:
        return BlobDamaged(where=self.where, offset=row.offset, sha1=row.sha1.hex(), problem=problem)

    def _exactly(self, row: BlobRow, offset: int, size: int) -> bytes:
        data = self._pread(offset, size)
        if len(data) != size:
            raise self._damaged(row, _SHORT)
        return data

    def _raw_windows(self, row: BlobRow) -> Iterator[memoryview]:
        for start in range(0, row.size, WINDOW):
            yield memoryview(self._exactly(row, row.offset + start, min(WINDOW, row.size - start)))

    def _chunk_windows(self, row: BlobRow, whole: bytearray | None = None) -> Iterator[memoryview]:
        if self._compression is Compression.NONE:
            raise self._damaged(row, "is compressed, in a WIM that says of itself that it is not")
        if not self._chunk_size or self._chunk_size > MAX_SOLID_CHUNK_SIZE:
            raise TooLarge(what="a chunk", where=self.where, size=self._chunk_size, limit=MAX_SOLID_CHUNK_SIZE)
        layout = ChunkLayout(size=row.size, size_in_wim=row.size_in_wim, chunk_size=self._chunk_size)
        with locating(self.where):
            layout.check()
        step = max(WINDOW // self._chunk_size, 1)
        buffer = memoryview(bytearray(min(step * self._chunk_size, row.size)) if whole is None else whole)
        for first in range(0, layout.count, step):
            count = min(step, layout.count - first)
            low, high = layout.entries_range(first, count)
            entries = self._exactly(row, row.offset + low, high - low)
            with locating(self.where):
                start, stored = layout.stored_sizes(first, count, entries)
            data = self._exactly(row, row.offset + layout.table_size + start, sum(stored))
            size = min(count * self._chunk_size, row.size - first * self._chunk_size)
            start_in_buffer = 0 if whole is None else first * self._chunk_size
            out = buffer[start_in_buffer:start_in_buffer + size]
            if self.codec.decompress_chunks(data, array("Q", stored), out) != SOUND:
                raise self._damaged(row, "does not decompress")
            for at in range(0, size, WINDOW):
                yield out[at:at + WINDOW]

    # ---- solid resources

    def _solid_windows(self, row: BlobRow, run: SolidRun) -> Iterator[memoryview]:
        size = row.size_in_wim      # a solid blob's real size stands there
        position = row.offset
        for place in run.resources:
            header, stored = self._solid_resource(row, place)
            if position >= header.size:
                position -= header.size
                continue
            if size > header.size - position:
                raise self._damaged(row, "reaches past its solid resource")
            return self._solid_pieces(row, place, header, stored, position, size)
        raise self._damaged(row, "lies behind its solid resources")

    def _solid_resource(self, row: BlobRow, place: tuple[int, int]) -> tuple[SolidHeader, list[int]]:
        if place not in self._solid:
            offset, size_in_wim = place
            with locating(self.where):
                header = SolidHeader.parse(self._exactly(row, offset, min(_SOLID_HEADER_SIZE, size_in_wim)),
                                           size_in_wim)
                table = self._exactly(row, offset + _SOLID_HEADER_SIZE, header.table_size)
                self._solid[place] = (header, header.stored_sizes(table, size_in_wim))
        return self._solid[place]

    def _solid_pieces(self, row: BlobRow, place: tuple[int, int], header: SolidHeader, stored: list[int],
                      position: int, size: int) -> Iterator[memoryview]:
        while size:
            number, inside = divmod(position, header.chunk_size)
            chunk = self._solid_chunk(row, place, header, stored, number)
            piece = memoryview(chunk)[inside:inside + min(size, WINDOW)]
            yield piece
            position += len(piece)
            size -= len(piece)

    def _solid_chunk(self, row: BlobRow, place: tuple[int, int], header: SolidHeader, stored: list[int],
                     number: int) -> bytes:
        key = (place[0], number)
        if self._kept is None or self._kept[0] != key:
            start = place[0] + _SOLID_HEADER_SIZE + header.table_size + sum(stored[:number])
            data = self._exactly(row, start, stored[number])
            size = min(header.chunk_size, header.size - number * header.chunk_size)
            if stored[number] != size:
                if header.compression == Compression.NONE:
                    raise self._damaged(row, "has a raw chunk of another size")
                self._kept = None
                out = bytearray(size)
                codec = Codec(header.compression, header.chunk_size)
                if codec.decompress_chunks(data, array("Q", [stored[number]]), out) != SOUND:
                    raise self._damaged(row, "does not decompress")
                data = bytes(out)
            self._kept = (key, data)
        return self._kept[1]
