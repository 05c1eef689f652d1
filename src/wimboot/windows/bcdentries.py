r"""What a store holds for systems to start: the boot manager, the settings that entries inherit, the entries.

Sources: the stores that bcdedit and Windows' own setup made; Microsoft's "Boot Configuration Data" reference. A real
store keeps `{guid}` of an entry in the boot manager's display order, its default, and for hibernation in a resume
object that the entry names.

The template that every Windows brings (\Windows\System32\config\BCD-Template) has objects like those of a store, and
one for each kind of entry; elements of the template class say how setup fills it and are not taken over.
"""

from __future__ import annotations

import uuid
from enum import Enum
from typing import TYPE_CHECKING, Final

from wimboot.formats.bcd import DeviceValue, Element, ElementType, ObjectType, element_class
from wimboot.formats.bcdnames import BIOS_FOLDER, UEFI_FOLDER, Ids
from wimboot.formats.bootdevice import BootDevice, same_location
from wimboot.formats.names import fold_text
from wimboot.frozen import Frozen
from wimboot.windows.bcd import BcdObject, NotAStore, Store, empty_store

if TYPE_CHECKING:
    from wimboot.formats.bcd import Value
    from wimboot.formats.bootdevice import Device

__all__ = ["Added", "Entry", "Firmware", "Manager", "Outcome", "add_entry", "find_entry", "new_store", "set_timeout",
           "template_elements"]

_TEMPLATE_CLASS: Final = 4
_NOT_FROM_TEMPLATE: Final = (
    ElementType.DISPLAY_ORDER, ElementType.BOOT_SEQUENCE, ElementType.TOOLS_ORDER, ElementType.DEVICE,
    ElementType.OS_DEVICE, ElementType.PATH, ElementType.SYSTEM_ROOT, ElementType.DEFAULT, ElementType.MANAGER_RESUME,
    ElementType.RECOVERY_SEQUENCE,
)


class Firmware(Enum):
    """What starts the boot manager."""

    BIOS = "bios"
    UEFI = "uefi"

    @property
    def program(self) -> str:
        """The ending of the programs of this firmware's boot environment."""
        return ".exe" if self is Firmware.BIOS else ".efi"

    @property
    def boot_folder(self) -> str:
        """The folder of the boot environment on the system partition."""
        return BIOS_FOLDER if self is Firmware.BIOS else UEFI_FOLDER

    @property
    def store(self) -> str:
        """Where the boot configuration store lies there."""
        return f"{self.boot_folder}\\BCD"

    @property
    def boot_manager(self) -> str:
        """Where the boot manager lies there."""
        return "\\bootmgr" if self is Firmware.BIOS else f"{self.boot_folder}\\bootmgfw.efi"

    @property
    def memory_tester(self) -> str:
        """Where the memory tester lies there."""
        return f"{self.boot_folder}\\memtest{self.program}"


class Outcome(Enum):
    """What became of an entry."""

    ADDED = "added"
    CHANGED = "changed"
    SAME = "same"


class Manager(Frozen):
    """A new store's boot manager. `device` is the system partition; `template` the objects of BCD-Template."""

    firmware: Firmware
    device: Device
    locale: str
    memory_tester: bool = False
    template: tuple[BcdObject, ...] = ()


class Entry(Frozen):
    """A line of the boot menu, as it is to be.

    `device` holds the program at `path`. Together they tell one entry from another. `fixed` are further elements that
    it has to have, `first` those that only a new one gets; `title` None leaves that of an entry that is there.
    """

    type: int
    device: Device
    path: str
    title: str | None
    new_title: str
    locale: str | None
    fixed: tuple[Element, ...] = ()
    first: tuple[Element, ...] = ()


class Added(Frozen):
    """The entry's id, its title, and what became of it."""

    id: str
    title: str
    outcome: Outcome


_SETTINGS: Final[tuple[tuple[str, int, tuple[tuple[int, Value], ...]], ...]] = (
    (Ids.GLOBAL, ObjectType.SETTINGS, ((ElementType.INHERIT, (Ids.DEBUGGER, Ids.EMS, Ids.BAD_MEMORY)),)),
    (Ids.DEBUGGER, ObjectType.SETTINGS, ((ElementType.DEBUG_TYPE, 4),)),
    (Ids.EMS, ObjectType.SETTINGS, ((ElementType.BOOT_EMS, False),)),
    (Ids.BAD_MEMORY, ObjectType.SETTINGS, ()),
    (Ids.LOADER, ObjectType.LOADER_SETTINGS, ((ElementType.INHERIT, (Ids.GLOBAL, Ids.HYPERVISOR)),)),
    (Ids.HYPERVISOR, ObjectType.LOADER_SETTINGS, (
        (ElementType.HYPERVISOR_DEBUG_TYPE, 0), (ElementType.HYPERVISOR_DEBUG_PORT, 1),
        (ElementType.HYPERVISOR_BAUD_RATE, 115_200))),
    (Ids.RESUME, ObjectType.RESUME_SETTINGS, ((ElementType.INHERIT, (Ids.GLOBAL,)),)),
)


def new_store(manager: Manager, *, written: int = 0) -> bytes:
    """A store with a boot manager and settings, without entries; `written` is a FILETIME."""
    with Store(empty_store(written=written), where="the new store") as store:
        for id_, type_, elements in _SETTINGS:
            store.add(id_, type_)
            given = template_elements(manager.template, id_)
            for element in given or (Element.of(*element) for element in elements):
                store.put(id_, element)
        _add_manager(store, manager)
        return store.commit()


def _add_manager(store: Store, manager: Manager) -> None:
    uefi = manager.firmware is Firmware.UEFI
    store.add(Ids.BOOT_MANAGER, ObjectType.BOOT_MANAGER)
    for element in template_elements(manager.template, Ids.BOOT_MANAGER):
        store.put(Ids.BOOT_MANAGER, element)
    where = (ElementType.DEVICE, DeviceValue(device=manager.device))
    known: list[tuple[int, Value]] = [
        where, (ElementType.DESCRIPTION, "Windows Boot Manager"), (ElementType.LOCALE, manager.locale),
        (ElementType.INHERIT, (Ids.GLOBAL,)), (ElementType.TIMEOUT, 30)]
    if uefi:
        known.append((ElementType.PATH, manager.firmware.boot_manager))
    if manager.memory_tester:
        known.append((ElementType.TOOLS_ORDER, (Ids.MEMORY_TESTER,)))
        path = manager.firmware.memory_tester if uefi else "\\boot\\memtest.exe"    # as Windows' own stores spell it
        store.add(Ids.MEMORY_TESTER, ObjectType.MEMORY_TESTER)
        tester: tuple[tuple[int, Value], ...] = (
            where, (ElementType.PATH, path), (ElementType.DESCRIPTION, "Windows Memory Diagnostic"),
            (ElementType.LOCALE, manager.locale), (ElementType.INHERIT, (Ids.GLOBAL,)),
            (ElementType.BAD_MEMORY_ACCESS, True))
        for type_, value in tester:
            store.set(Ids.MEMORY_TESTER, type_, value)
    for type_, value in known:
        store.set(Ids.BOOT_MANAGER, type_, value)


def template_elements(template: tuple[BcdObject, ...], id_: str) -> tuple[Element, ...]:
    """The elements of an object of a template that belong into a store: no places, no references to entries."""
    found = next((each for each in template if each.id == id_), None)
    return () if found is None else tuple(
        element for element in found.elements
        if element_class(element.type) != _TEMPLATE_CLASS and element.type not in _NOT_FROM_TEMPLATE)


def find_entry(store: Store, device: Device, path: str | None = None, type_: int = ObjectType.OS_LOADER) -> (
        list[BcdObject]):
    """The entries of a type for that device, and that program of it if one is named; those of the menu first."""
    manager = store.get(Ids.BOOT_MANAGER)
    order = manager.ids(ElementType.DISPLAY_ORDER) if manager else ()
    found = []
    for each in store.objects():
        value = each.value(ElementType.DEVICE)
        if each.type != type_ or not isinstance(value, DeviceValue) or not same_location(value.device, device):
            continue
        if path is None or fold_text(each.text(ElementType.PATH) or "") == fold_text(path):
            found.append(each)
    return sorted(found, key=lambda each: order.index(each.id) if each.id in order else len(order))


def add_entry(store: Store, entry: Entry, *, default: bool = False) -> Added:
    """Bring an entry into the store and its menu: a new one, or the one that is there made as it is to be.

    It becomes the default if that is asked, or nothing else is started. Raises NotAStore.
    """
    there = find_entry(store, entry.device, entry.path, entry.type)
    id_ = there[0].id if there else f"{{{uuid.uuid4()}}}"
    edits = 0
    if not there:
        store.add(id_, entry.type)
        edits += sum(store.put(id_, element) for element in entry.first)
        edits += store.set(id_, ElementType.DEVICE, DeviceValue(device=entry.device))
        edits += store.set(id_, ElementType.PATH, entry.path)
    title = entry.title or (there[0].text(ElementType.DESCRIPTION) if there else None) or entry.new_title
    edits += store.set(id_, ElementType.DESCRIPTION, title)
    if entry.locale is not None and (not there or there[0].text(ElementType.LOCALE) is None):
        edits += store.set(id_, ElementType.LOCALE, entry.locale)
    edits += sum(store.put(id_, element) for element in entry.fixed)
    edits += _in_menu(store, id_, default=default)
    outcome = Outcome.ADDED if not there else Outcome.CHANGED if edits else Outcome.SAME
    return Added(id=id_, title=title, outcome=outcome)


def _in_menu(store: Store, id_: str, *, default: bool) -> int:
    """See that the boot manager shows an entry; how many elements had to change.

    What started before without a menu comes first in the menu that there is now.
    """
    manager = _manager(store)
    order, edits = manager.ids(ElementType.DISPLAY_ORDER), 0
    if not order and manager.element(ElementType.DISPLAY_ORDER) is not None:
        _refuse_unreadable(store, manager)
    chosen = manager.text(ElementType.DEFAULT)
    started = None if chosen is None or store.get(chosen) is None else chosen.lower()
    if id_ not in order:
        before = order or ((started,) if started is not None else ())
        edits += store.set(Ids.BOOT_MANAGER, ElementType.DISPLAY_ORDER, tuple(dict.fromkeys((*before, id_))))
    if default or (started is None and (chosen is not None or not order)):
        edits += store.set(Ids.BOOT_MANAGER, ElementType.DEFAULT, id_)
    return edits


def _refuse_unreadable(store: Store, manager: BcdObject) -> None:
    """An order that is there and holds no ids: an empty list will do, anything else is not known to be nothing."""
    if manager.value(ElementType.DISPLAY_ORDER) != ():
        raise NotAStore(where=store.where, problem="the order of its menu cannot be read")


def set_timeout(store: Store, seconds: int) -> bool:
    """How long the menu waits; whether that is new. Raises NotAStore."""
    return store.set(_manager(store).id, ElementType.TIMEOUT, seconds)


def _manager(store: Store) -> BcdObject:
    """The boot manager's object, made where a store has none."""
    found = store.get(Ids.BOOT_MANAGER)
    if found is None:
        store.add(Ids.BOOT_MANAGER, ObjectType.BOOT_MANAGER)
        store.set(Ids.BOOT_MANAGER, ElementType.DEVICE, DeviceValue(device=BootDevice()))
        found = store.get(Ids.BOOT_MANAGER)
    return found or BcdObject(id=Ids.BOOT_MANAGER, type=ObjectType.BOOT_MANAGER, elements=())
