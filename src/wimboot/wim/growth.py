"""Whether a WIM grew from an earlier state of itself: every append leaves the blob table before it where it was.

What was read back then is there still, the images have their numbers, and what pointed into the WIM leads to the same
data, but for what was mended since. The table is looked for where no resource lies: it begins there, behind the last
blob of its append.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from wimboot.formats.blobtable import ROW_SIZE, unpack_rows
from wimboot.formats.wimheader import ResourceFlag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.wim.store import Store

__all__ = ["grew_from", "moved_since"]

_MOST_ROWS: Final = 1_000_000
"""Looked at, all in all: of a WIM with more in its gaps nothing is known."""
_ROWS_AT_ONCE: Final = 20_000


def grew_from(store: Store, table_hash: bytes) -> bool:
    """Whether a WIM of one part had, or has, the blob table with this SHA-1, and its images under the same numbers.

    An image that was deleted without rewriting the file (`wimlib-imagex delete --soft`) leaves the older table there,
    and gives its number to the next. Raises HostError.
    """
    if store.table_hash == table_hash:
        return True
    rows = _earlier(store, table_hash)
    if rows is None:
        return False
    table = store.parts[0].table
    lists = [table.row(row).sha1 for row in table.metadata]
    were = [row.sha1 for row in unpack_rows(rows) if row.flags & ResourceFlag.METADATA]
    return lists[:len(were)] == were


def moved_since(store: Store, table_hash: bytes) -> set[bytes]:
    """The blobs that the table with this SHA-1, from which the WIM grew, had at another place: they were stored anew,
    because what was there was damaged, or their entry is damaged. Raises HostError.
    """
    find = store.parts[0].table.find
    rows = b"" if store.table_hash == table_hash else _earlier(store, table_hash) or b""
    moved = set()
    for row in unpack_rows(rows):
        now = None if row.flags & ResourceFlag.METADATA else find(row.sha1)
        if now is not None and now[:4] != row[:4]:        # its resource header
            moved.add(row.sha1)
    return moved


def _earlier(store: Store, table_hash: bytes) -> bytes | None:
    """The rows of a table that the WIM had; None where they are nowhere."""
    file, left = store.parts[0].file, _MOST_ROWS
    for start, end in _gaps(store):
        digest = hashlib.sha1(usedforsecurity=False)
        for at in range(start, end, _ROWS_AT_ONCE * ROW_SIZE):
            rows = file.pread(at, min(end - at, _ROWS_AT_ONCE * ROW_SIZE))
            for row in range(ROW_SIZE, len(rows) + 1, ROW_SIZE):
                digest.update(rows[row - ROW_SIZE:row])
                if digest.digest() == table_hash:
                    return file.pread(start, at + row - start)
                left -= 1
                if not left:
                    return None
    return None


def _gaps(store: Store) -> Iterator[tuple[int, int]]:
    """(start, end) of what lies between resources, before the present blob table."""
    table = store.parts[0].table
    places = sorted((row.offset, row.size_in_wim) for row in map(table.row, (*table.index.rows(), *table.metadata)))
    end = 0
    for offset, size in (*places, (store.header.blob_table.offset, 0)):
        if 0 < end <= offset - ROW_SIZE:
            yield end, offset
        end = max(end, offset + size)
