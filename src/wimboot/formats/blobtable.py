"""The blob table: every blob of a WIM, where it lies and how often images refer to it.

Entries of 50 bytes without a header, little-endian (checked against WIMs made by wimlib 1.13):

    off   size  field
    0     24    resource header (wimheader.py)
    24    2     part number
    26    4     reference count, every name of a file counted; 1 for metadata
    30    20    SHA-1 of the uncompressed data

The n-th metadata entry belongs to image n. In version 0xE00 a run of entries with the SOLID flag is one or more solid
resources and the blobs in them: a resource has the size 0x100000000; a blob's "size in the WIM" is its real size, its
offset counts through the uncompressed bytes of all resources of the run (wimlib 1.14.5's source).

A table stays the bytes it was read as, with an index from hash to row: 130,000 entries are never 130,000 objects.
"""

from __future__ import annotations

import struct
from dataclasses import field
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple

from wimboot.errors import FormatError
from wimboot.formats import _blobrows
from wimboot.formats._hashindex import HashIndex
from wimboot.formats.wimheader import ResourceHeader
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from array import array
    from collections.abc import Collection, Iterable, Iterator

__all__ = [
    "MAX_POINTER_SIZE", "ROW_SIZE", "BlobRow", "BlobTable", "HashIndex", "SolidRun", "add_references", "pack_row",
    "unpack_rows",
]

ROW_SIZE = 50
_ROW = struct.Struct("<QQQHI20s")
_SOLID_RESOURCE_SIZE = 0x100000000

MAX_POINTER_SIZE = 4_200_000_000
"""Bytes of the largest blob that Windows' driver reads right: it fails where a read ends past 4 GiB, and wimlib draws
the line here."""


class BlobRow(NamedTuple):
    """One entry of the table."""

    size_in_wim: int
    flags: int
    offset: int
    size: int
    part_number: int
    reference_count: int
    sha1: bytes

    @property
    def resource(self) -> ResourceHeader:
        """Its resource header."""
        return ResourceHeader(size_in_wim=self.size_in_wim, flags=self.flags, offset=self.offset, size=self.size)


def pack_row(row: BlobRow) -> bytes:
    """The 50 bytes of an entry."""
    return _ROW.pack(row.size_in_wim | row.flags << 56, row.offset, row.size, row.part_number, row.reference_count,
                     row.sha1)


def unpack_rows(rows: bytes) -> Iterator[BlobRow]:
    """The entries, of a length that is a multiple of `ROW_SIZE`."""
    return starmap(_row, _ROW.iter_unpack(rows))


def _row(packed: int, offset: int, size: int, part: int, references: int, sha1: bytes) -> BlobRow:
    return BlobRow(packed & 0xFFFFFFFFFFFFFF, packed >> 56, offset, size, part, references, sha1)


def add_references(rows: bytearray, digests: bytes | bytearray, counts: array[int]) -> None:
    """Raise the reference counts of entries, one behind the other in `rows`, by a count for each 20 bytes of
    `digests`; a hash may come more than once.
    """
    _blobrows.add_references(rows, digests, counts)


class SolidRun(Frozen):
    """One run: its resources in order, (offset in the file, size there)."""

    resources: tuple[tuple[int, int], ...]


class BlobTable(Frozen):
    """A table as read: `index` leads from a hash to its row, `metadata` lists the images' rows in order.

    `end` is where the last resource ends; `runs` and `run_of` (row to run) tell of solid ones.
    """

    raw: bytes
    index: HashIndex
    metadata: list[int]
    end: int
    runs: list[SolidRun] = field(default_factory=list)
    run_of: dict[int, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: bytes, *, part_number: int = 1, solid_version: bool = False,
              file_size: int = 1 << 63) -> BlobTable:
        """Index a table whose blobs lie in a file of `file_size` bytes. Raises FormatError."""
        index, metadata, solid_rows, end = _blobrows.scan(raw, part_number, solid_version, file_size)
        table = cls(raw=raw, index=index, metadata=metadata, end=end)
        if solid_rows:
            end = table._find_runs(solid_rows, file_size)
            return cls(raw=raw, index=index, metadata=metadata, end=max(end, table.end), runs=table.runs,
                       run_of=table.run_of)
        return table

    def _find_runs(self, rows: list[int], file_size: int) -> int:
        end = 0
        resources: list[tuple[int, int]] = []
        previous = -2
        for row in [*rows, -1]:
            if row != previous + 1 and previous >= 0:
                self.runs.append(SolidRun(resources=tuple(resources)))
                resources = []
            previous = row
            if row < 0:
                break
            entry = self.row(row)
            if entry.size == _SOLID_RESOURCE_SIZE:
                if entry.offset > file_size or entry.size_in_wim > file_size - entry.offset:
                    raise FormatError("blob table", row * ROW_SIZE, "a solid resource ends behind the file")
                resources.append((entry.offset, entry.size_in_wim))
                end = max(end, entry.offset + entry.size_in_wim)
            else:
                self.run_of[row] = len(self.runs)
        return end

    def row(self, row: int) -> BlobRow:
        """Entry number `row`, from 0."""
        return _row(*_ROW.unpack_from(self.raw, row * ROW_SIZE))

    def pointer_places(self, hashes: Iterable[bytes]) -> list[tuple[int, int] | None]:
        """For each hash (offset, size in the WIM); None where the driver cannot take the blob, or there is none."""
        return _blobrows.pointer_places(self.raw, self.index, hashes, MAX_POINTER_SIZE)

    def place_columns(self, hashes: bytes | bytearray) -> array[int]:
        """`pointer_places` in numbers: for each 20 bytes of `hashes` an offset and a size in the WIM; 0 for None."""
        return _blobrows.place_columns(self.raw, self.index, hashes, MAX_POINTER_SIZE)

    def find(self, sha1: bytes) -> BlobRow | None:
        """The entry of a hash."""
        row = self.index.get(sha1)
        return None if row is None else self.row(row)

    def __len__(self) -> int:
        return len(self.raw) // ROW_SIZE

    def in_file_order(self, rows: Collection[int] | None = None) -> list[int]:
        """These rows (None: all blobs), by where they lie; solid ones last, run by run."""
        chosen = self.index.rows() if rows is None else rows
        if not self.run_of:
            return _blobrows.in_file_order(self.raw, chosen)
        solid = [row for row in chosen if row in self.run_of]
        plain = [row for row in chosen if row not in self.run_of]
        solid.sort(key=lambda row: (self.run_of[row], self.row(row).offset))
        return _blobrows.in_file_order(self.raw, plain) + solid

    def sizes(self, least: int) -> set[int]:
        """The uncompressed sizes of at least `least` bytes that occur."""
        return _blobrows.sizes(self.raw, least)

    def kept_rows(self) -> tuple[list[bytes], bytes]:
        """What an append carries over: the metadata rows one by one, and all blobs' rows in their order.

        Rows that readers skip are dropped; a reference count of 0 becomes 1, for a reader may skip it otherwise.
        """
        metadata = [self.raw[row * ROW_SIZE:(row + 1) * ROW_SIZE] for row in self.metadata]
        return metadata, _blobrows.kept_rows(self.raw, self.index)
