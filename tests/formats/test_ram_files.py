"""The files around a packed disk, LZ4's frame and gzip's member: the code of lz4 and zlib says whether they fit."""

from __future__ import annotations

import gzip
import zlib

import lz4.block
import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats import lz4frame
from wimboot.formats.gzipmember import GZIP_END, GZIP_HEADER, crc_after_zeros, trailer
from wimboot.formats.lz4frame import END, FrameHeader, block

SIZES = st.integers(0, (1 << 64) - 1)


@given(SIZES)
def test_a_header_is_the_one_that_lz4_writes(size: int) -> None:
    """Its flags, the content size and the checksum of both, byte for byte."""
    context = lz4.frame.create_compression_context()
    theirs = lz4.frame.compress_begin(context, source_size=size, block_size=lz4.frame.BLOCKSIZE_MAX4MB,
                                      block_linked=False)
    assert FrameHeader(content_size=size).pack() == theirs or not size      # it leaves out a size of zero


@given(SIZES)
def test_a_header_comes_back(size: int) -> None:
    """parse(pack(x)) == x."""
    assert FrameHeader.parse(FrameHeader(content_size=size).pack()) == FrameHeader(content_size=size)


@given(st.binary(max_size=40))
def test_other_bytes_are_no_header(data: bytes) -> None:
    """Anything else raises FormatError, or is a header to the byte."""
    try:
        parsed = FrameHeader.parse(data)
    except FormatError:
        return
    assert parsed.pack() == data[:15]


@pytest.mark.parametrize("place", range(15))
def test_a_changed_header_is_refused(place: int) -> None:
    """Every byte of it is looked at."""
    data = bytearray(FrameHeader(content_size=5 << 30).pack())
    data[place] ^= 4
    with pytest.raises(FormatError):
        FrameHeader.parse(bytes(data))


def test_a_long_input_is_not_for_this_checksum() -> None:
    """XXH32 begins otherwise from 16 bytes on, and no header is as long."""
    with pytest.raises(ValueError, match="16"):
        lz4frame._xxh32(bytes(16))


@given(st.lists(st.binary(min_size=1, max_size=2000), max_size=5))
def test_a_frame_of_blocks_is_read_by_lz4(parts: list[bytes]) -> None:
    """Packed or stored, block after block."""
    content = b"".join(parts)
    frame = FrameHeader(content_size=len(content)).pack() + b"".join(
        block(part, lz4.block.compress(part, store_size=False)) for part in parts) + END
    assert lz4.frame.decompress(frame) == content


@given(st.binary(max_size=300), st.integers(0, 200_000), st.binary(max_size=300))
def test_zeros_are_counted_into_a_checksum_unread(before: bytes, count: int, after: bytes) -> None:
    """As zlib finds it byte by byte."""
    assert zlib.crc32(after, crc_after_zeros(zlib.crc32(before), count)) == zlib.crc32(before + bytes(count) + after)


@given(st.lists(st.binary(max_size=2000), max_size=5))
def test_a_member_of_pieces_is_read_by_gzip(parts: list[bytes]) -> None:
    """Pieces compressed apart are one member."""
    content = b"".join(parts)
    packed = b""
    for part in parts:
        packer = zlib.compressobj(wbits=-15)
        packed += packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    member = GZIP_HEADER + packed + GZIP_END + trailer(zlib.crc32(content), len(content))
    assert gzip.decompress(member) == content
