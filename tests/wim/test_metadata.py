"""The metadata of an image, read and written: laws, the layout, and what no image may do."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import plain_wim
from tree_strategies import encoded, facts_by_path, groups_by_path, links_by_path, node_facts, trees
from wimboot.errors import FormatError, Internal
from wimboot.tree import FileAttribute, StreamFlag, StreamKind, Tree
from wimboot.tree._builder import Builder
from wimboot.wim._metadata import NotStorable, image_counts, parse, references, serialise

MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HASH = b"h" * 20
EMPTY_SHA1 = bytes.fromhex("da39a3ee5e6b4b0d3255bfef95601890afd80709")


def entry(name: str = "", *, attributes: int = 0x20, security: int = 0xFFFFFFFF, block: int = 0, group: int = 0,
          main: bytes = bytes(20), streams: tuple[tuple[str, bytes], ...] = (), items: bytes = b"",
          short: str = "") -> bytes:
    """One directory entry, built apart from our code from the offsets that the format has."""
    long, dos = encoded(name), encoded(short)
    names = (long + b"\0\0" if long else b"") + (dos + b"\0\0" if dos else b"")
    body = struct.pack("<IIQ16xQQQ20s4xQHHH", attributes, security, block, 1, 2, 3, main, group, len(streams),
                       len(dos), len(long)) + names
    body += bytes(-(len(body) + 8) % 8) + items
    out = struct.pack("<Q", len(body) + 8) + body
    for stream, key in streams:
        text = encoded(stream)
        part = struct.pack("<8x20sH", key, len(text)) + (text + b"\0\0" if text else b"")
        part += bytes(-(len(part) + 8) % 8)
        out += struct.pack("<Q", len(part) + 8) + part
    return out


def image(*entries: bytes, security: bytes = struct.pack("<II", 8, 0)) -> bytes:
    """Metadata of a root folder with these entries."""
    start = len(security)
    block = start + 0x68 + 8
    return security + entry(attributes=0x10, block=block) + bytes(8) + b"".join(entries) + bytes(8)


# ---- laws


@MANY
@given(tree=trees())
def test_what_is_written_reads_back(tree: Tree) -> None:
    """Names, short names, properties, streams and hard links, by path."""
    again = parse(serialise(tree))
    assert facts_by_path(again) == facts_by_path(tree)
    reparse = {path for path, link in links_by_path(tree).items()
               if tree.attributes(tree.link(link).node) & FileAttribute.REPARSE_POINT}
    assert {group for group in groups_by_path(again) if not group & reparse} == {
        group for group in groups_by_path(tree) if not group & reparse}


@MANY
@given(tree=trees())
def test_writing_again_gives_the_same_bytes(tree: Tree) -> None:
    """What was read is written as it was, security descriptors in their order."""
    written = serialise(tree)
    assert serialise(parse(written)) == written


@MANY
@given(tree=trees(), data=st.data())
def test_damage_is_found_or_harmless(tree: Tree, data: st.DataObject) -> None:
    """Any change of bytes is refused as FormatError, or gives another sound tree."""
    written = bytearray(serialise(tree))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(written) - 1))
        written[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from([len(written), len(written) - 8, len(written) // 2]))
    check_refused_or_sound(bytes(written[:cut]))


@MANY
@given(data=st.binary(max_size=600))
def test_any_bytes_are_refused_or_sound(data: bytes) -> None:
    """Nothing but FormatError comes out."""
    check_refused_or_sound(data)
    check_refused_or_sound(struct.pack("<II", 8, 0) + data)


def check_refused_or_sound(data: bytes) -> None:
    """Read it; what is accepted can be walked and written."""
    try:
        tree = parse(data)
    except FormatError:
        return
    assert tree.node_count * 0x68 <= len(data)
    assert len(links_by_path(tree)) == tree.link_count
    plain_wim.sizes_of(tree, {})
    assert parse(serialise(tree)).link_count == tree.link_count


@MANY
@given(tree=trees(), data=st.data())
def test_what_is_excluded_is_left_out_everywhere(tree: Tree, data: st.DataObject) -> None:
    """Metadata, counts and references agree about the names that are kept."""
    paths = links_by_path(tree)
    mask = bytearray(tree.link_count)
    chosen = data.draw(st.sets(st.sampled_from(sorted(paths))))
    for path in chosen - {()}:
        mask[paths[path]] = 1
    kept = {path: link for path, link in paths.items()
            if not any(path[:size] in chosen for size in range(1, len(path) + 1))}
    again = parse(serialise(tree, mask))
    assert facts_by_path(again) == {path: facts_by_path(tree)[path] for path in kept}
    sizes = {tree.stream(stream).hash: tree.stream(stream).size for stream in range(tree.stream_count)}
    assert plain_wim.sizes_of(again, sizes) == []
    counted: dict[bytes, int] = {}
    total = further = 0
    seen = set()
    for link in kept.values():
        node = tree.link(link).node
        streams = [row for row in tree.streams_of(node) if any(row.hash)]
        for row in streams:
            counted[row.hash] = counted.get(row.hash, 0) + 1
        total += sum(row.size for row in streams)
        further += sum(row.size for row in streams) if node in seen else 0
        seen.add(node)
    folders = sum(1 for link in kept.values() if tree.attributes(tree.link(link).node) & (
        FileAttribute.DIRECTORY | FileAttribute.REPARSE_POINT) == FileAttribute.DIRECTORY)
    assert references(tree, mask) == counted
    assert image_counts(tree, mask) == (folders, len(kept) - folders, total, further)


# ---- reading


def test_the_fields_are_where_the_format_has_them() -> None:
    """One entry built by hand, field by field."""
    key = b"k" * 20
    security = struct.pack("<IIQ", 24, 1, 3) + b"sec" + bytes(5)
    tree = parse(image(entry("rand.bin", short="RAND~1.BIN", security=0, group=7, main=key,
                             items=struct.pack("<II16s", 1, 16, b"o" * 16)), security=security))
    link = tree.link(tree.lookup(0, encoded("rand.bin")))
    assert link.short_name == encoded("RAND~1.BIN")
    row = tree.node(link.node)
    assert (row.creation, row.last_access, row.last_write, row.file_id) == (1, 2, 3, 7)
    assert tree.securities == [b"sec"]
    assert row.security == 0
    assert tree.node(0).security == -1
    assert tree.extras[row.extra].object_id == b"o" * 16
    stream = tree.stream(tree.data_stream(link.node))
    assert (stream.hash, stream.flags) == (key, StreamFlag.HASHED)
    assert plain_wim.sizes_of(tree, {key: 1 << 40}) == []
    assert tree.stream(stream.index).size == 1 << 40
    assert plain_wim.sizes_of(tree, {}) == [stream.index]
    assert tree.stream(stream.index).size == 0


@pytest.mark.parametrize(("attributes", "main", "streams", "expected"), [
    (0x20, HASH, (), {(StreamKind.DATA, "", HASH)}),
    (0x20, bytes(20), (), {(StreamKind.DATA, "", bytes(20))}),
    (0x20, EMPTY_SHA1, (), {(StreamKind.DATA, "", bytes(20))}),
    (0x20, bytes(20), (("", HASH), ("s", HASH)), {(StreamKind.DATA, "", HASH), (StreamKind.DATA, "s", HASH)}),
    (0x20, HASH, (("s", HASH),), {(StreamKind.DATA, "", HASH), (StreamKind.DATA, "s", HASH)}),
    (0x20, bytes(20), (("s", HASH),), {(StreamKind.DATA, "", bytes(20)), (StreamKind.DATA, "s", HASH)}),
    (0x400, HASH, (), {(StreamKind.REPARSE, "", HASH), (StreamKind.DATA, "", bytes(20))}),
    (0x400, bytes(20), (("", HASH), ("", b"d" * 20)), {(StreamKind.REPARSE, "", HASH),
                                                       (StreamKind.DATA, "", b"d" * 20)}),
    (0x400, HASH, (("", b"d" * 20),), {(StreamKind.REPARSE, "", HASH), (StreamKind.DATA, "", b"d" * 20)}),
    (0x410, HASH, (), {(StreamKind.REPARSE, "", HASH)}),
    (0x410, bytes(20), (("", HASH), ("", bytes(20))), {(StreamKind.REPARSE, "", HASH)}),
    (0x10, bytes(20), (("", bytes(20)), ("s", HASH)), {(StreamKind.DATA, "s", HASH)}),
    (0x10, bytes(20), (), set()),
    (0x4020, HASH, (), {(StreamKind.EFS, "", HASH)}),
    (0x4020, bytes(20), (("s", b"n" * 20), ("", HASH)), {(StreamKind.EFS, "", HASH)}),
])
def test_streams_are_told_apart_as_windows_does(attributes: int, main: bytes, streams: tuple[tuple[str, bytes], ...],
                                                expected: set[tuple[int, str, bytes]]) -> None:
    """The reparse data first, then the data; zeros in the entry count only alone; encrypted files have one."""
    tree = parse(image(entry("f", attributes=attributes, main=main, streams=streams)))
    assert node_facts(tree, 1).streams == expected


def test_a_group_with_other_contents_is_another_file() -> None:
    """Images of Windows 7 number unrelated files alike; folders and reparse points are never linked."""
    tree = parse(image(entry("a", group=5, main=HASH), entry("b", group=5, main=HASH), entry("c", group=5),
                       entry("d", group=5, attributes=0x10), entry("e", group=5, attributes=0x410, main=HASH),
                       entry("f", group=5, main=EMPTY_SHA1), entry("g"), entry("h")))
    assert groups_by_path(tree) == {frozenset({()}), frozenset({("a",), ("b",)}), frozenset({("c",), ("f",)}),
                                    *(frozenset({(name,)}) for name in "degh")}


def test_many_groups_are_kept_apart() -> None:
    """The table of groups grows; pairs stay pairs."""
    entries = [entry(f"{letter}{number:04}", group=number + 1, main=number.to_bytes(20, "little"))
               for letter in "ab" for number in range(3000)]
    tree = parse(image(*entries))
    assert tree.node_count == 3001
    assert all(len(tree.links_of(node)) == 2 for node in range(1, tree.node_count))


def test_tagged_items_that_are_not_known_survive() -> None:
    """Unix data of wimlib, a broken list of EAs and what nobody knows come back as they were."""
    known = struct.pack("<II16s", 1, 16, b"o" * 16) + struct.pack("<II", 2, 9) + b"\2\0\2\x80AB\0xy" + bytes(7)
    strange = struct.pack("<IIQQII8s", 0x337DD873, 16, 1, 2, 2, 8, b"broken..") + b"\1\2\3\4\5\6\7\x08"
    metadata = image(entry("f", items=known + strange), entry("g", items=bytes(8)))
    tree = parse(metadata)
    assert tree.extras[0].object_id == b"o" * 16
    assert tree.extras[0].eas == b"\x10\0\0\0\x80\2\2\0AB\0xy\0\0\0"
    assert len(tree.extras) == 1
    written = serialise(tree)
    assert strange in written
    assert parse(written).extras == tree.extras


HOSTILE = {
    "nothing": b"",
    "no root": struct.pack("<II", 8, 0) + bytes(8),
    "a root that is a file": struct.pack("<II", 8, 0) + entry() + bytes(8),
    "security past the end": struct.pack("<II", 1 << 20, 0) + bytes(64),
    "too many descriptors": image(security=struct.pack("<II", 8, 1 << 28)),
    "a descriptor past its table": image(security=struct.pack("<IIQ", 16, 1, 9)),
    "a descriptor of 2^64 bytes": image(security=struct.pack("<IIQ", 16, 1, (1 << 64) - 1)),
    "a descriptor that is not there": image(entry("f", security=3)),
    "a slash": image(entry("a/b")),
    "a backslash": image(entry("a\\b")),
    "a NUL": image(entry("a\0b")),
    "one dot": image(entry(".")),
    "two dots": image(entry("..")),
    "no name": image(entry("")),
    "a slash in a short name": image(entry("a", short="A/B")),
    "a name of 256 units": image(entry("n" * 256)),
    "an odd name": image(entry("ab")).replace(struct.pack("<HHH", 0, 0, 4), struct.pack("<HHH", 0, 0, 3)),
    "a name past its entry": image(entry("ab")).replace(struct.pack("<HHH", 0, 0, 4), struct.pack("<HHH", 0, 0, 400)),
    "two files of one name": image(entry("a"), entry("b"), entry("a")),
    "two streams of one name": image(entry("a", streams=(("s", HASH), ("s", HASH)))),
    "a colon in a stream's name": image(entry("a", streams=(("s:t", HASH),))),
    "too many unnamed streams": image(entry("a", streams=(("", HASH), ("", HASH)))),
    "data of a folder": image(entry("a", attributes=0x10, main=HASH)),
    "streams that are not there": image(entry("a")).replace(struct.pack("<HHH", 0, 0, 2), struct.pack("<HHH", 9, 0, 2)),
    "an entry past the end": image(entry("a"))[:-16],
    "a length of 2^64": image(struct.pack("<Q", (1 << 64) - 1) + bytes(120)),
    "a length below the fixed part": image(struct.pack("<Q", 16) + bytes(120)),
    "a folder in itself": image(entry("a", attributes=0x10, block=0x78)),
    "the root below itself": image(entry("a", attributes=0x10, block=8)),
    "a shared folder": image(entry("a", attributes=0x10, block=0x78 + 2 * 0x70 + 8),
                             entry("b", attributes=0x10, block=0x78 + 2 * 0x70 + 8), bytes(8), entry("c")),
    "an entry over another": image(entry("a", attributes=0x10, block=0x88), entry("b" * 60)),
    "a folder past the end": image(entry("a", attributes=0x10, block=1 << 40)),
    "a folder at an odd place": image(entry("a", attributes=0x10, block=0x79)),
    "a file with entries": image(entry("a", block=0x78)),
    "entries in the security data": image(entry("a", attributes=0x10, block=16),
                                          security=struct.pack("<IIQ", 128, 1, 112) + entry("b").ljust(112, b"\0")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_images_are_refused(case: str) -> None:
    """With one error that says what is wrong and where."""
    with pytest.raises(FormatError) as caught:
        parse(HOSTILE[case])
    assert caught.value.facts["structure"] == "image metadata"


def test_folders_nested_too_deep_are_refused() -> None:
    """By count, not by a recursion that ends the program."""
    out = bytearray(struct.pack("<II", 8, 0) + entry(attributes=0x10, block=0x78) + bytes(8))
    for _ in range(5000):
        out += entry("d", attributes=0x10, block=len(out) + len(entry("d")) + 8) + bytes(8)
    with pytest.raises(FormatError, match="deeper"):
        parse(bytes(out) + bytes(8))


def test_an_empty_folder_may_share_the_end_of_a_list() -> None:
    """Only entries belong to one folder; a folder without a block is empty too."""
    tree = parse(image(entry("a", attributes=0x10, block=0x70), entry("b", attributes=0x10, block=0x70),
                       entry("c", attributes=0x10)))
    assert tree.link_count == 4


def test_names_that_differ_in_case_are_two_files() -> None:
    """Case-sensitive folders have them."""
    tree = parse(image(entry("a"), entry("A"), entry("b")))
    assert [tree.link(link).name for link in tree.children(0)] == [encoded(name) for name in "Aab"]


# ---- writing


def test_a_pointer_is_written_as_the_file_it_stands_for() -> None:
    """No reparse point, no SPARSE of its own, NORMAL where nothing is left; what is not a pointer keeps its bits."""
    builder = Builder(4096)
    pointer = builder.node(attributes=0x600, reparse_tag=0x80000017)
    builder.stream(pointer, size=9, flags=StreamFlag.POINTER, hash=HASH, content=b"value")
    packed = builder.node(attributes=0x420, reparse_tag=0x80000017)
    builder.stream(packed, size=9, flags=StreamFlag.COMPACT, hash=HASH, content=b"value")
    builder.stream(packed, name=encoded("WofCompressedData"), size=5)
    sparse = builder.node(attributes=0x200)
    builder.stream(sparse, size=9, hash=HASH)
    for node, name in ((pointer, "p"), (packed, "c"), (sparse, "s")):
        builder.link(0, node, encoded(name))
    tree = parse(serialise(builder.tree))
    assert [tree.attributes(tree.find(f"\\{name}")) for name in "pcs"] == [0x80, 0x20, 0x200]
    assert all(node_facts(tree, node).streams == {(StreamKind.DATA, "", HASH)} for node in (1, 2, 3))
    assert references(builder.tree) == {HASH: 3}


def test_a_link_of_a_volume_is_marked_as_not_changed() -> None:
    """Its target is as the volume had it; what an image says about it stays."""
    for cluster_size, extra, expected in ((4096, 0, 0x10000), (0, 0, 0), (0, 0x20003, 0x20003)):
        builder = Builder(cluster_size)
        node = builder.node(attributes=0x410, reparse_tag=0xA0000003, reparse_extra=extra)
        builder.stream(node, kind=StreamKind.REPARSE, size=4, hash=HASH)
        builder.link(0, node, encoded("j"))
        tree = parse(serialise(builder.tree))
        assert (tree.node(1).reparse_tag, tree.node(1).reparse_extra) == (0xA0000003, expected)


def test_a_junction_has_no_list_of_entries() -> None:
    """wimlib warns of lists there; only one with something in it, such as a cloud folder, has one."""
    builder = Builder()
    junction, cloud = (builder.node(attributes=0x410, reparse_tag=tag) for tag in (0xA0000003, 0x9000001A))
    file = builder.node()
    for node in (junction, cloud):
        builder.stream(node, kind=StreamKind.REPARSE, size=4, hash=HASH)
    builder.link(0, junction, encoded("junction"))
    builder.link(0, cloud, encoded("cloud"))
    builder.link(cloud, file, encoded("inside"))
    written = serialise(builder.tree)
    assert len(links_by_path(parse(written))) == 4
    assert written.count(struct.pack("<IIQ", 0x410, 0xFFFFFFFF, 0)) == 1


def test_security_descriptors_are_kept_once_and_only_those_used() -> None:
    """By content, across the tree."""
    builder = Builder(security=b"root")
    kept = builder.node(security=b"kept")
    left = builder.node(security=b"left")
    builder.link(0, kept, encoded("kept"))
    out = builder.link(0, left, encoded("left"))
    builder.tree.securities.append(b"never")
    mask = bytearray(builder.tree.link_count)
    mask[out] = 1
    assert parse(serialise(builder.tree, mask)).securities == [b"root", b"kept"]


def test_streams_without_a_hash_are_our_fault() -> None:
    """The caller hashes first; an empty stream needs no hash."""
    builder = Builder()
    stream = builder.stream(builder.node(), size=1)
    builder.link(0, 1, encoded("f"))
    for function in (serialise, references):
        with pytest.raises(Internal):
            function(builder.tree)
    builder.tree.set_hash(stream, bytes(20))
    with pytest.raises(Internal):
        serialise(builder.tree)
    empty = Builder()
    empty.stream(empty.node(), size=0)
    empty.link(0, 1, encoded("f"))
    assert references(empty.tree) == {}


@pytest.mark.parametrize(("name", "stream"), [("a\\b", ""), ("..", ""), ("f", "s:t")])
def test_names_that_images_cannot_hold_are_told(name: str, stream: str) -> None:
    """Other systems can write such names to a volume; the user learns which file it is."""
    builder = Builder()
    node = builder.node()
    builder.link(0, node, encoded(name))
    builder.stream(node, name=encoded(stream), hash=HASH, size=1)
    with pytest.raises(NotStorable) as caught:
        serialise(builder.tree)
    assert caught.value.facts["path"] == f"\\{name}"


def test_incomplete_trees_are_our_fault() -> None:
    """No root, a mask of another tree, a reparse point without data, an encrypted file without its raw form."""
    with pytest.raises(Internal):
        serialise(Tree())
    with pytest.raises(Internal):
        serialise(Builder().tree, b"\0\0")
    for attributes in (0x400, 0x4000):
        builder = Builder()
        builder.link(0, builder.node(attributes=attributes), encoded("f"))
        with pytest.raises(Internal):
            serialise(builder.tree)


def test_a_folder_with_two_names_is_refused() -> None:
    """Images have no such thing, and a circle would have no end."""
    builder = Builder()
    folder = builder.node(attributes=0x10)
    builder.link(0, folder, encoded("a"))
    builder.link(folder, folder, encoded("b"))
    with pytest.raises(FormatError):
        serialise(builder.tree)
