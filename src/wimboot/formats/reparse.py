"""Reparse data of the Windows Overlay Filter: what makes a file a pointer into a WIM, or a Compact OS file.

Facts: [W] wimlib 1.14.5, [D] public disassembly of wof.sys, [X] tried. All numbers little-endian.

Every reparse value begins with

    offset size  field
    0      4     ReparseTag            0x80000017 for both providers                               [W]
    4      2     ReparseDataLength     bytes after offset 8 (after offset 24 where a GUID follows)
    6      2     Reserved              0
    8      16    GUID                  only where bit 31 of the tag is clear (not Microsoft's)

An image of a WIM keeps only what follows these 8 bytes; `parse` takes the whole value, `parse_data`
that rest.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = [
    "COMPACT_STREAM", "HEADER_SIZE", "MAX_VALUE_SIZE", "POINTER_SIZE", "REPARSE_TAG_DEDUP", "REPARSE_TAG_WOF",
    "Algorithm", "BackingFlag", "BackingInput", "FileBacked", "PointerMaker", "Provider", "Reparse", "WimPointer",
    "parse_wof", "parse_wof_data",
]

REPARSE_TAG_WOF: Final = 0x8000_0017
REPARSE_TAG_DEDUP: Final = 0x8000_0013
HEADER_SIZE: Final = 8
POINTER_SIZE: Final = 96
MAX_VALUE_SIZE: Final = 16 * 1024   # MAXIMUM_REPARSE_DATA_BUFFER_SIZE of Windows' headers
HASH_SIZE: Final = 20

COMPACT_STREAM: Final = "WofCompressedData".encode("utf-16-le")
"""The name of the stream in which a Compact OS file keeps its data."""

_HEADER = Struct("<IHH")
_EXTERNAL = Struct("<II")
_POINTER_1 = Struct("<IIQ20s4s")
_POINTER_2 = Struct("<IIQ20s20sQQQ")
_FILE = Struct("<II")
_PLACE = Struct("<QQQ")
_NO_HASH: Final = bytes(HASH_SIZE)
_WHAT: Final = "the reparse data of the overlay filter"


class Provider(IntEnum):
    """Who holds the file's data."""

    WIM = 1
    FILE = 2


class Algorithm(IntEnum):
    """How a Compact OS file is compressed."""

    XPRESS4K = 0
    LZX = 1
    XPRESS8K = 2
    XPRESS16K = 3

    @property
    def chunk_size(self) -> int:
        """Bytes of a chunk before compression."""
        return (4096, 32768, 8192, 16384)[self.value]


class BackingFlag(IntFlag):
    """What FSCTL_GET_EXTERNAL_BACKING tells of a pointer; 0 is "active"."""

    NOT_ACTIVE = 1
    SUSPENDED = 2


class Reparse(Frozen):
    """Any reparse value, taken apart no further than its header."""

    tag: int
    data: bytes
    reserved: int = 0
    guid: bytes = b""   # 16 bytes where the tag is not Microsoft's

    @classmethod
    def parse(cls, value: bytes) -> Reparse:
        """Read a whole value. Raises FormatError."""
        if not HEADER_SIZE <= len(value) <= MAX_VALUE_SIZE:
            raise FormatError("a reparse point", 0, f"it has {len(value):,} bytes")
        tag, size, reserved = _HEADER.unpack_from(value)
        start = HEADER_SIZE if tag & 0x8000_0000 else HEADER_SIZE + 16
        if len(value) != start + size:
            problem = f"it announces {size:,} bytes of data and has {len(value) - start:,}"
            raise FormatError("a reparse point", 4, problem)
        value = bytes(value)
        return cls(tag=tag, data=value[start:], reserved=reserved, guid=value[HEADER_SIZE:start])

    @classmethod
    def of_image(cls, tag: int, data: bytes, *, reserved: int = 0) -> Reparse:
        """The value that a WIM keeps as a tag and what follows the 8-byte header. Raises FormatError."""
        guid_size = 0 if tag & 0x8000_0000 else 16
        if len(data) < guid_size:
            raise FormatError("a reparse point", 8, "its GUID is cut short")
        return cls(tag=tag, data=data[guid_size:], reserved=reserved, guid=data[:guid_size])

    def pack(self) -> bytes:
        """The whole value."""
        return _HEADER.pack(self.tag, len(self.data), self.reserved) + self.guid + self.data


class WimPointer(Frozen):
    """A file whose data lies in a WIM. Version 2, 96 bytes with its header [W][X]:

    offset size  field
    0x08   4     WOF version           1
    0x0C   4     provider              1
    0x10   4     version               2
    0x14   4     flags                 0 when written; unknown ones are kept
    0x18   8     data_source_id        key into the volume's WimOverlay.dat
    0x20   20    hash                  SHA-1 of the data, the key of the WIM's blob table
    0x34   20    table_hash            SHA-1 of the WIM's whole uncompressed blob table
    0x48   8     size                  of the data
    0x50   8     size_in_wim           equal to size exactly when stored raw [D]
    0x58   8     offset                of the resource in the WIM file

    Version 1 (56 bytes) ends after the hash and 4 bytes of padding: `table_hash`, `size`, `size_in_wim`
    and `offset` are zeros here, and the driver looks the hash up [D]. It is read, and written only when
    asked for.
    """

    data_source_id: int
    hash: bytes
    table_hash: bytes = _NO_HASH
    size: int = 0
    size_in_wim: int = 0
    offset: int = 0
    flags: int = 0
    version: int = 2

    @property
    def raw(self) -> bool:
        """Whether the driver takes the resource as stored uncompressed."""
        return self.size_in_wim == self.size

    @classmethod
    def parse(cls, value: bytes) -> WimPointer:
        """Read a whole reparse value. Raises FormatError, also where it is no WIM pointer."""
        return cls.parse_data(_wof_data(value))

    @classmethod
    def parse_data(cls, data: bytes) -> WimPointer:
        """Read what follows the 8-byte header. Raises FormatError."""
        found = parse_wof_data(data)
        if not isinstance(found, WimPointer):
            raise FormatError(_WHAT, 12, "it belongs to a Compact OS file, not to a pointer")
        return found

    def pack(self) -> bytes:
        """The whole reparse value: 96 bytes, 56 in version 1."""
        if self.version == 2:
            body = _POINTER_2.pack(2, self.flags, self.data_source_id, self.hash, self.table_hash, self.size,
                                   self.size_in_wim, self.offset)
        elif self.version == 1:
            body = _POINTER_1.pack(1, self.flags, self.data_source_id, self.hash, b"")
        else:
            raise ValueError("a pointer has version 1 or 2")
        if len(self.hash) != HASH_SIZE or len(self.table_hash) != HASH_SIZE:
            raise ValueError("a SHA-1 has 20 bytes")
        body = _EXTERNAL.pack(1, Provider.WIM) + body
        return _HEADER.pack(REPARSE_TAG_WOF, len(body), 0) + body


class FileBacked(Frozen):
    """A Compact OS file: its data lies in its own stream COMPACT_STREAM [W].

    offset size  field
    0x08   4     WOF version           1
    0x0C   4     provider              2
    0x10   4     version               1
    0x14   4     algorithm             see Algorithm; unknown ones are kept as numbers
    0x18   -     tail                  u32 flags, 0; many writers leave it out (wimlib does); kept
    """

    algorithm: int
    tail: bytes = bytes(4)

    @classmethod
    def parse(cls, value: bytes) -> FileBacked:
        """Read a whole reparse value. Raises FormatError, also where it is no Compact OS file."""
        return cls.parse_data(_wof_data(value))

    @classmethod
    def parse_data(cls, data: bytes) -> FileBacked:
        """Read what follows the 8-byte header. Raises FormatError."""
        found = parse_wof_data(data)
        if not isinstance(found, FileBacked):
            raise FormatError(_WHAT, 12, "it belongs to a pointer, not to a Compact OS file")
        return found

    def pack(self) -> bytes:
        """The whole reparse value."""
        body = _EXTERNAL.pack(1, Provider.FILE) + _FILE.pack(1, self.algorithm) + self.tail
        return _HEADER.pack(REPARSE_TAG_WOF, len(body), 0) + body


def _wof_data(value: bytes) -> bytes:
    reparse = Reparse.parse(value)
    if reparse.tag != REPARSE_TAG_WOF:
        raise FormatError(_WHAT, 0, f"the reparse tag is {reparse.tag:#010x}")
    return reparse.data


def parse_wof(value: bytes) -> WimPointer | FileBacked:
    """Read a whole reparse value of tag 0x80000017. Raises FormatError."""
    return parse_wof_data(_wof_data(value))


def parse_wof_data(data: bytes) -> WimPointer | FileBacked:
    """Read the reparse data of tag 0x80000017 without its 8-byte header. Raises FormatError."""
    if len(data) < _EXTERNAL.size + 4:
        raise FormatError(_WHAT, len(data) + HEADER_SIZE, "it is too short")
    version, provider = _EXTERNAL.unpack_from(data)
    if version != 1:
        raise FormatError(_WHAT, 8, f"its version is {version}")
    if provider == Provider.WIM:
        return _parse_wim(data[_EXTERNAL.size:])
    if provider == Provider.FILE:
        return _parse_file(data[_EXTERNAL.size:])
    raise FormatError(_WHAT, 12, f"provider {provider} is not known")


def _parse_wim(body: bytes) -> WimPointer:
    version = int.from_bytes(body[:4], "little")
    if version == 2 and len(body) == _POINTER_2.size:
        _, flags, source, digest, table, size, packed, offset = _POINTER_2.unpack(body)
        return WimPointer(data_source_id=source, hash=digest, table_hash=table, size=size, size_in_wim=packed,
                          offset=offset, flags=flags)
    if version == 1 and len(body) == _POINTER_1.size:
        _, flags, source, digest, padding = _POINTER_1.unpack(body)
        if any(padding):
            raise FormatError(_WHAT, 52, "its padding is not zero")
        return WimPointer(data_source_id=source, hash=digest, flags=flags, version=1)
    if version in (1, 2):
        raise FormatError(_WHAT, 4, f"a pointer of version {version} does not have {len(body) + 16:,} bytes")
    raise FormatError(_WHAT, 16, f"a pointer's version is 1 or 2, not {version}")


def _parse_file(body: bytes) -> FileBacked:
    if len(body) < _FILE.size:
        raise FormatError(_WHAT, 4, "it is too short for a Compact OS file")
    version, algorithm = _FILE.unpack_from(body)
    if version != 1:
        raise FormatError(_WHAT, 16, f"a Compact OS file's version is 1, not {version}")
    return FileBacked(algorithm=algorithm, tail=body[_FILE.size:])


class PointerMaker:
    """Makes version 2 reparse values for one data source and one state of its WIM, fast."""

    __slots__ = ("_head", "_table_hash")

    def __init__(self, data_source_id: int, table_hash: bytes) -> None:
        if len(table_hash) != HASH_SIZE:
            raise ValueError("a SHA-1 has 20 bytes")
        empty = WimPointer(data_source_id=data_source_id, hash=_NO_HASH, table_hash=table_hash).pack()
        self._head = empty[:0x20]
        self._table_hash = table_hash

    def pack(self, hash: bytes, size: int, size_in_wim: int, offset: int) -> bytes:  # noqa: A002 - the field's name
        """The 96 bytes of one pointer."""
        value = self._head + hash + self._table_hash + _PLACE.pack(size, size_in_wim, offset)
        if len(value) != POINTER_SIZE:
            raise ValueError("a SHA-1 has 20 bytes")
        return value


class BackingInput(Frozen):
    """What FSCTL_SET_EXTERNAL_BACKING is given for a pointer: "data was 48 bytes" in wimlib's error [W].

    offset size  field
    0      4     WOF_EXTERNAL_INFO.Version         1
    4      4     WOF_EXTERNAL_INFO.Provider        1
    8      4     WIM_PROVIDER_EXTERNAL_INFO.Version  1
    12     4     Flags                             0; BackingFlag where FSCTL_GET_EXTERNAL_BACKING answers
    16     8     DataSourceId                      signed in Windows' headers, never negative
    24     20    ResourceHash                      SHA-1 of the file's data
    44     4     padding to a multiple of 8        0; absent in some callers' buffers
    """

    data_source_id: int
    hash: bytes
    flags: int = 0

    @classmethod
    def parse(cls, data: bytes) -> BackingInput:
        """Read 48 bytes, or 44 without the padding. Raises FormatError."""
        structure = "the input of FSCTL_SET_EXTERNAL_BACKING"
        if len(data) == _EXTERNAL.size + _POINTER_1.size - 4:
            data += bytes(4)
        if len(data) != _EXTERNAL.size + _POINTER_1.size:
            raise FormatError(structure, 0, f"it has {len(data):,} bytes, not 48")
        version, provider = _EXTERNAL.unpack_from(data)
        wim_version, flags, source, digest, padding = _POINTER_1.unpack_from(data, _EXTERNAL.size)
        if (version, provider) != (1, Provider.WIM):
            raise FormatError(structure, 0, f"version {version} and provider {provider} are not 1 and 1")
        if wim_version != 1 or any(padding):
            raise FormatError(structure, 8, f"version {wim_version} or the padding is not as expected")
        return cls(data_source_id=source, hash=digest, flags=flags)

    def pack(self) -> bytes:
        """The 48 bytes."""
        if len(self.hash) != HASH_SIZE:
            raise ValueError("a SHA-1 has 20 bytes")
        body = _POINTER_1.pack(1, self.flags, self.data_source_id, self.hash, b"")
        return _EXTERNAL.pack(1, Provider.WIM) + body

    def explain(self) -> list[tuple[int, int, str, str]]:
        """(offset, size, field, value) of each field in turn."""
        return [
            (0, 4, "WOF_EXTERNAL_INFO.Version", "1"),
            (4, 4, "WOF_EXTERNAL_INFO.Provider", "1, the WIM provider"),
            (8, 4, "WIM_PROVIDER_EXTERNAL_INFO.Version", "1"),
            (12, 4, "WIM_PROVIDER_EXTERNAL_INFO.Flags", str(self.flags)),
            (16, 8, "WIM_PROVIDER_EXTERNAL_INFO.DataSourceId", str(self.data_source_id)),
            (24, 20, "WIM_PROVIDER_EXTERNAL_INFO.ResourceHash", self.hash.hex()),
            (44, 4, "padding", "0"),
        ]
