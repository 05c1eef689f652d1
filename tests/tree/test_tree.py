"""The Tree itself: rows, look-up by name, paths, and the numbers that Python and C share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wimboot.tree._compare
from tree_strategies import encoded, links_by_path, trees
from wimboot.errors import FormatError
from wimboot.formats.upcase import upcase_table
from wimboot.tree import HOLE, ROOT, Extra, FileAttribute, StreamFlag, StreamKind, Tree, fold
from wimboot.tree._builder import Builder
from wimboot.tree.changes import MetadataBit

PACKAGE = Path(wimboot.tree._compare.__file__).parent
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = st.text(st.sampled_from("aAbBäÄ\u0131iI\U0001f600"), min_size=1, max_size=3)


def folded(name: bytes) -> list[int]:
    """The slow twin of the compiled folding."""
    table = upcase_table()
    return [table[name[at] | name[at + 1] << 8] for at in range(0, len(name), 2)]


def c_enum(file: str, name: str) -> dict[str, int]:
    """The members of an enum in a .pxd or .pyx."""
    text = (PACKAGE / file).read_text(encoding="utf-8")
    body = re.search(rf"cdef enum{name}:.*?\n((?:    .*\n)+)", text)
    assert body
    return {key: int(value, 0) for key, value in re.findall(r"^\s+([A-Z_]+) = (\w+)", body[1], re.MULTILINE)}


def test_python_and_c_have_the_same_numbers() -> None:
    """The enums of constants.py and changes.py say what the compiled modules compare with."""
    assert c_enum("_tree.pxd", " StreamKind") == {kind.name: kind.value for kind in StreamKind}
    assert c_enum("_tree.pxd", " StreamFlag") == {flag.name: flag.value for flag in StreamFlag}
    assert c_enum("_tree.pxd", "") == {"ROOT": ROOT}
    bits = c_enum("_compare.pyx", "")
    for bit in MetadataBit:
        assert bits["REPARSE_POINT" if bit is MetadataBit.REPARSE else str(bit.name)] == bit
    attributes = c_enum("_stored.pxd", "")
    assert attributes
    for name, value in attributes.items():
        assert FileAttribute[{"SPARSE": "SPARSE_FILE", "REPARSE": "REPARSE_POINT"}.get(name[2:], name[2:])] == value


@MANY
@given(name=NAMES)
def test_folding_is_that_of_the_table(name: str) -> None:
    """`fold` and the table agree, unit by unit."""
    assert fold(encoded(name)) == b"".join(unit.to_bytes(2, "little") for unit in folded(encoded(name)))


def test_folding_of_odd_bytes_does_not_read_past_them() -> None:
    """A half unit at the end stays as it is."""
    assert fold(b"a") == b"a"
    assert fold(b"") == b""
    assert fold(b"a\0b") == b"A\0b"


@MANY
@given(names=st.lists(NAMES, max_size=12, unique=True), wanted=NAMES)
def test_names_are_found_without_regard_to_case(names: list[str], wanted: str) -> None:
    """The exact spelling first, else any of another case; children come in the order of folded names."""
    builder = Builder()
    links = {builder.link(ROOT, builder.node(), encoded(name)): encoded(name) for name in names}
    tree = builder.tree
    found = tree.lookup(ROOT, encoded(wanted))
    alike = {link for link, name in links.items() if folded(name) == folded(encoded(wanted))}
    exact = {link for link in alike if links[link] == encoded(wanted)}
    assert ({found} <= exact) if exact else ({found} <= alike) if alike else found == -1
    children = tree.children(ROOT)
    assert sorted(children) == sorted(links)
    assert [folded(links[link]) for link in children] == sorted(folded(name) for name in links.values())


@MANY
@given(tree=trees())
def test_links_paths_and_folders_agree(tree: Tree) -> None:
    """Every reachable name is found by its path; a node's links are those that lead to it."""
    by_node: dict[int, list[int]] = {}
    for link in range(tree.link_count):
        by_node.setdefault(tree.link(link).node, []).append(link)
    for node in range(tree.node_count):
        assert tree.links_of(node) == by_node.get(node, [])
        assert tree.node(node).link_count == len(by_node.get(node, []))
    for path, link in links_by_path(tree).items():
        text = "\\" + "\\".join(path)
        assert tree.path(link) == text
        assert tree.find(text) == tree.link(link).node
        assert tree.find(text.replace("\\", "/")) == tree.link(link).node


@MANY
@given(tree=trees())
def test_streams_stand_with_their_nodes(tree: Tree) -> None:
    """Each stream belongs to one node, which lists it; the unnamed data is the one without a name."""
    seen = []
    for node in range(tree.node_count):
        rows = tree.streams_of(node)
        assert all(tree.stream_node(row.index) == node and tree.stream(row.index) == row for row in rows)
        seen += [row.index for row in rows]
        unnamed = [row.index for row in rows if row.kind == StreamKind.DATA and not row.name]
        assert tree.data_stream(node) == (unnamed[0] if unnamed else -1)
    assert sorted(seen) == list(range(tree.stream_count))


def test_rows_that_are_not_there_are_refused() -> None:
    """An index past the end raises; nothing is read there."""
    tree = Builder().tree
    for method in (tree.node, tree.attributes, tree.file_id, tree.streams_of, tree.data_stream, tree.links_of,
                   tree.children, tree.path, tree.link):
        with pytest.raises(IndexError):
            method(1)
        with pytest.raises(OverflowError):
            method(-1)
    for of_stream in (tree.stream, tree.stream_node, tree.stream_bytes, tree.stream_runs):
        with pytest.raises(IndexError):
            of_stream(0)
    with pytest.raises(IndexError):
        tree.lookup(1, b"")
    with pytest.raises(IndexError):
        tree.set_hash(0, bytes(20))


def test_an_empty_tree_can_be_asked() -> None:
    """No rows, no crash."""
    tree = Tree()
    tree.index()
    assert (tree.node_count, tree.link_count, tree.stream_count, tree.securities, tree.extras) == (0, 0, 0, [], [])
    with pytest.raises(IndexError):
        tree.children(ROOT)
    with pytest.raises(IndexError):
        tree.find("a")


def test_new_names_are_seen_after_a_look_up() -> None:
    """The look-up is built anew when links were added."""
    builder = Builder()
    assert builder.tree.find("\\a") == -1
    builder.link(ROOT, builder.node(), encoded("a"))
    assert builder.tree.find("\\a") == 1
    assert builder.tree.find("\\a\\b") == -1
    assert builder.tree.find("\\") == ROOT


def test_the_bytes_of_a_stream_are_in_the_tree_or_on_the_volume() -> None:
    """Resident data and reparse values are given back; what lies in clusters is told by its runs."""
    builder = Builder(4096)
    node = builder.node()
    resident = builder.stream(node, content=b"hello")
    pointer = builder.stream(node, name=encoded("p"), flags=StreamFlag.POINTER, size=1 << 33, content=b"value")
    plain = builder.stream(node, name=encoded("r"), size=9, runs=[(5, 2), (HOLE, 3)])
    nothing = builder.stream(node, name=encoded("n"), content=b"")
    tree = builder.tree
    assert tree.stream_bytes(resident) == b"hello"
    assert (tree.stream_bytes(pointer), tree.stream(pointer).size) == (b"value", 1 << 33)
    assert tree.stream_bytes(nothing) == b""
    assert tree.stream_runs(plain) == [(5, 2), (HOLE, 3)]
    assert tree.stream_runs(resident) == tree.stream_runs(pointer) == []
    with pytest.raises(ValueError, match="on the volume"):
        tree.stream_bytes(plain)


def test_a_hash_becomes_known_when_it_is_set() -> None:
    """And has 20 bytes."""
    builder = Builder()
    stream = builder.stream(builder.node(), size=3)
    assert not builder.tree.stream(stream).flags & StreamFlag.HASHED
    builder.tree.set_hash(stream, b"x" * 20)
    assert builder.tree.stream(stream).flags & StreamFlag.HASHED
    assert builder.tree.stream(stream).hash == b"x" * 20
    with pytest.raises(ValueError, match="20 bytes"):
        builder.tree.set_hash(stream, b"x")


def test_paths_of_a_circle_and_of_the_lost_are_refused() -> None:
    """A folder in itself has no path, nor has what lies in a folder without a name."""
    builder = Builder()
    folder, lost, file = (builder.node(attributes=0x10) for _ in range(3))
    inside = builder.link(folder, folder, encoded("a"))
    orphan = builder.link(lost, file, encoded("f"))
    with pytest.raises(FormatError, match="in itself"):
        builder.tree.path(inside)
    with pytest.raises(FormatError, match="no name"):
        builder.tree.path(orphan)


def test_equal_security_descriptors_are_kept_once() -> None:
    """By content."""
    tree = Tree()
    assert [tree.add_security(value) for value in (b"a", b"b", b"a")] == [0, 1, 0]
    builder = Builder(extra=(b"i" * 16, b""), security=b"s")
    assert builder.tree.extras == [Extra(b"i" * 16, b"")]
    assert builder.tree.node(ROOT).security == 0


def test_many_names_in_one_folder_are_found() -> None:
    """The growing of every column, and the search in a large folder."""
    builder = Builder()
    for number in range(5000):
        builder.link(ROOT, builder.node(file_id=number), encoded(f"File {number * 7919 % 5000:04}.dat"))
    tree = builder.tree
    children = tree.children(ROOT)
    names = [tree.link(link).name for link in children]
    assert names == sorted(names)
    assert all(tree.link(tree.lookup(ROOT, name.upper())).name == name for name in names[::97])
