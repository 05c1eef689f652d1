"""Why real files are real, in groups, against a slow twin."""

from __future__ import annotations

from array import array
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tree_strategies import encoded
from wimboot.tree import ROOT, Tree
from wimboot.tree import _reasons as compiled
from wimboot.tree._builder import Builder

RULES = 3
FILES = st.lists(st.tuples(
    st.integers(0, 7),                                          # its class
    st.lists(st.integers(-2, RULES - 1), max_size=3),           # of each name the rule that leaves it out, -2 for none
    st.integers(-1, RULES - 1),                                 # the rule that keeps it real
    st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 9999)), max_size=3)), max_size=12)
Files = list[tuple[int, list[int], int, list[tuple[int, int]]]]


def built(files: Files) -> tuple[Tree, bytearray, bytearray, array[int], array[int]]:
    """A tree, and the columns that the pass is given: classes, excluded, excluded_by, ruled_by."""
    builder = Builder()
    excluded, by = [0], [-1]        # of the root's own link
    for number, (_, names, _, streams) in enumerate(files):
        node = builder.node(file_id=100 + number)
        for at, (size, allocated) in enumerate(streams):
            builder.stream(node, name=encoded(f"s{at}") if at else b"", size=size, allocated=allocated)
        for at, rule in enumerate(names):
            builder.link(ROOT, node, encoded(f"{number} {at}"))
            excluded.append(rule > -2)
            by.append(max(rule, -1))
    tree = builder.tree
    assert tree.link_count == len(by)
    return (tree, bytearray([1, *(kind for kind, _, _, _ in files)]), bytearray(excluded), array("i", by),
            array("i", [-1, *(rule for _, _, rule, _ in files)]))


def slow_twin(files: Files) -> dict[tuple[int, int, int], list[int]]:
    """(class, what keeps them, rule) -> files, bytes seen, bytes of clusters, size of the largest, its node."""
    found: defaultdict[tuple[int, int, int], list[int]] = defaultdict(lambda: [0, 0, 0, -1, 0])
    for node, (kind, names, ruled, streams) in enumerate(files, start=1):
        if kind in (1, 7):
            continue
        key = (kind, compiled.FREE, -1)
        if kind == 0 and names and min(names) > -2:
            key = (0, compiled.EXCLUDED, names[0])
        elif kind == 0 and ruled >= 0:
            key = (0, compiled.RULED, ruled)
        seen, occupied = sum(size for size, _ in streams), sum(clusters for _, clusters in streams)
        group = found[key]
        group[0] += 1
        group[1] += seen
        group[2] += occupied
        if seen > group[3]:
            group[3], group[4] = seen, node
    return dict(found)


@settings(max_examples=200)
@given(FILES)
def test_groups_are_those_of_the_slow_twin(files: Files) -> None:
    """By class, else by the rule of the first name that is left out, else by the rule that keeps it real."""
    tree, classes, excluded, by, ruled = built(files)
    told = compiled.real_groups(tree, classes, excluded, by, ruled, RULES)
    assert {row[:3]: list(row[3:]) for row in told} == slow_twin(files)


def test_columns_of_another_length_are_refused() -> None:
    """They would be read past their end."""
    tree, classes, excluded, by, ruled = built([(0, [-2], -1, [(1, 1)])])
    for bad in ((classes[:1], excluded, by, ruled), (classes, excluded[:1], by, ruled),
                (classes, excluded, by[:1], ruled), (classes, excluded, by, ruled[:1])):
        with pytest.raises(ValueError, match="one entry"):
            compiled.real_groups(tree, *bad, RULES)


def test_a_rule_that_does_not_exist_is_refused() -> None:
    """A number beyond the rules has no group."""
    tree, classes, excluded, by, ruled = built([(0, [-2], RULES - 1, [(1, 1)])])
    with pytest.raises(IndexError):
        compiled.real_groups(tree, classes, excluded, by, ruled, 0)
