"""The blob table: what readers skip, what is refused, solid runs, any bytes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats._blobrows import add_references
from wimboot.formats.blobtable import MAX_POINTER_SIZE, ROW_SIZE, BlobRow, BlobTable, pack_row

FREE, METADATA, COMPRESSED, SPANNED, SOLID = 1, 2, 4, 8, 16
SOLID_SIZE = 0x100000000

rows = st.builds(
    BlobRow, size_in_wim=st.integers(1, 1000),
    flags=st.sampled_from([COMPRESSED, COMPRESSED | METADATA, COMPRESSED | FREE]),
    offset=st.integers(0, 10_000), size=st.integers(0, 5000), part_number=st.integers(0, 2),
    reference_count=st.integers(0, 1), sha1=st.binary(min_size=20, max_size=20) | st.just(bytes(20)))


def _row(sha1: int, **changes: int) -> BlobRow:
    row = BlobRow(size_in_wim=50, flags=COMPRESSED, offset=208, size=100, part_number=1, reference_count=1,
                  sha1=sha1.to_bytes(20, "big"))
    return row._replace(**changes)  # type: ignore[arg-type]  # only numbers are changed


def _table(entries: Sequence[BlobRow], **options: int) -> BlobTable:
    return BlobTable.parse(b"".join(map(pack_row, entries)), **options)  # type: ignore[arg-type]  # bools are ints


def test_the_worked_example_reads_as_documented() -> None:
    """The row of a compressed file in a WIM that wimlib 1.13 made."""
    raw = bytes.fromhex("d52b000000000004 3e01000000000000 a086010000000000 0100 01000000"
                        "495aae7134b8f67a35f5e9800f99ca82270307c4")
    table = BlobTable.parse(raw)
    row = table.find(raw[30:])
    assert row is not None
    assert (row.size_in_wim, row.flags, row.offset, row.size) == (11221, COMPRESSED, 318, 100_000)
    assert (row.part_number, row.reference_count) == (1, 1)
    assert table.end == 318 + 11221
    assert pack_row(row) == raw


@given(st.lists(rows, max_size=30))
def test_the_index_is_what_a_plain_loop_finds(entries: list[BlobRow]) -> None:
    """The compiled pass against a slow twin of the reading rules."""
    index: dict[bytes, int] = {}
    metadata, end = [], 0
    for number, row in enumerate(entries):
        if row.part_number != 1 or not any(row.sha1) or not row.size or row.flags & FREE \
                or (row.flags & METADATA and not row.reference_count):
            continue
        end = max(end, row.offset + row.size_in_wim)
        if row.flags & METADATA:
            metadata.append(number)
        else:
            index.setdefault(row.sha1, number)
    table = _table(entries)
    assert ({sha1: table.index[sha1] for sha1 in table.index}, table.metadata, table.end) == (index, metadata, end)
    assert list(table.index.rows()) == sorted(index.values())
    asked = b"".join(row.sha1 for row in entries) + b"\xee" * 20
    assert list(table.index.find_all(asked)) == [index.get(row.sha1, -1) for row in entries] + [-1]
    assert table.index.lacking(asked) == [at for at, row in enumerate(table.index.find_all(asked)) if row < 0]
    assert [table.row(number) for number in range(len(table))] == entries
    assert table.in_file_order() == sorted(index.values(), key=lambda number: (entries[number].offset, number))
    assert table.sizes(100) == {row.size for row in entries if row.size >= 100}


@given(st.binary(max_size=500), st.booleans())
def test_any_bytes_raise_only_format_errors(data: bytes, solid: bool) -> None:
    """Whatever is in the file."""
    try:
        table = BlobTable.parse(data, solid_version=solid, file_size=1 << 40)
    except FormatError:
        return
    table.kept_rows()


@pytest.mark.parametrize(("changes", "problem"), [
    ({"size_in_wim": 800}, "ends at 1,008"), ({"offset": 2**64 - 1}, "ends at"), ({"size_in_wim": 0}, "ends at"),
    ({"flags": 0}, "raw blob"), ({"flags": COMPRESSED | SPANNED}, "spans"),
    ({"flags": METADATA | COMPRESSED, "reference_count": 2}, "2 references"),
])
def test_what_cannot_be_is_refused(changes: dict[str, int], problem: str) -> None:
    """Blobs outside of the file, raw ones of two sizes, metadata that is shared."""
    with pytest.raises(FormatError, match=problem):
        _table([_row(1), _row(2, **changes)], file_size=1000)


def test_a_table_cut_in_an_entry_is_refused() -> None:
    """Its size is a multiple of 50."""
    with pytest.raises(FormatError, match="cut short"):
        BlobTable.parse(bytes(99))


def test_solid_runs_lead_to_their_resources() -> None:
    """Consecutive entries form a run: its resources in order, each blob knows its run."""
    table = _table([
        _row(1), _row(0, flags=SOLID, size=SOLID_SIZE, offset=500, size_in_wim=60),
        _row(0, flags=SOLID, size=SOLID_SIZE, offset=700, size_in_wim=80), _row(2, flags=SOLID, offset=10),
        _row(3, flags=SOLID, offset=0), _row(4), _row(0, flags=SOLID, size=SOLID_SIZE, offset=800, size_in_wim=9),
        _row(5, flags=SOLID, offset=0)], solid_version=True, file_size=1000)
    assert [run.resources for run in table.runs] == [((500, 60), (700, 80)), ((800, 9),)]
    assert table.run_of == {3: 0, 4: 0, 7: 1}
    assert table.end == 809
    assert table.in_file_order() == [0, 5, 4, 3, 7]


def test_solid_metadata_and_solid_resources_outside_are_refused() -> None:
    """Metadata is never solid; a resource lies in the file."""
    with pytest.raises(FormatError, match="solid"):
        _table([_row(1, flags=SOLID | METADATA)], solid_version=True)
    with pytest.raises(FormatError, match="solid resource ends"):
        _table([_row(0, flags=SOLID, size=SOLID_SIZE, offset=990, size_in_wim=60)], solid_version=True, file_size=1000)


def test_the_solid_flag_means_nothing_in_ordinary_wims() -> None:
    """Version 0x10D00: the entry is read as any other."""
    assert not _table([_row(1, flags=SOLID | COMPRESSED)]).runs


def test_an_append_keeps_what_readers_see() -> None:
    """Skipped rows go, a count of 0 becomes 1, metadata comes apart."""
    metadata, blobs = _table([
        _row(1, flags=METADATA | COMPRESSED), _row(2), _row(3, reference_count=0), _row(4, flags=FREE | COMPRESSED),
        _row(2, offset=400), _row(0), _row(9, part_number=2)]).kept_rows()
    assert metadata == [pack_row(_row(1, flags=METADATA | COMPRESSED))]
    assert blobs == pack_row(_row(2)) + pack_row(_row(3))


def test_references_are_added_and_never_wrap() -> None:
    """Counts grow by name; a hash without a row is nobody's."""
    table = bytearray(pack_row(_row(1)) + pack_row(_row(2, reference_count=2**32 - 1)))
    add_references(table, b"".join(_row(number).sha1 for number in (1, 2, 3, 1)), array("I", [5, 5, 1, 2]))
    assert [int.from_bytes(table[at + 26:at + 30], "little") for at in (0, ROW_SIZE)] == [8, 2**32 - 1]
    with pytest.raises(ValueError, match="a count for each"):
        add_references(table, bytes(20), array("I"))


@given(st.lists(rows, max_size=12), st.lists(st.integers(0, 14), max_size=20))
def test_places_in_columns_are_the_places(entries: list[BlobRow], chosen: list[int]) -> None:
    """Both ways of asking say the same, as the driver takes blobs."""
    entries = [row._replace(sha1=bytes(19) + bytes((number + 1,))) for number, row in enumerate(entries)]
    table = _table(entries)
    hashes = [bytes(19) + bytes((number,)) for number in chosen]
    expected = []
    for sha1 in hashes:
        row = table.find(sha1)
        good = row is not None and not row.flags & SOLID and row.size <= MAX_POINTER_SIZE and (
            row.size_in_wim < row.size if row.flags & COMPRESSED else row.size_in_wim == row.size)
        expected.append((row.offset, row.size_in_wim) if row is not None and good else None)
    assert table.pointer_places(hashes) == expected
    columns = list(table.place_columns(b"".join(hashes)))
    assert columns == [number for place in expected for number in place or (0, 0)]


@pytest.mark.parametrize(("changes", "place"), [
    ({}, (208, 50)), ({"size": 50}, None), ({"flags": 0, "size": 50}, (208, 50)), ({"flags": SOLID}, None),
    ({"size": MAX_POINTER_SIZE}, (208, 50)), ({"size": MAX_POINTER_SIZE + 1}, None),
])
def test_pointers_lead_to_what_the_driver_reads(changes: dict[str, int], place: tuple[int, int] | None) -> None:
    """The driver takes a blob for compressed exactly where its sizes differ, and reads none past its limit."""
    table = _table([_row(1, **changes)], solid_version=True)
    assert table.pointer_places([_row(1).sha1]) == [place]
    assert tuple(table.place_columns(_row(1).sha1)) == (place or (0, 0))
