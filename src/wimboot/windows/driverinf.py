r"""The drivers that find a disk in memory again, from their makers' files: SVBus, FiraDisk, WinVBlock.

The INF says what the service is called and what it needs; of it are taken

    [Version]                       Class, ClassGuid, Provider
    [Manufacturer], models          the device: description, its section, hardware id (Root\...)
    [SECTION.Services]              AddService = name, flags, section
    that section                    ServiceType, ErrorControl, ServiceBinary (%12%\x.sys), LoadOrderGroup, DisplayName,
                                    Description, AddReg (HKR only)

and whatever else would have to be done is refused. The service starts at boot time (0) whatever the INF says, or the
disk would not be there when Windows looks for it. A driver of a root device needs that device too, which Windows makes
when it installs one; written here from what was found in running systems, and not tried:

    Enum\ROOT\NAME\0000                         ClassGUID, Class, Service, HardwareID, ConfigFlags, Capabilities,
                                                DeviceDesc, Driver: the place below Control\Class
    Control\Class\{GUID}\NNNN                   InfPath, DriverDesc, ProviderName, MatchingDeviceId
    Control\CriticalDeviceDatabase\root#name    Service, ClassGUID; where there is such a database (before 8)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError
from wimboot.formats.inf import Inf, InfLine
from wimboot.frozen import Frozen
from wimboot.registry.value import RegistryValue
from wimboot.windows.driverfile import Driver, DriverFile, DriverUnknown, DriverUnsigned, check_architecture
from wimboot.windows.identify import Architecture
from wimboot.windows.ramsystem import RAM_DRIVERS
from wimboot.windows.rootdevice import RootDevice
from wimboot.windows.services import Service

if TYPE_CHECKING:
    from wimboot.windows.identify import System
    from wimboot.windows.services import Values

__all__ = ["InfRefused", "inf_driver"]

_GUID: Final = re.compile(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}", re.IGNORECASE)
_BINARY: Final = re.compile(r"%12%\\([A-Za-z0-9_.-]{1,64})")
_NAME: Final = re.compile(r"[A-Za-z0-9_ .-]{1,64}")
_ROOT: Final = re.compile(r"root\\([A-Za-z0-9_.&-]{1,64})", re.IGNORECASE)
_DECORATION: Final = {Architecture.X86: "ntx86", Architecture.AMD64: "ntamd64", Architecture.ARM64: "ntarm64"}
_GROUP: Final = "SCSI Miniport"
_KERNEL_DRIVER: Final = 1
_REG_TYPES: Final = {0: "sz", 0x10001: "dword", 0x20000: "expand", 0x10000: "multi"}


class InfRefused(DriverUnknown):
    """An INF that asks for something that is not done here."""

    id = "inf-refused"
    sentence = "{driver} cannot be followed: {problem}"
    advice = "Install the driver in the running Windows; or take the INF that its maker gives with the .sys file."


class _Source(Frozen):
    """An INF being read, and what for."""

    inf: Inf
    where: str
    file_name: str

    def refuse(self, problem: str) -> InfRefused:
        return InfRefused(driver=self.where, problem=problem)


def inf_driver(file: DriverFile, file_name: str, inf: bytes, inf_name: str, system: System, where: str) -> Driver:
    """The driver of a .sys file and its INF, for a system.

    Raises InfRefused, DriverUnknown, DriverUnsigned, DriverArchitecture.
    """
    check_architecture(file, system.architecture, where)
    if file.signature is None and system.architecture is not Architecture.X86:
        raise DriverUnsigned(driver=file.where)
    try:
        source = _Source(inf=Inf.parse(inf), where=inf_name, file_name=file_name)
    except FormatError as error:
        raise InfRefused(driver=inf_name, problem=str(error)) from error
    name, install, section = _service_section(source)
    if name.lower() not in RAM_DRIVERS:
        raise DriverUnknown(driver=file.where, problem=f"its service is called {name}")
    binary = _BINARY.fullmatch(source.inf.text(section, "ServiceBinary"))
    if binary is None:
        raise source.refuse("its file does not belong into System32\\drivers")
    service = _service(source, name, section, binary[1])
    return Driver(file_name=binary[1], file=file, service=service,
                  device=_device(source, name, install, inf_name, system.architecture))


def _service_section(source: _Source) -> tuple[str, str, str]:
    """The service whose file is the one given: its name, the section of the device, the service's own section."""
    found = []
    for title in source.inf.sections:
        if not title.endswith(".services"):
            continue
        for line in source.inf.section(title):
            if line.key.lower() != "addservice" or len(line.values) < 3:
                continue
            binary = _BINARY.fullmatch(source.inf.text(line.value(2), "ServiceBinary"))
            if binary is not None and binary[1].lower() == source.file_name.lower():
                found.append((line.value(0), title.removesuffix(".services"), line.value(2)))
    if not found:
        raise source.refuse(f"no service in it has the file {source.file_name}")
    names, sections = {one[0].lower() for one in found}, {one[2].lower() for one in found}
    if len(names) > 1 or len(sections) > 1:
        raise source.refuse(f"several services in it have the file {source.file_name}")
    if _NAME.fullmatch(found[0][0]) is None:
        raise source.refuse("the name of its service is not possible")
    return min(found, key=lambda one: one[1].startswith("defaultinstall"))


def _service(source: _Source, name: str, section: str, file_name: str) -> Service:
    inf = source.inf
    kind = _number(source, section, "ServiceType")
    if kind != _KERNEL_DRIVER:
        raise source.refuse(f"its service is of type {kind}, not a kernel driver")
    control = _number(source, section, "ErrorControl")
    if control > 3:
        raise source.refuse(f"ErrorControl {control} is unknown")
    values: list[tuple[str, RegistryValue]] = [
        ("DisplayName", RegistryValue.sz(inf.text(section, "DisplayName") or name)),
        ("ErrorControl", RegistryValue.dword(control)),
        ("Group", RegistryValue.sz(inf.text(section, "LoadOrderGroup") or _GROUP)),
        ("ImagePath", RegistryValue.expand_sz(f"\\SystemRoot\\System32\\drivers\\{file_name}")),
        ("Start", RegistryValue.dword(0)),
        ("Type", RegistryValue.dword(kind)),
    ]
    if description := inf.text(section, "Description"):
        values.append(("Description", RegistryValue.sz(description)))
    subkeys: dict[str, Values] = {}
    line = inf.get(section, "AddReg")
    for part in line.values if line is not None else ():
        for entry in inf.section(part):
            key, value_name, value = _registry_entry(source, entry)
            if not key and value_name.lower() != "start":
                values.append((value_name, value))
            elif key:
                subkeys[key] = (*subkeys.get(key, ()), (value_name, value))
    return Service(name=name, values=tuple(values), subkeys=tuple(subkeys.items()))


def _registry_entry(source: _Source, line: InfLine) -> tuple[str, str, RegistryValue]:
    """(key below the service's, name, value) of a line `HKR, key, name, flags, value`."""
    root, key, name, flags = (line.value(index) for index in range(4))
    kind = _REG_TYPES.get(_parsed(source, flags or "0"))
    sound = not key or all(map(_NAME.fullmatch, key.split("\\")))
    if line.key or root.lower() != "hkr" or kind is None or not sound:
        raise source.refuse(f"line {line.number} asks for something in the registry that is not done here")
    if kind == "dword":
        return key, name, RegistryValue.dword(_parsed(source, line.value(4)))
    if kind == "multi":
        return key, name, RegistryValue.multi_sz(*filter(None, line.values[4:]))
    return key, name, RegistryValue.sz(line.value(4)) if kind == "sz" else RegistryValue.expand_sz(line.value(4))


def _device(source: _Source, service: str, install: str, inf_name: str,
            architecture: Architecture | None) -> RootDevice | None:
    """The root device that the driver is for; None where its INF names none (FiraDisk without plug and play)."""
    inf = source.inf
    section = re.sub(r"\.nt[a-z0-9.]*$", "", install)
    for maker in inf.section("Manufacturer"):
        for models in _models(maker, architecture):
            for line in inf.section(models):
                match = _ROOT.fullmatch(line.value(1))
                if match is None or line.value(0).lower() not in (install, section):
                    continue
                guid = inf.text("Version", "ClassGuid")
                if _GUID.fullmatch(guid) is None:
                    raise source.refuse("[Version] has no ClassGuid")
                return RootDevice(name=match[1], description=line.key or service, service=service, class_guid=guid,
                                  class_name=inf.text("Version", "Class"), provider=inf.text("Version", "Provider"),
                                  inf_name=inf_name.rpartition("/")[2])
    return None


def _models(maker: InfLine, architecture: Architecture | None) -> list[str]:
    """The sections of a maker's models for an architecture, the decorated one first."""
    base = maker.value(0)
    wanted = _DECORATION.get(architecture, "") if architecture is not None else ""
    decorated = [f"{base}.{one}" for one in maker.values[1:] if one and one.lower().split(".")[0] in (wanted, "nt")]
    return [*decorated, base]


def _number(source: _Source, section: str, key: str) -> int:
    return _parsed(source, source.inf.text(section, key))


def _parsed(source: _Source, text: str) -> int:
    """A number, decimal or 0x..., of 32 bits."""
    try:
        number = int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 32:
        raise source.refuse(f"{text!r} is no number")
    return number
