"""The disk of a dynamic VHD that is being made, written once from its start to its end.

A block is held in memory until another one is written, and goes to the end of the file in one piece, so the file has
no holes: Windows attaches no VHD that lies sparse on NTFS. Blocks of zeros are left out. The data of a block begins on
4 KiB, as Windows has it.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from wimboot.errors import HostError, Internal
from wimboot.formats.vhdfooter import FOOTER_SIZE, SECTOR, Footer
from wimboot.formats.vhdsparse import SPARSE_HEADER_SIZE, UNUSED, SparseHeader, bitmap_size, pack_table

if TYPE_CHECKING:
    from wimboot.storage import Data, File

__all__ = ["TABLE_OFFSET", "NewVhdDisk"]

TABLE_OFFSET: Final = FOOTER_SIZE + SPARSE_HEADER_SIZE
_PAGE: Final = 4096


class NewVhdDisk:
    """A File of the disk's size over the empty `file`, which is a VHD when `finish` has been called."""

    def __init__(self, file: File, footer: Footer, block_size: int) -> None:
        self._file = file
        self._footer = footer
        self._block_size = block_size
        self._bitmap = b"\xff" * bitmap_size(block_size)
        self._table = array("I", [UNUSED]) * -(-footer.size // block_size)
        self._end = TABLE_OFFSET + -(-4 * len(self._table) // SECTOR) * SECTOR
        # The file grows by what is written at its end and by nothing else: even a passing hole would mark it as sparse.
        self._file.pwrite(0, bytes(self._end))
        self._block = -1
        self._data = bytearray(block_size)
        self._changed = False

    def pread(self, offset: int, size: int) -> bytes:
        size = max(0, min(size, self._footer.size - offset))
        parts = []
        while size:
            block, inside = divmod(offset, self._block_size)
            part = min(size, self._block_size - inside)
            self._enter(block)
            parts.append(bytes(self._data[inside:inside + part]))
            offset += part
            size -= part
        return b"".join(parts)

    def pwrite(self, offset: int, data: Data) -> None:
        view = memoryview(data).cast("B")
        if offset < 0 or offset + len(view) > self._footer.size:
            raise Internal(what="a write past the end of a new disk")
        while view:
            block, inside = divmod(offset, self._block_size)
            part = view[:self._block_size - inside]
            self._enter(block)
            self._data[inside:inside + len(part)] = part
            self._changed = True
            offset += len(part)
            view = view[len(part):]

    def _enter(self, block: int) -> None:
        """Hold that block."""
        if block == self._block:
            return
        self._leave()
        place = self._table[block]
        if place == UNUSED:
            self._data[:] = bytes(self._block_size)
        else:
            self._data[:] = self._file.pread(place * SECTOR + len(self._bitmap), self._block_size)
        self._block = block

    def _leave(self) -> None:
        """Write the block that is held, where that is needed."""
        if not self._changed:
            return
        place = self._table[self._block]
        if place != UNUSED:
            self._file.pwrite(place * SECTOR + len(self._bitmap), self._data)
        elif self._data.count(0) != self._block_size:
            start = -(-(self._end + len(self._bitmap)) // _PAGE) * _PAGE - len(self._bitmap)
            gap = bytes(start - self._end)
            self._file.pwrite(start - len(gap), b"".join((gap, self._bitmap, self._data)))
            self._table[self._block] = start // SECTOR
            self._end = start + len(self._bitmap) + self._block_size
        self._changed = False

    def finish(self) -> None:
        """Write what makes it a VHD. Raises HostError."""
        self._leave()
        header = SparseHeader(table_offset=TABLE_OFFSET, entries=len(self._table), block_size=self._block_size)
        self._file.pwrite(0, self._footer.pack() + header.pack() + pack_table(self._table))
        self._file.pwrite(self._end, self._footer.pack())

    def truncate(self, size: int) -> None:
        raise HostError(what="resizing", where="a new disk", why=f"it has {self._footer.size:,} bytes, not {size:,}")

    def sync(self) -> None:
        """Whoever made the file syncs it."""

    def size(self) -> int:
        return self._footer.size

    def close(self) -> None:
        """The file belongs to whoever made it."""
