"""What disks say they stand on: any bytes are a link, none, or an error of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.diskparents import ParentLink, own_id, parent_link
from wimboot.formats.vhdxparent import linkage_of, parse_locator

STARTS = (b"QFI\xfb" + bytes(11) + b"\x20\0\0\0\x05json:", b"KDMV" + bytes(24) + b"\1" + bytes(7) + b"\1",
          b"# Disk DescriptorFile\nparentFileNameHint=\"", bytes(64) + b"\x7f\x10\xda\xbe", b"vhdxfile")


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=1500))
def test_any_bytes_are_a_link_or_a_clear_error(start: bytes, rest: bytes) -> None:
    """Names and ids within the file, or FormatError."""
    data = start + rest
    for ask in (parent_link, own_id):
        try:
            found = ask(data[:512], lambda offset, size: data[offset:offset + size])
        except FormatError:
            continue
        if isinstance(found, ParentLink):
            assert sum(map(len, found.names)) <= len(data)
            assert all(len(one) == 16 for one in found.ids)


@given(data=st.binary(max_size=200), count=st.integers(0, 5))
def test_any_bytes_are_a_locator_or_a_clear_error(data: bytes, count: int) -> None:
    """Of a VHDX's parent."""
    try:
        pairs = parse_locator(data[:18] + count.to_bytes(2, "little") + data[20:])
        linkage_of(pairs)
    except FormatError:
        return
    assert len(pairs) <= count


def test_paths_are_read_as_qemu_writes_them() -> None:
    """Bare, with "file:", and inside a description."""
    def link(name: bytes) -> ParentLink | None:
        head = (b"QFI\xfb" + (3).to_bytes(4, "big") + (112).to_bytes(8, "big") + len(name).to_bytes(4, "big"))
        data = head.ljust(112, b"\0") + name
        return parent_link(data, lambda offset, size: data[offset:offset + size])

    assert link(b"a.raw") == link(b"file:a.raw") == ParentLink(names=("a.raw",))
    assert link(b'json:{"file.filename": "a.raw", "driver": "raw"}') == ParentLink(names=("a.raw",))
    assert link(b"") is None
    with pytest.raises(FormatError):
        link(b"json:{")
