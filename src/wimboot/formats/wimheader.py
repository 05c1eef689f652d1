"""The header of a WIM file and the resource header, the 24 bytes by which a WIM says where something lies.

Header, 208 bytes at offset 0 of the file, little-endian (layout checked against WIMs made by wimlib 1.13):

    off   size  field
    0x00  8     magic "MSWIM\\0\\0\\0" ("WLPWM\\0\\0\\0": wimlib's pipable form)
    0x08  4     header size, 208
    0x0C  4     version 0x00010D00, or 0x00000E00 where solid resources may occur
    0x10  4     flags (HeaderFlag)
    0x14  4     chunk size in bytes, 0 when nothing is compressed
    0x18  16    GUID, the same in all parts of a split WIM
    0x28  2     part number, from 1
    0x2A  2     parts in all
    0x2C  4     number of images
    0x30  24    resource header of the blob table
    0x48  24    resource header of the XML data
    0x60  24    resource header of the boot image's metadata, zeros without one
    0x78  4     boot image, 0 none
    0x7C  24    resource header of the integrity table, zeros without one
    0x94  60    unused

Resource header, 24 bytes:

    0     7     size in the WIM
    7     1     flags (ResourceFlag)
    8     8     offset from the start of the file
    16    8     size uncompressed
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = [
    "HEADER_SIZE", "MAGIC", "NO_RESOURCE", "PIPABLE_MAGIC", "VERSION", "VERSION_SOLID", "Compression",
    "HeaderFlag", "ResourceFlag", "ResourceHeader", "WimHeader", "check_chunk_size",
]

HEADER_SIZE = 208
MAGIC = b"MSWIM\0\0\0"
PIPABLE_MAGIC = b"WLPWM\0\0\0"
VERSION = 0x00010D00
VERSION_SOLID = 0x00000E00

_TABLE_ENTRY_SIZE = 50
_MAX_XML_SIZE = 16 << 20    # real ones have a few kilobytes an image
_LAYOUT = struct.Struct("<8sIIII16sHHI24s24s24sI24s60s")
_RESOURCE = struct.Struct("<QQQ")


class Compression(IntEnum):
    """The codecs, by the numbers that solid resources and libwim give them."""

    NONE = 0
    XPRESS = 1
    LZX = 2
    LZMS = 3


class HeaderFlag(IntFlag):
    """Flags of the WIM header."""

    COMPRESSION = 0x02
    READONLY = 0x04
    SPANNED = 0x08
    RESOURCE_ONLY = 0x10
    METADATA_ONLY = 0x20
    WRITE_IN_PROGRESS = 0x40
    RP_FIX = 0x80
    XPRESS = 0x20000
    LZX = 0x40000
    LZMS = 0x80000
    XPRESS_2 = 0x200000


class ResourceFlag(IntFlag):
    """Flags of a resource header."""

    FREE = 0x01
    METADATA = 0x02
    COMPRESSED = 0x04
    SPANNED = 0x08
    SOLID = 0x10


_CODEC_FLAGS = {
    HeaderFlag.LZX: Compression.LZX, HeaderFlag.XPRESS: Compression.XPRESS, HeaderFlag.XPRESS_2: Compression.XPRESS,
    HeaderFlag.LZMS: Compression.LZMS,
}
_CHUNK_SIZES = {    # smallest, largest; powers of two between them (wimlib.h, wimlib_compression_type)
    Compression.XPRESS: (4096, 65536), Compression.LZX: (32768, 2 << 20), Compression.LZMS: (32768, 1 << 30),
}


def check_chunk_size(compression: Compression, chunk_size: int) -> bool:
    """Whether WIMs of that codec may have that chunk size."""
    if compression not in _CHUNK_SIZES:
        return compression == Compression.NONE
    low, high = _CHUNK_SIZES[compression]
    return low <= chunk_size <= high and chunk_size & (chunk_size - 1) == 0


class ResourceHeader(Frozen):
    """Where something lies in a WIM; see the table above."""

    size_in_wim: int = 0
    flags: int = 0
    offset: int = 0
    size: int = 0

    @classmethod
    def plain(cls, offset: int, data: bytes, flags: int = 0) -> ResourceHeader:
        """Of bytes that lie at `offset` as they are."""
        return cls(size_in_wim=len(data), flags=flags, offset=offset, size=len(data))

    @classmethod
    def parse(cls, data: bytes, offset: int = 0) -> ResourceHeader:
        """The 24 bytes at `offset`. Raises FormatError where there are fewer."""
        if not 0 <= offset <= len(data) - _RESOURCE.size:
            raise FormatError("resource header", max(offset, 0), "it is cut short")
        packed, where, size = _RESOURCE.unpack_from(data, offset)
        return cls(size_in_wim=packed & 0xFFFFFFFFFFFFFF, flags=packed >> 56, offset=where, size=size)

    def pack(self) -> bytes:
        """The 24 bytes."""
        if self.size_in_wim >> 56:
            raise FormatError("resource header", 0, f"a resource of {self.size_in_wim:,} bytes does not fit in 56 bits")
        return _RESOURCE.pack(self.size_in_wim | self.flags << 56, self.offset, self.size)

    @property
    def end(self) -> int:
        """The file offset behind it."""
        return self.offset + self.size_in_wim

    @property
    def compressed(self) -> bool:
        """Whether it is a chunk table and chunks instead of the data itself."""
        return bool(self.flags & ResourceFlag.COMPRESSED)


NO_RESOURCE = ResourceHeader()


class WimHeader(Frozen):
    """The header; see the table above. Unknown flags and the unused bytes survive a round trip."""

    version: int = VERSION
    flags: int
    chunk_size: int
    guid: bytes
    part_number: int = 1
    total_parts: int = 1
    image_count: int = 0
    blob_table: ResourceHeader = NO_RESOURCE
    xml: ResourceHeader = NO_RESOURCE
    boot_metadata: ResourceHeader = NO_RESOURCE
    boot_index: int = 0
    integrity: ResourceHeader = NO_RESOURCE
    unused: bytes = bytes(60)

    @classmethod
    def parse(cls, data: bytes) -> WimHeader:
        """The header at the start of `data`, its own fields checked. Raises FormatError."""
        if len(data) < HEADER_SIZE:
            raise FormatError("WIM header", len(data), "the file ends inside it")
        (magic, size, version, flags, chunk_size, guid, part, parts, images, table, xml, boot, boot_index, integrity,
         unused) = _LAYOUT.unpack_from(data)
        if magic == PIPABLE_MAGIC:
            raise FormatError("WIM header", 0, "it is of wimlib's pipable form, which Windows does not know")
        if magic != MAGIC:
            raise FormatError("WIM header", 0, "it does not begin with MSWIM")
        if size != HEADER_SIZE:
            raise FormatError("WIM header", 8, f"its size is {size}, not {HEADER_SIZE}")
        if version not in (VERSION, VERSION_SOLID):
            raise FormatError("WIM header", 12, f"its version is {version:#x}")
        header = cls(
            version=version, flags=flags, chunk_size=chunk_size, guid=guid, part_number=part, total_parts=parts,
            image_count=images, blob_table=ResourceHeader.parse(table), xml=ResourceHeader.parse(xml),
            boot_metadata=ResourceHeader.parse(boot), boot_index=boot_index,
            integrity=ResourceHeader.parse(integrity), unused=unused)
        header._check_fields()
        return header

    def _check_fields(self) -> None:
        if self.flags & HeaderFlag.COMPRESSION:
            if not any(self.flags & flag for flag in _CODEC_FLAGS):
                raise FormatError("WIM header", 0x10, f"it names no codec (flags {self.flags:#x})")
            if not check_chunk_size(self.compression, self.chunk_size):
                raise FormatError("WIM header", 0x14, f"{self.compression.name} has no chunks of {self.chunk_size:,}")
        if not 1 <= self.part_number <= self.total_parts:
            raise FormatError("WIM header", 0x28, f"it is part {self.part_number} of {self.total_parts:,}")
        if self.boot_index > self.image_count:
            raise FormatError("WIM header", 0x78, f"it boots image {self.boot_index} of {self.image_count:,}")

    def check_against(self, file_size: int) -> None:
        """Hold the header against the bytes present, before anything is allocated by it. Raises FormatError."""
        places = ((0x30, "blob table", self.blob_table), (0x48, "XML data", self.xml),
                  (0x7C, "integrity table", self.integrity))
        for at, name, resource in places:
            if resource == NO_RESOURCE and name != "XML data":
                continue    # an empty table has no place
            if resource.flags & (ResourceFlag.COMPRESSED | ResourceFlag.SOLID) or resource.size != resource.size_in_wim:
                raise FormatError("WIM header", at, f"the {name} is compressed")
            if resource.offset < HEADER_SIZE or resource.end > file_size:
                raise FormatError("WIM header", at, f"the {name} ends at {resource.end:,}, the file at {file_size:,}")
        if self.blob_table.size % _TABLE_ENTRY_SIZE:
            raise FormatError("WIM header", 0x40, f"a blob table has no {self.blob_table.size:,} bytes")
        if self.part_number == 1 and self.image_count > self.blob_table.size // _TABLE_ENTRY_SIZE:
            raise FormatError("WIM header", 0x2C, f"{self.image_count:,} images do not fit in its blob table")
        if not 2 <= self.xml.size <= _MAX_XML_SIZE:
            raise FormatError("WIM header", 0x48, f"XML data of {self.xml.size:,} bytes")

    def pack(self) -> bytes:
        """The 208 bytes."""
        return _LAYOUT.pack(
            MAGIC, HEADER_SIZE, self.version, self.flags, self.chunk_size, self.guid, self.part_number,
            self.total_parts, self.image_count, self.blob_table.pack(), self.xml.pack(), self.boot_metadata.pack(),
            self.boot_index, self.integrity.pack(), self.unused)

    @property
    def compression(self) -> Compression:
        """The codec of every compressed resource that is not solid."""
        if self.flags & HeaderFlag.COMPRESSION:
            for flag, compression in _CODEC_FLAGS.items():
                if self.flags & flag:
                    return compression
        return Compression.NONE
