"""Which pointers are behind their WIM's table, against a slow twin."""

from __future__ import annotations

import hashlib
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.formats.reparse import WimPointer
from wimboot.tree import StreamFlag, Tree, passes, pointers_behind
from wimboot.tree._builder import Builder

TABLES = [hashlib.sha1(bytes((number,)), usedforsecurity=False).digest() for number in range(2)]
HASHES = [hashlib.sha1(bytes((9, number)), usedforsecurity=False).digest() for number in range(4)]
PLACES = {HASHES[0]: (208, 5000), HASHES[1]: (1 << 40, 1), HASHES[2]: (0, 7)}     # the last one has no place

POINTERS = st.builds(
    WimPointer, data_source_id=st.sampled_from([0, 1, 7, 1 << 40]), hash=st.sampled_from(HASHES),
    table_hash=st.sampled_from(TABLES), size=st.sampled_from([10, 6000]), size_in_wim=st.sampled_from([5000, 1, 7]),
    offset=st.sampled_from([208, 1 << 40, 0]), flags=st.sampled_from([0, 0, 4]), version=st.sampled_from([2, 2, 1]))
FILES = st.lists(st.one_of(POINTERS, st.just(b"plain data")), max_size=12)


def built(files: list[WimPointer | bytes]) -> Tree:
    """A volume with these pointers and files, whose references count from 1000."""
    builder = Builder()
    for number, content in enumerate(files):
        node = builder.node(file_id=1000 + number)
        if isinstance(content, bytes):
            builder.stream(node, flags=StreamFlag.RESIDENT, size=len(content), content=content)
        else:
            size = content.size or 10
            builder.stream(node, flags=StreamFlag.POINTER, size=size, hash=content.hash, content=content.pack())
    return builder.tree


def template(number: int, table_hash: bytes) -> bytes:
    return WimPointer(data_source_id=number, hash=bytes(20), table_hash=table_hash).pack()


def columns(hashes: bytearray) -> array[int]:
    """The places of hashes, as `Store.place_columns` gives them."""
    parts = (bytes(hashes[at:at + 20]) for at in range(0, len(hashes), 20))
    return array("Q", [number for sha1 in parts for number in PLACES.get(sha1, (0, 0))])


def slow_twin(tree: Tree, numbers: list[int], table_hash: bytes) -> list[tuple[int, bytes, bool]]:
    """The same, one pointer after the other."""
    out = []
    for stream in passes.flagged_streams(tree, StreamFlag.POINTER):
        old = WimPointer.parse(tree.stream_bytes(stream))
        place = PLACES.get(old.hash)
        if old.data_source_id not in numbers or place is None:
            continue
        new = WimPointer(data_source_id=old.data_source_id, hash=old.hash, table_hash=table_hash,
                         size=tree.stream(stream).size, size_in_wim=place[1], offset=place[0]).pack()
        if new != tree.stream_bytes(stream):
            out.append((tree.file_id(tree.stream_node(stream)), new, tree.stream_bytes(stream)[0x48:] != new[0x48:]))
    return out


@settings(max_examples=200, deadline=None)
@given(files=FILES, numbers=st.lists(st.sampled_from([0, 1, 7, 1 << 40]), unique=True, max_size=3),
       table_hash=st.sampled_from(TABLES))
def test_the_columns_say_what_each_pointer_says(files: list[WimPointer | bytes], numbers: list[int],
                                                table_hash: bytes) -> None:
    """Pointers of the sources asked for, whose blob has a place, and whose value is another than it should be."""
    tree = built(files)
    templates = b"".join(template(number, table_hash) for number in numbers)
    file_ids, values, moved = pointers_behind(tree, templates, columns)
    found = [(file_id, values[96 * at:96 * at + 96]) for at, file_id in enumerate(file_ids)]
    assert len(values) == 96 * len(file_ids)
    twin = slow_twin(tree, numbers, table_hash)
    assert found == [(file_id, new) for file_id, new, _ in twin]
    assert list(moved) == [place for _, _, place in twin]


def test_nothing_is_asked_where_nothing_points() -> None:
    """A volume without pointers into the WIM needs no places."""
    cases: list[list[WimPointer | bytes]] = [[], [b"plain"], [WimPointer(data_source_id=3, hash=HASHES[0], size=9)]]
    for files in cases:
        file_ids, values, moved = pointers_behind(built(files), template(4, TABLES[0]), lambda _: pytest.fail("asked"))
        assert (list(file_ids), values, moved) == ([], b"", b"")


def test_wrong_columns_are_not_read_past() -> None:
    """Templates that are cut short and places that are missing are the caller's mistakes."""
    tree = built([WimPointer(data_source_id=3, hash=HASHES[0], size=9)])
    with pytest.raises(ValueError, match="96 bytes"):
        pointers_behind(tree, template(3, TABLES[0])[:-1], columns)
    with pytest.raises(ValueError, match="two numbers"):
        pointers_behind(tree, template(3, TABLES[0]), lambda _: array("Q", [1]))
