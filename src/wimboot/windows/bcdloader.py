r"""The entry that starts an installed Windows, and the one that starts grub4dos.

What an entry needs besides its places: Microsoft's "BCD boot options reference"; stores that Windows' setup made. A
template that the system brings gives what this Windows wants besides (NX, in-memory settings, menu policy).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from wimboot.formats.bcd import DeviceValue, Element, ElementType, ObjectType
from wimboot.formats.bcdnames import Ids
from wimboot.formats.bootdevice import BootDevice
from wimboot.frozen import Frozen
from wimboot.windows.bcdentries import Entry, Firmware, template_elements

if TYPE_CHECKING:
    from wimboot.formats.bcd import Value
    from wimboot.windows.bcd import BcdObject
    from wimboot.windows.bootplace import BootPlace

__all__ = ["GRLDR_MBR", "LoaderWish", "MenuPolicy", "grub4dos_entry", "loader_entry", "loader_path"]

GRLDR_MBR: Final = "\\grldr.mbr"

_SYSTEM_ROOT: Final = "\\Windows"
_IN_MEMORY: Final = (0x1500_0075,)
_WINDOWS_8: Final = (6, 2)


class MenuPolicy(Enum):
    """Legacy: a text menu before anything is loaded, F8 works. Standard: the graphical one of Windows 8, after it."""

    LEGACY = 0
    STANDARD = 1


class LoaderWish(Frozen):
    """How a Windows is to be started. `title` None: `product` for a new entry, and that of one that is there stays."""

    firmware: Firmware
    product: str
    version: tuple[int, int]
    locale: str
    title: str | None = None
    test_signing: bool = False
    no_integrity_checks: bool = False
    menu: MenuPolicy | None = None
    template: tuple[BcdObject, ...] = ()


def loader_path(firmware: Firmware) -> str:
    """The loader's path on the system's volume."""
    return f"{_SYSTEM_ROOT}\\system32\\winload{firmware.program}"


def loader_entry(place: BootPlace, wish: LoaderWish) -> Entry:
    """The entry of a Windows at a place."""
    uefi = wish.firmware is Firmware.UEFI
    template = template_elements(wish.template, Ids.LOADER_TEMPLATE_UEFI if uefi else Ids.LOADER_TEMPLATE_BIOS)
    first: dict[int, Value] = {ElementType.NX: 0}
    if wish.version >= _WINDOWS_8:
        first |= {ElementType.ISOLATED_CONTEXT: True, ElementType.ALLOWED_IN_MEMORY: _IN_MEMORY}
        first[ElementType.BOOT_MENU_POLICY] = (wish.menu or MenuPolicy.LEGACY).value
    known = {type_: Element.of(type_, value) for type_, value in first.items()}
    known |= {element.type: element for element in template}
    # a store may lack the object that is inherited: ntloader's, which start Windows, refer to it without having it;
    # an entry without a recovery system that is told to recover stops at a failed start, and asks for a disc
    always: dict[int, Value] = {ElementType.INHERIT: (Ids.LOADER,), ElementType.RECOVERY_ENABLED: False,
                                ElementType.DETECT_HAL: True, ElementType.SYSTEM_ROOT: _SYSTEM_ROOT}
    known |= {type_: Element.of(type_, value) for type_, value in always.items()}
    fixed: dict[int, Value] = {ElementType.OS_DEVICE: DeviceValue(device=place.os_device)}
    if wish.menu is not None and wish.version >= _WINDOWS_8:
        fixed[ElementType.BOOT_MENU_POLICY] = wish.menu.value
    if wish.test_signing:
        fixed[ElementType.TEST_SIGNING] = True
    if wish.no_integrity_checks:
        fixed[ElementType.NO_INTEGRITY_CHECKS] = True
    kept = (ElementType.DESCRIPTION, ElementType.LOCALE, *fixed)
    return Entry(
        type=ObjectType.OS_LOADER, device=place.device, path=loader_path(wish.firmware), title=wish.title,
        new_title=wish.product, locale=wish.locale,
        fixed=tuple(Element.of(type_, value) for type_, value in fixed.items()),
        first=tuple(element for type_, element in sorted(known.items()) if type_ not in kept))


def grub4dos_entry() -> Entry:
    """The entry of grub4dos' boot sector file, which lies where the boot manager does. BIOS only."""
    return Entry(type=ObjectType.BOOT_SECTOR, device=BootDevice(), path=GRLDR_MBR, title=None, new_title="GRUB4DOS",
                 locale=None)
