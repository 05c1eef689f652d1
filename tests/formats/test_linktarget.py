"""Targets of links: read as Windows writes them, and nothing but FormatError from anything else."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.linktarget import JUNCTION, LINUX_LINK, SYMBOLIC_LINK, LinkTarget


def _names(path: str, shown: str, flags: bytes = b"") -> bytes:
    first, second = path.encode("utf-16-le", "surrogatepass"), shown.encode("utf-16-le", "surrogatepass")
    return struct.pack("<HHHH", len(second), len(first), 0, len(second)) + flags + second + first


@given(path=st.text(max_size=300), shown=st.text(max_size=300))
def test_the_name_that_is_followed_is_read(path: str, shown: str) -> None:
    """Not the one that is shown, in whatever order they lie."""
    assert LinkTarget.parse(JUNCTION, _names(path, shown)) == LinkTarget(path=path, relative=False)
    for flag in (0, 1):
        data = _names(path, shown, struct.pack("<I", flag))
        assert LinkTarget.parse(SYMBOLIC_LINK, data) == LinkTarget(path=path, relative=bool(flag))


def test_links_of_the_linux_subsystem_are_read() -> None:
    """Version 2, and no other."""
    found = LinkTarget.parse(LINUX_LINK, struct.pack("<I", 2) + b"a/\xc3\xa4")
    assert found == LinkTarget(path="a/\xe4", relative=True)
    assert not LinkTarget.parse(LINUX_LINK, struct.pack("<I", 2) + b"/etc").relative
    with pytest.raises(FormatError):
        LinkTarget.parse(LINUX_LINK, struct.pack("<I", 1) + b"a")


@given(tag=st.sampled_from([JUNCTION, SYMBOLIC_LINK, LINUX_LINK, 0x80000017]), data=st.binary(max_size=64))
def test_any_bytes_are_a_link_or_not_valid(tag: int, data: bytes) -> None:
    """Nothing else."""
    with contextlib.suppress(FormatError):
        assert isinstance(LinkTarget.parse(tag, data).path, str)
