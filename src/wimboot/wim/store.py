"""A WIM as a repository: blobs by their SHA-1, images as Trees. Reading; `append.py` writes."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from wimboot.formats.wimheader import VERSION_SOLID, Compression, HeaderFlag, WimHeader
from wimboot.formats.wimxml import parse_xml
from wimboot.wim._metadata import parse as parse_metadata
from wimboot.wim._streams import fill_sizes
from wimboot.wim.check import BlobProblem, check_blobs
from wimboot.wim.errors import (
    BlobDamaged,
    BlobMissing,
    ImageOutOfRange,
    PartMissing,
    TooLarge,
    WimSplit,
    locating,
)
from wimboot.wim.part import Blob, Part
from wimboot.wim.ranged import RangedBlob, WholeBlob
from wimboot.wim.resource import ResourceReader
from wimboot.wim.small import SMALL, read_small

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from wimboot.events import Counter
    from wimboot.formats.blobtable import BlobRow
    from wimboot.formats.wimxml import ImageXml
    from wimboot.storage.protocol import File
    from wimboot.tree import Tree

__all__ = ["SplitStore", "Store"]

_Window = TypeVar("_Window", bytes, memoryview)

_MAX_WHOLE_SIZE = 1 << 30       # what `read` holds in memory at once
_MAX_METADATA_SIZE = 512 << 20  # an image of 130,000 files has 25 MB
_BACKABLE_CHUNKS = {Compression.XPRESS: (4096, 8192, 16384, 32768), Compression.LZX: (32768,)}


class Store:
    """One WIM, or all parts of a split one, opened for reading."""

    def __init__(self, parts: tuple[Part, ...], *, where: str) -> None:
        self.parts = parts
        self.where = where
        first = parts[0]
        self.header: WimHeader = first.header
        with locating(where):
            document = parse_xml(first.xml, first.header.image_count)
        self.images: tuple[ImageXml, ...] = document.images

    @classmethod
    def open(cls, file: File, *, where: str) -> Store:
        """Open one WIM. `where` names it in messages.

        Raises NotAWim, PipableWim, WimBeingWritten, WimSplit, WimTruncated, WimDamaged.
        """
        part = Part.open(file, where=where)
        if part.header.total_parts > 1 or part.header.flags & HeaderFlag.SPANNED:
            raise WimSplit(where=where, part=part.header.part_number, parts=part.header.total_parts)
        return cls((part,), where=where)

    # ---- what it is

    @property
    def guid(self) -> bytes:
        """The 16 bytes of the header."""
        return self.header.guid

    @property
    def chunk_size(self) -> int:
        """Of every compressed blob that is not solid."""
        return self.header.chunk_size

    @property
    def compression(self) -> Compression:
        """The codec of every compressed blob that is not solid."""
        return self.header.compression

    @property
    def table_hash(self) -> bytes:
        """SHA-1 of the blob table's bytes, which pointers carry."""
        return self.parts[0].table_hash

    @property
    def size(self) -> int:
        """Bytes in the file, or in all parts, up to the end of the last structure."""
        return sum(part.size for part in self.parts)

    @property
    def not_backable(self) -> str | None:
        """Why Windows' overlay driver cannot take files from this WIM; None where it can."""
        flags = self.header.flags
        if self.header.version == VERSION_SOLID:
            return "it may hold solid resources (version 0xE00)"
        if len(self.parts) > 1 or flags & (HeaderFlag.SPANNED | HeaderFlag.RESOURCE_ONLY | HeaderFlag.METADATA_ONLY):
            return "it is one part of a set"
        if self.compression not in _BACKABLE_CHUNKS:
            return "it is not compressed with XPRESS or LZX"
        if self.chunk_size not in _BACKABLE_CHUNKS[self.compression]:
            return f"its chunks of {self.chunk_size:,} bytes are too large"
        return None

    def __len__(self) -> int:
        """Number of blobs."""
        return sum(len(part.table.index) for part in self.parts)

    def __contains__(self, sha1: object) -> bool:
        return any(sha1 in part.table.index for part in self.parts)

    def close(self) -> None:
        """Close the files."""
        for part in self.parts:
            part.file.close()

    # ---- blobs

    def _locate(self, sha1: bytes) -> tuple[Part, int, int]:
        for number, part in enumerate(self.parts):
            row = part.table.index.get(sha1)
            if row is not None:
                return part, row, number
        raise BlobMissing(where=self.where, sha1=sha1.hex())

    def blob(self, sha1: bytes) -> Blob | None:
        """Where the blob of that hash lies; None where there is none."""
        for number, part in enumerate(self.parts):
            row = part.table.find(sha1)
            if row is not None:
                return part.blob_of(row, number)
        return None

    def count_lacking(self, hashes: bytes) -> int:
        """How many of these hashes, 20 bytes each, are those of no blob here."""
        found = [part.table.index.find_all(hashes) for part in self.parts]
        return found[0].count(-1) if len(found) == 1 else sum(max(rows) < 0 for rows in zip(*found, strict=True))

    def pointer_places(self, hashes: Sequence[bytes]) -> list[tuple[int, int] | None]:
        """For each hash (offset, size in the WIM), as pointers carry them; None where no pointer can lead there."""
        if self.not_backable is not None:
            return [None] * len(hashes)
        return self.parts[0].table.pointer_places(hashes)

    def place_columns(self, hashes: bytes | bytearray) -> array[int]:
        """`pointer_places` in numbers: for each 20 bytes of `hashes` an offset and a size in the WIM; 0 for None."""
        if self.not_backable is not None:
            return array("Q", bytes(16 * (len(hashes) // 20)))
        return self.parts[0].table.place_columns(hashes)

    def in_file_order(self, hashes: Collection[bytes]) -> Iterator[Blob]:
        """The blobs of these hashes, those that are here, in the order in which reading them is cheapest."""
        for number, part in enumerate(self.parts):
            index = part.table.index
            for row in part.table.in_file_order([index[sha1] for sha1 in hashes if sha1 in index]):
                yield part.blob_of(part.table.row(row), number)

    def backable(self, sha1: bytes) -> bool:
        """Whether the driver can serve this blob from this WIM."""
        blob = self.blob(sha1)
        return blob is not None and blob.backable and self.not_backable is None

    def hashes(self) -> Iterator[bytes]:
        """The hash of every blob, metadata not among them, in no promised order."""
        for part in self.parts:
            yield from part.table.index

    def read(self, sha1: bytes) -> bytes:
        """A whole blob, checked against its hash. Raises BlobMissing, BlobDamaged, TooLarge."""
        part, row, number = self._locate(sha1)
        size = part.blob_of(part.table.row(row), number).size
        if size > _MAX_WHOLE_SIZE:
            raise TooLarge(what="a file", where=self.where, size=size, limit=_MAX_WHOLE_SIZE)
        return b"".join(self._parts(part, row))

    def read_small(self, hashes: Iterable[bytes]) -> dict[bytes, bytes]:
        """Those of these blobs that are small (`wim.small.SMALL`) and not solid, with their contents, checked.

        Raises BlobDamaged.
        """
        rows: list[list[int]] = [[] for _ in self.parts]
        for sha1 in hashes:
            blob = self.blob(sha1)
            if blob is not None and blob.size <= SMALL and not blob.solid:
                rows[blob.part].append(self.parts[blob.part].table.index[sha1])
        return dict(pair for part, chosen in zip(self.parts, rows, strict=True) for pair in read_small(part, chosen))

    def read_parts(self, sha1: bytes) -> Iterator[bytes]:
        """A blob in parts of at most 4 MiB. The last one is given only when all together have the right hash.

        Raises BlobMissing, BlobDamaged.
        """
        part, row, _ = self._locate(sha1)
        return self._parts(part, row)

    def ranged(self, sha1: bytes) -> RangedBlob | WholeBlob:
        """A blob to be read in parts, in any order, unchecked but for what decompressing finds.

        Raises BlobMissing, BlobDamaged, TooLarge.
        """
        part, row, number = self._locate(sha1)
        blob = part.blob_of(part.table.row(row), number)
        return WholeBlob(blob, self.read) if blob.solid else RangedBlob(part, blob)

    def _parts(self, part: Part, row: int) -> Iterator[bytes]:
        entry = part.table.row(row)
        return _checked(entry, part.where, (bytes(window) for window in
                                            part.resources.windows(entry, part.run_of(row))))

    def check_blobs(self, hashes: Collection[bytes] | None, counter: Counter, threads: int) -> list[BlobProblem]:
        """Read these blobs (None: all, and the images' metadata) from disk and hash them.

        A Problem for each that is missing or not sound.
        `counter` counts uncompressed bytes.
        """
        return check_blobs(self.parts, hashes, counter, threads, where=self.where)

    # ---- images

    def metadata(self, image: int) -> bytearray:
        """The metadata resource of an image (from 1), checked. Raises ImageOutOfRange, BlobDamaged, TooLarge."""
        part, number, row = self._list_of(image)
        size = part.blob_of(row).size
        if size > _MAX_METADATA_SIZE:
            raise TooLarge(what=f"the list of files of image {image}", where=self.where, size=size,
                           limit=_MAX_METADATA_SIZE)
        data = bytearray(size)
        part.resources.read_into(data, row, part.run_of(number))
        if hashlib.sha1(data, usedforsecurity=False).digest() != row.sha1:
            raise _other_contents(row, self.where)
        return data

    def check_metadata(self, image: int) -> None:
        """The same read and hashed piece by piece, and not kept. Raises ImageOutOfRange, BlobDamaged."""
        part, number, row = self._list_of(image)
        for _ in _checked(row, self.where, part.resources.windows(row, part.run_of(number))):
            pass

    def _list_of(self, image: int) -> tuple[Part, int, BlobRow]:
        """Where the metadata resource of an image (from 1) lies: the part, its row and that row's number."""
        part = self.parts[0]
        rows = part.table.metadata
        if not 1 <= image <= len(rows):
            raise ImageOutOfRange(where=self.where, count=len(rows), image=image)
        number = rows[image - 1]
        return part, number, part.table.row(number)

    def apart(self) -> Store:
        """The same WIM for another thread, whose decompressor is its own; over the same files."""
        return Store(tuple(replace(part, resources=ResourceReader(part.file.pread, part.header, part.where))
                           for part in self.parts), where=self.where)

    def load_tree(self, image: int, *, allow_missing: bool = False) -> Tree:
        """The files of an image (from 1), with their sizes; with `allow_missing`, 0 where the blob is not here.

        Raises as `metadata` does, WimDamaged, and BlobMissing.
        """
        with locating(f"image {image} of {self.where}"):
            tree = parse_metadata(self.metadata(image))
            missing = fill_sizes(tree, [part.table.index for part in self.parts],
                                 self.parts[0].header.version == VERSION_SOLID)
        if missing and not allow_missing:
            raise BlobMissing(where=self.where, sha1=tree.stream(missing[0]).hash.hex())
        return tree


class SplitStore(Store):
    """A set of .swm parts as one."""

    @classmethod
    def open_parts(cls, files: Collection[tuple[File, str]], *, where: str) -> SplitStore:
        """Open all parts, given in any order as (file, name). Raises PartMissing and what Store.open raises."""
        parts = sorted((Part.open(file, where=name) for file, name in files), key=lambda part: part.header.part_number)
        if not parts:
            raise PartMissing(where=where, problem="there are none")
        numbers = [part.header.part_number for part in parts]
        total = parts[0].header.total_parts
        if numbers != list(range(1, total + 1)):
            given = ", ".join(map(str, numbers))
            raise PartMissing(where=where, problem=f"of the parts 1 to {total} those given are {given}")
        same = {(part.header.guid, part.header.total_parts, part.header.chunk_size, part.header.compression)
                for part in parts}
        if len(same) != 1:
            raise PartMissing(where=where, problem="they belong to different WIMs")
        return cls(tuple(parts), where=where)


def _other_contents(row: BlobRow, where: str) -> BlobDamaged:
    return BlobDamaged(where=where, offset=row.offset, sha1=row.sha1.hex(), problem="has other contents")


def _checked(row: BlobRow, where: str, windows: Iterator[_Window]) -> Iterator[_Window]:
    digest = hashlib.sha1(usedforsecurity=False)
    held: _Window | None = None
    for window in windows:
        digest.update(window)
        if held is not None:
            yield held
        held = window
    if digest.digest() != row.sha1:
        raise _other_contents(row, where)
    if held is not None:
        yield held
