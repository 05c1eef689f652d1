r"""What the registry of a system is to say, as a value, and saying it in an open SYSTEM hive.

    Setup\WimBoot                               1 in a system of pointers; not there otherwise
    ControlSetNNN\services\...                  of a driver that is installed
    MountedDevices\\DosDevices\C:               the partition that the system lies on now
    ControlSetNNN\services\FsDepends\...       a VHD that grows stays small when Windows starts from it, on request
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.frozen import Frozen
from wimboot.registry import RegistryValue
from wimboot.windows import expanding
from wimboot.windows.mounteddevices import forget_letters, give_letter
from wimboot.windows.rootdevice import install_device
from wimboot.windows.services import editable_control_sets, install_service

if TYPE_CHECKING:
    from wimboot.registry import Node
    from wimboot.windows.driverfile import Driver

__all__ = ["Letters", "Preparation", "change"]


class Letters(Frozen):
    """What happens to drive letters: with a `device` it gets `letter`; with `forget` all of them go."""

    letter: str = "C"
    device: bytes | None = None
    forget: bool = False


_LETTERS_UNCHANGED: Final = Letters()


class Preparation(Frozen):
    """What a system is to have. `wimboot` None leaves its mark alone."""

    wimboot: bool | None = None
    driver: Driver | None = None
    letters: Letters = _LETTERS_UNCHANGED
    no_expand: bool = False


def change(root: Node, wish: Preparation) -> None:
    """Edit an open SYSTEM hive. What is so already is left. Raises NoControlSet, NotEditable, HiveDamaged."""
    setup = root.child("Setup")
    if wish.wimboot:
        (setup or root.add_child("Setup")).set("WimBoot", RegistryValue.dword(1))
    elif wish.wimboot is False and setup is not None:
        setup.unset("WimBoot")
    if wish.driver is not None:
        install_service(root, wish.driver.service)
        if wish.driver.device is not None:
            install_device(root, wish.driver.device)
    if wish.letters.device is not None:
        give_letter(root, wish.letters.letter, wish.letters.device)
    elif wish.letters.forget:
        forget_letters(root)
    if wish.no_expand:
        for control_set in editable_control_sets(root):
            control_set.ensure(expanding.KEY).set(expanding.VALUE, RegistryValue.dword(expanding.KEPT_SMALL))
