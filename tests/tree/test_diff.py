"""The diff of two Trees, against a slow model of a volume."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tree_strategies import Facts, encoded, facts_by_path, groups_by_path, links_by_path, trees
from volume_model import Model
from wimboot.errors import FormatError, Internal
from wimboot.tree import FileAttribute, StreamFlag, StreamKind, Tree
from wimboot.tree._builder import Builder
from wimboot.tree.changes import Changes, MetadataBit, diff, moved

LARGE = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def complete(old: Tree, new: Tree, ignored: bytes | None = None) -> Changes:
    """The changes once all that was unknown is hashed."""
    changes = diff(old, new, ignored, last_access=True)
    for new_stream, old_stream in changes.unknown:
        assert not old.stream(old_stream).flags & new.stream(new_stream).flags & StreamFlag.HASHED
        assert old.stream(old_stream).size == new.stream(new_stream).size
        old.set_hash(old_stream, old.stream(old_stream).hash)
    changes = diff(old, new, ignored, last_access=True)
    assert not changes.unknown
    return changes


def as_new(facts: Facts, wanted: Facts) -> Facts:
    """An image without a security descriptor asks for none in particular."""
    return facts if wanted.security is not None else Facts(
        facts.attributes, facts.times, None, facts.reparse_tag, facts.extra, facts.streams)


@LARGE
@given(old=trees(hashed=False, cluster_size=4096), new=trees())
def test_carrying_out_the_changes_makes_the_volume_the_image(old: Tree, new: Tree) -> None:
    """Names, spelling, links, streams and properties are those of the image afterwards."""
    changes = complete(old, new)
    model = Model(old)
    model.apply(new, changes)
    found = model.by_path()
    wanted = facts_by_path(new)
    assert found.keys() == wanted.keys()
    for path, (key, short) in found.items():
        if path:
            assert encoded(short).upper() == wanted[path][0].upper()
        assert as_new(model.files[key], wanted[path][1]) == wanted[path][1]
    groups: dict[object, set[tuple[str, ...]]] = {}
    for path, (key, _) in found.items():
        groups.setdefault(key, set()).add(path)
    assert {frozenset(paths) for paths in groups.values()} == groups_by_path(new)


@LARGE
@given(tree=trees())
def test_a_tree_does_not_differ_from_itself(tree: Tree) -> None:
    """Nothing is to be done, and every node that has a name keeps itself."""
    changes = diff(tree, tree, last_access=True)
    assert not changes
    assert not changes.unknown
    named = {tree.link(link).node for link in links_by_path(tree).values()}
    assert [pair for node, pair in enumerate(changes.pairs) if node in named] == sorted(named)


@LARGE
@given(old=trees(), new=trees())
def test_each_old_node_is_kept_once_and_by_its_kind(old: Tree, new: Tree) -> None:
    """No node of the volume becomes two files, and no folder a file."""
    kept = [(node, pair) for node, pair in enumerate(diff(old, new).pairs) if pair >= 0]
    assert len({pair for _, pair in kept}) == len(kept)
    for node, pair in kept:
        assert (old.attributes(pair) ^ new.attributes(node)) & FileAttribute.DIRECTORY == 0


@LARGE
@given(old=trees(), new=trees(), data=st.data())
def test_what_is_ignored_stays_with_all_below_it(old: Tree, new: Tree, data: st.DataObject) -> None:
    """It is neither removed nor covered; everything else still becomes the image."""
    paths = links_by_path(old)
    assume(len(paths) > 1)
    chosen = data.draw(st.sets(st.sampled_from(sorted(set(paths) - {()})), min_size=1))
    mask = bytearray(old.link_count)
    for path in chosen:
        mask[paths[path]] = 1
    changes = complete(old, new, bytes(mask))
    model = Model(old)
    model.apply(new, changes)
    found = model.by_path()
    ignored = {path for path in paths if any(path[:len(part)] == part for part in chosen)}
    above = {path[:size] for path in ignored for size in range(len(path))}
    news = links_by_path(new)
    tops = {path for path, link in news.items() if link in changes.skipped}
    skipped = {path for path in news if any(path[:size] in tops for size in range(len(path) + 1))}
    for path in ignored:
        assert found[_respelled(path, old, new, changes, paths)][0] == ("old", old.link(paths[path]).node)
    assert set(news) - skipped <= set(found)
    extra = set(found) - (set(news) - skipped)
    spelled = {_respelled(path, old, new, changes, paths) for path in ignored | above}
    assert extra <= spelled


def _respelled(path: tuple[str, ...], old: Tree, new: Tree, changes: Changes,
               paths: dict[tuple[str, ...], int]) -> tuple[str, ...]:
    """The path as it is after the folders on the way have got another case."""
    spelled = dict(changes.respelled)
    links = [paths[path[:size]] for size in range(1, len(path) + 1)]
    return tuple((new.link(spelled[link]) if link in spelled else old.link(link)).name.decode(
        "utf-16-le", "surrogatepass") for link in links)


def one_file(*, cluster_size: int = 0, name: str = "f", attributes: int = 0x20, flags: int = 0, value: int = 1,
             file_id: int = 0, creation: int = 0, last_access: int = 0, reparse_tag: int = 0) -> Tree:
    """A tree of one file of 5 bytes."""
    builder = Builder(cluster_size)
    node = builder.node(attributes=attributes, file_id=file_id, creation=creation, last_access=last_access,
                        reparse_tag=reparse_tag)
    builder.stream(node, size=5, flags=flags, hash=bytes([value]) * 20, content=b"value" if flags & 64 else None)
    builder.link(0, node, encoded(name))
    return builder.tree


def test_a_pointer_equals_the_file_that_it_stands_for() -> None:
    """Its own reparse point, and the attributes that it cannot carry, are no difference."""
    old = one_file(attributes=0x620, flags=StreamFlag.POINTER, reparse_tag=0x80000017, cluster_size=4096)
    assert not diff(old, one_file(attributes=0x20))
    assert not diff(old, one_file(attributes=0xA20))
    assert diff(old, one_file(attributes=0x21)).metadata == [(1, 1, MetadataBit.ATTRIBUTES)]
    assert diff(old, one_file(value=2)).data == [(0, 0)]


def test_normal_and_no_attribute_are_the_same() -> None:
    """NORMAL says that there are no others."""
    assert not diff(one_file(attributes=0), one_file(attributes=0x80))


def test_the_last_access_counts_only_when_asked() -> None:
    """Reading a file does not make it modified."""
    old, new = one_file(last_access=1), one_file(last_access=2)
    assert not diff(old, new)
    assert diff(old, new, last_access=True).metadata == [(1, 1, MetadataBit.TIMES)]
    assert diff(one_file(creation=1), one_file()).metadata == [(1, 1, MetadataBit.TIMES)]


def test_equal_sizes_without_a_hash_are_unknown() -> None:
    """The caller hashes what cannot be told apart; another size tells by itself."""
    builder = Builder(4096)
    node = builder.node()
    builder.stream(node, size=5)
    builder.link(0, node, encoded("f"))
    assert diff(builder.tree, one_file()).unknown == [(0, 0)]
    assert not diff(builder.tree, one_file()).data
    longer = Builder()
    node = longer.node()
    longer.stream(node, size=6, hash=b"x" * 20)
    longer.link(0, node, encoded("f"))
    assert diff(builder.tree, longer.tree).data == [(0, 0)]


def test_another_case_is_a_respelling_not_another_file() -> None:
    """The file stays, only its name changes."""
    changes = diff(one_file(name="readme.TXT"), one_file(name="README.txt"))
    assert changes.respelled == [(1, 1)]
    assert not changes.added_links
    assert not changes.removed_links


def test_the_same_spelling_goes_before_another_case() -> None:
    """In a case-sensitive folder each file keeps its own data."""
    sides = []
    for names in (("Ab", "aB", "ab"), ("aB", "AB")):
        builder = Builder()
        for name in names:
            node = builder.node()
            builder.stream(node, size=1, hash=encoded(name) * 5)
            builder.link(0, node, encoded(name))
        sides.append(builder.tree)
    changes = diff(sides[0], sides[1])
    assert changes.pairs[1] == 2
    assert len(changes.respelled) == len(changes.removed_links) == 1


def hard_links(groups: list[str]) -> Tree:
    """Files named by single letters, those of a string being links of one file."""
    builder = Builder()
    for group in groups:
        node = builder.node()
        builder.stream(node, size=1, hash=b"h" * 20)
        for name in group:
            builder.link(0, node, encoded(name))
    return builder.tree


@pytest.mark.parametrize(("old", "new", "pairs", "removed", "added"), [
    (["abc"], ["abc"], [0, 1], 0, 0),
    (["abc"], ["ab", "c"], [0, 1, -1], 1, 1),
    (["ab", "c"], ["abc"], [0, 1], 1, 1),
    (["abcd", "e"], ["ab", "cde"], [0, 1, 2], 2, 2),
    (["a", "b"], ["ab"], [0, 1], 1, 1),
])
def test_a_file_keeps_the_one_that_most_of_its_names_lead_to(
        old: list[str], new: list[str], pairs: list[int], removed: int, added: int) -> None:
    """Names move between files with the fewest rewrites."""
    changes = diff(hard_links(old), hard_links(new))
    assert list(changes.pairs) == pairs
    assert (len(changes.removed_links), len(changes.added_links)) == (removed, added)


def test_a_folder_with_something_ignored_stays() -> None:
    """The image lacks the folder, but what the list leaves alone lies in it; a file cannot take its place."""
    old = Builder(4096)
    folder, keep, drop = old.node(attributes=0x10), old.node(), old.node()
    old.link(0, folder, encoded("d"))
    kept = old.link(folder, keep, encoded("keep"))
    dropped = old.link(folder, drop, encoded("drop"))
    mask = bytearray(4)
    mask[kept] = 1
    changes = diff(old.tree, Builder().tree, mask)
    assert list(changes.removed_links) == [dropped]
    changes = diff(old.tree, one_file(name="d"), mask)
    assert list(changes.removed_links) == [dropped]
    assert list(changes.skipped) == [1]
    assert not changes.added_links


def test_a_folder_with_two_names_is_refused() -> None:
    """A circle, or a folder in two places, would make no sense of what is below."""
    builder = Builder()
    folder = builder.node(attributes=0x10)
    builder.link(0, folder, encoded("a"))
    builder.link(folder, folder, encoded("b"))
    for old, new in ((builder.tree, Builder().tree), (Builder().tree, builder.tree), (builder.tree, builder.tree)):
        with pytest.raises(FormatError):
            diff(old, new)


def test_a_mask_of_another_size_is_refused() -> None:
    """A mask made for another tree would ignore the wrong names."""
    with pytest.raises(Internal):
        diff(one_file(), one_file(), b"\0")
    with pytest.raises(Internal):
        diff(Tree(), one_file())


def test_an_encrypted_file_is_compared_by_its_raw_form() -> None:
    """Its raw form is the only stream an image has of it."""
    sides = []
    for kind in (StreamKind.DATA, StreamKind.EFS):
        builder = Builder()
        node = builder.node(attributes=0x4020)
        builder.stream(node, kind=kind, size=5, hash=b"r" * 20)
        builder.link(0, node, encoded("f"))
        sides.append(builder.tree)
    assert diff(sides[0], sides[1]).data == [(0, -1)]
    assert not diff(sides[1], sides[1])
    empty = Builder()
    empty.link(0, empty.node(attributes=0x20), encoded("f"))
    empty.stream(1, hash=bytes(20))
    assert diff(sides[1], empty.tree).data == [(0, -1)]


def test_moves_are_found_by_content_or_by_file_id() -> None:
    """Hints: an image is compared by content, else by the time of creation, two scans of a volume by their files."""
    old, new = one_file(name="x"), one_file(name="y")
    assert moved(old, new, diff(old, new)) == [(1, 1)]
    assert moved(old, one_file(name="y", value=3), diff(old, one_file(name="y", value=3))) == []
    before = one_file(name="x", file_id=7, cluster_size=4096)
    after = one_file(name="y", file_id=7, value=3, cluster_size=4096)
    assert moved(before, after, diff(before, after)) == [(1, 1)]
    assert moved(before, before, diff(before, before)) == []
    born, grown = one_file(name="x", creation=5), one_file(name="y", value=3, creation=5)
    assert moved(born, grown, diff(born, grown)) == [(1, 1)]


def test_a_time_of_creation_that_two_files_share_tells_nothing() -> None:
    """Installers give all files of a package one time: which of them moved would be a guess."""
    sides = []
    for names in (("a", "b"), ("c", "d")):
        builder = Builder()
        for value, name in enumerate(names, start=1 if names[0] == "a" else 5):
            node = builder.node(attributes=0x20, creation=9)
            builder.stream(node, size=5, hash=bytes([value]) * 20)
            builder.link(0, node, encoded(name))
        sides.append(builder.tree)
    assert moved(sides[0], sides[1], diff(sides[0], sides[1])) == []


def test_of_files_with_one_content_the_one_that_kept_its_name_moved() -> None:
    """Two equal files are removed and two come: names decide who is whose."""
    sides = []
    for folder_of in ({"x": 0, "y": 0}, {"y": 1, "x": 1}):
        builder = Builder()
        folder = builder.node(attributes=0x10)
        builder.link(0, folder, encoded("folder"))
        for name, inside in folder_of.items():
            node = builder.node(attributes=0x20)
            builder.stream(node, size=5, hash=b"h" * 20)
            builder.link(folder if inside else 0, node, encoded(name))
        sides.append(builder.tree)
    found = moved(sides[0], sides[1], diff(sides[0], sides[1]))
    assert len(found) == 2
    for before, after in found:
        assert sides[0].link(before).name == sides[1].link(after).name
