"""Packed disks read here and there: what the lz4 program packed comes out, and damage is told."""

from __future__ import annotations

import os
from random import Random

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk.lz4disk import Lz4Disk
from wimboot.errors import FormatError, HostError
from wimboot.formats.lz4frame import END, FrameHeader
from wimboot.formats.vhdfooter import MAX_DISK_SIZE, DiskType, Footer, Geometry
from wimboot.storage.memory import MemoryFolder

SIZE = (9 << 20) + 1024
CONTENTS = bytes(5 << 20) + Random(5).randbytes(1 << 20) + b"ab" * (1 << 20) + bytes((1 << 20) + 1024)
PACKED = FrameHeader(content_size=SIZE + 512).pack() + lz4.frame.compress(
    CONTENTS + os.urandom(512), block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_linked=False)[15:]


def disk(data: bytes) -> Lz4Disk:
    """That file, opened."""
    file = MemoryFolder().create("disk.ram")
    file.pwrite(0, data)
    return Lz4Disk(file)


def test_sample_is_what_is_written() -> None:
    """Another program's blocks under our header, which it reads itself."""
    assert len(CONTENTS) == SIZE
    assert lz4.frame.decompress(PACKED)[:SIZE] == CONTENTS
    assert PACKED.endswith(END)


@given(st.integers(0, SIZE + 10), st.integers(0, 5 << 20))
def test_any_part_is_that_of_the_disk(offset: int, size: int) -> None:
    """Across blocks, up to the end and beyond; the footer behind is not of the disk."""
    assert disk(PACKED).pread(offset, size) == CONTENTS[offset:offset + size]


def test_it_is_only_read() -> None:
    """Whoever would write is told."""
    packed = disk(PACKED)
    assert packed.size() == SIZE
    packed.sync()
    packed.close()
    with pytest.raises(HostError):
        packed.pwrite(0, b"x")
    with pytest.raises(HostError):
        packed.truncate(5)


@given(st.integers(0, len(PACKED) - 1), st.integers(0, 255))
def test_damage_is_told_or_does_not_matter(place: int, value: int) -> None:
    """One wrong byte: an error of the format, or a disk of its size."""
    data = bytearray(PACKED)
    data[place] = value
    try:
        packed = disk(bytes(data))
        assert len(packed.pread(0, SIZE)) == packed.size()
    except FormatError:
        return


@pytest.mark.parametrize("data", [b"", PACKED[:14], PACKED[:15], PACKED[:-1], PACKED[:-4] + b"more", b"x" * 100,
                                  FrameHeader(content_size=512).pack() + END, FrameHeader(content_size=1 << 60).pack()])
def test_what_is_no_packed_disk_is_refused(data: bytes) -> None:
    """Cut off, too long, too small, absurdly large: told at once, without reading it all."""
    with pytest.raises(FormatError):
        disk(data)


@pytest.mark.parametrize("told", [SIZE - 512, MAX_DISK_SIZE + 512])
def test_a_footer_that_tells_an_impossible_size_is_refused(told: int) -> None:
    """Of less than what is there, or of more than any."""
    footer = Footer(type=DiskType.FIXED, size=told, original_size=told, unique_id=bytes(16),
                    geometry=Geometry(cylinders=300, heads=4, sectors=17)).pack()
    data = FrameHeader(content_size=SIZE + 512).pack() + lz4.frame.compress(
        CONTENTS + footer, block_size=lz4.frame.BLOCKSIZE_MAX4MB, block_linked=False)[15:]
    with pytest.raises(FormatError):
        disk(data)
