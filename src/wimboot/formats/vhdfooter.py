"""The footer of a VHD: what kind of disk it is, how large, under which name it is known.

All integers are big-endian. Source: Virtual Hard Disk Image Format Specification 1.0, "Hard Disk Footer Format"; the
values written are those in a VHD that Windows made::

    offset  size  field
    0       8     "conectix"
    8       4     features: 1 temporary, 2 always set
    12      4     version, 00010000
    16      8     offset of the header of a dynamic disk; all bits set for a fixed one
    24      4     time of creation in seconds since 2000-01-01 00:00 UTC
    28      4     creator, "win " for Windows (qemu takes the size from the geometry for creators it does not know)
    32      4     its version, 00060001 for Windows 7
    36      4     its system, "Wi2k"
    40      8     size of the disk when it was created, in bytes
    48      8     size of the disk now
    56      2     cylinders
    58      1     heads
    59      1     sectors of a track
    60      4     type: 2 fixed, 3 dynamic, 4 differencing
    64      4     checksum: the complement of the sum of all bytes with this field zero
    68      16    unique id
    84      1     1 while a virtual machine is saved on the disk
    85      427   zeros

It is the last sector of the file, and the first one too of a disk that is not fixed. Virtual PC before 2004 wrote
511 bytes, without the last zero.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = [
    "COOKIE", "FOOTER_SIZE", "MAX_DISK_SIZE", "NO_OFFSET", "OLD_FOOTER_SIZE", "SECTOR", "UNREADY_COOKIE", "DiskType",
    "Footer", "Geometry", "checksum", "from_unix_seconds", "geometry_of", "to_unix_seconds",
]

SECTOR = 512
FOOTER_SIZE = 512
OLD_FOOTER_SIZE = 511
COOKIE = b"conectix"
UNREADY_COOKIE = b"unready\0"
"""This program's, in the place of the other while the file is not whole: for no reader it is a VHD then."""
NO_OFFSET = 0xFFFF_FFFF_FFFF_FFFF
MAX_DISK_SIZE = 2040 << 30
"""What Windows creates and attaches at most (Microsoft, "About VHD")."""

_STRUCT = struct.Struct(">8sIIQI4sI4sQQHBBII16sB427s")
_CHECKSUM_OFFSET = 64
_VERSION = 0x0001_0000
_EPOCH = 946_684_800
"""2000-01-01 in seconds since 1970."""
_MOST_SECTORS = 65535 * 16 * 255


class DiskType(IntEnum):
    """The kinds of VHD that are in use."""

    FIXED = 2
    DYNAMIC = 3
    DIFFERENCING = 4


class Geometry(Frozen):
    """What a BIOS was told of a disk. Partition entries do not follow it: Windows writes them in 255 heads of 63."""

    cylinders: int
    heads: int
    sectors: int


def geometry_of(size: int) -> Geometry:
    """The geometry of a disk of `size` bytes (specification, appendix "CHS Calculation"; all divisions truncate)."""
    total = min(size // SECTOR, _MOST_SECTORS)
    if total >= 65535 * 16 * 63:
        sectors, heads = 255, 16
        tracks = total // sectors
    else:
        sectors = 17
        tracks = total // sectors
        heads = max(4, (tracks + 1023) // 1024)
        if tracks >= heads * 1024 or heads > 16:
            sectors, heads = 31, 16
            tracks = total // sectors
        if tracks >= heads * 1024:
            sectors, heads = 63, 16
            tracks = total // sectors
    return Geometry(cylinders=tracks // heads, heads=heads, sectors=sectors)


def from_unix_seconds(seconds: int) -> int:
    """A VHD's time; what lies before 2000 or beyond 32 bits becomes the first or last time there is."""
    return min(max(0, seconds - _EPOCH), 0xFFFF_FFFF)


def to_unix_seconds(time: int) -> int:
    """Seconds since 1970 of a VHD's time."""
    return time + _EPOCH


def checksum(data: bytes | bytearray, offset: int) -> int:
    """Of a footer or header whose checksum field lies at `offset`."""
    return ~(sum(data) - sum(data[offset:offset + 4])) & 0xFFFF_FFFF


class Footer(Frozen):
    """A footer. `type` is a DiskType or what else stands there; `time` counts seconds since 2000."""

    type: int
    size: int
    unique_id: bytes
    data_offset: int = NO_OFFSET
    original_size: int
    geometry: Geometry
    time: int = 0
    saved: int = 0
    features: int = 2
    version: int = _VERSION
    creator: bytes = b"win "
    creator_version: int = 0x0006_0001
    creator_system: bytes = b"Wi2k"
    reserved: bytes = bytes(427)

    def pack(self) -> bytes:
        """512 bytes with their checksum."""
        data = bytearray(_STRUCT.pack(
            COOKIE, self.features, self.version, self.data_offset, self.time, self.creator, self.creator_version,
            self.creator_system, self.original_size, self.size, self.geometry.cylinders, self.geometry.heads,
            self.geometry.sectors, self.type, 0, self.unique_id, self.saved, self.reserved))
        data[_CHECKSUM_OFFSET:_CHECKSUM_OFFSET + 4] = checksum(data, _CHECKSUM_OFFSET).to_bytes(4, "big")
        return bytes(data)

    @classmethod
    def parse(cls, data: bytes) -> Footer:
        """The first 512 bytes of `data`, or all 511 of an old footer. Raises FormatError."""
        if len(data) == OLD_FOOTER_SIZE:
            data += b"\0"
        if len(data) < FOOTER_SIZE or data[:8] != COOKIE:
            raise FormatError("VHD footer", 0, "no conectix")
        data = data[:FOOTER_SIZE]
        (_, features, version, data_offset, time, creator, creator_version, system, original_size, size, cylinders,
         heads, sectors, kind, stored, unique_id, saved, reserved) = _STRUCT.unpack(data)
        if version >> 16 != _VERSION >> 16:
            raise FormatError("VHD footer", 12, f"version {version:08X}")
        if stored != checksum(data, _CHECKSUM_OFFSET):
            raise FormatError("VHD footer", _CHECKSUM_OFFSET, "its checksum is wrong")
        if not size or size % SECTOR or size >> 62:
            raise FormatError("VHD footer", 48, f"a disk of {size:,} bytes")
        return cls(type=kind, size=size, unique_id=unique_id, data_offset=data_offset, original_size=original_size,
                   geometry=Geometry(cylinders=cylinders, heads=heads, sectors=sectors), time=time, saved=saved,
                   features=features, version=version, creator=creator, creator_version=creator_version,
                   creator_system=system, reserved=reserved)
