r"""Services that a system is given, written alike into every control set of SYSTEM.

`WOFADK` is the overlay driver of the Windows 10 ADK as its own WofAdk.hiv has it, but for the name of the description,
which a published batch misspells; Windows reads neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from wimboot.errors import Damaged
from wimboot.frozen import Frozen
from wimboot.registry.controlsets import control_sets
from wimboot.registry.value import RegistryValue

if TYPE_CHECKING:
    from wimboot.registry import Node

__all__ = [
    "BOOT_START", "DRIVERS_FOLDER", "WOFADK", "NoControlSet", "Service", "Values", "editable_control_sets",
    "install_service", "set_values",
]

DRIVERS_FOLDER: Final = "\\Windows\\System32\\drivers"
BOOT_START: Final = 0
"""The value Start of a service that the loader takes, before any pointer is read."""

Values: TypeAlias = tuple[tuple[str, RegistryValue], ...]


class NoControlSet(Damaged):
    """A SYSTEM hive without the control set that a start would use."""

    id = "no-control-set"
    sentence = "the SYSTEM hive has no control set that Select\\Default names: {problem}"
    advice = "Such a Windows does not start; restore its SYSTEM hive."


class Service(Frozen):
    r"""A key below `services`: its values, and those of keys below it by their path."""

    name: str
    values: Values
    subkeys: tuple[tuple[str, Values], ...] = ()


WOFADK: Final = Service(
    name="WofAdk",
    values=(
        ("Description", RegistryValue.sz("WofAdk Mini-Filter Driver")),
        ("DisplayName", RegistryValue.sz("WofAdk")),
        ("ErrorControl", RegistryValue.dword(1)),
        ("Group", RegistryValue.sz("FSFilter Compression")),
        ("Start", RegistryValue.dword(BOOT_START)),
        ("SupportedFeatures", RegistryValue.dword(3)),
        ("Type", RegistryValue.dword(2)),
        ("DebugFlags", RegistryValue.dword(0)),
        ("AutoAttach", RegistryValue.dword(1)),
        ("Tag", RegistryValue.dword(2)),
        ("DependOnService", RegistryValue.multi_sz("FltMgr")),
        ("ImagePath", RegistryValue.expand_sz("\\SystemRoot\\System32\\drivers\\wofadk.sys")),
    ),
    subkeys=(
        ("Instances", (("DefaultInstance", RegistryValue.sz("WofAdk Instance")),)),
        ("Instances\\WofAdk Instance", (
            ("Altitude", RegistryValue.sz("40730")),
            ("Flags", RegistryValue.dword(0)),
        )),
    ),
)


def editable_control_sets(root: Node) -> list[Node]:
    """Every control set, the default one first. Raises NoControlSet where that one is missing."""
    select = root.child("Select")
    default = select.number("Default") if select is not None else None
    found = control_sets(root)
    if not default:
        raise NoControlSet(problem="it names none")
    if not found or found[0][0] != default:
        raise NoControlSet(problem=f"ControlSet{default:03d} is not there")
    return [key for _, key in found]


def install_service(root: Node, service: Service) -> None:
    """Write a service into every control set; what else a service of that name has stays. Raises NoControlSet."""
    for control_set in editable_control_sets(root):
        key = control_set.ensure("services").ensure(service.name)
        set_values(key, service.values)
        for path, values in service.subkeys:
            set_values(key.ensure(path), values)


def set_values(key: Node, values: Values) -> None:
    """Set each of these."""
    for name, value in values:
        key.set(name, value)
