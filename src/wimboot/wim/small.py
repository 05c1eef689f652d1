"""Reading many small blobs at once: those of files that lie in their MFT records."""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING

from wimboot.formats.wimheader import ResourceFlag
from wimboot.wim._codec import SOUND, Codec
from wimboot.wim.errors import BlobDamaged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from wimboot.formats.blobtable import BlobRow
    from wimboot.wim.part import Part

__all__ = ["SMALL", "read_small"]

SMALL = 4096
"""Bytes of the largest blob that goes this way."""

_BATCH = 1024


def read_small(part: Part, rows: Collection[int]) -> Iterator[tuple[bytes, bytes]]:
    """(SHA-1, content) of these rows of the part's table, none of them solid, in the order in which they lie.

    Raises BlobDamaged.
    """
    codec = Codec(part.header.compression, part.header.chunk_size)
    ordered = part.table.in_file_order(rows)
    for start in range(0, len(ordered), _BATCH):
        yield from _unpack(part, codec, [part.table.row(row) for row in ordered[start:start + _BATCH]])


def _unpack(part: Part, codec: Codec, rows: list[BlobRow]) -> Iterator[tuple[bytes, bytes]]:
    stored = []
    jobs = array("Q")
    offset = 0
    for row in rows:
        data = part.file.pread(row.offset, row.size_in_wim)
        if len(data) != row.size_in_wim:
            raise _damaged(part, row, "is cut short")
        stored.append(data)
        jobs.extend((offset, row.size_in_wim, row.size, 1 if row.flags & ResourceFlag.COMPRESSED else 0))
        offset += len(data)
    out = bytearray(sum(row.size for row in rows))
    states = codec.decompress_batch(b"".join(stored), jobs, out)
    at = 0
    for row, state in zip(rows, states, strict=True):
        content = bytes(out[at:at + row.size])
        if state != SOUND or hashlib.sha1(content, usedforsecurity=False).digest() != row.sha1:
            raise _damaged(part, row, "does not decompress" if state != SOUND else "has other contents")
        yield row.sha1, content
        at += row.size


def _damaged(part: Part, row: BlobRow, problem: str) -> BlobDamaged:
    return BlobDamaged(where=part.where, offset=row.offset, sha1=row.sha1.hex(), problem=problem)
