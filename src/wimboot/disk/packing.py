"""A disk packed into one file that boot loaders load into memory, block by block on several threads.

Where a dynamic VHD has no block there are zeros: these are not read, and packed once. What is packed is a fixed VHD,
the disk and its footer: the driver that finds the disk in memory takes its last sector for a footer and hides it.

Of a disk whose end nobody uses only the part before is packed, when that is wanted, and the footer behind it tells how
large the disk is. LZ4 needs a byte for 255 zeros, and a loader unpacks each of them, so most of a large and nearly
empty disk's file and of the time to load it would be its free end. The loader gives the disk its size (`grubmenu`);
what is in that end then is whatever the memory held, the footer at its beginning.
"""

from __future__ import annotations

import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from wimboot.disk.newvhd import NewVhdDisk
from wimboot.errors import HostError, UsageError
from wimboot.formats import lz4frame
from wimboot.formats.gzipmember import GZIP_END, GZIP_HEADER, MAX_CONTENT_SIZE, crc_after_zeros, trailer
from wimboot.formats.vhdfooter import FOOTER_SIZE, NO_OFFSET, SECTOR, DiskType
from wimboot.formats.vhdsparse import BLOCK_SIZE, UNUSED, bitmap_size
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wimboot.disk.vhdlayout import Layout
    from wimboot.events import Counter
    from wimboot.storage import File

__all__ = [
    "Lz4Block", "Lz4Missing", "Packing", "PackingOptions", "TooLargeForGzip", "check_packing", "lz4_block", "pack_disk",
]

_PIECE: Final = lz4frame.BLOCK_SIZE
_GZIP_LEVELS: Final = (4, 9)
_LZ4_LEVEL: Final = 9
"""Of LZ4's other compressor, which takes five times the time and more for a tenth of the size."""


class Packing(Enum):
    """What the file is."""

    LZ4 = "lz4"
    GZIP = "gzip"
    VHD = "vhd"             # dynamic
    FIXED = "vhd-fixed"


class PackingOptions(Frozen):
    """What the file is to be; `thorough`: smaller, and slower to make, no slower to load.

    `end`: what of the disk is packed, None for all; a dynamic VHD has all.
    """

    packing: Packing
    threads: int
    thorough: bool = False
    end: int | None = None


class Lz4Missing(HostError):
    """The Python package that compresses is an extra, and not installed."""

    id = "lz4-missing"
    sentence = "compressing with LZ4 needs the Python package lz4, which is not installed"
    advice = "pip install 'wimboot[ram]', or take --form vhd."


class TooLargeForGzip(UsageError):
    """A size that gzip does not tell rightly."""

    id = "too-large-for-gzip"
    sentence = "{size:size} cannot be in a gzip file for grub4dos, which would see {seen:size} of them"
    advice = "gzip tells sizes below 4 GiB only. Take --form lz4 or --form vhd."


class Lz4Block(Protocol):
    """What is used of the package lz4."""

    def compress(self, source: bytes, *, mode: str = ..., compression: int = ..., store_size: bool) -> bytes:
        """One block."""
        ...

    def decompress(self, source: bytes, *, uncompressed_size: int) -> bytes:
        """What it was; raises an exception of its own."""
        ...


class _Piece(Frozen):
    """Bytes of the disk in its order; without `data` they are zeros."""

    size: int
    data: bytes | None


def check_packing(packing: Packing, size: int) -> None:
    """Whether `size` bytes of a disk can be packed so, here. Raises Lz4Missing, TooLargeForGzip."""
    if packing is Packing.GZIP and size + FOOTER_SIZE > MAX_CONTENT_SIZE:
        raise TooLargeForGzip(size=size, seen=(size + FOOTER_SIZE) % (MAX_CONTENT_SIZE + 1))
    if packing is Packing.LZ4:
        lz4_block()


def pack_disk(source: File, layout: Layout, out: File, options: PackingOptions, counter: Counter) -> None:
    """Write the disk of the dynamic VHD `source` into the empty file `out`; `counter` counts bytes of the disk.

    Raises Lz4Missing, TooLargeForGzip, HostError.
    """
    end = layout.footer.size if options.end is None else options.end
    check_packing(options.packing, end)
    if options.packing is Packing.VHD:
        _copy(source, layout, out, counter)
        return
    footer = replace(layout.footer, type=DiskType.FIXED, data_offset=NO_OFFSET).pack()
    pieces = _Counted(_pieces(source, layout, footer, end), counter)
    parts = {Packing.LZ4: _as_lz4, Packing.GZIP: _as_gzip, Packing.FIXED: _as_it_is}[options.packing](
        pieces, end + len(footer), options)
    offset = 0
    for part in parts:
        out.pwrite(offset, part)
        offset += len(part)


def _copy(source: File, layout: Layout, out: File, counter: Counter) -> None:
    disk = NewVhdDisk(out, layout.footer, BLOCK_SIZE)
    offset = 0
    for piece in _pieces(source, layout, b"", layout.footer.size):
        if piece.data is not None:
            disk.pwrite(offset, piece.data)
        offset += piece.size
        counter.add(piece.size)
    disk.finish()


class _Counted:
    """Pieces that count themselves when they are taken."""

    def __init__(self, pieces: Iterator[_Piece], counter: Counter) -> None:
        self._pieces, self._counter = pieces, counter

    def __iter__(self) -> Iterator[_Piece]:
        for piece in self._pieces:
            yield piece
            self._counter.add(piece.size)


def _pieces(source: File, layout: Layout, footer: bytes, end: int) -> Iterator[_Piece]:
    """The disk up to `end` in pieces of 4 MiB, and the footer behind it, for the last piece may be any size."""
    for offset in range(0, end, _PIECE):
        count = min(_PIECE, end - offset)
        data = _read(source, layout, offset, count)
        if count < _PIECE and footer:
            data, footer = (bytes(count) if data is None else data) + footer, b""
            count = len(data)
        yield _Piece(size=count, data=data)
    if footer:
        yield _Piece(size=len(footer), data=footer)


def _read(source: File, layout: Layout, offset: int, count: int) -> bytes | None:
    """Bytes of the disk; None for zeros."""
    header, table = layout.header, layout.table
    if header is None or table is None:
        raise ValueError(layout)
    end = offset + count
    if all(entry == UNUSED for entry in table[offset // header.block_size:-(-end // header.block_size)]):
        return None
    parts = []
    while offset < end:
        number, inside = divmod(offset, header.block_size)
        part = min(end - offset, header.block_size - inside)
        place = table[number] * SECTOR + bitmap_size(header.block_size) + inside
        parts.append(bytes(part) if table[number] == UNUSED else source.pread(place, part))
        offset += part
    return b"".join(parts)


def _compressed(pieces: _Counted, compress: Callable[[bytes], bytes], threads: int) -> Iterator[tuple[_Piece, bytes]]:
    """Each piece with what it becomes, in their order; pieces of zeros are compressed once."""

    @lru_cache(maxsize=2)
    def zeros(size: int) -> bytes:
        return compress(bytes(size))

    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[_Piece, Callable[[], bytes]]] = deque()
        for piece in pieces:
            if piece.data is None:
                waiting.append((piece, lambda size=piece.size: zeros(size)))    # type: ignore[misc]  # typeshed's lambda
            else:
                waiting.append((piece, pool.submit(compress, piece.data).result))
            if len(waiting) > 2 * threads:
                ready, result = waiting.popleft()
                yield ready, result()
        for ready, result in waiting:
            yield ready, result()


def _as_lz4(pieces: _Counted, size: int, options: PackingOptions) -> Iterator[bytes]:
    lz4 = lz4_block()

    def compress(data: bytes) -> bytes:
        if options.thorough:
            packed = lz4.compress(data, mode="high_compression", compression=_LZ4_LEVEL, store_size=False)
        else:
            packed = lz4.compress(data, store_size=False)
        return lz4frame.block(data, packed)

    yield lz4frame.FrameHeader(content_size=size).pack()
    for _, packed in _compressed(pieces, compress, options.threads):
        yield packed
    yield lz4frame.END


def _as_gzip(pieces: _Counted, size: int, options: PackingOptions) -> Iterator[bytes]:
    def compress(data: bytes) -> bytes:
        level = _GZIP_LEVELS[options.thorough or data.count(0) == len(data)]    # runs of zeros differ by a factor of 5
        packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)

    crc = 0
    yield GZIP_HEADER
    for piece, packed in _compressed(pieces, compress, options.threads):
        crc = crc_after_zeros(crc, piece.size) if piece.data is None else zlib.crc32(piece.data, crc)
        yield packed
    yield GZIP_END + trailer(crc, size)


def _as_it_is(pieces: _Counted, _size: int, _options: PackingOptions) -> Iterator[bytes]:
    """All bytes: Windows attaches no VHD with holes."""
    for piece in pieces:
        yield bytes(piece.size) if piece.data is None else piece.data


def lz4_block() -> Lz4Block:
    """What compresses and unpacks blocks. Raises Lz4Missing."""
    try:
        import lz4.block
    except ImportError as error:
        raise Lz4Missing from error
    found: Lz4Block = lz4.block
    return found
