r"""A system on a disk in memory: what of its registry has to be otherwise, and which driver finds that disk again.

    ControlSetNNN\Control\Session Manager\Memory Management\PagingFiles     none: it would lie in memory
    ControlSetNNN\Control\Power\HibernateEnabled                            0: the disk is gone when the power is
    ControlSetNNN\Control\Session Manager\Power\HiberbootEnabled            0: the same for fast start, from 8 on

The drivers are services that start at boot time (0), and look for grub4dos' own map of drives. FiraDisk does so too
(its driver.c, 2011, which names grub4dos 0.4.4 to 0.4.5a as tried); what a menu can tell it by a floppy in memory, such
as `vmem=find:`, makes one disk more, of a raw image file that it reads from a real disk, and is not needed. Names of
services: registry of systems that had them; FiraDisk's and WinVBlock's INF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.registry import RegistryValue
from wimboot.windows.bootfiles import image_path
from wimboot.windows.services import BOOT_START, editable_control_sets, set_values

if TYPE_CHECKING:
    from wimboot.registry import Node

__all__ = ["RAM_DRIVERS", "ram_services", "settle_in_memory"]

RAM_DRIVERS: Final = {"svbus": "SVBus", "svbusx86": "SVBus", "svbusx64": "SVBus", "firadisk": "FiraDisk",
                      "winvblock": "WinVBlock"}
"""Services in lower case, and what people call them."""

_MANAGER: Final = "Control\\Session Manager"


def settle_in_memory(root: Node) -> None:
    """Tell an open SYSTEM hive, in every control set. Raises NoControlSet, NotEditable, HiveDamaged."""
    for control_set in editable_control_sets(root):
        for path, value in ((f"{_MANAGER}\\Memory Management", ("PagingFiles", RegistryValue.multi_sz())),
                            ("Control\\Power", ("HibernateEnabled", RegistryValue.dword(0))),
                            (f"{_MANAGER}\\Power", ("HiberbootEnabled", RegistryValue.dword(0)))):
            set_values(control_set.ensure(path), (value,))


def ram_services(control_set: Node) -> tuple[tuple[str, str], ...]:
    """Those that it starts at boot time: what people call each, and the path of its file."""
    found = ((called, name, control_set.find(f"services\\{name}")) for name, called in RAM_DRIVERS.items())
    return tuple((called, image_path(name, service.text("ImagePath"))) for called, name, service in found
                 if service is not None and service.number("Start") == BOOT_START)
