"""The format of a transaction's log. Our own; integers little-endian, hashes of pages in the machine's byte
order.

A log is a row of 4 KiB pages::

    page      content
    0         header
    1         prepared mark
    2         committed mark
    3, 4      progress notes, written in turn: the one with the higher sequence counts
    5         how long the target was, where it grows (`disk.growth`)
    6 ...     the new pages, slot after slot, in the order in which they were first written
    then      the guard pages: what stands in for a guarded page while the others are copied
    then      the index: page records, guard records, witness records, the WIM's place, the target's name

Header::

    offset  size  field
    0       8     magic "WBLOG\\r\\n\\x1a"
    8       4     version, 3
    12      4     page size, 4096
    16      16    transaction GUID, random
    32      8     size of the target in bytes, with what it grew by
    40      8     number of new pages
    48      4     number of guard pages
    52      4     pages that are copied as one batch
    56      8     offset of the index
    64      8     size of the index
    72      4     1 where a WIM goes with this transaction, else 0
    76      16    GUID of that WIM
    92      20    SHA-1 of that WIM's table
    112     4     size of the WIM's place in bytes, as the host has it
    116     4     size of the target's name in bytes, likewise
    120     4     number of witnesses
    124     32    SHA-256 of the header with this field zero, followed by the index

Mark (prepared, committed, note)::

    offset  size  field
    0       8     magic "WBMARK\\r\\n"
    8       4     kind: 1 prepared, 2 committed, 3 note
    12      4     zero
    16      16    transaction GUID
    32      32    the header's SHA-256
    64      8     batch being copied (notes; else 0)
    72      8     sequence (notes; else 0)
    80      32    SHA-256 of bytes 0 to 79

Page record, 88 bytes: page number of the target, slot, hash of the new page, hash of each of its 8 sectors
of 512 bytes before, 64 bits each. Sorted by page; the records of guarded pages come last, in the order of
the guard records. Guard record, 16 bytes: page number of the target, hash of the guard page. Witness record,
16 bytes: page number and hash of a page that the copying does not touch: one that was written straight, or
that lies beside changed ones. They tell a target that was put back, or written to by others. A page that
reaches past the target's end is filled with zeros.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from wimboot.storage import File

__all__ = [
    "DATA_OFFSET", "GROWTH", "MARKS", "NOTES", "PAGE", "RECORD_SIZE", "VERSION", "Header", "Index", "Kind",
    "Mark", "StoreMark", "encode_text", "pages_of", "version_of",
]

PAGE = 4096
GROWTH = 5 * PAGE
DATA_OFFSET = 6 * PAGE
RECORD_SIZE = 88
MAX_TEXT_SIZE = 64 * 1024
MAX_GUARDS = 64
MAX_WITNESSES = 256
NOTES = (3 * PAGE, 4 * PAGE)

VERSION = 3
_WINDOW = 1 << 20
_MAGIC = b"WBLOG\r\n\x1a"
_MARK_MAGIC = b"WBMARK\r\n"
_HEADER = struct.Struct("<8sII16sQQIIQQI16s20sIII32s")
_MARK = struct.Struct("<8sII16s32sQQ")
_PAGE_NUMBER = struct.Struct("<QQ72x")
_PAIR = struct.Struct("<QQ")


class StoreMark(Frozen):
    """The WIM a transaction goes with: its GUID (16 bytes), the SHA-1 of its table, and where it lies, for
    messages.
    """

    guid: bytes
    table_hash: bytes
    place: str


class Kind(IntEnum):
    """What a mark says."""

    PREPARED = 1
    COMMITTED = 2
    NOTE = 3


MARKS = {Kind.PREPARED: PAGE, Kind.COMMITTED: 2 * PAGE}


class Header(Frozen):
    """The log's first page; `digest` is its SHA-256 as stored."""

    guid: bytes
    target_size: int
    page_count: int
    guard_count: int
    batch_pages: int
    index_size: int
    store_guid: bytes | None
    table_hash: bytes
    place_size: int
    where_size: int
    witness_count: int = 0
    digest: bytes = bytes(32)

    @property
    def index_offset(self) -> int:
        return DATA_OFFSET + (self.page_count + self.guard_count) * PAGE

    @property
    def plain_count(self) -> int:
        """Page records that are not of guarded pages."""
        return self.page_count - self.guard_count

    def pack(self) -> bytes:
        """One page. Call `sealed` first."""
        return self._fields(self.digest).ljust(PAGE, b"\0")

    def _fields(self, digest: bytes) -> bytes:
        return _HEADER.pack(_MAGIC, VERSION, PAGE, self.guid, self.target_size, self.page_count, self.guard_count,
                            self.batch_pages, self.index_offset, self.index_size, self.store_guid is not None,
                            self.store_guid or bytes(16), self.table_hash, self.place_size, self.where_size,
                            self.witness_count, digest)

    def digest_with(self, index: bytes) -> bytes:
        """The SHA-256 that the header must have."""
        return hashlib.sha256(self._fields(bytes(32)) + index).digest()

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Raises FormatError. The digest is checked by `Index.parse`, which has the rest."""
        if len(data) < _HEADER.size or data[:8] != _MAGIC:
            raise FormatError("log header", 0, "no such magic")
        (_, version, page, guid, target_size, pages, guards, batch, offset, size, has_store, store, table,
         place, where, witnesses, digest) = _HEADER.unpack_from(data)
        if version != VERSION or page != PAGE:
            raise FormatError("log header", 8, f"version {version} with pages of {page} bytes")
        if pages > (target_size + PAGE - 1) // PAGE:
            raise FormatError("log header", 40, "more pages than the target has")
        if guards > min(pages, MAX_GUARDS):
            raise FormatError("log header", 48, "more guards than pages")
        if not batch:
            raise FormatError("log header", 52, "batches of no pages")
        if has_store > 1 or (not has_store and any(store)):
            raise FormatError("log header", 72, "neither with nor without a WIM")
        if witnesses > MAX_WITNESSES:
            raise FormatError("log header", 120, "too many witnesses")
        if max(place, where) > MAX_TEXT_SIZE:
            raise FormatError("log header", 112, "a name that is too long")
        header = cls(guid=guid, target_size=target_size, page_count=pages, guard_count=guards,
                     batch_pages=batch, index_size=size, store_guid=store if has_store else None,
                     table_hash=table, place_size=place, where_size=where, witness_count=witnesses,
                     digest=digest)
        if offset != header.index_offset:
            raise FormatError("log header", 56, "the index is not behind the pages")
        if size != pages * RECORD_SIZE + (guards + witnesses) * _PAIR.size + place + where:
            raise FormatError("log header", 64, "an index of another size than its content")
        return header


class Index(Frozen):
    """What stands behind the pages: `records` packed, `guards` and `witnesses` as (page, hash), the two names."""

    records: bytes
    guards: tuple[tuple[int, int], ...]
    witnesses: tuple[tuple[int, int], ...] = ()
    place: str
    where: str

    def pack(self) -> bytes:
        pairs = b"".join(_PAIR.pack(*pair) for pair in self.guards + self.witnesses)
        return self.records + pairs + encode_text(self.place) + encode_text(self.where)

    @classmethod
    def parse(cls, data: bytes, header: Header) -> Index:
        """Raises FormatError where the digest or a record is wrong."""
        if len(data) != header.index_size or header.digest_with(data) != header.digest:
            raise FormatError("log index", 0, "it does not match the header's SHA-256")
        records_size = header.page_count * RECORD_SIZE
        pairs_end = records_size + (header.guard_count + header.witness_count) * _PAIR.size
        pairs = tuple((page, digest) for page, digest in _PAIR.iter_unpack(data[records_size:pairs_end]))
        guards, witnesses = pairs[:header.guard_count], pairs[header.guard_count:]
        _check_records(data[:records_size], header, [page for page, _ in guards])
        if any(page * PAGE >= header.target_size for page, _ in witnesses):
            raise FormatError("log index", records_size, "a witness past the target's end")
        place = data[pairs_end:pairs_end + header.place_size].decode(errors="surrogateescape")
        where = data[pairs_end + header.place_size:].decode(errors="surrogateescape")
        return cls(records=data[:records_size], guards=guards, witnesses=witnesses, place=place, where=where)


def version_of(log: File) -> int | None:
    """The version of a whole log, this one's or another; None of one whose SHA-256 is wrong. Raises HostError."""
    head = log.pread(0, _HEADER.size)
    if len(head) < _HEADER.size or head[:8] != _MAGIC:
        return None
    version: int
    digest: bytes
    _, version, _, _, _, _, _, _, offset, size, *_, digest = _HEADER.unpack(head)
    room = log.size() - offset
    if not 0 <= size <= room:
        return None
    found = hashlib.sha256(head[:-len(digest)] + bytes(len(digest)))
    for at in range(offset, offset + size, _WINDOW):
        found.update(log.pread(at, min(_WINDOW, offset + size - at)))
    return version if found.digest() == digest else None


def encode_text(text: str) -> bytes:
    """A host path as the host has it: UTF-8, or what else it is."""
    return text.encode(errors="surrogateescape")


def pages_of(records: bytes) -> list[int]:
    """The page numbers of packed page records."""
    return [page for page, _ in _PAGE_NUMBER.iter_unpack(records)]


def _check_records(records: bytes, header: Header, guarded: list[int]) -> None:
    """Pages rise and lie within the target, slots are a permutation, the last records are the guarded
    pages in their own order.
    """
    limit = (header.target_size + PAGE - 1) // PAGE
    previous = -1
    if len(set(guarded)) != len(guarded):
        raise FormatError("log index", len(records), "a page guarded twice")
    slots = bytearray(header.page_count)
    for number, (page, slot) in enumerate(_PAGE_NUMBER.iter_unpack(records)):
        offset = number * RECORD_SIZE
        plain = number < header.plain_count
        if (plain and page <= previous) or page >= limit:
            raise FormatError("log index", offset, "a page out of order or past the target's end")
        if slot >= header.page_count or slots[slot]:
            raise FormatError("log index", offset + 8, "a slot twice or past the pages")
        if not plain and page != guarded[number - header.plain_count]:
            raise FormatError("log index", offset, "a guard without its page")
        previous = page
        slots[slot] = 1


class Mark(Frozen):
    """A durable step that was taken; bound to one transaction by GUID and digest."""

    kind: Kind
    guid: bytes
    digest: bytes
    batch: int = 0
    sequence: int = 0

    def pack(self) -> bytes:
        body = _MARK.pack(_MARK_MAGIC, self.kind, 0, self.guid, self.digest, self.batch, self.sequence)
        return (body + hashlib.sha256(body).digest()).ljust(PAGE, b"\0")

    @classmethod
    def parse(cls, data: bytes) -> Mark:
        """Raises FormatError where there is no whole mark."""
        size = _MARK.size
        if len(data) < size + 32 or data[:8] != _MARK_MAGIC:
            raise FormatError("log mark", 0, "no such magic")
        if hashlib.sha256(data[:size]).digest() != data[size:size + 32]:
            raise FormatError("log mark", size, "its SHA-256 is wrong")
        _, kind, zero, guid, digest, batch, sequence = _MARK.unpack_from(data)
        if zero or kind not in (Kind.PREPARED, Kind.COMMITTED, Kind.NOTE):
            raise FormatError("log mark", 8, f"kind {kind}")
        return cls(kind=Kind(kind), guid=guid, digest=digest, batch=batch, sequence=sequence)
