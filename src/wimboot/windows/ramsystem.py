r"""A system on a disk in memory: what of its registry has to be otherwise, and which driver finds that disk again.

    ControlSetNNN\Control\Session Manager\Memory Management\PagingFiles     none: it would lie in memory
    ControlSetNNN\Control\Power\HibernateEnabled                            0: the disk is gone when the power is
    ControlSetNNN\Control\Session Manager\Power\HiberbootEnabled            0: the same for fast start, from 8 on

The drivers are services that start at boot time (0). SVBus and WinVBlock look for grub4dos' own map of drives, FiraDisk
for a floppy in memory that the menu writes. Names of services: registry of systems that had them; FiraDisk's and
WinVBlock's INF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.registry import Hive, RegistryValue
from wimboot.registry.controlsets import control_sets
from wimboot.registry.files import CONFIG_FOLDER, load
from wimboot.windows.bootfiles import image_path
from wimboot.windows.services import editable_control_sets, set_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.registry import Node

__all__ = ["FIRADISK", "RAM_DRIVERS", "ram_drivers", "settle_in_memory"]

FIRADISK: Final = "FiraDisk"
RAM_DRIVERS: Final = {"svbus": "SVBus", "svbusx86": "SVBus", "svbusx64": "SVBus", "firadisk": FIRADISK,
                      "winvblock": "WinVBlock"}
"""Services in lower case, and what people call them."""
_BOOT_START: Final = 0

_MANAGER: Final = "Control\\Session Manager"


def settle_in_memory(root: Node) -> None:
    """Tell an open SYSTEM hive, in every control set. Raises NoControlSet, NotEditable, HiveDamaged."""
    for control_set in editable_control_sets(root):
        for path, value in ((f"{_MANAGER}\\Memory Management", ("PagingFiles", RegistryValue.multi_sz())),
                            ("Control\\Power", ("HibernateEnabled", RegistryValue.dword(0))),
                            (f"{_MANAGER}\\Power", ("HiberbootEnabled", RegistryValue.dword(0)))):
            set_values(control_set.ensure(path), (value,))


def ram_drivers(read: Callable[[str], bytes | None]) -> tuple[str, ...]:
    """What a system has that finds a disk in memory: "SVBus", "FiraDisk", "WinVBlock", by the set that starts next.

    `read` gives a file of it. Raises what reading the SYSTEM hive does.
    """
    hive_file = load(read, f"{CONFIG_FOLDER}\\SYSTEM")
    if hive_file is None:
        return ()
    with Hive(hive_file.data) as hive:
        sets = control_sets(hive.root)
        services = sets[0][1].child("services") if sets else None
        found = [(RAM_DRIVERS[service.name.lower()], image_path(service.name, service.text("ImagePath")))
                 for service in (services.children() if services is not None else ())
                 if service.name.lower() in RAM_DRIVERS and service.number("Start") == _BOOT_START]
    return tuple(sorted({name for name, path in found if read(path) is not None}))
