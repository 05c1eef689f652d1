"""Who needs which blobs of a WIM, against slow twins."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wim_making import add_image
from wimboot.formats.blobtable import BlobRow, BlobTable, pack_row
from wimboot.formats.reparse import WimPointer
from wimboot.storage import HostFolder
from wimboot.tree import StreamFlag, Tree
from wimboot.tree._builder import Builder
from wimboot.wim import Append, CreateOptions, open_store
from wimboot.wim import _usage as compiled
from wimboot.wim.usage import Blobs, Usage, pointers_of

HASHES = [hashlib.sha1(bytes((number,)), usedforsecurity=False).digest() for number in range(8)]
COMPRESSED, SOLID = 4, 16
ROWS = st.lists(st.tuples(st.sampled_from(HASHES[:6]), st.integers(1, 5000), st.integers(1, 5000)), max_size=8,
                unique_by=lambda row: row[0])
POINTERS = st.lists(st.tuples(st.sampled_from(HASHES), st.sampled_from([0, 1, 1 << 40]), st.integers(1, 9999)),
                    max_size=10)


def table(rows: list[tuple[bytes, int, int]], flags: int = COMPRESSED) -> BlobTable:
    """Blobs with a size and a size in the WIM."""
    return BlobTable.parse(b"".join(pack_row(BlobRow(
        size_in_wim=stored, flags=flags, offset=208, size=size, part_number=1, reference_count=1, sha1=sha1))
        for sha1, size, stored in rows))


def volume(pointers: list[tuple[bytes, int, int]]) -> Tree:
    """A volume with these pointers, and one file that is none."""
    builder = Builder()
    for number, (sha1, source, size) in enumerate(pointers):
        value = WimPointer(data_source_id=source, hash=sha1, table_hash=bytes(20), size=size).pack()
        node = builder.node(file_id=100 + number)
        builder.stream(node, flags=StreamFlag.POINTER | StreamFlag.HASHED, size=size, hash=sha1, content=value)
    builder.stream(builder.node(file_id=1), flags=StreamFlag.HASHED, size=5, hash=HASHES[0])
    return builder.tree


def marked(parts: list[BlobTable], marks: list[bytearray]) -> set[bytes]:
    """The hashes of the rows that are marked."""
    return {part.row(row).sha1 for part, mark in zip(parts, marks, strict=True)
            for row, byte in enumerate(mark) if byte}


@settings(max_examples=100)
@given(first=ROWS, second=ROWS, pointers=POINTERS, source=st.sampled_from([0, 1, 1 << 40, 7]))
def test_pointers_mark_their_blobs(first: list[tuple[bytes, int, int]], second: list[tuple[bytes, int, int]],
                                   pointers: list[tuple[bytes, int, int]], source: int) -> None:
    """Over two parts: those of one data source, in the first part that has a blob; all else is missing."""
    parts = [table(first), table(second)]
    marks = [bytearray(len(part)) for part in parts]
    tree = volume(pointers)
    told = compiled.mark_pointers(tree, [part.index for part in parts], marks, source)
    stored = {sha1: size for rows in (second, first) for sha1, _, size in rows}
    mine = [(sha1, size) for sha1, number, size in pointers if number == source]
    there = [sha1 for sha1, _ in mine if sha1 in stored]
    assert told == (len(mine), sum(size for _, size in mine), sum(stored[sha1] for sha1 in there),
                    len(mine) - len(there))
    assert marked(parts, marks) == set(there)
    assert not marked([parts[1]], [marks[1]]) & {sha1 for sha1, _, _ in first}
    assert pointers_of(tree, source) == told[:2]


@settings(max_examples=100)
@given(rows=ROWS, users=st.lists(st.sets(st.sampled_from(HASHES[:6])), max_size=4), solid=st.booleans())
def test_sums_are_those_of_sets(rows: list[tuple[bytes, int, int]], users: list[set[bytes]], *, solid: bool) -> None:
    """Each user's blobs, those of no other user, all users' together, everybody's; solid ones have no size there."""
    one = table(rows, SOLID | COMPRESSED if solid else COMPRESSED) if not solid else BlobTable.parse(
        b"".join(pack_row(BlobRow(size_in_wim=size, flags=SOLID, offset=0, size=0, part_number=1, reference_count=1,
                                  sha1=sha1)) for sha1, size, _ in rows), solid_version=True)
    sizes = {sha1: (size, 0 if solid else stored) for sha1, size, stored in rows}

    def total(hashes: set[bytes]) -> tuple[int, int, int]:
        kept = [sizes[sha1] for sha1 in hashes if sha1 in sizes]
        return len(kept), sum(size for size, _ in kept), sum(stored for _, stored in kept)

    marks = [bytearray(one.row(row).sha1 in user for row in range(len(one))) for user in users]
    told = compiled.tally(one.index, marks, solid)
    for number, user in enumerate(users):
        others = set().union(*(other for at, other in enumerate(users) if at != number))
        assert told[number] == (*total(user), *total(user - others))
    assert told[-2][:3] == total(set().union(*users))
    assert told[-1][:3] == total(set(sizes))


def test_marks_of_another_size_are_refused() -> None:
    """A column that does not fit its table would be written past its end."""
    one = table([(HASHES[0], 5, 5), (HASHES[1], 5, 5)])
    for marks in ([bytearray(1)], [bytearray(3)], [bytearray(2), bytearray(2)], []):
        with pytest.raises(ValueError, match=r"row|part"):
            compiled.mark_pointers(volume([]), [one.index], marks, 0)
        with pytest.raises(ValueError, match=r"row|part"):
            compiled.mark_streams(volume([]), [one.index], marks)
    with pytest.raises(ValueError, match="row"):
        compiled.tally(one.index, [bytearray(1)], False)


def test_images_share_what_they_share(tmp_path: Path) -> None:
    """Two images with one file in common: each one's blobs, and what one WIM for both saves."""
    name = "s.wim"
    for image, content in (("first", b"1"), ("second", b"2")):
        with Append(HostFolder(tmp_path), name, create=CreateOptions(guid=bytes(16)), where=name) as append:
            add_image(append, {"both": b"same" * 9000, "own": content * 20_000, "empty": b""}, image, threads=1)
            append.finish()
    with open_store(tmp_path / name) as store:
        usage = Usage(store)
        sums = usage.sums([usage.image(1), usage.image(2)])
        both = store.blob(hashlib.sha1(b"same" * 9000, usedforsecurity=False).digest())
        assert both is not None
        assert sums.each[0].count == sums.each[1].count == 2
        assert sums.alone == (Blobs(count=1, size=20_000, in_wim=sums.each[0].in_wim - both.size_in_wim),
                              Blobs(count=1, size=20_000, in_wim=sums.each[1].in_wim - both.size_in_wim))
        assert sums.shared == both.size_in_wim
        assert sums.together == sums.everything
        assert usage.sums([]).together == Blobs()
        assert usage.solid is False
