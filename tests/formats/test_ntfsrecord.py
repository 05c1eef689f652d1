"""File records, run lists and view indexes, one at a time."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.ntfsindex import block_entries, root_entries
from wimboot.formats.ntfsrecord import AttributeListEntry, FileRecord, Run, fix, pack_runs, parse_runs, unfix

RUNS = st.lists(st.tuples(st.none() | st.integers(0, 1 << 40), st.integers(1, 1 << 36)), max_size=20)


@given(RUNS)
def test_run_lists_survive_a_round_trip(runs: list[Run]) -> None:
    """Holes, steps back and the largest numbers."""
    assert parse_runs(pack_runs(runs)) == runs


def test_run_list_of_the_documentation_is_read() -> None:
    """The worked example of the Linux-NTFS documentation: three runs, each from the one before."""
    data = bytes.fromhex("31387325343214 01e51102 3142aa0003 00".replace(" ", ""))
    assert parse_runs(data) == [(0x342573, 0x38), (0x363758, 0x114), (0x393802, 0x42)]


@pytest.mark.parametrize("data", ["10", "01", "1000", "190100", "3101ff", "110181", "1801ffffffffffffff7f", "9101"])
def test_impossible_run_lists_are_refused(data: str) -> None:
    """Cut short, of no length, before the start of the volume, of sizes over eight bytes."""
    with pytest.raises(FormatError):
        parse_runs(bytes.fromhex(data))


@given(st.binary(max_size=1200))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    """Nothing but FormatError comes of them."""
    for parse in (FileRecord.parse, AttributeListEntry.parse_all, parse_runs, unfix, root_entries, block_entries):
        try:
            parse(data)
        except FormatError:
            continue


def fixed(body: bytes) -> bytes:
    """A record of 1,024 bytes from `body`, with its update sequence at 48."""
    record = bytearray(body.ljust(1024, b"\0"))
    struct.pack_into("<HH", record, 4, 48, 3)
    record[48:50] = b"\x07\0"
    for i in (1, 2):
        record[48 + 2 * i:50 + 2 * i] = record[512 * i - 2:512 * i]
        record[512 * i - 2:512 * i] = b"\x07\0"
    return bytes(record)


@given(st.binary(min_size=80, max_size=960))
def test_records_with_any_attributes_are_parsed_or_refused(data: bytes) -> None:
    """Bytes at the place of the attributes, in a sound record."""
    head = bytearray(56)
    struct.pack_into("<4sHHQHHHHII", head, 0, b"FILE", 48, 3, 0, 1, 1, 56, 1, 56 + len(data), 1024)
    try:
        record = FileRecord.parse(fixed(bytes(head) + data))
    except FormatError:
        return
    assert record.sequence == 1


def test_torn_records_are_refused() -> None:
    """A sector with another update sequence number than the first was not written with it."""
    record = bytearray(fixed(b"FILE"))
    record[1022] ^= 1
    with pytest.raises(FormatError, match="not written together"):
        unfix(bytes(record))


@given(st.binary(min_size=1024, max_size=1024), st.integers(0, 0xFFFF))
def test_a_record_is_fixed_as_it_was_unfixed(body: bytes, number: int) -> None:
    """Under the same number, to the byte."""
    record = b"FILE" + struct.pack("<HH", 48, 3) + body[8:48] + struct.pack("<H", number) + body[50:]
    lying = fix(record)
    assert lying[510:512] == lying[1022:] == struct.pack("<H", number)
    assert lying[:50] == record[:50]
    assert unfix(lying)[54:] == record[54:]
    assert fix(unfix(lying)) == lying


def test_update_sequence_puts_back_the_last_words_of_each_sector() -> None:
    """The saved words return to where the numbers stood."""
    body = bytes(i % 251 for i in range(1024))
    out = unfix(fixed(body))
    assert out[510:512] == body[510:512]
    assert out[1022:1024] == body[1022:1024]
