"""Sizes as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.figures import told_size
from wimboot.formats.sizes import BadSize, parse_size


@pytest.mark.parametrize(("text", "size"), [
    ("0", 0), ("512", 512), ("512B", 512), ("15G", 15 << 30), ("15 GB", 15 << 30), ("15gib", 15 << 30),
    ("1.5T", 3 << 39), ("0.5k", 512), (" 64M ", 64 << 20), ("2040G", 2040 << 30), ("1.000K", 1024),
])
def test_sizes_are_powers_of_1024(text: str, size: int) -> None:
    """Whatever the spelling, as Windows counts."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", [
    "", "G", "-1", "1e9", "15 G B", "15P", "1,5G", "0.3", "1.3K", "\u0661\u0665G", "9" * 16, "1.2345G", "0x10", "1G1M",
])
def test_other_texts_are_refused(text: str) -> None:
    """Also parts of a byte."""
    with pytest.raises(BadSize):
        parse_size(text)


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    """Nothing else is raised."""
    with contextlib.suppress(BadSize):
        assert parse_size(text) >= 0


@pytest.mark.parametrize(("size", "told"), [
    (0, "0 bytes"), (999, "999 bytes"), (1000, "1 KB"), (100 << 20, "105 MB"), (15 << 30, "16.1 GB"),
    (703_456_789, "703 MB"), (5 << 50, "5,629 TB"),
])
def test_sizes_are_told_in_powers_of_1000(size: int, told: str) -> None:
    """By every verb, whatever the size was given as."""
    assert told_size(size) == told
