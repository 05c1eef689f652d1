"""WimOverlay.dat: the complete example, the rules of ids, the driver's limits, laws and damage."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.errors import FormatError
from wimboot.formats.bootdevice import FileDevice, OpaqueDevice, PartitionDevice
from wimboot.formats.overlaydat import MAX_SOURCES, DataSource, Overlay, OverlayFull

GUID = bytes.fromhex("00112233445566778899aabbccddeeff")
PLACE = FileDevice(parent=PartitionDevice.mbr(0x5CBEA03E, 0x100000), path="\\wimboot\\wimboot.wim")
EXAMPLE = bytes.fromhex(
    "576f4366 01000000 28000000 01000000 0100000000000000"
    "0000000000000000 40000000 92000000 00000000 01000000"
    "00112233 44556677 8899aabb ccddeeff"
    "00000000 00000000 92000000 00000000 05000000 01000000 7e000000 05000000"
    "06000000 00000000 48000000 00000000 00001000 00000000 00000000 00000000"
    "00000000 01000000 3ea0be5c 00000000 00000000 00000000 00000000 00000000 00000000 00000000"
) + "\\wimboot\\wimboot.wim\0".encode("utf-16-le")

PLACES = st.builds(FileDevice, path=st.text("abc\\", max_size=9), parent=st.builds(
    PartitionDevice.mbr, st.integers(1, 3), st.sampled_from([0x7E00, 0x100000])))


@st.composite
def overlays(draw: st.DrawFn) -> Overlay:
    """Tables with any ids below the next one."""
    ids = draw(st.lists(st.integers(0, 1 << 40), unique=True, max_size=6))
    sources = tuple(DataSource(
        data_source_id=number, location=draw(PLACES), wim_guid=draw(st.binary(min_size=16, max_size=16)),
        wim_index=draw(st.integers(0, 0xFFFF_FFFF)), wim_type=draw(st.integers(0, 1))) for number in ids)
    return Overlay(sources=sources, next_id=max(ids, default=-1) + 1 + draw(st.integers(0, 5)))


def test_one_data_source_is_written_as_the_example_says() -> None:
    """210 bytes, byte for byte, and read back."""
    overlay, number = Overlay().add(wim_guid=GUID, location=PLACE, wim_index=1)
    assert number == 0
    assert len(EXAMPLE) == 210
    assert overlay.pack() == EXAMPLE
    assert Overlay.parse(EXAMPLE) == overlay
    assert Overlay.parse(EXAMPLE).pack() == EXAMPLE


@given(overlays())
def test_a_table_survives_writing_and_reading(overlay: Overlay) -> None:
    """parse(pack(x)) is x."""
    assert Overlay.parse(overlay.pack()) == overlay


@given(st.one_of(
    st.binary(max_size=300),
    st.builds(lambda tail: EXAMPLE[:12] + tail, st.binary(max_size=250)),
    st.builds(lambda at, byte: EXAMPLE[:at] + bytes([byte]) + EXAMPLE[at + 1:], st.integers(0, 209),
              st.integers(0, 255)),
    st.builds(lambda size: EXAMPLE[:size], st.integers(0, 209)),
))
def test_any_bytes_are_a_table_or_a_format_error(data: bytes) -> None:
    """Nothing but FormatError, and what is read can be written and read again."""
    try:
        overlay = Overlay.parse(data)
    except FormatError:
        return
    assert Overlay.parse(overlay.pack()) == overlay


def test_a_second_wim_moves_the_first_ones_place_by_one_entry() -> None:
    """The layout after adding: table first, places packed behind it in order."""
    overlay, _ = Overlay.parse(EXAMPLE).add(wim_guid=bytes(16), location=PLACE, wim_index=2)
    data = overlay.pack()
    assert int.from_bytes(data[0x20:0x24], "little") == 0x40 + 0x28
    assert data[0x68:0x68 + 0x92] == EXAMPLE[0x40:]
    assert len(data) == 210 + 0x28 + 0x92


def test_an_id_is_never_handed_out_twice() -> None:
    """Removing the newest data source does not free its id."""
    overlay, first = Overlay().add(wim_guid=GUID, location=PLACE, wim_index=1)
    again, second = overlay.remove(first).add(wim_guid=GUID, location=PLACE, wim_index=1)
    assert (first, second, again.next_id) == (0, 1, 2)
    with pytest.raises(KeyError):
        again.remove(first)


def test_a_wim_is_found_by_guid_and_place_together() -> None:
    """The same place in other case is the same; another GUID, or another partition, is not."""
    overlay = Overlay.parse(EXAMPLE)
    shouted = FileDevice(parent=PLACE.parent, path=PLACE.path.upper())
    assert overlay.find(GUID, shouted) == overlay.sources[0]
    assert overlay.find(bytes(16), PLACE) is None
    assert overlay.find(GUID, FileDevice(parent=PartitionDevice.mbr(1, 512), path=PLACE.path)) is None


def test_replacing_keeps_the_id_and_everything_else() -> None:
    """A moved WIM keeps what its pointers name."""
    there = FileDevice(parent=PartitionDevice.mbr(1, 512), path="\\w.wim")
    moved = Overlay.parse(EXAMPLE).replace(0, location=there)
    assert moved.sources[0].location == there
    assert (moved.sources[0].wim_guid, moved.next_id) == (GUID, 1)
    assert Overlay.parse(EXAMPLE).replace(0, wim_guid=bytes(16), wim_index=7).sources[0].wim_index == 7
    with pytest.raises(KeyError):
        moved.replace(1, wim_index=1)


def test_the_257th_data_source_is_refused() -> None:
    """The driver would take the whole table for damaged."""
    overlay = Overlay()
    for i in range(MAX_SOURCES):
        overlay, _ = overlay.add(wim_guid=i.to_bytes(16, "little"), location=PLACE, wim_index=1)
    assert len(Overlay.parse(overlay.pack()).sources) == MAX_SOURCES
    with pytest.raises(OverlayFull, match="256"):
        overlay.add(wim_guid=GUID, location=PLACE, wim_index=1)


def test_a_table_over_2_mib_is_refused() -> None:
    """Long places fill the file before 256 entries do."""
    long = FileDevice(parent=PLACE.parent, path="\\" + "x" * 32_000)
    overlay = Overlay()
    for i in range(32):
        overlay, _ = overlay.add(wim_guid=i.to_bytes(16, "little"), location=long, wim_index=1)
    assert len(overlay.pack()) <= 1 << 21
    with pytest.raises(OverlayFull, match="2 MiB"):
        overlay.add(wim_guid=GUID, location=long, wim_index=1)


def test_the_last_possible_id_is_refused_instead_of_wrapping() -> None:
    """An id of 64 ones cannot have a next one."""
    with pytest.raises(OverlayFull, match="id"):
        Overlay(next_id=0xFFFF_FFFF_FFFF_FFFF).add(wim_guid=GUID, location=PLACE, wim_index=1)


def _patched(offset: int, value: int, size: int = 4) -> bytes:
    return EXAMPLE[:offset] + value.to_bytes(size, "little") + EXAMPLE[offset + size:]


@pytest.mark.parametrize(("data", "problem"), [
    (b"", "0 bytes"), (EXAMPLE[:23], "23 bytes"), (EXAMPLE + bytes(2 << 20), "bytes"),
    (_patched(0, 1), "magic"), (_patched(4, 2), "version"), (_patched(8, 0x27), "entry"),
    (_patched(12, 0x101), "257"), (_patched(12, 9), "9 entries"), (_patched(16, 0, 8), "never handed out"),
    (_patched(0x20, 0x41), "lie at"), (_patched(0x20, 4), "lie at"), (_patched(0x20, 1 << 30), "lie at"),
    (_patched(0x24, 11), "would have"), (_patched(0x24, 0x93), "would have"), (_patched(0x48, 0x91), "says"),
    (_patched(0x48, 1 << 31), "says"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_each_rule_of_the_driver_is_checked(data: bytes, problem: str) -> None:
    """A table that the driver refuses is refused, with the rule."""
    with pytest.raises(FormatError, match=problem):
        Overlay.parse(data)


def test_two_sources_with_one_id_are_refused() -> None:
    """A pointer must mean one WIM."""
    source = Overlay.parse(EXAMPLE).sources[0]
    with pytest.raises(FormatError, match="twice"):
        Overlay.parse(Overlay(sources=(source, source), next_id=1).pack())


def test_longer_entries_and_unknown_places_are_kept() -> None:
    """A later version's entry of 48 bytes and a place of an unknown form come back as they were."""
    source = DataSource(data_source_id=0, wim_guid=GUID, extra=b"12345678", location=OpaqueDevice(
        raw=b"\x09\0\0\0" + bytes(4) + b"\x15\0\0\0" + bytes(4) + b"odd!!"))
    other = DataSource(data_source_id=1, wim_guid=GUID, extra=bytes(8), location=PLACE)
    overlay = Overlay(sources=(source, other), next_id=2)
    data = overlay.pack()
    assert int.from_bytes(data[8:12], "little") == 0x30
    assert Overlay.parse(data) == overlay


def test_a_table_made_by_hand_with_too_much_is_never_written() -> None:
    """Neither 257 sources nor a GUID of another length."""
    source = Overlay.parse(EXAMPLE).sources[0]
    many = tuple(replace(source, data_source_id=i) for i in range(MAX_SOURCES + 1))
    with pytest.raises(OverlayFull):
        Overlay(sources=many, next_id=len(many)).pack()
    with pytest.raises(ValueError, match="16 bytes"):
        Overlay(sources=(replace(source, wim_guid=b""),), next_id=1).pack()
