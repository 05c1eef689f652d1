"""NTFS view indexes: the pairs of key and data in an index that is not a folder ($ObjId's $O, $Reparse's $R)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.ntfsrecord import unfix

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["block_entries", "root_entries"]

_NODE = struct.Struct("<II")
_ENTRY = struct.Struct("<HH4xHHH")
_ROOT_HEADER = 16
_BLOCK_HEADER = 24
_END = 2


def root_entries(value: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Of a $INDEX_ROOT value: bytes of an index block, and the entries in the root. Raises FormatError.

    offset size field (source: libntfs-3g's layout.h)
    0x08   4    bytes of an index block
    0x10   4    offset of the first entry from here; 0x14 4 end of the entries from here
    """
    if len(value) < _ROOT_HEADER + 16:
        raise FormatError("index root", len(value), "it is cut short")
    size = struct.unpack_from("<I", value, 8)[0]
    if size & size - 1 or not 512 <= size <= 1 << 16:
        raise FormatError("index root", 8, f"index blocks of {size:,} bytes")
    return size, list(_entries(value, _ROOT_HEADER, "index root"))


def block_entries(data: bytes) -> list[tuple[bytes, bytes]]:
    """Of an index block as it lies on the volume. Raises FormatError.

    "INDX" and an update sequence as in a file record, from 0x18 on as in the root from 0x10 on.
    """
    if data[:4] != b"INDX" or len(data) < _BLOCK_HEADER + 16:
        raise FormatError("index block", 0, "it does not begin with INDX")
    return list(_entries(unfix(data, "index block"), _BLOCK_HEADER, "index block"))


def _entries(data: bytes, base: int, structure: str) -> Iterator[tuple[bytes, bytes]]:
    """offset size field: 0 2 offset of the data, 2 2 its bytes, 8 2 bytes of the entry, 10 2 of the key, 12 2 flags."""
    first, end = _NODE.unpack_from(data, base)
    at, end = base + first, base + end
    if end > len(data):
        raise FormatError(structure, base + 4, "its entries do not fit")
    while at + 16 <= end:
        data_offset, data_size, size, key_size, flags = _ENTRY.unpack_from(data, at)
        if flags & _END:
            return
        if size < 16 or size > end - at or 16 + key_size > size or data_offset + data_size > size:
            raise FormatError(structure, at, f"an entry of {size:,} bytes")
        yield data[at + 16:at + 16 + key_size], data[at + data_offset:at + data_offset + data_size]
        at += size
    raise FormatError(structure, at, "its entries have no end")
