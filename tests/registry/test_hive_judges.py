"""Independent programs read the hives we wrote, and the difference is exactly the intended keys."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from registry_hives import by_hivexml, sample_hives
from registry_samples import log_pair, sample
from wimboot.formats.reglog import replay
from wimboot.registry import Hive, RegistryValue, new_hive
from wimboot.registry.controlsets import control_sets

WOFADK = {
    "Description": RegistryValue.sz("WofAdk Mini-Filter Driver"), "Start": RegistryValue.dword(0),
    "Type": RegistryValue.dword(2), "DependOnService": RegistryValue.multi_sz("FltMgr"),
    "ImagePath": RegistryValue.expand_sz("\\SystemRoot\\System32\\drivers\\wofadk.sys"),
}


def add_driver(data: bytes) -> bytes:
    """The edits of a conversion: the service in every control set, and Setup's mark."""
    with Hive(data) as hive:
        for _, control_set in control_sets(hive.root):
            service = control_set.ensure("services\\WofAdk")
            for name, value in WOFADK.items():
                service.set(name, value)
            service.ensure("Instances\\WofAdk Instance").set("Altitude", RegistryValue.sz("40730"))
        hive.root.ensure("Setup").set("WimBoot", RegistryValue.dword(1))
        return hive.commit()


def prepared(name: str) -> bytes:
    """A real hive, its logs applied."""
    data = sample(name)
    return replay(data, log_pair() if name.endswith("dirty") else {}).data


@pytest.mark.parametrize(("name", "sets"), [("SYSTEM-win7", 2), ("SYSTEM-win81", 1), ("SYSTEM-win10-dirty", 1)])
def test_hivexml_sees_only_the_intended_keys_change(name: str, sets: int, tmp_path: Path) -> None:
    """Every other key of a real hive prints as before, values and times; and no second edit changes a byte."""
    data = prepared(name)
    edited = add_driver(data)
    assert add_driver(edited) is edited
    (tmp_path / "before").write_bytes(data)
    (tmp_path / "after").write_bytes(edited)
    before, after = by_hivexml(tmp_path / "before"), by_hivexml(tmp_path / "after")
    new = {path for path in after if path not in before}
    changed = {path for path in before if before[path] != after.get(path)}
    expected = {f"controlset00{number}\\services\\wofadk{rest}" for number in range(1, sets + 1)
                for rest in ("", "\\instances", "\\instances\\wofadk instance")}
    assert new == expected
    assert changed == {"setup"}
    assert len(before) > 10_000


@pytest.mark.parametrize("name", ["SYSTEM-win7", "SYSTEM-win81"])
def test_regipy_reads_the_edited_hive(name: str, tmp_path: Path) -> None:
    """regipy finds what was written, with types, and the services beside it in their number."""
    registry = pytest.importorskip("regipy.registry")
    path = tmp_path / "SYSTEM"
    path.write_bytes(sample(name))
    before = registry.RegistryHive(str(path)).get_key("\\ControlSet001\\services").subkey_count
    path.write_bytes(add_driver(sample(name)))
    hive = registry.RegistryHive(str(path))
    key = hive.get_key("\\ControlSet001\\services\\WofAdk")
    assert key.get_value("Start") == 0
    assert {(value.name, value.value_type) for value in key.iter_values()} == {
        ("Description", "REG_SZ"), ("Start", "REG_DWORD"), ("Type", "REG_DWORD"),
        ("DependOnService", "REG_MULTI_SZ"), ("ImagePath", "REG_EXPAND_SZ")}
    assert hive.get_key("\\ControlSet001\\services").subkey_count == before + 1
    assert hive.get_key("\\Setup").get_value("WimBoot") == 1


def test_hivexregedit_reads_the_edited_hive(tmp_path: Path) -> None:
    """A third reader prints the service as it was written."""
    if shutil.which("hivexregedit") is None:
        pytest.skip("hivexregedit is not installed (libwin-hivex-perl)")
    path = tmp_path / "SYSTEM"
    path.write_bytes(add_driver(sample("SYSTEM-win7")))
    printed = subprocess.run(["hivexregedit", "--export", str(path), "\\ControlSet002\\services\\WofAdk"],
                             check=True, capture_output=True, text=True).stdout
    assert '"Start"=dword:00000000' in printed
    assert "\\WofAdk\\Instances\\WofAdk Instance]" in printed
    assert len(re.findall(r'^"', printed, re.MULTILINE)) == len(WOFADK) + 1


@pytest.mark.parametrize("version", ["6.1", "11"])
def test_hives_made_from_nothing_are_read_by_others(version: str, tmp_path: Path) -> None:
    """regipy and hivexml read a hive whose first cell we wrote ourselves."""
    registry = pytest.importorskip("regipy.registry")
    made = sample_hives(version, control_sets=(1, 3))
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
        printed = by_hivexml(tmp_path / name)
        assert len(printed) == len(list(registry.RegistryHive(str(tmp_path / name)).recurse_subkeys()))
    key = registry.RegistryHive(str(tmp_path / "SOFTWARE")).get_key("\\Microsoft\\Windows NT\\CurrentVersion")
    assert key.get_value("EditionID") in {"Ultimate", "Professional"}


def test_a_new_hive_has_a_security_descriptor_that_keys_inherit(tmp_path: Path) -> None:
    """One security cell, counted once for each key; its owner is Administrators."""
    registry = pytest.importorskip("regipy.registry")
    with Hive(new_hive(name="\\a\\path\\that is longer than the thirty-one units that fit")) as hive:
        hive.root.ensure("a\\b")
        (tmp_path / "hive").write_bytes(hive.commit())
    data = (tmp_path / "hive").read_bytes()
    cell = 4096 + 0x80
    assert data[cell + 4:cell + 6] == b"sk"
    assert int.from_bytes(data[cell + 16:cell + 20], "little") == 3
    descriptor = data[cell + 24:cell + 24 + int.from_bytes(data[cell + 20:cell + 24], "little")]
    owner = int.from_bytes(descriptor[4:8], "little")
    assert descriptor[owner:owner + 16].hex() == "01020000000000052000000020020000"
    assert registry.RegistryHive(str(tmp_path / "hive")).root.subkey_count == 1
