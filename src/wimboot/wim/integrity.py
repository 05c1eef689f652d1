"""The integrity table: a SHA-1 of every 10 MiB of a WIM from behind the header to the end of the blob table.

    off   size  field                       (checked against a WIM made by wimlib 1.13)
    0     4     size of this table
    4     4     number of entries
    8     4     bytes each entry stands for, 10485760
    12    20n   SHA-1 of each piece, the last one shorter
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.wimheader import HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Collection

    from wimboot.formats.wimheader import WimHeader
    from wimboot.storage.protocol import File

__all__ = ["extend_integrity", "make_integrity"]

_HEAD = struct.Struct("<III")
_PIECE_SIZE = 10 << 20
_READ_SIZE = 1 << 20


def extend_integrity(file: File, old: WimHeader, end: int, garbage: Collection[tuple[int, int]] = ()) -> bytes:
    """The table for the file up to `end`. Pieces that lie wholly in what the old table covers keep their hash.

    `garbage` is (first byte, size) of what nothing refers to any more and is not what the old table says.
    """
    known = _known(file.pread(old.integrity.offset, old.integrity.size), old)
    fresh = {number for start, size in garbage for number in range(
        (start - HEADER_SIZE) // _PIECE_SIZE, (start + size - HEADER_SIZE) // _PIECE_SIZE + 1)}
    hashes = []
    for number, start in enumerate(range(HEADER_SIZE, end, _PIECE_SIZE)):
        if number < len(known) and number not in fresh and start + _PIECE_SIZE <= old.blob_table.end:
            hashes.append(known[number])
        else:
            hashes.append(_hash(file, start, min(start + _PIECE_SIZE, end)))
    return _pack(hashes)


def make_integrity(file: File, end: int) -> bytes:
    """The table for a file that is read from behind its header to `end`."""
    return _pack([_hash(file, start, min(start + _PIECE_SIZE, end)) for start in range(HEADER_SIZE, end, _PIECE_SIZE)])


def _pack(hashes: list[bytes]) -> bytes:
    size = _HEAD.size + 20 * len(hashes)
    return _HEAD.pack(size, len(hashes), _PIECE_SIZE) + b"".join(hashes)


def _known(table: bytes, old: WimHeader) -> list[bytes]:
    if len(table) < _HEAD.size:
        raise FormatError("integrity table", len(table), "it is cut short")
    size, count, piece_size = _HEAD.unpack_from(table)
    if size != len(table) or size != _HEAD.size + 20 * count:
        raise FormatError("integrity table", 0, f"{count:,} entries do not take {len(table):,} bytes")
    covered = old.blob_table.end - HEADER_SIZE
    if piece_size == 0 or count != -(-covered // piece_size):
        raise FormatError("integrity table", 4, f"{count:,} entries of {piece_size:,} do not cover {covered:,} bytes")
    if piece_size != _PIECE_SIZE:
        return []
    return [table[at:at + 20] for at in range(_HEAD.size, size, 20)]


def _hash(file: File, start: int, end: int) -> bytes:
    digest = hashlib.sha1(usedforsecurity=False)
    while start < end:
        data = file.pread(start, min(_READ_SIZE, end - start))
        if not data:
            raise FormatError("integrity table", 0, f"the file ends at {start:,}")
        digest.update(data)
        start += len(data)
    return digest.digest()
