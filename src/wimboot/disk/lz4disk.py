"""A disk packed for loading into memory (`packing`, LZ4), read here and there without being unpacked whole."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from wimboot.disk.packing import lz4_block
from wimboot.errors import FormatError, HostError
from wimboot.formats.lz4frame import BLOCK_SIZE, END, FRAME_HEADER_SIZE, STORED, FrameHeader
from wimboot.formats.vhdfooter import FOOTER_SIZE, MAX_DISK_SIZE, Footer

if TYPE_CHECKING:
    from wimboot.storage import Data, File

__all__ = ["Lz4Disk"]

_LARGEST_BLOCK: Final = BLOCK_SIZE + BLOCK_SIZE // 255 + 16
"""What LZ4 makes of 4 MiB at most."""
_KEPT: Final = 8


class Lz4Disk:
    """The disk inside, without the VHD footer behind it: a `File` to be read; the packed one stays the caller's.

    Of one that was packed up to some byte only, as the footer tells, the rest reads as zeros.

    Raises Lz4Missing, FormatError, HostError.
    """

    def __init__(self, file: File) -> None:
        header = FrameHeader.parse(file.pread(0, FRAME_HEADER_SIZE))
        if not FOOTER_SIZE < header.content_size <= MAX_DISK_SIZE + FOOTER_SIZE:
            raise FormatError("LZ4 frame", 6, f"{header.content_size:,} bytes are no disk")
        self._file = file
        self._content_size = header.content_size
        self._lz4 = lz4_block()
        self._blocks = _blocks(file, header.content_size)
        self._block = lru_cache(maxsize=_KEPT)(self._unpacked)
        self._packed = header.content_size - FOOTER_SIZE
        self._size = self._told_size()

    def pread(self, offset: int, size: int) -> bytes:
        end = min(offset + size, self._size)
        data = self._read(offset, min(end, self._packed))
        return data + bytes(max(0, end - offset - len(data)))

    def _read(self, offset: int, end: int) -> bytes:
        parts = []
        while offset < end:
            number, inside = divmod(offset, BLOCK_SIZE)
            part = self._block(number)[inside:inside + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def size(self) -> int:
        return self._size

    def pwrite(self, offset: int, data: Data) -> None:
        raise HostError(what="writing", where=f"byte {offset:,} of a packed disk",
                        why=f"{len(data):,} bytes would not fit")

    def truncate(self, size: int) -> None:
        raise HostError(what="resizing", where="a packed disk", why=f"it has no other size, such as {size:,}")

    def sync(self) -> None:
        """Nothing was written."""

    def close(self) -> None:
        """The packed file is the caller's."""

    def _told_size(self) -> int:
        """By the footer; without a sound one, as others may pack a disk, what is there. Raises FormatError."""
        try:
            size = Footer.parse(self._read(self._packed, self._content_size)).size
        except FormatError:
            return self._packed
        if not self._packed <= size <= MAX_DISK_SIZE:
            raise FormatError("LZ4 frame", 6, f"{self._packed:,} bytes of a disk of {size:,}")
        return size

    def _unpacked(self, number: int) -> bytes:
        """A block of the disk, whole."""
        offset, size, stored = self._blocks[number]
        expected = min(BLOCK_SIZE, self._content_size - number * BLOCK_SIZE)
        packed = self._file.pread(offset, size)
        if stored:
            data = packed
        else:
            try:
                data = self._lz4.decompress(packed, uncompressed_size=expected)
            except Exception as error:  # a class of its own
                raise FormatError("LZ4 block", offset, str(error)) from error
        if len(data) != expected:
            raise FormatError("LZ4 block", offset, f"it unpacks to {len(data):,} bytes, and not to {expected:,}")
        return data


def _blocks(file: File, content_size: int) -> list[tuple[int, int, bool]]:
    """Where each block lies, how long it is, and whether it is stored as it is. Raises FormatError."""
    found = []
    offset = FRAME_HEADER_SIZE
    for _ in range(-(-content_size // BLOCK_SIZE)):
        word = int.from_bytes(file.pread(offset, 4), "little")
        size = word & ~STORED
        if not 0 < size <= _LARGEST_BLOCK:
            raise FormatError("LZ4 frame", offset, f"a block of {size:,} bytes")
        found.append((offset + 4, size, bool(word & STORED)))
        offset += 4 + size
    if file.pread(offset, len(END)) != END:
        raise FormatError("LZ4 frame", offset, "it does not end there")
    return found
