"""Signatures of program files, made by osslsigncode, and version strings."""

from __future__ import annotations

import contextlib
import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driver_files import WOFADK_STRINGS, driver_file, signed
from sample_contents import program
from wimboot.errors import FormatError
from wimboot.formats.authenticode import read_signature
from wimboot.formats.peversion import Machine, ProgramFile
from wimboot.formats.versionstrings import version_strings


@pytest.mark.parametrize("machine", ["x86", "amd64"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384"])
def test_a_signature_by_another_program_fits(machine: str, algorithm: str) -> None:
    """Its hash is the one computed here, over 32-bit and 64-bit headers."""
    found = read_signature(signed(driver_file(machine=machine), algorithm))
    assert found is not None
    assert (found.algorithm, found.fits) == (algorithm, True)
    assert len(found.digest) == hashlib.new(algorithm, usedforsecurity=False).digest_size


@pytest.mark.parametrize("place", [0x50, 0x400, 0x450, 0x620, -1])
def test_a_changed_byte_breaks_the_signature(place: int) -> None:
    """In the headers, the code, the resources; one in the certificates is told, or breaks its form."""
    data = bytearray(signed(driver_file()))
    place = place if place >= 0 else len(data) - 700
    data[place] ^= 1
    found = None
    with contextlib.suppress(FormatError):
        found = read_signature(bytes(data))
    assert place == len(data) - 700 or (found is not None and not found.fits)


def test_the_checksum_is_not_part_of_it() -> None:
    """A linker's checksum may be set after signing."""
    data = bytearray(signed(driver_file()))
    data[0x98 + 64:0x98 + 68] = b"\x12\x34\x56\x78"
    found = read_signature(bytes(data))
    assert found is not None
    assert found.fits


def test_unsigned_files_have_none() -> None:
    """Nor has one whose headers have no room for it."""
    assert read_signature(driver_file()) is None
    assert read_signature(program()) is None


@pytest.mark.parametrize(("offset", "value", "problem"), [
    (0, 0xFFFFFF00, "do not fit"), (4, 0xFFFFFF, "do not fit"), (0, 0x101, "do not fit"), (4, 4, "do not fit"),
    (0, 0x20, "do not fit"),
], ids=["far", "huge", "odd", "tiny", "over the headers"])
def test_a_table_that_lies_is_refused(offset: int, value: int, problem: str) -> None:
    """Its place and size are checked before anything is read there."""
    data = bytearray(signed(driver_file()))
    entry = 0x98 + 112 + 8 * 4
    data[entry + offset:entry + offset + 4] = struct.pack("<I", value)
    with pytest.raises(FormatError, match=problem):
        read_signature(bytes(data))


def table_of(data: bytes) -> int:
    """Where the table of certificates begins."""
    return int(struct.unpack_from("<I", data, 0x98 + 112 + 8 * 4)[0])


@pytest.mark.parametrize(("place", "value", "problem"), [
    (0, b"\xff\xff\xff\xff", "unknown"), (6, b"\x01\x00", "unknown"), (8, b"\x31", "no element"),
    (9, b"\x85", "length"), (9, b"\x84\xff\xff\xff\xff", "does not fit"), (17, b"\x00", "no SignedData"),
], ids=["length", "type", "element", "long length", "too long", "object"])
def test_a_signature_of_another_form_is_refused(place: int, value: bytes, problem: str) -> None:
    """Entries and elements are read one by one, each within the last."""
    data = bytearray(signed(driver_file()))
    start = table_of(bytes(data)) + place
    data[start:start + len(value)] = value
    with pytest.raises(FormatError, match=problem):
        read_signature(bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_signatures_raise_format_error_only(data: st.DataObject) -> None:
    """Any bytes in the headers and in the table of certificates."""
    whole = bytearray(signed(driver_file()))
    start = table_of(bytes(whole))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.one_of(st.integers(0, 0x200), st.integers(start, start + 0x80)))
        whole[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        read_signature(bytes(whole))


def test_strings_of_a_version_are_read() -> None:
    """Who made it and what it was called; a driver says that it is one."""
    found = ProgramFile.parse(driver_file(machine="x86"))
    assert found.machine == Machine.X86
    assert (found.subsystem, found.version is not None) == (1, True)
    assert found.version is not None
    assert found.version.file_type == 3
    assert found.version.strings() == dict(WOFADK_STRINGS)


def test_a_version_without_strings_has_none() -> None:
    """The fixed part alone, as some compilers leave it."""
    version = ProgramFile.parse(program()).version
    assert version is not None
    assert version.strings() == {}


def test_strings_that_were_counted_in_bytes_are_read() -> None:
    """Some compilers do; the block's end is what counts."""
    block = bytearray(ProgramFile.parse(driver_file()).version.block)  # type: ignore[union-attr] # it has one
    place = block.index("CompanyName\0".encode("utf-16-le")) - 4
    block[place:place + 2] = struct.pack("<H", 2 * struct.unpack_from("<H", block, place)[0])
    assert version_strings(bytes(block))["CompanyName"] == "Microsoft Corporation"


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_strings_raise_format_error_only(damage: list[tuple[int, int]]) -> None:
    """Lengths, keys and values may say anything."""
    block = bytearray(ProgramFile.parse(driver_file()).version.block)  # type: ignore[union-attr] # it has one
    for place, value in damage:
        block[place % len(block)] = value
    with contextlib.suppress(FormatError):
        version_strings(bytes(block))


def test_too_many_strings_are_refused() -> None:
    """A table of a thousand is no driver's."""
    strings = tuple((f"Name{number}", "x") for number in range(300))
    version = ProgramFile.parse(driver_file(strings=strings)).version
    assert version is not None
    with pytest.raises(FormatError, match="over 256 strings"):
        version.strings()
