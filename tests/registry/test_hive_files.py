"""Which files of a volume are hives, and how they are read with their logs."""

from __future__ import annotations

import pytest

from plain_tree import tree_of
from registry_samples import log_pair, sample
from wimboot.formats.reglog import LogsUnusable
from wimboot.registry import Hive
from wimboot.registry.files import hives, load

CONFIG = "\\Windows\\System32\\config"


def test_hives_are_found_by_place_and_their_logs_are_none() -> None:
    """In any case, as they are spelt on the volume: the system's, each user's, each package's, the boot stores."""
    tree = tree_of([
        f"{CONFIG}\\SYSTEM", f"{CONFIG}\\SYSTEM.LOG1", f"{CONFIG}\\system.log2", f"{CONFIG}\\software",
        f"{CONFIG}\\SYSTEM.LOG1.old", f"{CONFIG}\\TxR\\", f"{CONFIG}\\RegBack\\SAM",
        f"{CONFIG}\\systemprofile\\ntuser.dat", "\\Users\\Anna\\NTUSER.DAT", "\\Users\\Anna\\ntuser.dat.LOG1",
        "\\Users\\Anna\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat",
        "\\Users\\Anna\\AppData\\Local\\Packages\\Calculator\\Settings\\settings.dat",
        "\\Users\\Anna\\AppData\\Local\\Packages\\Calculator\\Settings\\settings.dat.LOG2",
        "\\Windows\\ServiceProfiles\\LocalService\\NTUSER.DAT", "\\Boot\\BCD", "\\Boot\\BCD.LOG",
        "\\Windows\\AppCompat\\Programs\\Amcache.hve", "\\Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT",
        "\\Windows\\System32\\SYSTEM", "\\Users\\Anna\\Documents\\NTUSER.DAT", "\\SOFTWARE",
    ])
    found = hives(tree)
    assert sorted(hive.path for hive in found) == sorted([
        f"{CONFIG}\\SYSTEM", f"{CONFIG}\\software", f"{CONFIG}\\RegBack\\SAM", f"{CONFIG}\\systemprofile\\ntuser.dat",
        "\\Users\\Anna\\NTUSER.DAT", "\\Users\\Anna\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat",
        "\\Users\\Anna\\AppData\\Local\\Packages\\Calculator\\Settings\\settings.dat",
        "\\Windows\\ServiceProfiles\\LocalService\\NTUSER.DAT", "\\Boot\\BCD",
        "\\Windows\\AppCompat\\Programs\\Amcache.hve", "\\Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT",
    ])
    for hive in found:
        assert tree.find(hive.path) == hive.node


def test_a_folder_named_as_a_hive_is_none() -> None:
    """Only files are hives, and a volume without Windows has none."""
    assert hives(tree_of([f"{CONFIG}\\SYSTEM\\", "\\Users\\file"])) == []
    assert hives(tree_of([])) == []


def test_a_hive_is_loaded_with_its_logs() -> None:
    """The logs are sought beside it; what they hold is in the bytes."""
    files = {"\\SYSTEM": sample("SYSTEM-win10-dirty")} | {
        f"\\SYSTEM.{suffix}": data for suffix, data in log_pair().items()}
    replayed = load(files.get, "\\SYSTEM")
    assert replayed is not None
    assert replayed.applied_entries == 24
    with Hive(replayed.data) as hive:
        assert hive.root.find("ControlSet001\\services\\Wof") is not None
    assert load(files.get, "\\SOFTWARE") is None
    files["\\SYSTEM.LOG2"] = files["\\SYSTEM.LOG2"][:8] + b"\1" + files["\\SYSTEM.LOG2"][9:]
    with pytest.raises(LogsUnusable, match="LOG2"):
        load(files.get, "\\SYSTEM")
