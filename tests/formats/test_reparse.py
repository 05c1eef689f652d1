"""Reparse data of the overlay filter: the known examples, its laws, and bytes that are not it."""

from __future__ import annotations

from io import BytesIO

import pytest
from dissect.ntfs.attr import ReparsePoint
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.reparse import (
    REPARSE_TAG_WOF,
    Algorithm,
    BackingInput,
    FileBacked,
    PointerMaker,
    Reparse,
    WimPointer,
    parse_wof,
    parse_wof_data,
)

U32 = st.integers(0, 0xFFFF_FFFF)
U64 = st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)
HASH = st.binary(min_size=20, max_size=20)
POINTERS = st.one_of(
    st.builds(WimPointer, data_source_id=U64, hash=HASH, table_hash=HASH, size=U64, size_in_wim=U64,
              offset=U64, flags=U32),
    st.builds(WimPointer, data_source_id=U64, hash=HASH, flags=U32, version=st.just(1)),
)
COMPACT = st.builds(FileBacked, algorithm=U32, tail=st.binary(max_size=16))

EXAMPLE = bytes.fromhex("""
    17 00 00 80 58 00 00 00  01 00 00 00 01 00 00 00   02 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
    49 5a ae 71 34 b8 f6 7a  35 f5 e9 80 0f 99 ca 82   27 03 07 c4 7f 32 1e aa  60 bb 59 f2 01 ad 48 d9
    fa a4 29 90 33 33 23 e6  a0 86 01 00 00 00 00 00   d5 2b 00 00 00 00 00 00  3e 01 00 00 00 00 00 00
""")
SEED = bytes.fromhex("01000000010000000100000000000000 01000000000000008ccd4ce7b554c8f11c8a5fd5231de42e"
                     "d4085f6b00000000")


def test_the_example_of_a_pointer_reads_as_its_fields() -> None:
    """A pointer for a file of 100,000 bytes is read field by field and written back."""
    pointer = WimPointer.parse(EXAMPLE)
    assert (pointer.version, pointer.data_source_id, pointer.flags) == (2, 0, 0)
    assert (pointer.size, pointer.size_in_wim, pointer.offset) == (100_000, 11_221, 318)
    assert pointer.hash.hex() == "495aae7134b8f67a35f5e9800f99ca82270307c4"
    assert pointer.table_hash.hex() == "7f321eaa60bb59f201ad48d9faa42990333323e6"
    assert not pointer.raw
    assert pointer.pack() == EXAMPLE


def test_the_48_bytes_of_the_old_error_message_decode_field_by_field() -> None:
    """The buffer quoted with error 1314 is the second data source and the hash of Readme.TXT."""
    asked = BackingInput.parse(SEED)
    assert (asked.data_source_id, asked.flags) == (1, 0)
    assert asked.hash.hex() == "8ccd4ce7b554c8f11c8a5fd5231de42ed4085f6b"
    assert asked.pack() == SEED
    fields = asked.explain()
    assert sum(size for _, size, _, _ in fields) == len(SEED)
    assert [offset for offset, *_ in fields] == [0, 4, 8, 12, 16, 24, 44]


def test_the_48_bytes_are_also_a_pointer_of_version_1() -> None:
    """The input of the FSCTL, behind a header, is what a version 1 pointer holds."""
    pointer = WimPointer.parse_data(SEED)
    assert (pointer.version, pointer.data_source_id) == (1, 1)
    assert pointer.hash == BackingInput.parse(SEED).hash
    assert len(pointer.pack()) == 56
    assert pointer.pack()[8:] == SEED


def test_the_padding_of_the_fsctl_input_may_be_absent() -> None:
    """Callers that leave the last 4 bytes out are understood."""
    assert BackingInput.parse(SEED[:44]) == BackingInput.parse(SEED)


@given(POINTERS)
def test_a_pointer_survives_writing_and_reading(pointer: WimPointer) -> None:
    """parse(pack(x)) is x in both versions, unknown flags included."""
    assert WimPointer.parse(pointer.pack()) == pointer
    assert parse_wof_data(pointer.pack()[8:]) == pointer


@given(COMPACT)
def test_a_compact_os_value_survives_writing_and_reading(value: FileBacked) -> None:
    """parse(pack(x)) is x, unknown algorithms and any tail, none among them, included."""
    assert FileBacked.parse(value.pack()) == value
    assert parse_wof(value.pack()) == value


@given(st.builds(BackingInput, data_source_id=U64, hash=HASH, flags=U32))
def test_an_fsctl_input_survives_writing_and_reading(asked: BackingInput) -> None:
    """parse(pack(x)) is x."""
    assert BackingInput.parse(asked.pack()) == asked


@given(tag=U32, data=st.binary(max_size=200), reserved=st.integers(0, 0xFFFF),
       guid=st.binary(min_size=16, max_size=16))
def test_any_reparse_value_survives(tag: int, data: bytes, reserved: int, guid: bytes) -> None:
    """Microsoft's and others' tags keep their data, the others their GUID."""
    value = Reparse(tag=tag, data=data, reserved=reserved, guid=b"" if tag & 0x8000_0000 else guid)
    assert Reparse.parse(value.pack()) == value


@given(st.one_of(
    st.binary(max_size=120),
    st.builds(lambda tail: EXAMPLE[:8] + tail, st.binary(min_size=88, max_size=88)),
    st.builds(lambda at, byte: EXAMPLE[:at] + bytes([byte]) + EXAMPLE[at + 1:], st.integers(0, 95),
              st.integers(0, 255)),
))
def test_any_bytes_are_a_value_or_a_format_error(data: bytes) -> None:
    """Nothing but FormatError comes out of bytes from a disk, and what is read is written back the same."""
    for parse in (parse_wof, parse_wof_data, WimPointer.parse, FileBacked.parse, BackingInput.parse,
                  Reparse.parse):
        try:
            found = parse(data)
        except FormatError:
            continue
        whole = found.pack()
        unreserved = data[:6] + bytes(2) + data[8:]     # what only Reparse keeps
        assert {data, unreserved} & {whole, whole[8:], whole[:44]}


@given(POINTERS)
def test_the_fast_maker_writes_what_pack_writes(pointer: WimPointer) -> None:
    """PointerMaker is the same bytes as WimPointer.pack for version 2."""
    if pointer.version == 1 or pointer.flags:
        return
    maker = PointerMaker(pointer.data_source_id, pointer.table_hash)
    assert maker.pack(pointer.hash, pointer.size, pointer.size_in_wim, pointer.offset) == pointer.pack()


@pytest.mark.parametrize("size", [0, 19, 21])
def test_a_hash_of_another_length_is_never_written(size: int) -> None:
    """A caller's mistake is told, not padded."""
    wrong = bytes(size)
    with pytest.raises(ValueError, match="20 bytes"):
        PointerMaker(0, bytes(20)).pack(wrong, 1, 1, 1)
    with pytest.raises(ValueError, match="20 bytes"):
        PointerMaker(0, wrong)
    with pytest.raises(ValueError, match="20 bytes"):
        WimPointer(data_source_id=0, hash=wrong).pack()


def test_the_provider_decides_what_a_value_is() -> None:
    """A pointer is no Compact OS file, and the other way round."""
    with pytest.raises(FormatError, match="belongs to a pointer"):
        FileBacked.parse(EXAMPLE)
    with pytest.raises(FormatError, match="Compact OS file"):
        WimPointer.parse(FileBacked(algorithm=Algorithm.LZX).pack())
    other = bytearray(EXAMPLE)
    other[12] = 3
    with pytest.raises(FormatError, match="provider 3"):
        parse_wof(bytes(other))


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_each_compact_algorithm_has_its_chunk_size(algorithm: Algorithm) -> None:
    """XPRESS 4, 8, 16 K and LZX 32 K."""
    digits = "".join(filter(str.isdigit, algorithm.name.removeprefix("XPRESS")))
    assert algorithm.chunk_size == int(digits or 32) * 1024


def test_dissect_reads_tag_and_length_of_ours() -> None:
    """An independent reader sees the overlay filter's tag and all 88 bytes."""
    value = PointerMaker(3, b"t" * 20).pack(b"h" * 20, 1, 1, 208)
    seen = ReparsePoint(BytesIO(value))
    assert int(seen.tag) == REPARSE_TAG_WOF
    assert seen.buffer == value[8:]


def test_the_value_of_an_image_gets_its_header_back() -> None:
    """What a WIM keeps of a reparse point is the tag and the rest; others' tags begin with their GUID."""
    assert Reparse.of_image(REPARSE_TAG_WOF, EXAMPLE[8:]).pack() == EXAMPLE
    foreign = Reparse(tag=0x2000_0001, data=b"data", guid=bytes(range(16)))
    assert Reparse.of_image(foreign.tag, foreign.pack()[8:]) == foreign
    with pytest.raises(FormatError, match="GUID"):
        Reparse.of_image(foreign.tag, bytes(15))


def _with(value: bytes, offset: int, number: int) -> bytes:
    return value[:offset] + number.to_bytes(4, "little") + value[offset + 4:]


@pytest.mark.parametrize(("value", "problem"), [
    (_with(EXAMPLE, 0, 0xA000_000C), "tag"), (_with(EXAMPLE, 8, 2), "version is 2"),
    (_with(EXAMPLE, 16, 3), "1 or 2, not 3"), (_with(EXAMPLE, 16, 1), "version 1 does not have 96"),
    (EXAMPLE + b"x", "announces"), (bytes(16 << 10) + b"x", "16,385 bytes"),
    (WimPointer(data_source_id=0, hash=bytes(20), version=1).pack()[:-1] + b"x", "padding"),
    (Reparse(tag=REPARSE_TAG_WOF, data=EXAMPLE[8:16]).pack(), "short"),
    (Reparse(tag=REPARSE_TAG_WOF, data=EXAMPLE[8:12] + b"\2\0\0\0\1\0\0\0").pack(), "short"),
    (_with(FileBacked(algorithm=0).pack(), 16, 2), "version is 1, not 2"),
])
def test_each_rule_of_the_value_is_checked(value: bytes, problem: str) -> None:
    """A value that breaks a rule is refused, with the rule."""
    with pytest.raises(FormatError, match=problem):
        parse_wof(value)


@pytest.mark.parametrize(("data", "problem"), [
    (b"", "0 bytes"), (_with(SEED, 4, 2), "provider 2"), (_with(SEED, 8, 2), "version 2"),
    (SEED[:-1] + b"x", "padding"),
])
def test_each_rule_of_the_fsctl_input_is_checked(data: bytes, problem: str) -> None:
    """A buffer of another FSCTL is told apart."""
    with pytest.raises(FormatError, match=problem):
        BackingInput.parse(data)


def test_what_no_reader_knows_is_never_written() -> None:
    """A pointer of another version, and a hash of another length in the FSCTL's input."""
    with pytest.raises(ValueError, match="1 or 2"):
        WimPointer(data_source_id=0, hash=bytes(20), version=3).pack()
    with pytest.raises(ValueError, match="20 bytes"):
        BackingInput(data_source_id=0, hash=b"").pack()
