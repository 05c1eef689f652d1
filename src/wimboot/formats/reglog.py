"""The transaction logs of a registry hive, and the hive as Windows would load it: file and logs together.

New logs (8.1 and later; file type 6): a copy of the base block (512 bytes), then entries without gaps:

    Off   Size  Field (M. Suhanov's specification; hashes and order measured on a Windows 10 LOG1 and LOG2)
    0     4     "HvLE"
    4     4     size of the entry, a multiple of 512
    8     4     flags: bit 0 replaces bit 0 of the base block's flags
    12    4     sequence, running through both logs
    16    4     bytes of hive bins after this entry
    20    4     number n of page references
    24    8     Marvin32 of bytes 40 to the end
    32    8     Marvin32 of bytes 0 to 32
    40    8n    references: u32 offset in the hive bins, u32 size; then the pages in that order

Old logs (up to 8; file type 1, or 2): the copy of the base block, at 512 "DIRT" and one bit for each 512
bytes of the hive bins (lowest bit first), then, from the next multiple of 512, those marked.

A log is written before the hive is. What follows its last valid entry is leftovers of earlier rounds, with
older sequences and good hashes. The copy of the base block carries the sequence of the first entry. For a
hive whose form as Windows 10 recovered it is known, the result is equal to that byte for byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from wimboot.errors import FormatError, Refused
from wimboot.formats._marvin import marvin32
from wimboot.formats.regf import BASE_BLOCK_SIZE, HEADER_SIZE, MAX_HIVE_SIZE, PAGE_SIZE, BaseBlock, FileType
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["LogEntry", "LogsUnusable", "Replayed", "pack_entry", "pack_old_log", "replay"]

_SEED = 0x82EF4D887A4E55C5
_ENTRY = struct.Struct("<4sIIIIIQQ")
_REFERENCE = struct.Struct("<II")
_SECTOR = 512
_H = ord("H")

Page: TypeAlias = "tuple[int, memoryview]"
"""An offset in the hive bins, and the bytes there."""


class LogsUnusable(Refused):
    """The logs hold newer data than the hive, and it cannot be applied."""

    id = "registry-logs"
    sentence = "the registry log {log} holds changes that cannot be applied: {problem}"
    advice = "Start this Windows once and shut it down, which writes the changes into the hive."


class Replayed(Frozen):
    """A hive with its logs applied. `data` is the very object given where nothing was applied."""

    data: bytes
    applied_entries: int
    """Entries of new logs, or 1 for an old log."""
    torn: bool = False
    """The newest entry was never written whole; Windows drops it too."""


class LogEntry(Frozen):
    """One entry of a new log; made for `pack_entry` with `size` 0."""

    sequence: int
    bins_size: int
    flags: int = 0
    pages: tuple[Page, ...]
    size: int = 0

    @classmethod
    def parse(cls, log: memoryview, offset: int) -> LogEntry:
        """The entry at `offset`. Raises FormatError, also where a hash does not fit."""
        size, flags, sequence, bins_size, count, hash1 = _entry_header(log, offset)
        if size % _SECTOR or not _ENTRY.size + count * _REFERENCE.size <= size <= len(log) - offset:
            raise FormatError("registry log entry", offset, f"size {size:,} with {count:,} pages is not possible")
        if marvin32(log[offset + _ENTRY.size:offset + size], _SEED) != hash1:
            raise FormatError("registry log entry", offset, "the hash of its pages does not fit")
        if bins_size % PAGE_SIZE or not bins_size or bins_size > MAX_HIVE_SIZE - BASE_BLOCK_SIZE:
            raise FormatError("registry log entry", offset, f"{bins_size:,} bytes of bins are not possible")
        return cls(sequence=sequence, bins_size=bins_size, flags=flags, size=size,
                   pages=tuple(_pages(log, offset, size, count, bins_size)))


def _entry_header(log: memoryview, offset: int) -> tuple[int, int, int, int, int, int]:
    """(size, flags, sequence, bins size, pages, hash 1) if the header's own hash fits. Raises FormatError."""
    if offset + _ENTRY.size > len(log):
        raise FormatError("registry log entry", offset, "the log ends inside its header")
    signature, size, flags, sequence, bins_size, count, hash1, hash2 = _ENTRY.unpack_from(log, offset)
    if signature != b"HvLE":
        raise FormatError("registry log entry", offset, "the signature is not 'HvLE'")
    if marvin32(log[offset:offset + 32], _SEED) != hash2:
        raise FormatError("registry log entry", offset, "the hash of its header does not fit")
    return size, flags, sequence, bins_size, count, hash1


def _pages(log: memoryview, offset: int, size: int, count: int, bins_size: int) -> Iterator[Page]:
    at, end = offset + _ENTRY.size + count * _REFERENCE.size, offset + size
    for index in range(count):
        where, length = _REFERENCE.unpack_from(log, offset + _ENTRY.size + index * _REFERENCE.size)
        if where % _SECTOR or length % _SECTOR or length > end - at or where + length > bins_size:
            raise FormatError("registry log entry", offset, f"page {index} at {where:#x} does not fit")
        yield where, log[at:at + length]
        at += length


def pack_entry(entry: LogEntry) -> bytes:
    """The bytes of an entry, hashes computed, padded with zeros to whole sectors."""
    body = b"".join(_REFERENCE.pack(where, len(page)) for where, page in entry.pages)
    body += b"".join(bytes(page) for _, page in entry.pages)
    body += bytes(-(_ENTRY.size + len(body)) % _SECTOR)
    head = _ENTRY.pack(b"HvLE", _ENTRY.size + len(body), entry.flags, entry.sequence, entry.bins_size,
                       len(entry.pages), marvin32(body, _SEED), 0)
    return head[:32] + marvin32(head[:32], _SEED).to_bytes(8, "little") + body


def pack_old_log(block: BaseBlock, sectors: Mapping[int, bytes]) -> bytes:
    """An old log: `sectors` by their number in the hive bins, 512 bytes each."""
    bitmap = bytearray(block.bins_size // _SECTOR // 8)
    for number in sectors:
        bitmap[number // 8] |= 1 << number % 8
    vector = b"DIRT" + bitmap
    vector += bytes(-len(vector) % _SECTOR)
    return (replace(block, file_type=FileType.OLD_LOG).pack() + vector
            + b"".join(sectors[number] for number in sorted(sectors)))


def replay(primary: bytes, logs: Mapping[str, bytes]) -> Replayed:
    """The hive with what its logs hold; `logs` by file name, in any order.

    A hive that is not dirty, and logs that are empty or older than the hive, change nothing. Raises
    FormatError where `primary` is no hive, LogsUnusable where a log holds newer data that cannot be applied.
    """
    block = BaseBlock.parse(primary)
    if not block.dirty:
        block.check_primary(len(primary))
        return Replayed(data=primary, applied_entries=0)
    found = [_Log.read(name, data) for name, data in logs.items() if any(data[:HEADER_SIZE])]
    new = [log for log in found if log.block is None or log.block.file_type == FileType.NEW_LOG]
    if any(log.block is not None for log in new):
        return _replay_new(primary, block, new)
    old = [log for log in found if log.block is not None or _marks_sectors(log.data)]
    if old:
        return _replay_old(primary, block, old)
    for log in new:
        _refuse_newer(log, _oldest(block), None)
    block.check_primary(len(primary))
    if not block.sound:
        raise FormatError("registry base block", 508, "the checksum does not fit, and no log has a copy")
    return Replayed(data=primary, applied_entries=0)


@dataclass(frozen=True, slots=True)
class _Log:
    """A log that is not empty. `block` is None where its base block is not sound."""

    name: str
    data: memoryview
    block: BaseBlock | None

    @classmethod
    def read(cls, name: str, data: bytes) -> _Log:
        try:
            block = BaseBlock.parse(data)
        except FormatError:
            return cls(name, memoryview(data), None)
        known = block.file_type in {FileType.OLD_LOG, FileType.OLDEST_LOG, FileType.NEW_LOG}
        usable = known and block.sound and block.sequence1 == block.sequence2
        return cls(name, memoryview(data), block if usable else None)

    def first(self) -> int:
        """The sequence of the first entry; -1 where the base block is not sound."""
        return self.block.sequence1 if self.block else -1


def _oldest(block: BaseBlock) -> int:
    """Entries before this sequence are in the hive already; 0 where the hive cannot tell."""
    return block.sequence2 if block.sound else 0


def _replay_new(primary: bytes, block: BaseBlock, logs: list[_Log]) -> Replayed:
    oldest = _oldest(block)
    entries: list[LogEntry] = []
    expected: int | None = None
    source, torn = block, False
    for log in sorted(logs, key=_Log.first):
        if log.block is None or log.first() < oldest:
            _refuse_newer(log, oldest, None)
            continue
        run, end = _run(log)
        torn = _refuse_newer(log, log.first() + len(run), end)
        if expected is not None and (run or torn) and log.first() != expected:
            raise LogsUnusable(log=log.name, problem=f"change {expected} is missing before it")
        if run:
            source = log.block
        if run or torn:
            expected = log.first() + len(run)
        entries += run
    if expected is None and block.sound:
        block.check_primary(len(primary))
        return Replayed(data=primary, applied_entries=0)
    if expected is None or not entries:
        raise LogsUnusable(log=logs[0].name, problem="its first change is damaged")
    start = block if block.sound else replace(source, file_type=FileType.PRIMARY)
    flags = start.flags & ~1 | entries[-1].flags & 1
    after = replace(start, bins_size=entries[-1].bins_size, flags=flags, sequence1=expected & 0xFFFFFFFF,
                    sequence2=expected & 0xFFFFFFFF)
    largest = max(entry.bins_size for entry in entries)     # the hive may have shrunk since
    data = _written(primary, after, largest, (page for entry in entries for page in entry.pages))
    return Replayed(data=data, applied_entries=len(entries), torn=torn)


def _run(log: _Log) -> tuple[list[LogEntry], int]:
    """The valid entries from a log's start, and where they end."""
    entries: list[LogEntry] = []
    offset = HEADER_SIZE
    try:
        while _entry_header(log.data, offset)[2] == log.first() + len(entries):
            entries.append(LogEntry.parse(log.data, offset))
            offset += entries[-1].size
    except FormatError:
        pass
    return entries, offset


def _refuse_newer(log: _Log, expected: int, end: int | None) -> bool:
    """Refuse entries of `expected` or later in what was not applied of a log.

    True: the very next one, at `end`, is torn, which Windows drops as well. Only headers are hashed, so that
    hostile logs cost no more than their size.
    """
    torn = False
    for offset in range(end or HEADER_SIZE, len(log.data) - _ENTRY.size + 1, _SECTOR):
        if log.data[offset] != _H:
            continue
        try:
            sequence = _entry_header(log.data, offset)[2]
        except FormatError:
            continue
        if sequence == expected and offset == end:
            torn = True
        elif sequence >= expected:
            problem = f"change {expected} is missing or damaged, and {sequence} follows at {offset:#x}"
            raise LogsUnusable(log=log.name, problem=problem)
    return torn


def _replay_old(primary: bytes, block: BaseBlock, logs: list[_Log]) -> Replayed:
    """The newest of the logs: the second one, where it is in use, holds all that the first one does."""
    newest = max(logs, key=lambda log: log.block.written if log.block else -1)
    if newest.block is None:
        raise LogsUnusable(log=newest.name, problem="its base block is damaged")
    if block.sound and newest.block.written < block.written:
        block.check_primary(len(primary))
        return Replayed(data=primary, applied_entries=0)
    sequence = block.sequence1 if block.sound else newest.block.sequence1
    after = replace(newest.block, file_type=FileType.PRIMARY, sequence1=sequence, sequence2=sequence)
    try:
        pages = list(_old_pages(newest.data, newest.block.bins_size))
        data = _written(primary, after, after.bins_size, iter(pages))
    except FormatError as error:
        raise LogsUnusable(log=newest.name, problem=error.facts["problem"]) from error
    return Replayed(data=data, applied_entries=1)


def _marks_sectors(log: memoryview) -> bool:
    return bytes(log[HEADER_SIZE:HEADER_SIZE + 4]) == b"DIRT"


def _old_pages(log: memoryview, bins_size: int) -> Iterator[Page]:
    """(offset in the hive bins, 512 bytes) of each sector marked. Raises FormatError."""
    bitmap_size = bins_size // _SECTOR // 8
    bitmap = bytes(log[HEADER_SIZE + 4:HEADER_SIZE + 4 + bitmap_size])
    if not _marks_sectors(log) or bins_size % PAGE_SIZE or len(bitmap) < bitmap_size:
        raise FormatError("registry log", HEADER_SIZE, "the map of changed sectors is not whole")
    at = HEADER_SIZE + 4 + bitmap_size
    at += -at % _SECTOR
    for index, bits in enumerate(bitmap):
        for bit in range(8) if bits else ():
            if bits >> bit & 1:
                if at + _SECTOR > len(log):
                    raise FormatError("registry log", at, "it ends before its last sector")
                yield (index * 8 + bit) * _SECTOR, log[at:at + _SECTOR]
                at += _SECTOR


def _written(primary: bytes, after: BaseBlock, largest: int, pages: Iterator[Page]) -> bytes:
    """The hive with another base block and these pages, which lie within `largest` bytes. Raises FormatError.

    It is put together in one go: hives of 100 MB occur, and three copies of one at a time would be too much.
    """
    size = max(len(primary), BASE_BLOCK_SIZE + largest)
    after.check_primary(size)
    sectors: dict[int, memoryview] = {}
    for where, page in pages:
        for at in range(0, len(page), _SECTOR):
            sectors[BASE_BLOCK_SIZE + where + at] = page[at:at + _SECTOR]
    view, at, parts = memoryview(primary), HEADER_SIZE, [memoryview(after.pack())]
    for place in [*sorted(sectors), size]:
        parts.append(view[at:place])
        if place > max(at, len(primary)):
            parts.append(memoryview(bytes(place - max(at, len(primary)))))
        if place < size:
            parts.append(sectors[place])
        at = place + _SECTOR
    return b"".join(parts)
