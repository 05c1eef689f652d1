"""The log's structures come back as they were packed, and nothing else is taken for them."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk._overlay import hash_of
from wimboot.disk.log import DATA_OFFSET, PAGE, Header, Index, Kind, Mark, encode_text
from wimboot.errors import FormatError, Internal

GUIDS = st.binary(min_size=16, max_size=16)
DIGESTS = st.binary(min_size=32, max_size=32)


@st.composite
def logs(draw: st.DrawFn) -> tuple[Header, Index]:
    """A header with the index that belongs to it."""
    pages = sorted(draw(st.sets(st.integers(0, 500), max_size=12)))
    guards = draw(st.lists(st.sampled_from(pages), max_size=3, unique=True)) if pages else []
    order = [page for page in pages if page not in guards] + guards
    slots = draw(st.permutations(range(len(order))))
    words = st.integers(0, 2**64 - 1)
    records = b"".join(
        b"".join(value.to_bytes(8, "little") for value in (page, slot, *draw(st.lists(words, min_size=9, max_size=9))))
        for page, slot in zip(order, slots, strict=True))
    # paths of the host need not be UTF-8
    place, where = (draw(st.binary(max_size=20)).decode(errors="surrogateescape") for _ in range(2))
    index = Index(records=records, guards=tuple((page, draw(words)) for page in guards), place=place, where=where)
    seen = draw(st.lists(st.tuples(st.integers(0, 500), words), max_size=3))
    index = replace(index, witnesses=tuple(seen))
    has_store = draw(st.booleans())
    header = Header(guid=draw(GUIDS), target_size=501 * PAGE - draw(st.integers(0, PAGE - 1)), page_count=len(order),
                    guard_count=len(guards), batch_pages=draw(st.integers(1, 2**32 - 1)), index_size=len(index.pack()),
                    store_guid=draw(GUIDS) if has_store else None,
                    table_hash=draw(st.binary(min_size=20, max_size=20)), place_size=len(encode_text(place)),
                    where_size=len(encode_text(where)), witness_count=len(index.witnesses))
    return replace(header, digest=header.digest_with(index.pack())), index


@given(logs())
def test_log_comes_back_as_packed(log: tuple[Header, Index]) -> None:
    """Header and index survive the disk."""
    header, index = log
    assert len(header.pack()) == PAGE
    assert Header.parse(header.pack()) == header
    assert Index.parse(index.pack(), header) == index
    assert header.index_offset == DATA_OFFSET + (header.page_count + header.guard_count) * PAGE


@given(kind=st.sampled_from(Kind), guid=GUIDS, digest=DIGESTS, batch=st.integers(0, 2**64 - 1),
       sequence=st.integers(0, 2**64 - 1))
def test_mark_comes_back_as_packed(kind: Kind, guid: bytes, digest: bytes, batch: int, sequence: int) -> None:
    """So does each mark."""
    mark = Mark(kind=kind, guid=guid, digest=digest, batch=batch, sequence=sequence)
    assert Mark.parse(mark.pack()) == mark


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_a_structure(data: bytes) -> None:
    """No bytes raise anything but FormatError."""
    for prefix in (b"", b"WBLOG\r\n\x1a\x01\0\0\0\0\x10\0\0", b"WBMARK\r\n\x01\0\0\0\0\0\0\0"):
        with contextlib.suppress(FormatError):
            Header.parse(prefix + data)
        with pytest.raises(FormatError):
            Mark.parse(prefix + data)


@given(logs(), st.data())
def test_no_flip_in_a_log_goes_unnoticed(log: tuple[Header, Index], data: st.DataObject) -> None:
    """Each bit of the header's fields and of the index counts."""
    header, index = log
    packed = bytearray(header.pack()[:156] + index.pack())
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        Index.parse(bytes(packed[156:]), Header.parse(bytes(packed[:156])))


@given(st.data())
def test_no_flip_in_a_mark_goes_unnoticed(data: st.DataObject) -> None:
    """Nor in a mark."""
    packed = bytearray(Mark(kind=Kind.NOTE, guid=bytes(16), digest=bytes(32), batch=3, sequence=9).pack()[:112])
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        Mark.parse(bytes(packed))


@pytest.mark.parametrize("change", [
    {"page_count": 600}, {"guard_count": 3}, {"guard_count": 99, "page_count": 99}, {"batch_pages": 0},
    {"index_size": 1}, {"place_size": 1 << 20, "index_size": (1 << 20) + 176},
])
def test_header_with_impossible_counts_is_refused(change: dict[str, int]) -> None:
    """Counts are held against the target and each other before anything is read by them."""
    header = Header(guid=bytes(16), target_size=10 * PAGE, page_count=2, guard_count=0, batch_pages=1, index_size=176,
                    store_guid=None, table_hash=bytes(20), place_size=0, where_size=0)
    assert Header.parse(header.pack()) == header
    with pytest.raises(FormatError):
        Header.parse(replace(header, **change).pack())  # type: ignore[arg-type]  # all of these are numbers


@pytest.mark.parametrize(("pages", "slots", "guards"), [
    ((3, 3), (0, 1), ()), ((4, 3), (0, 1), ()), ((3, 10), (0, 1), ()), ((3, 4), (1, 1), ()), ((3, 4), (0, 2), ()),
    ((3, 4), (0, 1), (5,)), ((3, 3), (0, 1), (3, 3)),
])
def test_records_out_of_order_or_range_are_refused(
        pages: tuple[int, ...], slots: tuple[int, ...], guards: tuple[int, ...]) -> None:
    """Even under a right checksum a record cannot lead outside the target or the log."""
    records = b"".join(page.to_bytes(8, "little") + slot.to_bytes(8, "little") + bytes(72)
                       for page, slot in zip(pages, slots, strict=True))
    index = Index(records=records, guards=tuple((page, 0) for page in guards), place="", where="")
    header = Header(guid=bytes(16), target_size=10 * PAGE, page_count=2, guard_count=len(guards), batch_pages=1,
                    index_size=len(index.pack()), store_guid=None, table_hash=bytes(20), place_size=0, where_size=0)
    with pytest.raises(FormatError, match="log index"):
        Index.parse(index.pack(), replace(header, digest=header.digest_with(index.pack())))


def _slow_hash(data: bytes) -> int:
    """The plain twin of the compiled hash."""
    mask = 2**64 - 1
    words = [int.from_bytes(data[place:place + 8], "little") for place in range(0, len(data), 8)]
    turns = len(words) // 4 * 4
    states = [(0x9E3779B97F4A7C15 ^ len(data)) + lane & mask for lane in range(4)]
    for place, word in enumerate(words[:turns]):
        states[place % 4] = _step(states[place % 4], word)
    state = states[0]
    for word in (len(data), *states[1:], *words[turns:]):
        state = _step(state, word)
    return state


def _step(state: int, word: int) -> int:
    state = (state ^ word) * 0xD6E8FEB86659FD93 & 2**64 - 1
    return state ^ state >> 32


@given(st.binary(max_size=520))
def test_hash_agrees_with_its_plain_twin(data: bytes) -> None:
    """The compiled hash is the one that is written down; what is not whole words is refused."""
    if len(data) % 8:
        with pytest.raises(Internal):
            hash_of(data)
        return
    assert hash_of(data) == _slow_hash(data)


def test_hash_tells_every_single_change_of_a_sector() -> None:
    """One changed word always changes it, for each step is a bijection; swapped words and rows of words do too."""
    sector = random.Random(1).randbytes(512)
    seen = {hash_of(sector)}
    for bit in range(4096):
        changed = bytearray(sector)
        changed[bit // 8] ^= 1 << bit % 8
        seen.add(hash_of(changed))
    assert len(seen) == 4097
    assert hash_of(sector[8:16] + sector[:8] + sector[16:]) not in seen
    assert hash_of(sector[32:64] + sector[:32] + sector[64:]) not in seen
