"""A VHD's footer, header and table: every field survives, what is damaged or hostile is refused."""

from __future__ import annotations

import contextlib
import subprocess
from array import array
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.vhdfooter import (
    MAX_DISK_SIZE,
    DiskType,
    Footer,
    Geometry,
    checksum,
    from_unix_seconds,
    geometry_of,
    to_unix_seconds,
)
from wimboot.formats.vhdsparse import (
    UNUSED,
    Locator,
    SparseHeader,
    bitmap_size,
    check_places,
    pack_table,
    parse_table,
)

WORD = st.integers(0, 2**32 - 1)
LONG = st.integers(0, 2**64 - 1)
FOUR = st.binary(min_size=4, max_size=4)
ID = st.binary(min_size=16, max_size=16)
BYTE = st.integers(0, 255)
GEOMETRIES = st.builds(Geometry, cylinders=st.integers(0, 65535), heads=BYTE, sectors=BYTE)
FOOTERS = st.builds(
    Footer, type=WORD, geometry=GEOMETRIES, unique_id=ID,
    size=st.integers(1, 2**62 // 512 - 1).map(lambda count: count * 512), data_offset=LONG, original_size=LONG,
    time=WORD, saved=st.integers(0, 255), features=WORD,
    version=st.integers(0, 0xFFFF).map(lambda minor: 0x10000 + minor), creator=FOUR, creator_version=WORD,
    creator_system=FOUR, reserved=st.binary(min_size=427, max_size=427))
LOCATORS = st.builds(Locator, kind=FOUR, space=WORD, length=WORD, reserved=FOUR, offset=LONG)
HEADERS = st.builds(
    SparseHeader, table_offset=st.integers(0, 2**62 - 1), entries=st.integers(1, 1 << 22),
    block_size=st.sampled_from([4096, 512 << 10, 2 << 20, 256 << 20]), parent_id=ID, parent_time=WORD,
    parent_name_utf16=st.binary(min_size=512, max_size=512),
    locators=st.lists(LOCATORS, min_size=8, max_size=8).map(tuple), data_offset=LONG, reserved=FOUR,
    tail=st.binary(min_size=256, max_size=256))


@given(FOOTERS)
def test_footer_comes_back_as_packed(footer: Footer) -> None:
    """Every field survives, reserved bytes included, and the bytes are the same again."""
    data = footer.pack()
    assert len(data) == 512
    assert Footer.parse(data) == footer
    assert Footer.parse(data + b"more").pack() == data


@given(FOOTERS)
def test_old_footer_of_511_bytes_is_read(footer: Footer) -> None:
    """Its last byte was a zero that nobody wrote."""
    data = footer.pack()
    if data[511] == 0:
        assert Footer.parse(data[:511]) == footer


@given(HEADERS)
def test_header_comes_back_as_packed(header: SparseHeader) -> None:
    """So does every field of the header and its eight places of the parent."""
    data = header.pack()
    assert len(data) == 1024
    assert SparseHeader.parse(data) == header
    assert SparseHeader.parse(data).pack() == data


@given(FOOTERS, HEADERS, st.integers(0, 511), st.integers(1, 255))
def test_no_changed_byte_goes_unnoticed(footer: Footer, header: SparseHeader, place: int, change: int) -> None:
    """Neither in a footer nor in a header: the checksum tells."""
    for data, parse in ((footer.pack(), Footer.parse), (header.pack(), SparseHeader.parse)):
        damaged = bytearray(data)
        damaged[place] ^= change
        with pytest.raises(FormatError):
            parse(bytes(damaged))


@given(st.binary(max_size=1100))
@example(b"conectix")
def test_any_bytes_are_a_structure_or_refused(data: bytes) -> None:
    """No bytes raise anything but FormatError, with the right checksum either."""
    whole = bytearray(data.ljust(1024, b"\0")[:1024])
    whole[:8] = b"cxsparse"
    whole[36:40] = checksum(bytes(whole), 36).to_bytes(4, "big")
    short = bytearray(data.ljust(512, b"\0")[:512])
    short[:8] = b"conectix"
    short[64:68] = checksum(bytes(short), 64).to_bytes(4, "big")
    for candidate in (data, bytes(whole), bytes(short)):
        for parse in (Footer.parse, SparseHeader.parse):
            with contextlib.suppress(FormatError):
                parse(candidate)


@pytest.mark.parametrize(("field", "value"), [
    ("size", 0), ("size", 513), ("size", 1 << 63), ("version", 0x20000)])
def test_impossible_footer_is_refused(field: str, value: int) -> None:
    """A disk of no sectors, of parts of one, of more bytes than there are; a version to come."""
    fields = {"type": 2, "size": 512, "unique_id": bytes(16), "original_size": 512,
              "geometry": Geometry(cylinders=1, heads=1, sectors=1)} | {field: value}
    with pytest.raises(FormatError):
        Footer.parse(Footer(**fields).pack())  # type: ignore[arg-type]  # one of them is wrong on purpose


@pytest.mark.parametrize(("field", "value"), [
    ("entries", 0), ("entries", 2**32 - 1), ("block_size", 0), ("block_size", 3 << 20), ("block_size", 512),
    ("block_size", 1 << 31), ("table_offset", 1 << 63), ("version", 0)])
def test_impossible_header_is_refused(field: str, value: int) -> None:
    """No blocks, more than any disk has, blocks of odd sizes: refused before a byte is allocated for them."""
    fields = {"table_offset": 1536, "entries": 10} | {field: value}
    with pytest.raises(FormatError):
        SparseHeader.parse(SparseHeader(**fields).pack())  # type: ignore[arg-type]  # likewise


@pytest.mark.parametrize(("size", "expected"), [
    (64 << 20, (963, 8, 17)), (1 << 30, (2080, 16, 63)), (10 << 30, (20805, 16, 63)), (10 << 20, (301, 4, 17)),
    (MAX_DISK_SIZE, (65535, 16, 255)), (512, (0, 4, 17))])
def test_geometry_is_what_windows_writes(size: int, expected: tuple[int, int, int]) -> None:
    """The values of real disks; the one of 10 MiB was made by Windows."""
    geometry = geometry_of(size)
    assert (geometry.cylinders, geometry.heads, geometry.sectors) == expected


@given(st.integers(0, MAX_DISK_SIZE // 512).map(lambda count: count * 512))
def test_geometry_is_the_largest_that_fits(size: int) -> None:
    """It never reaches past the disk, and less than a cylinder is left over while cylinders do not run out."""
    geometry = geometry_of(size)
    cylinder = geometry.heads * geometry.sectors * 512
    assert 0 <= geometry.cylinders <= 65535
    assert geometry.cylinders * cylinder <= size
    if geometry.cylinders < 65535:
        assert size - geometry.cylinders * cylinder < cylinder


@pytest.mark.parametrize("size", [10 << 20, 64 << 20, 130 << 20, 600 << 20, 5 << 30, 100 << 30])
def test_qemu_writes_the_same_geometry(size: int, tmp_path: Path) -> None:
    """For the size that qemu rounds a disk to, which is one of its geometry."""
    path = tmp_path / "qemu.vhd"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vpc", str(path), str(size)], check=True, capture_output=True)
    footer = Footer.parse(path.read_bytes()[-512:])
    assert footer.type == DiskType.DYNAMIC
    assert footer.geometry == geometry_of(footer.size)
    header = SparseHeader.parse(path.read_bytes()[512:])
    assert header.entries * header.block_size >= footer.size


@given(WORD)
def test_times_count_from_2000(time: int) -> None:
    """There and back; what lies outside is the first or the last."""
    assert from_unix_seconds(to_unix_seconds(time)) == time
    assert from_unix_seconds(946_684_800) == 0
    assert from_unix_seconds(0) == 0
    assert from_unix_seconds(1 << 40) == 2**32 - 1


@given(st.lists(WORD, max_size=300))
def test_table_comes_back_as_packed(entries: list[int]) -> None:
    """Big-endian, filled up to sectors with set bits."""
    data = pack_table(array("I", entries))
    assert len(data) % 512 == 0
    assert list(parse_table(data, len(entries))) == entries
    assert all(data[4 * number:4 * number + 4] == entry.to_bytes(4, "big") for number, entry in enumerate(entries))
    assert set(data[4 * len(entries):]) <= {0xFF}


def test_cut_off_table_is_refused() -> None:
    """It is not taken for one with absent blocks."""
    with pytest.raises(FormatError):
        parse_table(bytes(39), 10)


@pytest.mark.parametrize(("block_size", "size"), [(2 << 20, 512), (512 << 10, 512), (4096, 512), (16 << 20, 4096)])
def test_bitmap_has_a_bit_a_sector(block_size: int, size: int) -> None:
    """In whole sectors."""
    assert bitmap_size(block_size) == size


@given(st.lists(st.integers(0, 60), max_size=6), st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 3000)),
                                                          max_size=3), st.integers(0, 40_000))
def test_blocks_share_no_byte_with_anything(places: list[int], others: list[tuple[int, int]], end: int) -> None:
    """What is accepted is exactly what a byte map finds free of overlap."""
    size = 4096 + 512
    taken: set[int] = set()
    sound = True
    for place in places:
        mine = set(range(place * 512, place * 512 + size))
        sound = sound and not mine & taken and max(mine) < end
        taken |= mine
    sound = sound and not any(set(range(offset, offset + length)) & taken for offset, length in others)
    table = array("I", [*places, UNUSED])
    if sound:
        assert check_places(table, 4096, others, end) == max((place * 512 + size for place in places), default=0)
    else:
        with pytest.raises(FormatError):
            check_places(table, 4096, others, end)
