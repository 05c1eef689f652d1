"""Chunk tables of ordinary and solid resources."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.chunktable import ChunkLayout, SolidHeader, pack_chunk_table
from wimboot.formats.wimheader import Compression


def _layout(stored: list[int], last: int = 4096, chunk_size: int = 4096) -> ChunkLayout:
    size = (len(stored) - 1) * chunk_size + last
    return ChunkLayout(size=size, size_in_wim=(len(stored) - 1) * 4 + sum(stored), chunk_size=chunk_size)


@given(st.lists(st.integers(1, 4096), min_size=1, max_size=50), st.data())
def test_any_stretch_of_chunks_is_found(stored: list[int], data: st.DataObject) -> None:
    """Only the needed part of the table is read, and gives start and sizes."""
    layout = _layout(stored)
    table = pack_chunk_table(layout.size, stored)
    assert len(table) == layout.table_size
    layout.check()
    first = data.draw(st.integers(0, len(stored) - 1))
    count = data.draw(st.integers(1, len(stored) - first))
    low, high = layout.entries_range(first, count)
    assert layout.stored_sizes(first, count, table[low:high]) == (sum(stored[:first]), stored[first:first + count])


@given(st.integers(1, 1 << 40), st.integers(0, 1 << 20), st.sampled_from([4096, 32768]), st.binary(max_size=64))
def test_any_table_raises_only_format_errors(size: int, size_in_wim: int, chunk_size: int, table: bytes) -> None:
    """Hostile sizes and entries."""
    layout = ChunkLayout(size=size, size_in_wim=size_in_wim, chunk_size=chunk_size)
    try:
        layout.check()
        layout.stored_sizes(0, layout.count, table[:len(table) // layout.entry_size * layout.entry_size])
    except FormatError:
        pass


def test_entries_are_wide_only_past_4_gib() -> None:
    """0xFFFFFFFF bytes still take 4-byte entries."""
    assert ChunkLayout(size=0xFFFFFFFF, size_in_wim=0, chunk_size=32768).entry_size == 4
    assert ChunkLayout(size=0x100000000, size_in_wim=0, chunk_size=32768).entry_size == 8
    assert len(pack_chunk_table(0x100000000, [5, 6, 7])) == 16
    assert struct.unpack("<QQ", pack_chunk_table(0x100000000, [5, 6, 7])) == (5, 11)


def test_a_count_that_cannot_fit_is_refused() -> None:
    """Before a table of that size is read."""
    with pytest.raises(FormatError, match="cannot hold"):
        ChunkLayout(size=1 << 50, size_in_wim=1000, chunk_size=4096).check()
    with pytest.raises(FormatError, match="cannot hold"):
        ChunkLayout(size=0, size_in_wim=1000, chunk_size=4096).check()


@pytest.mark.parametrize("entries", [(0, 50), (60, 50), (50, 50), (50, 5000), (5000, 6000)])
def test_chunks_that_overlap_or_leave_are_refused(entries: tuple[int, int]) -> None:
    """Starts ascend, no chunk is longer than its data, none lies behind the resource."""
    layout = _layout([50, 60, 70])
    with pytest.raises(FormatError):
        layout.stored_sizes(0, 3, struct.pack("<2I", *entries))


@given(st.lists(st.integers(1, 32768), min_size=1, max_size=20), st.sampled_from(list(Compression)))
def test_a_solid_header_survives_a_round_trip(stored: list[int], compression: Compression) -> None:
    """Header and table of a solid resource."""
    header = SolidHeader(size=len(stored) * 32768, chunk_size=32768, compression=compression)
    table = struct.pack(f"<{len(stored)}I", *stored)
    size_in_wim = 16 + len(table) + sum(stored)
    assert SolidHeader.parse(header.pack(), size_in_wim) == header
    assert header.stored_sizes(table, size_in_wim) == stored
    with pytest.raises(FormatError):
        header.stored_sizes(table, size_in_wim - 1)


@given(st.binary(max_size=40), st.integers(0, 1 << 20))
def test_any_solid_header_raises_only_format_errors(data: bytes, size_in_wim: int) -> None:
    """Hostile codecs, chunk sizes and counts."""
    try:
        header = SolidHeader.parse(data, size_in_wim)
        header.stored_sizes(data[16:16 + header.table_size], size_in_wim)
    except FormatError:
        pass
