"""The checks before a key is deleted: each cell in use, of its kind, named once."""

from __future__ import annotations

import pytest

from wimboot.registry import Hive, HiveDamaged, NotEditable, RegistryValue, new_hive
from wimboot.registry.cells import MAX_DEPTH, check_bins, check_subtree


def number(data: bytes, place: int) -> int:
    """The 32-bit number at a place."""
    return int.from_bytes(data[place:place + 4], "little")


def patched(data: bytes, place: int, value: int, size: int = 4) -> bytes:
    """`data` with a number at a place."""
    return data[:place] + value.to_bytes(size, "little") + data[place + size:]


def made(depth: int = 2) -> tuple[bytes, int]:
    """A hive with a key that has a value and keys below it, and the key's place."""
    with Hive(new_hive()) as hive:
        key = hive.root.add_child("k")
        key.set("one", RegistryValue.sz("the first"))
        node = key
        for _ in range(depth):
            node = node.add_child("n")
        return hive.commit(), key.place


def check(data: bytes, key: int) -> None:
    """As the hive does it."""
    check_subtree(data, len(data) - 4096, key)


def test_a_sound_key_passes() -> None:
    """What the library made itself is deleted."""
    data, key = made()
    check(data, key)


@pytest.mark.parametrize(("offset", "value", "problem"), [
    (4, 0x20206B78, "not what a key takes it for"), (32, 0x1FF8, "not what"), (44, 4, "not what"),
    (48, 0x1000, "security"), (52, 0x20, None), (52, 7, "not what"), (24, 9, None),
], ids=["signature", "list", "values", "security", "root as class", "class", "count"])
def test_each_place_that_a_key_names_is_checked(offset: int, value: int, problem: str | None) -> None:
    """A place outside of the hive, inside of a cell or of another kind."""
    data, key = made()
    bad = patched(data, key + offset, value)
    if problem is None:
        check(bad, key)     # a cell in use that nobody else in the subtree names; its owner is not looked at
        return
    with pytest.raises(HiveDamaged, match=problem):
        check(bad, key)


def test_lists_of_keys_are_checked() -> None:
    """Their kind, and that they end within their cell; lists of lists are followed."""
    data, key = made()
    keys = number(data, key + 32) + 4096
    for offset, value in ((4, 0x00017878), (4, 0x7FFF686C)):
        with pytest.raises(HiveDamaged, match="list of keys"):
            check(patched(data, keys + offset, value), key)
    with pytest.raises(HiveDamaged):    # an "ri" whose lists are keys
        check(patched(data, keys + 4, 0x00016972), key)


def test_a_circle_of_keys_is_seen() -> None:
    """A key below itself is used twice."""
    data, key = made()
    keys = number(data, key + 32) + 4096
    with pytest.raises(HiveDamaged, match="twice"):
        check(patched(data, keys + 8, key - 4096), key)


def test_keys_nested_deeper_than_windows_allows_are_not_deleted() -> None:
    """The library walks down by calling itself."""
    data, key = made(MAX_DEPTH - 1)
    check(data, key)
    data, key = made(MAX_DEPTH + 1)
    with pytest.raises(HiveDamaged, match="deeper"):
        check(data, key)


def test_cells_and_bins_must_fill_their_page() -> None:
    """A size of zero, past the bin's end or odd ends the check at once."""
    data, key = made()
    for size in (0, 3, 0x7FFFFFF0, 0xFFFFFFFD):
        with pytest.raises(HiveDamaged, match="size of"):
            check(patched(data, 4096 + 32, size), key)
    for offset, value in ((0, 0), (4, 4096), (8, 0), (8, 100), (8, 0x7FFFF000)):
        with pytest.raises(HiveDamaged, match="bin at"):
            check_bins(patched(data, 4096 + offset, value), len(data) - 4096)


def test_a_key_without_security_is_deleted_and_others_stay() -> None:
    """-1 is "none" there too."""
    data, key = made()
    below = number(data, number(data, key + 32) + 4096 + 8) + 4096
    check(patched(data, below + 48, 0xFFFFFFFF), key)


def test_names_with_nul_are_refused_everywhere() -> None:
    """The library would cut them there and answer for another key."""
    with Hive(new_hive()) as hive:
        for ask in (hive.root.value, hive.root.child, hive.root.text):
            with pytest.raises(NotEditable, match="NUL"):
                ask("Start\0")
