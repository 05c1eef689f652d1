r"""Whether a Windows that starts from a dynamic VHD makes that VHD as large as its disk first.

It does, and does not start where the host's volume has no room for it (Microsoft, "Frequently Asked Questions: Virtual
Hard Disks in Windows 7"), unless `VirtualDiskExpandOnMount` in
`services\FsDepends\Parameters` of the control set is 4. Windows installs it as 1 (read from real hives of 7, 8.1, 10).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.registry import Hive
from wimboot.registry.controlsets import control_sets
from wimboot.registry.files import CONFIG_FOLDER, load

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEPT_SMALL", "KEY", "VALUE", "expand_on_mount"]

KEPT_SMALL: Final = 4
"""The value with which a VHD stays as it is."""

KEY: Final = "services\\FsDepends\\Parameters"
VALUE: Final = "VirtualDiskExpandOnMount"
"""In each control set."""


def expand_on_mount(read: Callable[[str], bytes | None]) -> int | None:
    """The value in the control set that the next start uses; None where there is none, or no SYSTEM hive.

    `read` gives the content of a file of the volume. Raises Damaged, Unsupported, HostError for a hive that cannot be
    read.
    """
    loaded = load(read, f"{CONFIG_FOLDER}\\SYSTEM")
    if loaded is None:
        return None
    with Hive(loaded.data) as hive:
        sets = control_sets(hive.root)
        key = sets[0][1].find(KEY) if sets else None
        return None if key is None else key.number(VALUE)
