"""The frame around LZ4 blocks, as grub4dos reads it: independent blocks of 4 MiB, the size of all in front.

All integers are little-endian. Source: LZ4 Frame Format Description 1.6; what grub4dos 0.4.6a takes is in its
stage2/dec_lz4.c: no frame without a content size, no dictionary, blocks of 64 KiB to 4 MiB; it looks at no checksum::

    offset  size  field
    0       4     184D2204
    4       1     bits 7-6 version 01; 5 blocks are independent; 4 they have checksums; 3 the content size is there;
                  2 the content has a checksum; 1 zero; 0 a dictionary's id is there
    5       1     bits 6-4 largest block: 4 64 KiB, 5 256 KiB, 6 1 MiB, 7 4 MiB; others zero
    6       8     content size
    14      1     bits 8 to 15 of the XXH32 of bytes 4 to 13

Then the blocks: 32 bits with the stored size, bit 31 set where they are stored as they are, and the block. A size of
zero ends the frame.
"""

from __future__ import annotations

import struct
from typing import Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = ["BLOCK_SIZE", "END", "FRAME_HEADER_SIZE", "FRAME_MAGIC", "STORED", "FrameHeader", "block"]

BLOCK_SIZE: Final = 4 << 20
END: Final = bytes(4)
FRAME_HEADER_SIZE: Final = 15
FRAME_MAGIC: Final = 0x184D_2204.to_bytes(4, "little")
STORED: Final = 1 << 31
"""In the size of a block that is not compressed."""

_HEADER: Final = struct.Struct("<4sBBQB")
_FLAGS: Final = 0x68
_LARGEST: Final = 0x70
_PRIMES: Final = (0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1)
_32_BITS: Final = 0xFFFF_FFFF
_WIDE: Final = 16
"""From this length on XXH32 has another beginning, which no header needs."""


class FrameHeader(Frozen):
    """The only header that is written: `content_size` bytes in independent blocks of 4 MiB, without checksums."""

    content_size: int

    def pack(self) -> bytes:
        head = _HEADER.pack(FRAME_MAGIC, _FLAGS, _LARGEST, self.content_size, 0)[:-1]
        return head + bytes((_check(head[4:]),))

    @classmethod
    def parse(cls, data: bytes) -> FrameHeader:
        """The first 15 bytes of `data`. Raises FormatError, for other kinds of frames too."""
        if len(data) < FRAME_HEADER_SIZE:
            raise FormatError("LZ4 frame", len(data), "it is cut off")
        magic, flags, largest, size, check = _HEADER.unpack_from(data)
        if magic != FRAME_MAGIC:
            raise FormatError("LZ4 frame", 0, "no LZ4 frame begins so")
        if (flags, largest) != (_FLAGS, _LARGEST):
            raise FormatError("LZ4 frame", 4, f"a frame of kind {flags:02X} {largest:02X}")
        if check != _check(data[4:14]):
            raise FormatError("LZ4 frame", 14, "its header's checksum is wrong")
        return cls(content_size=size)


def block(data: bytes, packed: bytes) -> bytes:
    """A block in its frame: packed, or as it is where that is no longer."""
    if len(packed) < len(data):
        return len(packed).to_bytes(4, "little") + packed
    return (len(data) | STORED).to_bytes(4, "little") + data


def _check(data: bytes) -> int:
    return _xxh32(data) >> 8 & 0xFF


def _xxh32(data: bytes) -> int:
    """XXH32 with seed 0 of less than 16 bytes."""
    if len(data) >= _WIDE:
        raise ValueError(len(data))
    one, two, three, four, five = _PRIMES
    value = five + len(data)
    whole = len(data) & ~3
    for word, in struct.iter_unpack("<I", data[:whole]):
        value = _turned(value + word * three, 17) * four
    for byte in data[whole:]:
        value = _turned(value + byte * five, 11) * one
    value &= _32_BITS
    value = (value ^ value >> 15) * two & _32_BITS
    value = (value ^ value >> 13) * three & _32_BITS
    return value ^ value >> 16


def _turned(value: int, bits: int) -> int:
    value &= _32_BITS
    return (value << bits | value >> 32 - bits) & _32_BITS
