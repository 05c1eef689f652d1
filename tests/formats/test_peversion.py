"""What program files say of themselves."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_contents import program
from wimboot.errors import FormatError
from wimboot.formats.peversion import Machine, ProgramFile


@pytest.mark.parametrize(("machine", "number"), [("x86", Machine.X86), ("amd64", Machine.AMD64),
                                                 ("arm64", Machine.ARM64)])
def test_machine_and_version_are_read(machine: str, number: Machine) -> None:
    """From 32-bit and 64-bit programs alike."""
    found = ProgramFile.parse(program(machine=machine, version=(10, 0, 19041, 3636)))
    assert found.machine == number
    assert found.version is not None
    assert found.version.file == found.version.product == (10, 0, 19041, 3636)
    assert found.version.file_type == 1


def test_a_program_without_resources_has_no_version() -> None:
    """The directory of resources is empty in many tools' output."""
    data = bytearray(program())
    place = data.index(struct.pack("<H", 0x20B), 0x80) + 112 + 16
    data[place:place + 8] = bytes(8)
    found = ProgramFile.parse(bytes(data))
    assert found.version is None
    assert found.machine == Machine.AMD64


def test_an_unknown_machine_is_kept() -> None:
    """New processors are no error."""
    data = bytearray(program())
    data[0x84:0x86] = b"\x34\x12"
    assert ProgramFile.parse(bytes(data)).machine == 0x1234


@pytest.mark.parametrize(("place", "value"), [
    (0, b"ZM"), (60, b"\xff\xff\xff\xff"), (0x80, b"NE"), (0x98, b"\x07\x01"), (0x86, b"\xff\xff"),
], ids=["MZ", "offset", "PE", "kind", "sections"])
def test_what_is_no_program_is_refused(place: int, value: bytes) -> None:
    """Each signature and count is checked."""
    data = bytearray(program())
    data[place:place + len(value)] = value
    with pytest.raises(FormatError):
        ProgramFile.parse(bytes(data))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 130, 200, 400, 520, 600])
def test_a_cut_program_is_refused(size: int) -> None:
    """Wherever it ends: headers, sections and the resource."""
    with pytest.raises(FormatError):
        ProgramFile.parse(program()[:size])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 0x400), st.integers(0, 255)), min_size=1, max_size=12), st.booleans())
def test_damaged_programs_raise_format_error_only(damage: list[tuple[int, int]], wide: bool) -> None:
    """Any bytes in the headers or the resource tree."""
    data = bytearray(program(machine="amd64" if wide else "x86", size=2048))
    for place, value in damage:
        data[place] = value
    with contextlib.suppress(FormatError):
        ProgramFile.parse(bytes(data))


@given(st.binary(max_size=400))
def test_any_bytes_raise_format_error_only(data: bytes) -> None:
    """Nothing else comes out of what is no program."""
    with contextlib.suppress(FormatError):
        ProgramFile.parse(b"MZ" + data)


def test_real_programs_are_read() -> None:
    """Windows programs that Debian ships (Wine's, where installed) tell their machine and version."""
    folder = next((path for path in (Path("/usr/lib/x86_64-linux-gnu/wine/x86_64-windows"),) if path.is_dir()), None)
    if folder is None:
        pytest.skip("no Windows programs on this machine")
    known = {path.name: ProgramFile.parse(path.read_bytes()) for path in sorted(folder.glob("k*.dll"))}
    assert known["kernel32.dll"].machine == Machine.AMD64
    assert known["kernel32.dll"].version is not None


def with_resource(place: int, value: bytes) -> bytes:
    """A program with bytes changed in its resource section, `place` from its start."""
    data = bytearray(program(size=2048))
    start = data.index(b"\x10\0\0\0\x18\0\0\x80") - 16
    data[start + place:start + place + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(("place", "value", "problem"), [
    (16, struct.pack("<II", 16, 24), "levels"), (64, struct.pack("<II", 0x409, 1 << 31), "levels"),
    (16, struct.pack("<II", 16, 0xFFFFFFF0), "no section"), (12, b"\xff\xff\xff\xff", None),
    (72, struct.pack("<II", 0x7FFFFFFF, 64), "no section"), (72, struct.pack("<II", 0x1058, 4), "VS_VERSION_INFO"),
    (96, b"X", "VS_VERSION_INFO"), (90, struct.pack("<H", 51), "fixed part"), (128, b"\0", "signature"),
], ids=["too flat", "too deep", "far away", "many entries", "data away", "short", "key", "small", "signature"])
def test_a_resource_tree_that_lies_is_refused(place: int, value: bytes, problem: str | None) -> None:
    """Levels, places and sizes are each checked; a count too large is no problem where the entry is found first."""
    data = with_resource(place, value)
    if problem is None:
        assert ProgramFile.parse(data).version is not None
        return
    with pytest.raises(FormatError, match=problem):
        ProgramFile.parse(data)


def test_other_resources_alone_are_no_version() -> None:
    """An icon is none, and a version resource may lack its fixed part."""
    assert ProgramFile.parse(with_resource(16, struct.pack("<I", 3))).version is None
    assert ProgramFile.parse(with_resource(90, b"\0\0")).version is None
