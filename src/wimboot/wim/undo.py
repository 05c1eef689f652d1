"""The record that makes an append to a WIM undoable: what was in the two pages that an append writes into.

    off   size  field
    0     8     magic "WBUNDO\\0\\1"
    8     32    SHA-256 of everything behind it
    40    8     size of the WIM before
    48    8     size of the WIM after; 0 while that is not known
    56    20    SHA-1 of the old blob table
    76    20    SHA-1 of the new blob table
    96    208   the header about to be written; zeros while that is not known
    304   4     bytes of the first page
    308   4     bytes of the last page
    312         the first page (at most 4096 bytes of the WIM), then the page that holds the old end, up to that end

A single write of the header is no commit: a power cut can leave neither the old nor the new sector. With this record
beside the WIM, made durable before the WIM is touched, each state a crash can leave leads back to the old bytes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

from wimboot.errors import FormatError
from wimboot.formats.wimheader import HEADER_SIZE, WimHeader
from wimboot.frozen import Frozen

__all__ = ["PAGE_SIZE", "UndoRecord"]

PAGE_SIZE = 4096
_MAGIC = b"WBUNDO\0\1"
_FACTS = struct.Struct("<QQ20s20s208sII")
_START = len(_MAGIC) + 32


class UndoRecord(Frozen):
    """See the table above. `new_header` is None before everything else of the append is durable."""

    old_size: int
    old_table_hash: bytes
    first_page: bytes
    last_page: bytes
    new_size: int = 0
    new_table_hash: bytes = bytes(20)
    new_header: bytes | None = None

    @property
    def last_page_offset(self) -> int:
        """Where the last page begins in the WIM."""
        return self.old_size // PAGE_SIZE * PAGE_SIZE

    @property
    def old_header(self) -> bytes:
        """The header before."""
        return self.first_page[:HEADER_SIZE]

    def going_to(self, header: bytes, size: int, table_hash: bytes) -> UndoRecord:
        """The record with the state that the header is about to be written for."""
        return replace(self, new_header=header, new_size=size, new_table_hash=table_hash)

    def pack(self) -> bytes:
        """The record's bytes."""
        body = _FACTS.pack(self.old_size, self.new_size, self.old_table_hash, self.new_table_hash,
                           self.new_header or bytes(HEADER_SIZE), len(self.first_page), len(self.last_page))
        body += self.first_page + self.last_page
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def parse(cls, data: bytes) -> UndoRecord:
        """Raises FormatError where the record is not whole, or does not fit itself."""
        if data[:8] != _MAGIC or len(data) < _START + _FACTS.size:
            raise FormatError("undo record", 0, "it is cut short or of another kind")
        if hashlib.sha256(data[_START:]).digest() != data[8:_START]:
            raise FormatError("undo record", 8, "its checksum is wrong")
        old_size, new_size, old_hash, new_hash, header, first, last = _FACTS.unpack_from(data, _START)
        pages = data[_START + _FACTS.size:]
        if len(pages) != first + last or first != min(old_size, PAGE_SIZE) or last != old_size % PAGE_SIZE \
                or first < HEADER_SIZE:
            raise FormatError("undo record", _START, "its pages have other sizes than they should")
        record = cls(old_size=old_size, new_size=new_size, old_table_hash=old_hash, new_table_hash=new_hash,
                     first_page=pages[:first], last_page=pages[first:], new_header=header if any(header) else None)
        WimHeader.parse(record.old_header)
        if record.new_header is not None:
            WimHeader.parse(record.new_header)
        return record
