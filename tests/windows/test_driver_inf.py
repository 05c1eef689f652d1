"""Drivers for disks in memory by their INF: what is taken of it, what is refused, what the registry says then."""

from __future__ import annotations

import pytest

from driver_files import SVBUS_GUID as GUID
from driver_files import SVBUS_INF as INF
from driver_files import driver_file, signed
from registry_hives import sample_hives
from wimboot.registry import Hive, RegistryValue
from wimboot.windows.driverfile import Driver, DriverArchitecture, DriverUnknown, DriverUnsigned, read_driver
from wimboot.windows.driverinf import InfRefused, inf_driver
from wimboot.windows.identify import Architecture, System
from wimboot.windows.rootdevice import install_device
from wimboot.windows.services import NoControlSet, install_service

SEVEN = System(product="Windows 7", major=6, minor=1, architecture=Architecture.AMD64)
def driver(inf: str = INF, *, machine: str = "amd64", name: str = "svbusx64.sys", sign: bool = True,
           system: System = SEVEN) -> Driver:
    """The driver of a file and an INF."""
    data = driver_file(machine=machine, strings=(), version=(1, 2, 0, 0))
    file = read_driver(signed(data) if sign else data, name)
    return inf_driver(file, name, inf.encode(), "dir/svbus.inf", system, "here")


def test_what_the_inf_says_is_taken() -> None:
    """The section of the architecture, by the file; the service starts at boot time whatever the INF says."""
    found = driver()
    assert found.file_name == "svbusx64.sys"
    values = dict(found.service.values)
    assert found.service.name == "svbusx64"
    assert values["Start"].number() == 0
    assert values["Type"].number() == values["ErrorControl"].number() == 1
    assert values["Group"].text() == "SCSI Miniport"
    assert values["DisplayName"].text() == "Virtual bus"
    assert values["ImagePath"].text() == "\\SystemRoot\\System32\\drivers\\svbusx64.sys"
    assert values["Note"].text() == "text"
    assert found.service.subkeys == (("Parameters", (("BusType", RegistryValue.dword(15)),)),)
    assert found.device is not None
    assert (found.device.hardware_id, found.device.inf_name) == ("ROOT\\svbusx64", "svbus.inf")


def test_a_driver_without_a_device_needs_none() -> None:
    """FiraDisk's variant without plug and play."""
    inf = INF.replace("root\\svbusx64", "PCI\\VEN_1234").replace("svbusx64,2", "FiraDisk,2")
    found = driver(inf)
    assert (found.service.name, found.device) == ("FiraDisk", None)


def test_the_device_is_written_into_every_control_set_once() -> None:
    """Below Enum and Class, at the next free place; in the database of critical devices where there is one."""
    found = driver()
    assert found.device is not None
    with Hive(sample_hives("6.1", control_sets=(1, 2))["SYSTEM"]) as hive:
        hive.root.ensure(f"ControlSet001\\Control\\Class\\{GUID}\\0000")
        hive.root.ensure("ControlSet001\\Control\\CriticalDeviceDatabase")
        for _ in range(2):
            install_service(hive.root, found.service)
            install_device(hive.root, found.device)
        data = hive.commit()
    with Hive(data) as hive:
        install_service(hive.root, found.service)
        install_device(hive.root, found.device)
        assert not hive.edited
        for number, place in ((1, "0001"), (2, "0000")):
            at = f"ControlSet00{number}"
            node = hive.root.find(f"{at}\\Enum\\ROOT\\SVBUSX64\\0000")
            assert node is not None
            assert {name: value.text() or value.texts() or value.number() for name, value in node.values()} == {
                "ClassGUID": GUID, "Class": "SCSIAdapter", "Service": "svbusx64", "HardwareID": ("ROOT\\svbusx64",),
                "ConfigFlags": 0, "Capabilities": 0, "DeviceDesc": "Virtual bus", "Driver": f"{GUID}\\{place}"}
            kind = hive.root.find(f"{at}\\Control\\Class\\{GUID}\\{place}")
            assert kind is not None
            assert (kind.text("InfPath"), kind.text("MatchingDeviceId")) == ("svbus.inf", "root\\svbusx64")
            critical = hive.root.find(f"{at}\\Control\\CriticalDeviceDatabase\\root#svbusx64")
            assert (critical is not None) is (number == 1)


@pytest.mark.parametrize(("old", "new", "problem"), [
    ("ServiceType=0x1", "ServiceType=0x10", "type 16"), ("ServiceType=0x1", "ServiceType=kernel", "no number"),
    ("ErrorControl=1\nServiceBinary=%12%\\svbusx64", "ErrorControl=9\nServiceBinary=%12%\\svbusx64", "ErrorControl 9"),
    ("%12%\\svbusx64.sys", "%11%\\svbusx64.sys", "no service"), ("HKR,Parameters", "HKLM,Software", "registry"),
    ("0x00010001,15", "0x00000001,0f", "registry"), (f"ClassGUID={GUID}", "ClassGUID=none", "ClassGuid"),
    ("svbusx64,2", "sv\\bus,2", "name of its service"), ("[Service.x64]", "[Service.x64", "line"),
    ("svbusx86.sys", "svbusx64.sys", "several services"),
], ids=["type", "word", "control", "folder", "root", "binary", "class", "name", "broken", "two"])
def test_an_inf_that_asks_for_more_is_refused(old: str, new: str, problem: str) -> None:
    """Rather than followed half-way."""
    assert old in INF
    with pytest.raises(InfRefused, match=problem):
        driver(INF.replace(old, new))


def test_a_driver_nobody_knows_is_refused() -> None:
    """Only those three are known to work from a disk in memory."""
    with pytest.raises(DriverUnknown, match="called other"):
        driver(INF.replace("svbusx64,2", "other,2"))


def test_a_64_bit_windows_takes_no_unsigned_driver() -> None:
    """A 32-bit one does."""
    with pytest.raises(DriverUnsigned):
        driver(sign=False)
    x86 = System(product="Windows 7", major=6, minor=1, architecture=Architecture.X86)
    found = driver(machine="x86", name="svbusx86.sys", sign=False, system=x86)
    assert found.service.name == "svbusx86"


@pytest.mark.parametrize("architecture", [Architecture.X86, Architecture.ARM64, None])
def test_a_driver_of_another_architecture_is_refused(architecture: Architecture | None) -> None:
    """Also where that of the system is not known."""
    with pytest.raises(DriverArchitecture):
        driver(system=System(major=6, minor=1, architecture=architecture))


@pytest.mark.parametrize("select", [{"Default": 7}, {"Default": 0}])
def test_a_hive_without_its_control_set_takes_no_service(select: dict[str, int]) -> None:
    """Where the next start looks nothing would be."""
    with Hive(sample_hives("6.1")["SYSTEM"]) as hive:
        for name, number in select.items():
            hive.root.ensure("Select").set(name, RegistryValue.dword(number))
        with pytest.raises(NoControlSet):
            install_service(hive.root, driver().service)
