"""Whether a WIM grew from an earlier state of itself: every append leaves the blob table before it where it was.

What was read back then is there still, the images have their numbers, and what pointed into the WIM leads to the same
data. The table is looked for where no resource lies: it begins there, behind the last blob of its append.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from wimboot.formats.blobtable import ROW_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.wim.store import Store

__all__ = ["grew_from"]

_MOST_ROWS: Final = 1_000_000
"""Looked at, all in all: of a WIM with more in its gaps nothing is known."""
_ROWS_AT_ONCE: Final = 20_000


def grew_from(store: Store, table_hash: bytes) -> bool:
    """Whether a WIM of one part had, or has, the blob table with this SHA-1. Raises HostError."""
    if store.table_hash == table_hash:
        return True
    file, left = store.parts[0].file, _MOST_ROWS
    for start, end in _gaps(store):
        digest = hashlib.sha1(usedforsecurity=False)
        for at in range(start, end, _ROWS_AT_ONCE * ROW_SIZE):
            rows = file.pread(at, min(end - at, _ROWS_AT_ONCE * ROW_SIZE))
            for row in range(0, len(rows) - ROW_SIZE + 1, ROW_SIZE):
                digest.update(rows[row:row + ROW_SIZE])
                if digest.digest() == table_hash:
                    return True
                left -= 1
                if not left:
                    return False
    return False


def _gaps(store: Store) -> Iterator[tuple[int, int]]:
    """(start, end) of what lies between resources, before the present blob table."""
    table = store.parts[0].table
    places = sorted((row.offset, row.size_in_wim) for row in map(table.row, (*table.index.rows(), *table.metadata)))
    end = 0
    for offset, size in (*places, (store.header.blob_table.offset, 0)):
        if 0 < end <= offset - ROW_SIZE:
            yield end, offset
        end = max(end, offset + size)
