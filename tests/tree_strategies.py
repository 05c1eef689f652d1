"""Random trees for Hypothesis, and what a tree says in plain values, by path."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from wimboot.tree import ROOT, FileAttribute, StreamFlag, StreamKind, Tree
from wimboot.tree._builder import Builder

__all__ = ["Facts", "encoded", "facts_by_path", "groups_by_path", "links_by_path", "node_facts", "trees"]

Path = tuple[str, ...]
NAMES = ["a", "A", "b", "B", "ä", "Ä", "c.txt", "\ud800"]
SHORT = ["", "", "A~1", "B~1"]
SECURITIES = [None, b"\1\0\4\x80" + bytes(16), b"\1\0\4\x84" + bytes(20)]
EXTRAS = [None, None, (bytes(range(16)), b""), (bytes(range(64)), b"\x10\0\0\0\0\2\3\0AB\0xyz\0\0"),
          (b"", b"\x0c\0\0\0\x80\1\1\0C\0!\0\x0c\0\0\0\0\1\0\0D\0\0\0")]
REPARSE_TAG = 0xA000000C


def encoded(name: str) -> bytes:
    """A name as trees have it."""
    return name.encode("utf-16-le", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Facts:
    """One file or folder, without its names."""

    attributes: int
    times: tuple[int, int, int]
    security: bytes | None
    reparse_tag: int
    extra: tuple[bytes, bytes]
    streams: frozenset[tuple[int, str, bytes]]


def node_facts(tree: Tree, node: int) -> Facts:
    """What a node is. NORMAL tells nothing, nor does a folder's unnamed data."""
    row = tree.node(node)
    extra = tree.extras[row.extra] if row.extra >= 0 else (b"", b"")
    return Facts(
        attributes=row.attributes & ~FileAttribute.NORMAL, times=(row.creation, row.last_write, row.last_access),
        security=tree.securities[row.security] if row.security >= 0 else None, reparse_tag=row.reparse_tag,
        extra=(extra[0], extra[1]),
        streams=frozenset((stream.kind, stream.name.decode("utf-16-le"), stream.hash)
                          for stream in tree.streams_of(node)))


def links_by_path(tree: Tree) -> dict[Path, int]:
    """Every name reachable from the root."""
    found: dict[Path, int] = {(): ROOT}
    waiting: list[tuple[Path, int]] = [((), ROOT)]
    while waiting:
        path, folder = waiting.pop()
        for link in tree.children(folder):
            row = tree.link(link)
            inner = (*path, row.name.decode("utf-16-le", "surrogatepass"))
            assert inner not in found
            found[inner] = link
            if tree.attributes(row.node) & FileAttribute.DIRECTORY:
                waiting.append((inner, row.node))
    return found


def facts_by_path(tree: Tree) -> dict[Path, tuple[bytes, Facts]]:
    """Short name and facts of every name."""
    return {path: (tree.link(link).short_name, node_facts(tree, tree.link(link).node))
            for path, link in links_by_path(tree).items()}


def groups_by_path(tree: Tree) -> set[frozenset[Path]]:
    """The names of each file, together."""
    groups: dict[int, set[Path]] = {}
    for path, link in links_by_path(tree).items():
        groups.setdefault(tree.link(link).node, set()).add(path)
    return {frozenset(paths) for paths in groups.values()}


_hashes = st.sampled_from([bytes(20), *(bytes([i]) * 20 for i in range(1, 5))])
_times = st.tuples(*[st.sampled_from([1, 1 << 40, (1 << 63) - 1])] * 3)


@st.composite
def trees(draw: st.DrawFn, *, hashed: bool = True, cluster_size: int = 0) -> Tree:
    """A tree of up to some twenty nodes, parents not always before children, with links, streams and all else."""
    times = draw(_times)
    builder = Builder(cluster_size, creation=times[0], last_write=times[1], last_access=times[2],
                      security=draw(st.sampled_from(SECURITIES)))
    count = draw(st.integers(0, 12))
    folders = [False] * count
    for at in range(count):
        folders[at] = draw(st.booleans())
    order = draw(st.permutations(range(count)))
    rows = {}
    for at in order:
        rows[at] = _node(draw, builder, folder=folders[at], hashed=hashed)
    used: set[tuple[int, str]] = set()
    above = [ROOT]
    for at in range(count):
        many = not folders[at] and not builder.tree.attributes(rows[at]) & FileAttribute.REPARSE_POINT
        for _ in range(draw(st.integers(1, 3)) if many else 1):
            parent, name = draw(st.sampled_from(above)), draw(st.sampled_from(NAMES))
            if (parent, name) not in used:
                used.add((parent, name))
                builder.link(parent, rows[at], encoded(name), encoded(draw(st.sampled_from(SHORT))))
                if folders[at]:
                    above.append(rows[at])
    return builder.tree


def _node(draw: st.DrawFn, builder: Builder, *, folder: bool, hashed: bool) -> int:
    times = draw(_times)
    reparse = draw(st.integers(0, 5)) == 0
    attributes = draw(st.sampled_from([0, 0x20, 0x3, 0x2020]))
    attributes |= FileAttribute.DIRECTORY * folder | FileAttribute.REPARSE_POINT * reparse
    node = builder.node(creation=times[0], last_write=times[1], last_access=times[2], attributes=attributes,
                        reparse_tag=REPARSE_TAG if reparse else 0, security=draw(st.sampled_from(SECURITIES)),
                        extra=draw(st.sampled_from(EXTRAS)))
    if not folder:
        _stream(draw, builder, node, b"", hashed=hashed)
    if reparse:
        builder.stream(node, kind=StreamKind.REPARSE, hash=b"R" * 20, size=8)
    for name in draw(st.sets(st.sampled_from(["s", "T"]), max_size=2)):
        _stream(draw, builder, node, encoded(name), hashed=hashed)
    return node


def _stream(draw: st.DrawFn, builder: Builder, node: int, name: bytes, *, hashed: bool) -> None:
    """Sizes agree with hashes, as contents' do; where it is not hashed, the hash still stands there for the test."""
    value = draw(_hashes)
    size = value[0] // 2 + 1 if any(value) else 0
    stream = builder.stream(node, name=name, hash=value, size=size)
    if not hashed and draw(st.booleans()):
        builder.forget(stream)
        assert not builder.tree.stream(stream).flags & StreamFlag.HASHED
