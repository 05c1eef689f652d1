r"""A device that Windows enumerates because the registry says so (ROOT\...), written into a control set.

Keys as `driverinf` lists them. A device that is there already keeps its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.frozen import Frozen
from wimboot.registry.value import RegistryValue
from wimboot.windows.services import editable_control_sets, set_values

if TYPE_CHECKING:
    from wimboot.registry import Node

__all__ = ["RootDevice", "install_device"]

_DATABASE: Final = "Control\\CriticalDeviceDatabase"
_MOST: Final = 10_000
"""Places below a class have four digits."""


class RootDevice(Frozen):
    r"""`name` is what follows ROOT\ in its hardware id; `class_guid` as text with braces."""

    name: str
    description: str
    service: str
    class_guid: str
    class_name: str
    provider: str
    inf_name: str

    @property
    def hardware_id(self) -> str:
        """As the INF and the driver know it."""
        return f"ROOT\\{self.name}"


def install_device(root: Node, device: RootDevice) -> None:
    """Write the device into every control set. Raises NoControlSet."""
    for control_set in editable_control_sets(root):
        node = control_set.ensure(f"Enum\\ROOT\\{device.name.upper()}\\0000")
        place = _place(control_set, node, device)
        set_values(node, (
            ("ClassGUID", RegistryValue.sz(device.class_guid)),
            ("Class", RegistryValue.sz(device.class_name)),
            ("Service", RegistryValue.sz(device.service)),
            ("HardwareID", RegistryValue.multi_sz(device.hardware_id)),
            ("ConfigFlags", RegistryValue.dword(0)),
            ("Capabilities", RegistryValue.dword(0)),
            ("DeviceDesc", RegistryValue.sz(device.description)),
            ("Driver", RegistryValue.sz(f"{device.class_guid}\\{place}")),
        ))
        set_values(control_set.ensure(f"Control\\Class\\{device.class_guid}\\{place}"), (
            ("InfPath", RegistryValue.sz(device.inf_name)),
            ("DriverDesc", RegistryValue.sz(device.description)),
            ("ProviderName", RegistryValue.sz(device.provider)),
            ("MatchingDeviceId", RegistryValue.sz(device.hardware_id.lower())),
        ))
        database = control_set.find(_DATABASE)
        if database is not None:
            set_values(database.ensure(f"root#{device.name.lower()}"), (
                ("Service", RegistryValue.sz(device.service)),
                ("ClassGUID", RegistryValue.sz(device.class_guid)),
            ))


def _place(control_set: Node, node: Node, device: RootDevice) -> str:
    """The four digits that the device has below its class, or the next free ones."""
    guid, _, known = (node.text("Driver") or "").rpartition("\\")
    if guid.lower() == device.class_guid.lower() and len(known) == 4 and known.isdecimal():
        return known
    parent = control_set.find(f"Control\\Class\\{device.class_guid}")
    taken = {child.name for child in parent.children()} if parent is not None else set()
    return next(text for number in range(_MOST) if (text := f"{number:04d}") not in taken)
