"""The WIM header and resource headers: round trips, the gates, any bytes."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.wimheader import (
    HEADER_SIZE,
    MAGIC,
    VERSION,
    VERSION_SOLID,
    Compression,
    HeaderFlag,
    ResourceHeader,
    WimHeader,
    check_chunk_size,
)

XPRESS = HeaderFlag.COMPRESSION | HeaderFlag.XPRESS
WORKED_EXAMPLE = bytes.fromhex(     # a WIM of 18,548 bytes that wimlib 1.13 made
    "4d5357494d000000d0000000000d0100820002000010000000112233445566778899aabbccddeeff0100010001000000"
    "fa0000000000000226440000000000 00fa00000000000000 3403000000000002 2045000000000000 3403000000000000"
    + "00" * 28 + "2000000000000000 5448000000000000 2000000000000000" + "00" * 60)

resources = st.builds(ResourceHeader, size_in_wim=st.integers(0, 2**56 - 1), flags=st.integers(0, 255),
                      offset=st.integers(0, 2**64 - 1), size=st.integers(0, 2**64 - 1))
headers = st.builds(
    WimHeader, version=st.sampled_from([VERSION, VERSION_SOLID]), guid=st.binary(min_size=16, max_size=16),
    flags=st.integers(0, 2**32 - 1).map(lambda flags: flags & ~0x3E0002 | XPRESS),
    chunk_size=st.sampled_from([4096, 8192, 16384, 32768, 65536]), part_number=st.integers(1, 9),
    total_parts=st.integers(9, 65535), image_count=st.integers(3, 2**32 - 1), boot_index=st.integers(0, 3),
    blob_table=resources, xml=resources, boot_metadata=resources, integrity=resources,
    unused=st.binary(min_size=60, max_size=60))


def _sound() -> WimHeader:
    return WimHeader(flags=XPRESS, chunk_size=4096, guid=bytes(16), image_count=1,
                     blob_table=ResourceHeader(size_in_wim=100, flags=2, offset=208, size=100),
                     xml=ResourceHeader(size_in_wim=50, flags=2, offset=308, size=50))


def test_the_worked_example_reads_as_documented() -> None:
    """Each field of a header that another program wrote."""
    header = WimHeader.parse(WORKED_EXAMPLE)
    assert (header.version, header.chunk_size, header.compression) == (VERSION, 4096, Compression.XPRESS)
    assert header.guid == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert header.blob_table == ResourceHeader(size_in_wim=250, flags=2, offset=17446, size=250)
    assert header.xml == ResourceHeader(size_in_wim=820, flags=2, offset=17696, size=820)
    assert header.integrity == ResourceHeader(size_in_wim=32, flags=0, offset=18516, size=32)
    header.check_against(18548)
    assert header.pack() == WORKED_EXAMPLE


@given(headers)
def test_a_header_survives_a_round_trip(header: WimHeader) -> None:
    """Unknown flags and the unused bytes too."""
    packed = header.pack()
    assert len(packed) == HEADER_SIZE
    assert WimHeader.parse(packed) == header
    assert WimHeader.parse(packed).pack() == packed


@given(resources)
def test_a_resource_header_survives_a_round_trip(resource: ResourceHeader) -> None:
    """All 24 bytes."""
    assert ResourceHeader.parse(b"x" + resource.pack(), 1) == resource


@given(st.binary(max_size=300) | st.binary(min_size=200, max_size=200).map(lambda tail: MAGIC + tail))
def test_any_bytes_raise_only_format_errors(data: bytes) -> None:
    """Neither random bytes nor random bytes behind the magic do anything else."""
    with contextlib.suppress(FormatError):
        WimHeader.parse(data).check_against(1000)


@given(st.integers(0, HEADER_SIZE - 1), st.integers(0, 255))
def test_one_changed_byte_raises_only_format_errors(at: int, value: int) -> None:
    """Edits of a sound header are read or refused."""
    data = bytearray(WORKED_EXAMPLE)
    data[at] = value
    try:
        header = WimHeader.parse(bytes(data))
        assert header.pack() == bytes(data)
        header.check_against(18548)
    except FormatError:
        pass


@pytest.mark.parametrize(("at", "new", "problem"), [
    (0, b"WLPWM", "pipable"), (0, b"X", "MSWIM"), (8, b"\xd4", "size"), (12, b"\1", "version"),
    (0x10, b"\2\0\0\0", "codec"), (0x14, b"\1", "chunks"), (0x15, b"\0", "chunks"), (0x28, b"\2", "part"),
    (0x28, b"\0", "part"), (0x78, b"\2", "boots"), (0x2C, b"\x00\x00\x00\x80", "2,147,483,648 images"),
    (0x2C, b"\6", "6 images"), (0x37, b"\6", "compressed"), (0x33, b"\xff", "blob table is compressed"),
    (0x3F, b"\x80", "ends at"), (0x40, b"\xf9", "compressed"), (0x48, b"\1", "compressed"),
    (0x57, b"\1", "XML data ends"), (0x8B, b"\1", "integrity table ends"),
])
def test_each_gate_refuses(at: int, new: bytes, problem: str) -> None:
    """What cannot be is named before anything is allocated by it."""
    data = bytearray(WORKED_EXAMPLE)
    data[at:at + len(new)] = new
    with pytest.raises(FormatError, match=problem):
        WimHeader.parse(bytes(data)).check_against(18548)


def test_a_truncated_file_is_refused() -> None:
    """One byte missing at the end of what the header names."""
    header = _sound()
    header.check_against(358)
    with pytest.raises(FormatError, match="ends at 358, the file at 357"):
        header.check_against(357)


def test_a_blob_table_has_whole_entries() -> None:
    """101 bytes are not two entries; an empty table may have no place."""
    with pytest.raises(FormatError, match="101"):
        replace(_sound(), blob_table=ResourceHeader(size_in_wim=101, offset=208, size=101)).check_against(999)
    replace(_sound(), blob_table=ResourceHeader(), image_count=0).check_against(999)


def test_a_resource_of_more_than_56_bits_cannot_be_packed() -> None:
    """The format has no room for it."""
    with pytest.raises(FormatError):
        ResourceHeader(size_in_wim=1 << 56).pack()


@pytest.mark.parametrize(("compression", "sizes"), [
    (Compression.XPRESS, {4096, 8192, 16384, 32768, 65536}),
    (Compression.LZX, {1 << power for power in range(15, 22)}),
    (Compression.LZMS, {1 << power for power in range(15, 31)}),
])
def test_chunk_sizes_are_those_of_the_codec(compression: Compression, sizes: set[int]) -> None:
    """Powers of two within the codec's bounds, and nothing else."""
    tried = {1 << power for power in range(33)} | {size + 1 for size in sizes} | {0}
    assert {size for size in tried if check_chunk_size(compression, size)} == sizes
