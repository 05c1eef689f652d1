"""VHDX structures: what QEMU writes is understood, what is damaged refused, in the words of the format."""

from __future__ import annotations

import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.vhdx import HEADER_SIZE, HEADERS, VhdxHeader, VhdxLayout, crc32c, parse_block_table, read_vhdx

HEADER_FIELDS = st.builds(
    VhdxHeader, sequence=st.integers(0, 2**64 - 1), file_write_id=st.binary(min_size=16, max_size=16),
    data_write_id=st.binary(min_size=16, max_size=16), log_id=st.binary(min_size=16, max_size=16),
    log_size=st.integers(0, 2**32 - 1), log_offset=st.integers(0, 2**64 - 1))


@given(HEADER_FIELDS)
def test_header_comes_back(header: VhdxHeader) -> None:
    """Under its checksum."""
    assert VhdxHeader.parse(header.pack()) == header
    assert len(header.pack()) == HEADER_SIZE


@given(st.binary(max_size=HEADER_SIZE + 8))
def test_other_bytes_are_no_header(data: bytes) -> None:
    """Nothing but FormatError comes of them."""
    with pytest.raises(FormatError):
        VhdxHeader.parse(data)


def test_checksum_is_the_known_one() -> None:
    """CRC-32C of RFC 3720, B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A VHDX of 40 MiB by QEMU, its headers and tables."""
    path: Path = tmp_path_factory.mktemp("vhdx") / "disk.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", str(path), "40M"], check=True)
    return path.read_bytes()


def parsed(data: bytes) -> VhdxLayout:
    """Its layout."""
    return read_vhdx(lambda offset, size: data[offset:offset + size])


def test_what_qemu_writes_is_understood(sample: bytes) -> None:
    """Sizes, tables, no parent, no block yet."""
    layout = parsed(sample)
    assert (layout.size, layout.block_size, layout.sector_size, layout.blocks) == (40 << 20, 1 << 20, 512, 40)
    assert (layout.has_parent, layout.chunk_blocks) == (False, 4096)
    assert parse_block_table(layout, sample[layout.table_offset:]) == [None] * 40
    assert len(sample) >= layout.data_offset


def test_older_header_counts_where_the_newer_is_torn(sample: bytes) -> None:
    """One of the two is always whole."""
    layout = parsed(sample)
    other = next(offset for offset in HEADERS if offset != layout.header_offset)
    newer = replace(layout.header, sequence=layout.header.sequence + 9)
    data = sample[:other] + newer.pack() + sample[other + HEADER_SIZE:]
    assert parsed(data).header == newer
    assert parsed(data[:other + 100] + b"torn" + data[other + 104:]).header == layout.header
    with pytest.raises(FormatError, match="header"):
        parsed(sample[:65536] + bytes(196608) + sample[262144:])


def test_damage_is_an_error_of_ours(sample: bytes) -> None:
    """Any byte of headers and tables may be wrong, and any length."""
    chance, layout, refused = random.Random(2), parsed(sample), 0
    regions = [*HEADERS, 192 << 10, 256 << 10, 2 << 20, layout.table_offset, (2 << 20) + 65536]
    for number in range(40):
        data = bytearray(sample)
        for place in (regions[number % 7],) if number % 2 else (192 << 10, 256 << 10):
            data[place + chance.randrange(200)] ^= 1 << chance.randrange(8)
        try:
            found = parsed(bytes(data))
            parse_block_table(found, bytes(data[found.table_offset:]))
        except FormatError:
            refused += 1
    assert refused > 12
    for size in (0, 100, 70_000, 200_000, 300_000, 2 << 20):
        with pytest.raises(FormatError):
            parsed(sample[:size])


@pytest.mark.parametrize("field", ["entries", "offset", "size", "twice", "unknown", "missing"])
def test_region_tables_are_checked(field: str, sample: bytes) -> None:
    """Their checksum may be right."""
    data = bytearray(sample)
    for place in (192 << 10, 256 << 10):
        at = place + 16
        if field == "entries":
            data[place + 8:place + 12] = (3000).to_bytes(4, "little")
        elif field == "offset":
            data[at + 16:at + 24] = (1 << 63).to_bytes(8, "little")
        elif field == "size":
            data[at + 24:at + 28] = bytes(4)
        elif field == "twice":
            data[at + 32:at + 48] = data[at:at + 16]
        elif field == "unknown":
            data[at] ^= 1
        else:
            data[place + 8:place + 12] = (1).to_bytes(4, "little")
        table = bytes(data[place:place + 65536])
        data[place + 4:place + 8] = crc32c(table[:4] + bytes(4) + table[8:]).to_bytes(4, "little")
    with pytest.raises(FormatError, match="region"):
        parsed(bytes(data))


HEADER = VhdxHeader(sequence=1, file_write_id=bytes(16), data_write_id=bytes(16))
LAYOUT = VhdxLayout(header=HEADER, header_offset=65536,
                    size=9000 << 20, block_size=1 << 20, sector_size=512, table_offset=3 << 20, table_size=1 << 20,
                    has_parent=False, data_offset=4 << 20)


def test_entries_of_sector_bitmaps_are_left_out() -> None:
    """One stands behind each chunk's blocks."""
    entries = [(number + 4 << 20) | 6 for number in range(4096)] + [0] + [(5000 + number << 20) | 6
                                                                         for number in range(4096)] + [0] + [2] * 808
    data = b"".join(entry.to_bytes(8, "little") for entry in entries)
    places = parse_block_table(LAYOUT, data)
    assert places[4095:4097] == [4099 << 20, 5000 << 20]
    assert places[8191:8193] == [9095 << 20, None]
    assert len(places) == 9000
    with pytest.raises(FormatError, match="short"):
        parse_block_table(LAYOUT, data[:-8])


@pytest.mark.parametrize("entry", [7, 4, 5, 3 << 20 | 6])
def test_blocks_that_cannot_be_are_refused(entry: int) -> None:
    """Partly there without a parent, of no known state, over other structures."""
    with pytest.raises(FormatError, match="block table"):
        parse_block_table(LAYOUT, entry.to_bytes(8, "little") + bytes(8 * 9002))


@pytest.mark.parametrize(("item", "value"), [
    ("3767a1ca36fa434db3b633f0aa44e76b", (3 << 20).to_bytes(4, "little")),
    ("3767a1ca36fa434db3b633f0aa44e76b", (1 << 19).to_bytes(4, "little")),
    ("2442a52f1bcd7648b2115dbed83bf4b8", bytes(8)), ("2442a52f1bcd7648b2115dbed83bf4b8", b"\1" * 8),
    ("1dbf41816fa90947ba47f233a8faab5f", (1024).to_bytes(4, "little")),
])
def test_sizes_that_cannot_be_are_refused(item: str, value: bytes, sample: bytes) -> None:
    """Of blocks, of the disk, of sectors."""
    data = bytearray(sample)
    entry = data.index(bytes.fromhex(item))
    place = (entry & ~0xFFFF) + int.from_bytes(data[entry + 16:entry + 20], "little")
    data[place:place + len(value)] = value
    with pytest.raises(FormatError, match="metadata"):
        parsed(bytes(data))
    data = bytearray(sample)
    data[entry] ^= 0xFF     # not the item that is needed any more
    with pytest.raises(FormatError, match="metadata"):
        parsed(bytes(data))
