"""Real SYSTEM hives with everything prepared at once: other programs see exactly the intended keys change."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from driver_files import SVBUS_INF, driver_file, signed
from prepared import WOFADK_VALUES, values_of
from registry_hives import by_hivexml
from registry_samples import log_pair, sample
from wimboot.formats.reglog import replay
from wimboot.ops.preparing.preparation import Letters, Preparation, change
from wimboot.registry import Hive
from wimboot.windows.driverfile import overlay_driver, read_driver
from wimboot.windows.driverinf import inf_driver
from wimboot.windows.identify import Architecture, System

SETS = {"SYSTEM-win7": 2, "SYSTEM-win81": 1, "SYSTEM-win10-dirty": 1}
DEVICE = struct.pack("<IQ", 0x11223344, 1 << 20)
SEVEN = System(major=6, minor=1, architecture=Architecture.AMD64)


def before(name: str) -> bytes:
    """A real hive, its logs applied."""
    return replay(sample(name), log_pair() if name.endswith("dirty") else {}).data


def wishes() -> tuple[Preparation, Preparation]:
    """The overlay driver with all that belongs to a deployment; and a driver with a device."""
    overlay = overlay_driver(read_driver(signed(driver_file()), "wofadk.sys"), SEVEN, "here")
    file = read_driver(signed(driver_file(strings=())), "svbusx64.sys")
    bus = inf_driver(file, "svbusx64.sys", SVBUS_INF.encode(), "svbus.inf", SEVEN, "here")
    letters = Letters(letter="C", device=DEVICE)
    return Preparation(wimboot=True, driver=overlay, letters=letters, no_expand=True), Preparation(driver=bus)


def prepared(data: bytes) -> bytes:
    """The hive with both."""
    for wish in wishes():
        with Hive(data) as hive:
            change(hive.root, wish)
            data = hive.commit()
    for wish in wishes():
        with Hive(data) as hive:
            change(hive.root, wish)
            assert not hive.edited, "a second edit changes something"
    return data


def new_keys(number: int, place: str) -> set[str]:
    """What a control set gets."""
    at, guid = f"controlset00{number}", "{4d36e97b-e325-11ce-bfc1-08002be10318}"
    return {f"{at}\\services\\wofadk", f"{at}\\services\\wofadk\\instances",
            f"{at}\\services\\wofadk\\instances\\wofadk instance", f"{at}\\services\\svbusx64",
            f"{at}\\services\\svbusx64\\parameters", f"{at}\\enum\\root\\svbusx64", f"{at}\\enum\\root\\svbusx64\\0000",
            f"{at}\\control\\class\\{guid}\\{place}"}


@pytest.mark.parametrize("name", SETS)
def test_only_the_intended_keys_change(name: str, tmp_path: Path) -> None:
    """Key by key in the eyes of hivexml, values and times; the places below the class are the next free ones."""
    data = before(name)
    (tmp_path / "before").write_bytes(data)
    (tmp_path / "after").write_bytes(prepared(data))
    old, new = by_hivexml(tmp_path / "before"), by_hivexml(tmp_path / "after")
    assert len(old) > 10_000
    assert not old.keys() - new.keys()
    came = new.keys() - old.keys()
    places = {key.rpartition("\\")[2] for key in came if "\\control\\class\\" in key}
    critical = {f"controlset00{number}\\control\\criticaldevicedatabase\\root#svbusx64"
                for number in range(1, SETS[name] + 1)}
    expected = {key for number in range(1, SETS[name] + 1) for key in new_keys(number, min(places))}
    assert len(places) == 1
    assert came - critical == expected
    changed = {key for key in old if old[key] != new[key]}
    assert changed == {"setup", "mounteddevices"} | {
        f"controlset00{number}\\services\\fsdepends\\parameters" for number in range(1, SETS[name] + 1)}


@pytest.mark.parametrize("name", SETS)
def test_regipy_and_hivexregedit_read_it(name: str, tmp_path: Path) -> None:
    """The service with its types, the letter, the mark; in every control set."""
    registry = pytest.importorskip("regipy.registry")
    path = tmp_path / "SYSTEM"
    path.write_bytes(prepared(before(name)))
    hive = registry.RegistryHive(str(path))
    for number in range(1, SETS[name] + 1):
        assert values_of(hive, f"\\ControlSet00{number}\\services\\WofAdk") == WOFADK_VALUES
        parameters = values_of(hive, f"\\ControlSet00{number}\\services\\FsDepends\\Parameters")
        assert parameters["VirtualDiskExpandOnMount"] == 4
    assert values_of(hive, "\\Setup")["WimBoot"] == 1
    if shutil.which("hivexregedit") is None:
        pytest.skip("hivexregedit is not installed (libwin-hivex-perl)")
    printed = subprocess.run(["hivexregedit", "--export", str(path), "\\MountedDevices"], check=True,
                             capture_output=True, text=True).stdout
    data = ",".join(f"{byte:02x}" for byte in DEVICE)
    assert re.findall(r'^"\\\\DosDevices\\\\C:"=hex\(3\):(.*)$', printed, re.MULTILINE) == [data]
