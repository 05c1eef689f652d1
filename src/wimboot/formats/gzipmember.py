"""One gzip member put together from pieces that were compressed apart, and its checksum over long runs of zeros.

Source: RFC 1952 (gzip), RFC 1951 (deflate)::

    offset  size  field
    0       2     1F 8B
    2       1     08, deflate
    3       1     flags, none
    4       4     time of change, none
    8       1     00
    9       1     operating system: 255, not known
    10      -     deflate blocks
    end-8   4     CRC-32 of the content
    end-4   4     size of the content, modulo 2^32

A piece ends with an empty stored block, so that the next one begins at a byte. The last two bytes of the blocks are an
empty block of fixed codes that is marked as the last.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

__all__ = ["GZIP_END", "GZIP_HEADER", "MAX_CONTENT_SIZE", "crc_after_zeros", "trailer"]

GZIP_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
GZIP_END: Final = b"\x03\0"
MAX_CONTENT_SIZE: Final = 0xFFFF_FFFF
"""Beyond it the size at the end is wrong. gzip does not mind; grub4dos believes it (stage2/gunzip.c)."""

_POLYNOMIAL: Final = 0xEDB8_8320
_32_BITS: Final = 0xFFFF_FFFF
_Matrix = tuple[int, ...]


def trailer(crc: int, size: int) -> bytes:
    """What ends the member."""
    return crc.to_bytes(4, "little") + (size & _32_BITS).to_bytes(4, "little")


def crc_after_zeros(crc: int, count: int) -> int:
    """The CRC-32 of something whose CRC-32 is `crc`, followed by `count` zero bytes, in no time."""
    return _times(_zeros(count), crc ^ _32_BITS) ^ _32_BITS


@lru_cache(maxsize=8)
def _zeros(count: int) -> _Matrix:
    """What `count` zero bytes do to the register: the matrix of one zero bit, raised to a power by squaring."""
    power: _Matrix = (_POLYNOMIAL, *(1 << bit for bit in range(31)))
    result: _Matrix = tuple(1 << bit for bit in range(32))
    bits = 8 * count
    while bits:
        if bits & 1:
            result = tuple(_times(power, column) for column in result)
        power = tuple(_times(power, column) for column in power)
        bits >>= 1
    return result


def _times(matrix: _Matrix, vector: int) -> int:
    """Over GF(2); a matrix is its columns."""
    out, column = 0, 0
    while vector:
        if vector & 1:
            out ^= matrix[column]
        vector >>= 1
        column += 1
    return out
