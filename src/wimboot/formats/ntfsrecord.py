"""NTFS file records, their attributes and their run lists, one at a time.

For the few records that are read by themselves ($MFT's own, $Volume, $Secure); the pass over all files has its own
loop.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, ClassVar

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Attribute", "AttributeListEntry", "FileRecord", "Run", "fix", "pack_runs", "parse_runs", "unfix"]

Run = tuple[int | None, int]
"""(first LCN, clusters); LCN None where the run is a hole."""

_STRIDE = 512       # the update sequence guards this many bytes a word, whatever the sector size
_CLUSTERS = 1 << 41
_HEADER = struct.Struct("<4sHHQHHHHIIQ")
_RESIDENT = struct.Struct("<IIBBHHHIH")
_EXTENT = struct.Struct("<QqHB5xQQQ")
_LIST_ENTRY = struct.Struct("<IHBBQQH")
_END = 0xFFFFFFFF


def unfix(data: bytes, structure: str = "file record") -> bytes:
    """A record with the last two bytes of each 512 put back from its update sequence. Raises FormatError.

    offset size field
    0x04   2    offset of the update sequence: a number, then one saved word for each 512 bytes
    0x06   2    words in it, the number counted
    """
    offset, words = struct.unpack_from("<HH", data, 4) if len(data) >= 8 else (0, 0)
    if not data or len(data) % _STRIDE or words != len(data) // _STRIDE + 1:
        raise FormatError(structure, 6, f"an update sequence of {words} words for {len(data):,} bytes")
    if offset % 2 or offset < 8 or offset + 2 * words > _STRIDE - 2:
        raise FormatError(structure, 4, f"the update sequence at {offset:,}")
    out = bytearray(data)
    for i in range(1, words):
        end = i * _STRIDE
        if out[end - 2:end] != data[offset:offset + 2]:
            raise FormatError(structure, end - 2, "its sectors were not written together")
        out[end - 2:end] = data[offset + 2 * i:offset + 2 * i + 2]
    return bytes(out)


def fix(record: bytes) -> bytes:
    """A record as it lies on the volume: what `unfix` undoes, under the number that its update sequence has."""
    offset, words = struct.unpack_from("<HH", record, 4)
    out = bytearray(record)
    for i in range(1, words):
        end = i * _STRIDE
        out[offset + 2 * i:offset + 2 * i + 2] = out[end - 2:end]
        out[end - 2:end] = out[offset:offset + 2]
    return bytes(out)


def parse_runs(data: bytes) -> list[Run]:
    """The runs of mapping pairs: length and LCN difference, each little-endian with as many bytes as a nibble says.

    Raises FormatError. A list that ends with its attribute needs no zero at its end.
    """
    runs: list[Run] = []
    at = lcn = total = 0
    while at < len(data) and data[at]:
        length_size, offset_size = data[at] & 15, data[at] >> 4
        end = at + 1 + length_size + offset_size
        if not 1 <= length_size <= 8 or offset_size > 8 or end > len(data):
            raise FormatError("run list", at, "a pair that does not fit")
        clusters = int.from_bytes(data[at + 1:at + 1 + length_size], "little")
        total += clusters
        if not clusters or total > _CLUSTERS:
            raise FormatError("run list", at, f"a run of {clusters} clusters")
        if offset_size:
            lcn += int.from_bytes(data[at + 1 + length_size:end], "little", signed=True)
            if not 0 <= lcn < _CLUSTERS:
                raise FormatError("run list", at, f"a run at cluster {lcn}")
        runs.append((lcn if offset_size else None, clusters))
        at = end
    return runs


def pack_runs(runs: Iterable[Run]) -> bytes:
    """Mapping pairs of runs, the zero at the end included."""
    out = bytearray()
    before = 0
    for lcn, clusters in runs:
        length = clusters.to_bytes(clusters.bit_length() // 8 + 1, "little", signed=True)
        offset = b""
        if lcn is not None:
            delta, before = lcn - before, lcn
            offset = delta.to_bytes((delta if delta >= 0 else ~delta).bit_length() // 8 + 1, "little", signed=True)
        out += bytes((len(length) | len(offset) << 4,)) + length + offset
    return bytes(out) + b"\0"


class Attribute(Frozen):
    """One attribute, or one extent of one.

    offset size field (source: libntfs-3g's layout.h)
    0x00   4    type
    0x04   4    bytes of this attribute, a multiple of 8
    0x08   1    1 where its value lies outside of the record
    0x09   1    units of its name
    0x0A   2    offset of the name
    0x0C   2    flags: 0x00FF compression, 0x4000 encrypted, 0x8000 sparse
    0x0E   2    instance
    then, inside: 0x10 4 bytes of the value, 0x14 2 its offset;
    outside: 0x10 8 first VCN, 0x18 8 last VCN, 0x20 2 offset of the mapping pairs, 0x22 1 compression unit, and with
    first VCN 0: 0x28 8 allocated, 0x30 8 data, 0x38 8 initialized size (0x40 8 compressed size, where flags tell)
    """

    STRUCTURE: ClassVar[str] = "attribute"

    offset: int
    """Of the attribute in its record."""
    type: int
    name: bytes
    flags: int
    size: int
    initialized: int
    lowest_vcn: int = 0
    highest_vcn: int = -1
    value: bytes | None = None
    """None where it lies outside of the record."""
    value_offset: int = 0
    """Of the value in the record."""
    runs: tuple[Run, ...] = ()

    @classmethod
    def parse(cls, record: bytes, offset: int, limit: int) -> tuple[Attribute, int]:
        """The attribute at `offset`, and where the next one begins. Raises FormatError."""
        if offset + 24 > limit:
            raise FormatError(cls.STRUCTURE, offset, "its record ends within it")
        kind, length, outside, units, name_offset, flags, _, size, value_offset = _RESIDENT.unpack_from(record, offset)
        if length < 24 or length % 8 or length > limit - offset:
            raise FormatError(cls.STRUCTURE, offset + 4, f"it claims {length:,} bytes")
        if units and name_offset + 2 * units > length:
            raise FormatError(cls.STRUCTURE, offset + 9, "its name does not fit")
        name = record[offset + name_offset:offset + name_offset + 2 * units] if units else b""
        if not outside:
            if value_offset < 24 or value_offset + size > length:
                raise FormatError(cls.STRUCTURE, offset + 16, "its value does not fit")
            start = offset + value_offset
            return cls(offset=offset, type=kind, name=name, flags=flags, size=size, initialized=size,
                       value=record[start:start + size], value_offset=start), offset + length
        if length < 64:
            raise FormatError(cls.STRUCTURE, offset + 4, f"it claims {length:,} bytes")
        lowest, highest, pairs, _, _, size, initialized = _EXTENT.unpack_from(record, offset + 16)
        if not 64 <= pairs <= length:
            raise FormatError(cls.STRUCTURE, offset + 32, "its run list does not fit")
        runs = parse_runs(record[offset + pairs:offset + length])
        if lowest + sum(clusters for _, clusters in runs) != highest + 1:
            raise FormatError(cls.STRUCTURE, offset + 24, "its run list has another length than it says")
        first = lowest == 0
        extent = cls(offset=offset, type=kind, name=name, flags=flags, lowest_vcn=lowest, highest_vcn=highest,
                     size=size if first else 0, initialized=initialized if first else 0, runs=tuple(runs))
        return extent, offset + length


class FileRecord(Frozen):
    """One record of $MFT.

    offset size field (source: libntfs-3g's layout.h)
    0x00   4    "FILE"
    0x04   4    place and words of the update sequence, see `unfix`
    0x08   8    $LogFile sequence number
    0x10   2    sequence number, of which a reference to this record tells
    0x12   2    number of its names
    0x14   2    offset of the first attribute
    0x16   2    flags: 1 in use, 2 folder
    0x18   4    bytes in use
    0x1C   4    bytes of the record
    0x20   8    reference to the base record; 0: it is one
    """

    STRUCTURE: ClassVar[str] = "file record"

    sequence: int
    flags: int
    base: int
    attributes: tuple[Attribute, ...]

    @classmethod
    def parse(cls, data: bytes) -> FileRecord:
        """Of a record as it lies on the volume. Raises FormatError."""
        if data[:4] != b"FILE":
            raise FormatError(cls.STRUCTURE, 0, "it does not begin with FILE")
        record = unfix(data)
        _, _, _, _, sequence, _, offset, flags, used, _, base = _HEADER.unpack_from(record)
        if used > len(record) or offset % 8 or not _HEADER.size <= offset <= used:
            raise FormatError(cls.STRUCTURE, 0x18, f"{used} bytes in use, attributes from {offset}")
        return cls(sequence=sequence, flags=flags, base=base, attributes=tuple(_attributes(record, offset, used)))


def _attributes(record: bytes, offset: int, used: int) -> Iterator[Attribute]:
    while True:
        if offset + 4 > used:
            raise FormatError(FileRecord.STRUCTURE, offset, "its attributes have no end")
        if struct.unpack_from("<I", record, offset)[0] == _END:
            return
        attribute, offset = Attribute.parse(record, offset, used)
        yield attribute


class AttributeListEntry(Frozen):
    """Where one attribute, or one extent of it, stands when a file has several records.

    offset size field (source: libntfs-3g's layout.h)
    0x00   4    type
    0x04   2    bytes of the entry, a multiple of 8
    0x06   1    units of the name
    0x07   1    offset of the name
    0x08   8    first VCN
    0x10   8    reference to the record
    0x18   2    instance
    """

    STRUCTURE: ClassVar[str] = "attribute list"

    type: int
    name: bytes
    lowest_vcn: int
    reference: int

    @classmethod
    def parse_all(cls, data: bytes) -> list[AttributeListEntry]:
        """The entries of a whole list. Raises FormatError."""
        entries = []
        at = 0
        while at < len(data):
            if at + _LIST_ENTRY.size > len(data):
                raise FormatError(cls.STRUCTURE, at, "it is cut short")
            kind, length, units, name_offset, lowest, reference, _ = _LIST_ENTRY.unpack_from(data, at)
            if length < _LIST_ENTRY.size or at + length > len(data) or (
                    units and name_offset + 2 * units > length):
                raise FormatError(cls.STRUCTURE, at + 4, f"an entry of {length:,} bytes")
            name = data[at + name_offset:at + name_offset + 2 * units] if units else b""
            entries.append(cls(type=kind, name=name, lowest_vcn=lowest, reference=reference))
            at += length
        return entries
