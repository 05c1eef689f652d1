"""Where a disk's bytes lie, by qemu-img: nothing that it could say makes a wrong disk."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk.qemumap import MapNotUsable, parse_map

ROW = {"start": 0, "length": 100, "depth": 0, "present": True, "zero": False, "data": True, "offset": 512}


@pytest.mark.parametrize(("rows", "why"), [
    ("nonsense", "JSON"), ("[" * 100_000, "JSON"), ({"a": 1}, "list"), ([1], "no extent"), ([], "tells of 0"),
    ([ROW | {"start": 1}], "missing or twice"), ([ROW | {"length": 200}], "missing or twice"),
    ([ROW | {"length": 0}], "no extent"), ([ROW | {"length": -5}], "no extent"), ([ROW | {"start": "0"}], "no extent"),
    ([ROW | {"length": 1.5}], "no extent"), ([ROW | {"depth": True}], "no extent"), ([ROW | {"data": 1}], "no extent"),
    ([ROW, ROW], "missing or twice"), ([ROW | {"depth": 1}], "another file"),
    ([ROW | {"compressed": True}], "compressed"), ([{**ROW, "offset": None}], "compressed"),
    ([ROW | {"offset": -1}], "compressed"), ([ROW | {"offset": 1 << 80}], "compressed"),
    ([ROW | {"data": False}], "left open"), ([ROW | {"length": 60}], "tells of 60"),
])
def test_hostile_answers_are_refused(rows: object, why: str) -> None:
    """What cannot be is never taken for zeros, or for bytes elsewhere."""
    with pytest.raises(MapNotUsable, match=why):
        parse_map((rows if isinstance(rows, str) else json.dumps(rows)).encode(), size=100, where="here")


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from([*ROW, "compressed"]), inner, max_size=8)).map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_refused_or_covers_the_disk(out: bytes) -> None:
    """Nothing else comes of it."""
    try:
        extents = parse_map(out, size=100, where="here")
    except MapNotUsable:
        return
    assert sum(size for _, size, _ in extents) == 100


def test_pieces_that_lie_together_become_one() -> None:
    """Zeros beside zeros, bytes beside bytes."""
    rows = [ROW, ROW | {"start": 100, "length": 50, "offset": 612}, ROW | {"start": 150, "length": 10},
            ROW | {"start": 160, "length": 5, "data": False, "zero": True, "offset": 522},
            ROW | {"start": 165, "length": 5, "data": False, "zero": True}]
    assert parse_map(json.dumps(rows).encode(), size=170, where="") == [(0, 150, 512), (150, 10, 512), (160, 10, None)]
