"""The first bytes of QCOW2, VMDK and VDI: any bytes are a head or an error of ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.diskheads import HEAD_SIZE, DiskHead, parse_qcow2, parse_vdi, parse_vmdk


def vmdk(data: bytes) -> DiskHead:
    """With a descriptor of any kind."""
    return parse_vmdk(data, lambda offset, size: data[offset:offset + size])


PARSERS = [(parse_qcow2, b"QFI\xfb\0\0\0\3"), (vmdk, b"KDMV"), (parse_vdi, bytes(64) + b"\x7f\x10\xda\xbe\1\0\1\0")]


@pytest.mark.parametrize(("parse", "start"), PARSERS, ids=["qcow2", "vmdk", "vdi"])
@given(data=st.binary(min_size=HEAD_SIZE, max_size=HEAD_SIZE), own=st.booleans())
def test_any_bytes_are_a_head_or_a_clear_error(parse: Callable[[bytes], DiskHead], start: bytes, data: bytes,
                                               own: bool) -> None:
    """Sizes and offsets within reason, or FormatError."""
    data = start + data[len(start):] if own else data
    try:
        head = parse(data)
    except FormatError:
        return
    assert 0 <= head.size <= 1 << 60
    assert 0 <= head.data_offset <= 1 << 60


@pytest.mark.parametrize(("parse", "start"), PARSERS, ids=["qcow2", "vmdk", "vdi"])
def test_heads_that_are_cut_off_are_refused(parse: Callable[[bytes], DiskHead], start: bytes) -> None:
    """As are those of other kinds, and of versions that nobody knows."""
    for data in (b"", start, start.ljust(HEAD_SIZE - 1, b"\0"), b"x" * HEAD_SIZE):
        with pytest.raises(FormatError):
            parse(data)


def test_sizes_beyond_reason_are_refused() -> None:
    """A disk of more bytes than can be counted."""
    with pytest.raises(FormatError):
        parse_qcow2((b"QFI\xfb\0\0\0\3" + bytes(16) + b"\xff" * 8).ljust(HEAD_SIZE, b"\0"))
    with pytest.raises(FormatError):
        vmdk((b"KDMV" + bytes(8) + b"\xff" * 8).ljust(HEAD_SIZE, b"\0"))
