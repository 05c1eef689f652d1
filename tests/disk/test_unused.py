"""Which bytes of a disk its volumes use, told by their bitmaps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk.unused import FreeMap, unused_runs, used_runs
from wimboot.errors import Internal

DISK = 4000


@st.composite
def free_maps(draw: st.DrawFn) -> list[FreeMap]:
    """Maps that lie one behind the other on a small disk."""
    maps, at = [], 0
    for _ in range(draw(st.integers(0, 3))):
        start = at + draw(st.integers(0, 300))
        unit = draw(st.integers(1, 9))
        count = draw(st.integers(0, 200))
        filler = draw(st.sampled_from([b"\0", b"\xff", b""]))
        bitmap = filler * 10 + draw(st.binary(min_size=25, max_size=25)) + filler * 10
        maps.append(FreeMap(start=start, unit_size=unit, bitmap=bitmap, count=count))
        at = start + unit * count
    return maps


def slowly(maps: list[FreeMap]) -> list[bool]:
    """Byte for byte: whether it is free."""
    free = [False] * DISK
    for area in maps:
        for byte in range(area.start, min(DISK, area.end)):
            unit = (byte - area.start) // area.unit_size
            free[byte] = not area.bitmap[unit // 8] >> unit % 8 & 1
    return free


@given(free_maps(), st.integers(0, DISK), st.integers(0, DISK))
def test_runs_are_what_the_bitmaps_say(maps: list[FreeMap], start: int, end: int) -> None:
    """Used and unused runs cover every byte once, in their order, each as a byte-for-byte look has it."""
    free = slowly(maps)
    used = [byte for one, two in used_runs(maps, start, end) for byte in range(one, two)]
    assert used == [byte for byte in range(start, end) if not free[byte]]
    unused = [byte for one, two in unused_runs(maps, start, end) for byte in range(one, two)]
    assert unused == [byte for byte in range(start, end) if free[byte]]


def test_long_runs_are_found_piece_by_piece() -> None:
    """A free stretch of megabytes between two clusters in use."""
    bitmap = bytearray(300_000)
    bitmap[0], bitmap[-1] = 1, 0x80
    area = FreeMap(start=0, unit_size=512, bitmap=bytes(bitmap), count=2_400_000)
    assert list(used_runs([area], 0, area.end)) == [(0, 512), (area.end - 512, area.end)]
    assert list(unused_runs([area], 0, area.end)) == [(512, area.end - 512)]


@pytest.mark.parametrize(("start", "unit", "count"), [(-1, 1, 1), (0, 0, 1), (0, 1, -1), (0, 1, 9)])
def test_map_that_is_none_is_a_bug(start: int, unit: int, count: int) -> None:
    """More units than bits, or none of any size."""
    with pytest.raises(Internal):
        FreeMap(start=start, unit_size=unit, bitmap=b"\0", count=count)


def test_overlapping_maps_are_a_bug() -> None:
    """What the one calls free the other may use."""
    maps = [FreeMap(start=start, unit_size=512, bitmap=b"\0", count=8) for start in (0, 2048)]
    with pytest.raises(Internal):
        list(used_runs(maps, 0, 10_000))


@given(free_maps())
def test_behind_the_last_unit_in_use_nothing_is(maps: list[FreeMap]) -> None:
    """And that unit is in use; bits behind the map's last unit do not count."""
    for area in maps:
        used = [unit for unit in range(area.count) if area.bitmap[unit // 8] >> unit % 8 & 1]
        assert area.used_end == area.start + area.unit_size * (used[-1] + 1 if used else 0)
