"""A VHDX: where each block of its disk lies in the file.

Integers are little-endian. Source: [MS-VHDX] 2.2 to 2.6::

    byte     what
    0        "vhdxfile", the program that made it
    64 Ki    header 1, 4 KiB
    128 Ki   header 2
    192 Ki   region table 1, 64 KiB
    256 Ki   region table 2

Header, 4 KiB; the one with the higher sequence number counts::

    offset  size  field
    0       4     "head"
    4       4     CRC-32C of the 4 KiB with this field zero
    8       8     sequence number
    16      16    file write GUID: changes when the file is opened to be written
    32      16    data write GUID: changes with the disk's bytes; by it a child knows its parent
    48      16    log GUID: not zero while the log has to be replayed
    64      2     version of the log, 0
    66      2     version, 1
    68      4     size of the log
    72      8     offset of the log

Region table, 64 KiB: "regi", CRC-32C as above, number of entries, 4 bytes reserved; entries of 32 bytes: GUID, offset
(8), size (4), bit 0 set where a reader has to know it (4). Metadata region: "metadata", 2 reserved, number of entries
(2), 20 reserved; entries of 32 bytes: GUID, offset in the region (4), size (4), flags (4; bit 2 set where a reader has
to know it), 4 reserved.

Block allocation table: 64 bits a block; bits 0 to 2 its state (6 present, 7 partly present, else zeros or nothing),
from bit 20 on its place in MiB. After each 2^23 sectors of blocks stands the entry of a sector bitmap.
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError
from wimboot.formats.guid import NIL, parse_guid
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "HEADERS", "HEADER_SIZE", "VhdxHeader", "VhdxLayout", "crc32c", "parse_block_table",
    "read_parent_locator", "read_vhdx",
]

HEADERS: Final = (64 << 10, 128 << 10)
HEADER_SIZE: Final = 4096
_REGIONS: Final = (192 << 10, 256 << 10)
_REGION_SIZE: Final = 64 << 10
_HEADER: Final = struct.Struct("<4sIQ16s16s16sHHIQ")
_REGION_HEAD: Final = struct.Struct("<4sIII")
_REGION: Final = struct.Struct("<16sQII")
_METADATA_HEAD: Final = struct.Struct("<8sHH20x")
_METADATA: Final = struct.Struct("<16sIII4x")
_MOST_ENTRIES: Final = 2047
_BAT: Final = parse_guid("2dc27766-f623-4200-9d64-115e9bfd4a08")
_METADATA_REGION: Final = parse_guid("8b7ca206-4790-4b9a-b8fe-575f050f886e")
_FILE_PARAMETERS: Final = parse_guid("caa16737-fa36-4d43-b3b6-33f0aa44e76b")
_DISK_SIZE: Final = parse_guid("2fa54224-cd1b-4876-b211-5dbed83bf4b8")
_DISK_ID: Final = parse_guid("beca12ab-b2e6-4523-93ef-c309e000c746")
_SECTOR_SIZE: Final = parse_guid("8141bf1d-a96f-4709-ba47-f233a8faab5f")
_PHYSICAL_SECTOR: Final = parse_guid("cda348c7-445d-4471-9cc9-e9885251c556")
_PARENT: Final = parse_guid("a8d35f2d-b30b-454d-abf7-d3d84834ab0c")
_KNOWN: Final = frozenset({_FILE_PARAMETERS, _DISK_SIZE, _DISK_ID, _SECTOR_SIZE, _PHYSICAL_SECTOR, _PARENT})
_REQUIRED, _METADATA_REQUIRED, _HAS_PARENT = 1, 4, 2
_MIB: Final = 1 << 20
_CHUNK_SECTORS: Final = 1 << 23
_MOST_SIZE: Final = 64 << 40
_PRESENT, _PARTLY = 6, 7
_LARGEST_REGION: Final = 1 << 30


def _crc_table() -> array[int]:
    table = array("I")
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC: Final = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli)."""
    value, table = 0xFFFF_FFFF, _CRC
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFF_FFFF


def _summed(data: bytes) -> bool:
    return crc32c(data[:4] + bytes(4) + data[8:]) == int.from_bytes(data[4:8], "little")


class VhdxHeader(Frozen):
    """One of the two headers. `tail` is the rest of its 4 KiB."""

    sequence: int
    file_write_id: bytes
    data_write_id: bytes
    log_id: bytes = NIL
    log_version: int = 0
    version: int = 1
    log_size: int = _MIB
    log_offset: int = _MIB
    tail: bytes = bytes(HEADER_SIZE - _HEADER.size)

    def pack(self) -> bytes:
        """4 KiB with their checksum."""
        data = _HEADER.pack(b"head", 0, self.sequence, self.file_write_id, self.data_write_id, self.log_id,
                            self.log_version, self.version, self.log_size, self.log_offset) + self.tail
        return data[:4] + crc32c(data).to_bytes(4, "little") + data[8:]

    @classmethod
    def parse(cls, data: bytes) -> VhdxHeader:
        """Raises FormatError."""
        if len(data) < HEADER_SIZE or data[:4] != b"head":
            raise FormatError("VHDX header", 0, "no such signature")
        data = data[:HEADER_SIZE]
        if not _summed(data):
            raise FormatError("VHDX header", 4, "its checksum is wrong")
        (_, _, sequence, file_write, data_write, log, log_version, version, log_size,
         log_offset) = _HEADER.unpack_from(data)
        if version != 1 or log_version:
            raise FormatError("VHDX header", 64, f"version {version}, of the log {log_version}")
        return cls(sequence=sequence, file_write_id=file_write, data_write_id=data_write, log_id=log,
                   log_version=log_version, version=version, log_size=log_size, log_offset=log_offset,
                   tail=data[_HEADER.size:])


class VhdxLayout(Frozen):
    """What a VHDX says of itself. `header_offset` is where the header stands that counts; `table_offset` and
    `table_size` are those of the block allocation table.
    """

    header: VhdxHeader
    header_offset: int
    size: int
    block_size: int
    sector_size: int
    table_offset: int
    table_size: int
    has_parent: bool
    data_offset: int
    """Where the last of the regions, and the log, end: no block lies before."""

    @property
    def blocks(self) -> int:
        """Of the disk."""
        return -(-self.size // self.block_size)

    @property
    def chunk_blocks(self) -> int:
        """Blocks between two sector bitmaps."""
        return max(1, _CHUNK_SECTORS * self.sector_size // self.block_size)


def read_vhdx(read: Callable[[int, int], bytes]) -> VhdxLayout:
    """`read` gives bytes of the file, by offset and size. Raises FormatError."""
    header, header_offset = _header(read)
    regions = _regions(read)
    metadata = _metadata(read, *_region(regions, _METADATA_REGION))
    block_size, flags = struct.unpack("<II", _item(metadata, _FILE_PARAMETERS, 8))
    size, = struct.unpack("<Q", _item(metadata, _DISK_SIZE, 8))
    sector_size, = struct.unpack("<I", _item(metadata, _SECTOR_SIZE, 4))
    if block_size & (block_size - 1) or not _MIB <= block_size <= 256 * _MIB:
        raise FormatError("VHDX metadata", 0, f"blocks of {block_size:,} bytes")
    if sector_size not in (512, 4096):
        raise FormatError("VHDX metadata", 0, f"sectors of {sector_size:,} bytes")
    if not 0 < size <= _MOST_SIZE or size % sector_size:
        raise FormatError("VHDX metadata", 0, f"a disk of {size:,} bytes")
    table_offset, table_size = _region(regions, _BAT)
    ends = [offset + length for offset, length in regions.values()]
    return VhdxLayout(header=header, header_offset=header_offset, size=size, block_size=block_size,
                      sector_size=sector_size, table_offset=table_offset, table_size=table_size,
                      has_parent=bool(flags & _HAS_PARENT),
                      data_offset=max(_MIB, header.log_offset + header.log_size, *ends))


def read_parent_locator(read: Callable[[int, int], bytes]) -> bytes:
    """What a VHDX says of its parent; empty where it has none. Raises FormatError."""
    return _metadata(read, *_region(_regions(read), _METADATA_REGION)).get(_PARENT, b"")


def _header(read: Callable[[int, int], bytes]) -> tuple[VhdxHeader, int]:
    """The header that counts, and where it stands."""
    found, problem = [], None
    for offset in HEADERS:
        try:
            found.append((VhdxHeader.parse(read(offset, HEADER_SIZE)), offset))
        except FormatError as error:
            problem = error
    if not found:
        raise problem or FormatError("VHDX header", 0, "there is none")
    return max(found, key=lambda one: one[0].sequence)


def _regions(read: Callable[[int, int], bytes]) -> dict[bytes, tuple[int, int]]:
    """The regions' offsets and sizes, by their GUIDs."""
    for place in _REGIONS:
        data = read(place, _REGION_SIZE)
        if len(data) == _REGION_SIZE and data[:4] == b"regi" and _summed(data):
            break
    else:
        raise FormatError("VHDX region table", 0, "neither of the two is sound")
    count = _REGION_HEAD.unpack_from(data)[2]
    if count > _MOST_ENTRIES:
        raise FormatError("VHDX region table", 8, f"{count:,} entries")
    regions = {}
    for number in range(count):
        at = _REGION_HEAD.size + number * _REGION.size
        guid, offset, size, flags = _REGION.unpack_from(data, at)
        if offset % _MIB or offset < _MIB or size % _MIB or offset >> 62 or not 0 < size <= _LARGEST_REGION:
            raise FormatError("VHDX region table", at, f"a region of {size:,} bytes at byte {offset:,}")
        if guid in regions or (flags & _REQUIRED and guid not in (_BAT, _METADATA_REGION)):
            raise FormatError("VHDX region table", at, "a region twice, or one that is not known")
        regions[guid] = offset, size
    return regions


def _region(regions: dict[bytes, tuple[int, int]], guid: bytes) -> tuple[int, int]:
    if guid not in regions:
        raise FormatError("VHDX region table", 0, "a region is missing")
    return regions[guid]


def _metadata(read: Callable[[int, int], bytes], offset: int, size: int) -> dict[bytes, bytes]:
    """The items of the metadata region, by their GUIDs; those that are not needed are left out."""
    table = read(offset, _REGION_SIZE)
    if len(table) < _REGION_SIZE or table[:8] != b"metadata":
        raise FormatError("VHDX metadata", 0, "no such signature")
    count = _METADATA_HEAD.unpack_from(table)[2]
    if count > _MOST_ENTRIES:
        raise FormatError("VHDX metadata", 10, f"{count:,} entries")
    items = {}
    for number in range(count):
        at = _METADATA_HEAD.size + number * _METADATA.size
        guid, place, length, flags = _METADATA.unpack_from(table, at)
        if guid not in _KNOWN:
            if flags & _METADATA_REQUIRED:
                raise FormatError("VHDX metadata", at, "an item that is not known")
            continue
        if length and (place < _REGION_SIZE or place + length > size or length > _MIB):
            raise FormatError("VHDX metadata", at, "an item outside of its region")
        items[guid] = read(offset + place, length) if length else b""
    return items


def _item(items: dict[bytes, bytes], guid: bytes, size: int) -> bytes:
    data = items.get(guid, b"")
    if len(data) < size:
        raise FormatError("VHDX metadata", 0, "an item is missing, or too short")
    return data[:size]


def parse_block_table(layout: VhdxLayout, data: bytes) -> list[int | None]:
    """Where each block of the disk lies in the file; None where it reads as zeros. Raises FormatError."""
    chunk, places = layout.chunk_blocks, []
    if (layout.blocks + (layout.blocks - 1) // chunk) * 8 > len(data):
        raise FormatError("VHDX block table", len(data), "it is too short for its disk")
    for block in range(layout.blocks):
        at = 8 * (block + block // chunk)
        entry = int.from_bytes(data[at:at + 8], "little")
        state, place = entry & 7, (entry >> 20) * _MIB
        if state == _PARTLY or state in (4, 5):
            raise FormatError("VHDX block table", at, f"a block of state {state} in a disk without a parent")
        if state == _PRESENT and place < layout.data_offset:
            raise FormatError("VHDX block table", at, f"a block at byte {place}, where other structures lie")
        places.append(place if state == _PRESENT else None)
    return places
