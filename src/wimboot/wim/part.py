"""One WIM file opened for reading: header, blob table and XML, each held against the bytes present."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from wimboot.errors import FormatError
from wimboot.formats.blobtable import MAX_POINTER_SIZE, BlobRow, BlobTable, SolidRun
from wimboot.formats.wimheader import (
    HEADER_SIZE,
    MAGIC,
    NO_RESOURCE,
    PIPABLE_MAGIC,
    VERSION_SOLID,
    HeaderFlag,
    ResourceFlag,
    WimHeader,
)
from wimboot.frozen import Frozen
from wimboot.wim.errors import NotAWim, PipableWim, WimBeingWritten, WimTruncated, locating
from wimboot.wim.resource import ResourceReader

if TYPE_CHECKING:
    from wimboot.storage.protocol import File

__all__ = ["Blob", "Part"]


class Blob(NamedTuple):
    """Where a blob lies. In a solid resource `offset` counts uncompressed bytes and `size_in_wim` means nothing."""

    sha1: bytes
    offset: int
    size_in_wim: int
    size: int
    flags: int
    part: int = 0

    @property
    def compressed(self) -> bool:
        """Whether it is a chunk table and chunks, or part of a solid resource."""
        return bool(self.flags & (ResourceFlag.COMPRESSED | ResourceFlag.SOLID))

    @property
    def solid(self) -> bool:
        """Whether it lies in a solid resource."""
        return bool(self.flags & ResourceFlag.SOLID)

    @property
    def backable(self) -> bool:
        """Whether Windows' driver reads it right, given a WIM it can mount.

        The driver takes a blob for compressed exactly where its two sizes differ, and fails past 4 GiB.
        """
        shrunk = self.size_in_wim < self.size
        return not self.solid and self.size <= MAX_POINTER_SIZE and (
            shrunk if self.compressed else self.size_in_wim == self.size)


class Part(Frozen):
    """A WIM file as opened. `size` is where its last structure ends; what lies behind is nobody's."""

    file: File
    where: str
    header: WimHeader
    table: BlobTable
    table_hash: bytes
    xml: bytes
    size: int
    resources: ResourceReader

    @classmethod
    def open(cls, file: File, *, where: str, header_bytes: bytes | None = None) -> Part:
        """Read and check the structures; `header_bytes` instead of those in the file where they are not written yet.

        Raises NotAWim, PipableWim, WimBeingWritten, WimTruncated, WimDamaged.
        """
        file_size = file.size()
        data = header_bytes if header_bytes is not None else file.pread(0, HEADER_SIZE)
        if data[:8] == PIPABLE_MAGIC:
            raise PipableWim(where=where)
        if data[:8] != MAGIC:
            raise NotAWim(where=where)
        if len(data) < HEADER_SIZE:
            raise WimTruncated(where=where, problem=f"it has {len(data):,} bytes")
        with locating(where):
            header = WimHeader.parse(data)
            if header.flags & HeaderFlag.WRITE_IN_PROGRESS:
                raise WimBeingWritten(where=where)
            places = [place for place in (header.blob_table, header.xml, header.integrity) if place != NO_RESOURCE]
            behind = max((place.end for place in places), default=0)
            if behind > file_size:
                raise WimTruncated(where=where, problem=f"it should have {behind:,} bytes and has {file_size:,}")
            header.check_against(file_size)
            raw = _read(file, header.blob_table.offset, header.blob_table.size, "blob table")
            table = BlobTable.parse(raw, part_number=header.part_number, file_size=file_size,
                                    solid_version=header.version == VERSION_SOLID)
            images = header.image_count if header.part_number == 1 else 0
            if len(table.metadata) != images:
                raise FormatError("WIM header", 0x2C, f"{images:,} images, but metadata of {len(table.metadata):,}")
            xml = _read(file, header.xml.offset, header.xml.size, "XML data")
        return cls(file=file, where=where, header=header, table=table, xml=xml,
                   table_hash=hashlib.sha1(raw, usedforsecurity=False).digest(),
                   size=max(behind, table.end, HEADER_SIZE), resources=ResourceReader(file.pread, header, where))

    def blob_of(self, row: BlobRow, number: int = 0) -> Blob:
        """What the outside sees of a row."""
        if self.header.version == VERSION_SOLID and row.flags & ResourceFlag.SOLID:
            return Blob(row.sha1, row.offset, row.size_in_wim, row.size_in_wim, row.flags, number)
        return Blob(row.sha1, row.offset, row.size_in_wim, row.size, row.flags & ~ResourceFlag.SOLID, number)

    def run_of(self, row: int) -> SolidRun | None:
        """The solid resources that a row's blob lies in."""
        run = self.table.run_of.get(row)
        return None if run is None else self.table.runs[run]


def _read(file: File, offset: int, size: int, structure: str) -> bytes:
    data = file.pread(offset, size) if size else b""
    if len(data) != size:
        raise FormatError(structure, len(data), "the file ends inside it")
    return data
