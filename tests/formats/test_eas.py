"""Extended attributes in the forms of NTFS and of images."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.eas import Ea, from_ntfs, from_wim, to_ntfs, to_wim

names = st.binary(min_size=1, max_size=20).filter(lambda name: 0 not in name)
entries = st.lists(st.tuples(names, st.sampled_from([0, 0x80]), st.binary(max_size=40)), max_size=5)


@settings(deadline=None)
@given(entries)
def test_both_forms_read_back(values: list[Ea]) -> None:
    """And lead to each other without loss."""
    assert from_ntfs(to_ntfs(values)) == values
    assert from_wim(to_wim(values)) == values


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Nothing but FormatError comes out; what is accepted is written again."""
    for read, write in ((from_ntfs, to_ntfs), (from_wim, to_wim)):
        try:
            values = read(data)
        except FormatError:
            continue
        assert read(write(values)) == values


def test_the_layouts_are_those_of_ntfs_and_dism() -> None:
    """Byte for byte."""
    values: list[Ea] = [(b"AB", 0x80, b"xyz"), (b"C", 0, b"")]
    assert to_ntfs(values) == (b"\x10\0\0\0\x80\2\3\0AB\0xyz\0\0\x0c\0\0\0\0\1\0\0C\0\0\0")
    assert to_wim(values) == b"\3\0\2\x80AB\0xyz\0\0\1\0C\0"


def test_the_last_offset_may_be_zero_and_the_padding_missing() -> None:
    """Windows' own calls return lists that end so."""
    assert from_ntfs(b"\0\0\0\0\0\1\1\0C\0!") == from_ntfs(b"\0\0\0\0\0\1\1\0C\0!\0") == [(b"C", 0, b"!")]


@pytest.mark.parametrize("data", [
    b"\0", b"\0\0\0\0\0\1\1\0C\0", b"\0\0\0\0\0\1\0\0CC", b"\0\0\0\0\0\0\0\0\0", b"\0\0\0\0\0\2\0\0C\0\0",
    b"\x08\0\0\0\0\1\0\0C\0\0\0", b"\x0d\0\0\0\0\1\0\0C\0\0\0\0", b"\0\0\0\0\0\1\0\0C\0\0\0\0\0\0\0",
    b"\x40\0\0\0\0\1\0\0C\0\0\0" + bytes(8),
])
def test_lists_that_are_not_sound_are_refused(data: bytes) -> None:
    """Cut off, without a name or its NUL, with steps that lead nowhere, with something behind the end."""
    with pytest.raises(FormatError):
        from_ntfs(data)
