"""The blobs of a WIM that is being added to: those it had, and those of this run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.blobtable import ROW_SIZE, BlobRow, pack_row
from wimboot.formats.wimheader import ResourceFlag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wimboot.formats.blobtable import BlobTable, HashIndex

__all__ = ["NewBlobs"]


class NewBlobs:
    """Rows for the blob table in the order in which the blobs were begun."""

    def __init__(self, old: BlobTable | None) -> None:
        self._old: HashIndex | frozenset[bytes] = frozenset() if old is None else old.index
        self._begun: dict[bytes, int] = {}      # hash -> index into self._rows
        self._rows: list[bytes] = []
        self._sizes: set[int] = set()
        self._replaced: set[bytes] = set()
        self._old_table = old
        self._old_sizes: set[int] | None = None

    def replace(self, hashes: Iterable[bytes]) -> None:
        """Forget that these blobs are there, for their bytes are not what they should be: they can be begun anew."""
        self._replaced.update(sha1 for sha1 in hashes if sha1 in self._old)

    @property
    def replaced(self) -> list[bytes]:
        """Those of them that were begun anew."""
        return [sha1 for sha1 in self._replaced if sha1 in self._begun]

    def __contains__(self, sha1: object) -> bool:
        return (sha1 in self._old and sha1 not in self._replaced) or sha1 in self._begun

    def lacking(self, digests: bytes) -> list[int]:
        """Of hashes of 20 bytes, one after the other, the positions of those that are not there."""
        if self._old_table is None or self._replaced:
            hashes = (digests[at:at + 20] for at in range(0, len(digests), 20))
            return [at for at, sha1 in enumerate(hashes) if sha1 not in self]
        return [at for at in self._old_table.index.lacking(digests)
                if digests[20 * at:20 * at + 20] not in self._begun]

    def __len__(self) -> int:
        return len(self._rows)

    def has_size(self, size: int, least: int) -> bool:
        """Whether a blob of that size, at least `least`, is there or was begun."""
        if self._old_sizes is None:
            self._old_sizes = set() if self._old_table is None else self._old_table.sizes(least)
        return size in self._old_sizes or size in self._sizes

    def note_size(self, size: int) -> None:
        """A blob of that size is on its way."""
        self._sizes.add(size)

    def begin(self, sha1: bytes) -> bool:
        """Claim a hash; False where the blob is there or on its way. It must then be placed."""
        if sha1 in self:
            return False
        self._begun[sha1] = len(self._rows)
        self._rows.append(b"")
        return True

    def place(self, sha1: bytes, *, offset: int, size_in_wim: int, size: int, compressed: bool) -> None:
        """Where the blob came to lie."""
        flags = int(ResourceFlag.COMPRESSED) if compressed else 0
        self._rows[self._begun[sha1]] = pack_row(BlobRow(size_in_wim, flags, offset, size, 1, 0, sha1))

    @property
    def hashes(self) -> list[bytes]:
        """The hashes of this run's blobs."""
        return list(self._begun)

    def rows(self) -> bytes:
        """The rows of this run's new hashes, reference counts 0, in the order in which the blobs lie in the file."""
        self._check_placed()
        return b"".join(self._rows[at] for sha1, at in self._begun.items() if sha1 not in self._replaced)

    def moved(self, rows: bytes) -> bytes:
        """Old rows of the table, those of replaced blobs with their new places; their reference counts stay."""
        self._check_placed()
        moved = bytearray(rows)
        for at in range(0, len(rows) if self._replaced else 0, ROW_SIZE):
            sha1 = rows[at + 30:at + ROW_SIZE]
            if sha1 in self._replaced and sha1 in self._begun:
                moved[at:at + 24] = self._rows[self._begun[sha1]][:24]
        return bytes(moved)

    def _check_placed(self) -> None:
        if any(len(row) != ROW_SIZE for row in self._rows):
            raise RuntimeError("a blob was begun and never placed")
