"""The blobs of a WIM that is being added to: those it had, and those of this run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.blobtable import ROW_SIZE, BlobRow, pack_row
from wimboot.formats.wimheader import ResourceFlag

if TYPE_CHECKING:
    from wimboot.formats.blobtable import BlobTable

__all__ = ["NewBlobs"]


class NewBlobs:
    """Rows for the blob table in the order in which the blobs were begun."""

    def __init__(self, old: BlobTable | None) -> None:
        self._old: dict[bytes, int] = {} if old is None else old.index
        self._begun: dict[bytes, int] = {}      # hash -> index into self._rows
        self._rows: list[bytes] = []
        self._sizes: set[int] = set()
        self._old_table = old
        self._old_sizes: set[int] | None = None

    def __contains__(self, sha1: object) -> bool:
        return sha1 in self._old or sha1 in self._begun

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
        if sha1 in self._old or sha1 in self._begun:
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
        """This run's rows, reference counts 0, in the order in which the blobs lie in the file."""
        if any(len(row) != ROW_SIZE for row in self._rows):
            raise RuntimeError("a blob was begun and never placed")
        return b"".join(self._rows)
