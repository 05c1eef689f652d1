"""What the registry of a system in memory says: real hives get exactly that, in every control set, and once."""

from __future__ import annotations

import pytest

from registry_hives import dword, edited, sample_hives, sz
from registry_samples import sample
from wimboot.registry import Hive, RegistryValue
from wimboot.windows.identify import identify
from wimboot.windows.ramsystem import ram_services, settle_in_memory

MEMORY = "Control\\Session Manager\\Memory Management"
SETTINGS = {(MEMORY, "PagingFiles"): RegistryValue.multi_sz(), ("Control\\Power", "HibernateEnabled"): dword(0),
            ("Control\\Session Manager\\Power", "HiberbootEnabled"): dword(0)}

Keys = dict[str, dict[str, tuple[int, bytes]]]


def keys(data: bytes) -> Keys:
    """Every key of a hive by its path, with its values."""
    with Hive(data) as hive:
        found: Keys = {}
        waiting = [("", hive.root)]
        while waiting:
            path, node = waiting.pop()
            found[path] = {name: (value.type, value.data) for name, value in node.values()}
            waiting += [(f"{path}\\{child.name}".lstrip("\\"), child) for child in node.children()]
        return found


def settled(data: bytes) -> tuple[bytes, bool]:
    """The hive afterwards, and whether anything changed."""
    with Hive(data) as hive:
        settle_in_memory(hive.root)
        return hive.commit(), hive.edited


@pytest.mark.parametrize("name", ["SYSTEM-win7", "SYSTEM-win81"])
def test_real_hives_get_these_values_and_no_others(name: str) -> None:
    """Key by key; a second time nothing changes."""
    before = keys(sample(name))
    data, changed = settled(sample(name))
    after = keys(data)
    sets = sorted(path for path in before if path.lower().startswith("controlset") and "\\" not in path)
    assert sets
    expected = {path: dict(values) for path, values in before.items()}
    for control_set in sets:
        for (path, value), wanted in SETTINGS.items():
            expected.setdefault(f"{control_set}\\{path}", {})[value] = (wanted.type, wanted.data)
    assert after == expected
    assert changed
    assert settled(data) == (data, False)


@pytest.mark.parametrize(("service", "start", "called"), [
    ("svbusx64", 0, "SVBus"), ("SVBusX86", 0, "SVBus"), ("FiraDisk", 0, "FiraDisk"), ("WinVBlock", 0, "WinVBlock"),
    ("svbusx64", 3, None), ("vhdmp", 0, None)])
def test_drivers_of_disks_in_memory_are_known(service: str, start: int, called: str | None) -> None:
    """By their services, whatever the case, where they start at boot time; by default or ImagePath."""
    hives = sample_hives("6.1")
    data = edited(hives["SYSTEM"], {f"ControlSet001\\services\\{service}": {
        "Type": dword(1), "Start": dword(start), "ImagePath": sz("\\SystemRoot\\System32\\drivers\\x.sys")}})
    with Hive(data) as hive:
        control_set = hive.root.child("ControlSet001")
        assert control_set is not None
        found = ram_services(control_set)
    assert [name for name, _ in found] == ([] if called is None else [called])
    assert all(path.lower() == "\\windows\\system32\\drivers\\x.sys" for _, path in found)


@pytest.mark.parametrize("there", [True, False])
def test_a_driver_without_its_file_is_none(there: bool) -> None:
    """A service alone finds no disk."""
    hives = sample_hives("6.1")
    hives["SYSTEM"] = edited(hives["SYSTEM"], {
        "ControlSet001\\services\\svbusx64": {"Type": dword(1), "Start": dword(0)}})
    files = {f"\\windows\\system32\\config\\{name.lower()}": data for name, data in hives.items()}
    if there:
        files["\\windows\\system32\\drivers\\svbusx64.sys"] = b"MZ"
    system = identify(lambda path: files.get(path.lower()))
    assert system is not None
    assert bool(system.ram_services) == there
