"""The least of a WIM reader, for judging: header, blob table, one blob. The codecs are libwim's, by ctypes."""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Blob", "Wim", "read_wim"]

LZX, XPRESS = 0x40000, 0x20000
COMPRESSED, METADATA = 0x04, 0x02


@dataclass(frozen=True, slots=True)
class Blob:
    """One row of the blob table."""

    offset: int
    stored_size: int
    size: int
    flags: int
    references: int


@dataclass(frozen=True, slots=True)
class Wim:
    """What the header and the table of a WIM say."""

    path: Path
    flags: int
    chunk_size: int
    guid: bytes
    image_count: int
    table_hash: bytes
    blobs: dict[bytes, Blob]

    def read(self, blob: Blob) -> bytes:
        """The blob's bytes, decompressed."""
        with self.path.open("rb") as file:
            file.seek(blob.offset)
            stored = file.read(blob.stored_size)
        assert len(stored) == blob.stored_size, "the blob ends past the end of the file"
        return stored if not blob.flags & COMPRESSED else self._decompress(stored, blob.size)

    def _decompress(self, stored: bytes, size: int) -> bytes:
        count = -(-size // self.chunk_size)
        width = 8 if size > 0xFFFFFFFF else 4
        table = width * (count - 1)
        starts = [0, *struct.unpack_from(f"<{count - 1}{'Q' if width == 8 else 'I'}", stored), len(stored) - table]
        parts = []
        for number in range(count):
            chunk = stored[table + starts[number]:table + starts[number + 1]]
            parts.append(_chunk(chunk, min(self.chunk_size, size - number * self.chunk_size), self.flags & LZX,
                                self.chunk_size))
        return b"".join(parts)


def read_wim(path: Path) -> Wim:
    """Read header and blob table; fails by AssertionError."""
    with path.open("rb") as file:
        head = file.read(208)
        magic, size, version, flags, chunk_size, guid, _, _, images = struct.unpack_from("<8sIIII16sHHI", head)
        assert (magic, size, version) == (b"MSWIM\0\0\0", 208, 0x10D00), "not a plain WIM"
        stored, offset, length = struct.unpack_from("<QQQ", head, 0x30)
        file.seek(offset)
        table = file.read(stored & ((1 << 56) - 1))
    assert len(table) == length, "the blob table is stored compressed or cut"
    blobs = {}
    for first, place, plain, _, references, digest in struct.iter_unpack("<QQQHI20s", table):
        blobs[digest] = Blob(place, first & ((1 << 56) - 1), plain, first >> 56, references)
    return Wim(path, flags, chunk_size, guid, images, hashlib.sha1(table, usedforsecurity=False).digest(), blobs)


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(ctypes.util.find_library("wim") or "libwim.so.15")
    library.wimlib_create_decompressor.argtypes = [ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p]
    library.wimlib_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t,
                                          ctypes.c_void_p]
    return library


@cache
def _decompressor(lzx: int, chunk_size: int) -> ctypes.c_void_p:
    handle = ctypes.c_void_p()
    assert _library().wimlib_create_decompressor(2 if lzx else 1, chunk_size, ctypes.byref(handle)) == 0
    return handle


def _chunk(chunk: bytes, size: int, lzx: int, chunk_size: int) -> bytes:
    if len(chunk) == size:
        return chunk
    room = ctypes.create_string_buffer(size)
    result = _library().wimlib_decompress(chunk, len(chunk), room, size, _decompressor(lzx, chunk_size))
    assert result == 0, "a chunk does not decompress"
    return room.raw
