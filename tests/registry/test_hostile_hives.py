"""Damaged hives: our error or a reading, never a crash of the C library. Each run is a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from registry_hives import sample_hives
from registry_samples import sample, store
from wimboot.errors import Error
from wimboot.formats.regf import BaseBlock
from wimboot.registry import Hive, HiveBeyondLimits, HiveDamaged, RegistryValue, new_hive

PROGRAM = Path(__file__).with_name("damage_hives.py")


def survive(data: bytes, folder: Path, count: int, first: int = 0) -> None:
    """Damage `data` in `count` ways; the process must end by itself."""
    path = folder / "hive"
    path.write_bytes(data)
    done = subprocess.run([sys.executable, str(PROGRAM), str(path), str(first), str(count)], check=False,
                          capture_output=True, text=True, timeout=600)
    seed = path.with_suffix(".seed")
    assert done.returncode == 0, (f"exit {done.returncode} at seed {seed.read_text() if seed.exists() else '?'}: "
                                  f"{done.stderr[-2000:]}")
    assert f"of {count}" in done.stdout


def test_a_damaged_small_hive_never_crashes(tmp_path: Path) -> None:
    """A SYSTEM hive of a few pages, hit hard."""
    survive(sample_hives("6.1")["SYSTEM"], tmp_path, 300)


def test_a_damaged_real_store_never_crashes(tmp_path: Path) -> None:
    """A real BCD, with all that Windows writes."""
    survive(store("regipy_BCD"), tmp_path, 200)


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["SYSTEM-win7", "SYSTEM-win81"])
def test_a_damaged_real_system_never_crashes(name: str, tmp_path: Path) -> None:
    """Megabytes of cells, big values and lists of lists among them."""
    survive(sample(name), tmp_path, 300)


@pytest.mark.heavy
def test_many_damaged_stores_never_crash(tmp_path: Path) -> None:
    """The nightly number of tries."""
    survive(store("regipy_BCD"), tmp_path, 20_000, first=10_000)


def patched(data: bytes, place: int, value: int) -> bytes:
    """`data` with a 32-bit number at a place."""
    return data[:place] + value.to_bytes(4, "little") + data[place + 4:]


def made() -> tuple[bytes, int]:
    """A hive with a key "k" with two values whose data have their own cells, and the key's place."""
    with Hive(new_hive()) as hive:
        key = hive.root.add_child("k")
        key.set("one", RegistryValue.sz("the first"))
        key.set("two", RegistryValue.sz("the second"))
        key.ensure("below\\deeper")
        return hive.commit(), key.place


def number(data: bytes, place: int) -> int:
    """The 32-bit number at a place."""
    return int.from_bytes(data[place:place + 4], "little")


def test_two_values_with_one_cell_are_not_written_anew() -> None:
    """libhivex would free the cell twice and stop the process."""
    data, key = made()
    first, second = (number(data, number(data, key + 44) + 4096 + 4 + 4 * index) + 4096 for index in range(2))
    bad = patched(data, second + 12, number(data, first + 12))
    with Hive(bad) as hive:
        node = hive.root.child("k")
        assert node is not None
        assert node.text("one") == "the first"
        with pytest.raises(HiveDamaged, match="used twice"):
            node.set("three", RegistryValue.dword(3))
        with pytest.raises(HiveDamaged, match="used twice"):
            node.delete()


def test_a_value_whose_data_lies_nowhere_is_told() -> None:
    """Reading that one value fails; the others are read, and the key is not edited."""
    data, key = made()
    first = number(data, number(data, key + 44) + 4096 + 4) + 4096
    with Hive(patched(data, first + 12, 0xFFFFFFF0)) as hive:
        node = hive.root.child("k")
        assert node is not None
        assert node.text("two") == "the second"
        with pytest.raises(HiveDamaged):
            node.value("one")
        with pytest.raises(HiveDamaged):
            node.unset("two")


def test_a_key_that_contains_itself_is_not_deleted() -> None:
    """A circle of keys ends in our error and not in an endless walk."""
    data, key = made()
    list_place = number(data, key + 32) + 4096
    bad = patched(data, list_place + 8, key - 4096)
    with Hive(bad) as hive:
        node = hive.root.child("k")
        assert node is not None
        with pytest.raises(HiveDamaged):
            node.delete()


def test_a_security_cell_that_points_away_is_not_unlinked() -> None:
    """libhivex would write wherever its neighbours are said to be."""
    data, _ = made()
    bad = patched(data, 4096 + 0x80 + 8, 0x7FFFFFF0)
    with Hive(bad) as hive:
        node = hive.root.child("k")
        assert node is not None
        with pytest.raises(HiveDamaged, match="security"):
            node.delete()


def test_bins_that_do_not_fill_the_hive_are_not_edited() -> None:
    """A new bin would be laid over one whose size goes past the end."""
    data = new_hive() + new_hive()[4096:]
    bad = replace(BaseBlock.parse(data), bins_size=8192).pack() + data[512:]
    with pytest.raises(Error), Hive(bad) as hive:
        hive.root.set("a", RegistryValue.dword(1))


def test_the_judge_of_crashes_can_fail(tmp_path: Path) -> None:
    """The same program without our checks does bring libhivex down."""
    path = tmp_path / "hive"
    path.write_bytes(store("regipy_BCD"))
    unguarded = ("import sys; sys.path.insert(0, sys.argv.pop(1)); import wimboot.registry.hive as hive; "
                 "hive.check_subtree = lambda *_: None; hive.Hive.guard_values = lambda *_: None; "
                 "import damage_hives; damage_hives.main()")
    done = subprocess.run([sys.executable, "-c", unguarded, str(PROGRAM.parent), str(path), "1100", "150"],
                          check=False, capture_output=True, timeout=600)
    assert done.returncode < 0


def test_the_library_says_why() -> None:
    """The code of a failed call decides: more keys than it handles is not damage, a place outside is."""
    data, key = made()
    with Hive(patched(data, key + 24, 100_000)) as hive:
        node = hive.root.child("k")
        assert node is not None
        with pytest.raises(HiveBeyondLimits, match="hivex_node_children: Numerical result out of range"):
            node.children()
    with Hive(patched(data, key + 32, 0x100)) as hive:
        node = hive.root.child("k")
        assert node is not None
        with pytest.raises(HiveDamaged, match="hivex_node_children: Bad address"):
            node.child("below")
