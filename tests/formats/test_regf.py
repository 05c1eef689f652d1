"""The base block of hives."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_samples import sample
from wimboot.errors import FormatError
from wimboot.formats.regf import HEADER_SIZE, BaseBlock, FileType, checksum, is_regf

SMALL = 0xFFFFFFFF

blocks = st.builds(
    BaseBlock, sequence1=st.integers(0, SMALL), sequence2=st.integers(0, SMALL), written=st.integers(0, 2**64 - 1),
    minor=st.integers(0, SMALL), file_type=st.integers(0, SMALL), file_format=st.integers(0, SMALL),
    root_cell=st.integers(0, SMALL), bins_size=st.integers(0, SMALL), clustering=st.integers(0, SMALL),
    name=st.binary(min_size=64, max_size=64), manager_ids=st.binary(min_size=32, max_size=32),
    flags=st.integers(0, SMALL), rest=st.binary(min_size=360, max_size=360))


@given(blocks)
def test_base_block_round_trip(block: BaseBlock) -> None:
    """What was packed parses to the same values, with a checksum that fits."""
    packed = block.pack()
    assert len(packed) == HEADER_SIZE
    assert BaseBlock.parse(packed) == block


@given(st.binary(max_size=700) | st.binary(min_size=508, max_size=508).map(lambda tail: b"regf" + tail))
def test_any_bytes_parse_or_raise_format_error(data: bytes) -> None:
    """Nothing but FormatError comes out of hostile bytes."""
    try:
        block = BaseBlock.parse(data)
        block.check_primary(len(data))
    except FormatError:
        pass


@pytest.mark.parametrize(("name", "sequences", "dirty"), [
    ("SYSTEM-win7", (13983, 13983), False), ("SYSTEM-win81", (205, 204), True),
    ("SYSTEM-win10-dirty", (1622, 1621), True),
])
def test_real_hives_pack_to_their_own_bytes(name: str, sequences: tuple[int, int], dirty: bool) -> None:
    """The base blocks of real hives survive unchanged, and their state is told."""
    data = sample(name)
    block = BaseBlock.parse(data)
    assert block.pack() == data[:HEADER_SIZE]
    assert (block.sequence1, block.sequence2) == sequences
    assert (block.dirty, block.file_type, block.root_cell) == (dirty, FileType.PRIMARY, 0x20)
    block.check_primary(len(data))


@pytest.mark.parametrize("name", ["SYSTEM-win10-dirty.LOG1", "SYSTEM-win10-dirty.LOG2"])
def test_real_logs_carry_a_base_block(name: str) -> None:
    """The copy in a log is of type 6."""
    data = sample(name)
    block = BaseBlock.parse(data)
    assert block.pack() == data[:HEADER_SIZE]
    assert block.file_type == FileType.NEW_LOG


def test_checksum_avoids_its_two_special_values() -> None:
    """0 becomes 1 and 0xFFFFFFFF becomes 0xFFFFFFFE, as Windows writes them."""
    assert checksum(bytes(508)) == 1
    assert checksum(struct.pack("<I", SMALL) + bytes(504)) == 0xFFFFFFFE
    assert checksum(struct.pack("<II", 3, 5) + bytes(500)) == 6


def test_a_wrong_checksum_makes_a_hive_dirty() -> None:
    """Equal sequences are worth nothing under a checksum that does not fit."""
    packed = bytearray(BaseBlock(sequence1=4, sequence2=4, bins_size=4096).pack())
    assert not BaseBlock.parse(bytes(packed)).dirty
    packed[100] ^= 1
    assert BaseBlock.parse(bytes(packed)).dirty


@pytest.mark.parametrize(("change", "problem"), [
    ({"file_type": 6}, "file type 6"), ({"file_format": 2}, "format 2"), ({"bins_size": 5000}, "whole pages"),
    ({"bins_size": 0}, "whole pages"), ({"bins_size": 16384}, "do not fit"), ({"root_cell": 0x4000}, "outside"),
    ({"root_cell": 0}, "outside"),
])
def test_what_cannot_be_a_hive_is_refused(change: dict[str, int], problem: str) -> None:
    """Each rule of a primary file is checked by itself."""
    sound = BaseBlock(sequence1=1, sequence2=1, bins_size=8192)
    sound.check_primary(12288)
    with pytest.raises(FormatError, match=problem):
        replace(sound, **change).check_primary(12288)  # type: ignore[arg-type]  # fields of one type


def test_a_huge_hive_is_refused() -> None:
    """Half a gigabyte is the limit, told before memory is taken."""
    block = BaseBlock(sequence1=1, sequence2=1, bins_size=1 << 29)
    with pytest.raises(FormatError, match="more than"):
        block.check_primary((1 << 29) + 4096)


def test_hives_are_recognised_by_their_first_bytes() -> None:
    """`is_regf` says which captured files may have logs to apply."""
    assert is_regf(b"regf....")
    assert not is_regf(b"")
    assert not is_regf(b"hbin")
