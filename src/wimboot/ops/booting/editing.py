"""The boot configuration store of one firmware, edited: what it will be, and what that changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.formats.bcd import ElementType, ObjectType
from wimboot.formats.bcdnames import Ids
from wimboot.formats.bootdevice import BootDevice
from wimboot.frozen import Frozen
from wimboot.windows.bcd import Store
from wimboot.windows.bcdentries import Added, Firmware, Manager, add_entry, find_entry, new_store, set_timeout
from wimboot.windows.bcdloader import grub4dos_entry
from wimboot.windows.bcdremoval import NoSuchEntry, remove_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.formats.bootdevice import Device
    from wimboot.windows.bcdentries import Entry

__all__ = ["StoreChange", "StoreEdits", "edit_store", "starts_alone"]


class StoreEdits(Frozen):
    """What is to be done with a store. `entries` come into the menu, the first of them as the default if `default`.

    `here` is the device by which the system partition may be named in entries that are there. `remove` are ids, of
    which none need be in this store; `remove_device` is that of loaders to remove.
    """

    here: Device | None
    entries: tuple[Entry, ...] = ()
    default: bool = False
    timeout: int | None = None
    grub4dos: bool = False
    remove: tuple[str, ...] = ()
    remove_device: Device | None = None


class StoreChange(Frozen):
    """A store as it will be. `data` is None where nothing changes; `outcome` is "created", "changed" or "same".

    `unknown` are ids that were to be removed and are not in it.
    """

    firmware: Firmware
    path: str
    data: bytes | None
    outcome: str
    entries: tuple[Added, ...] = ()
    removed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    default: str | None = None
    timeout: int | None = None


def edit_store(old: bytes | None, manager: Manager, edits: StoreEdits, *, where: str, written: int = 0) -> StoreChange:
    """Edit a store, or a new one where `old` is None. Raises NotAStore, NotAnEntry."""
    firmware = manager.firmware
    data = new_store(manager, written=written) if old is None else old
    with Store(data, where=where) as store:
        unknown, removed = _remove(store, edits)
        entries = [add_entry(store, _as_it_is(store, entry, edits.here), default=edits.default and not number)
                   for number, entry in enumerate(edits.entries)]
        if edits.grub4dos and firmware is Firmware.BIOS:
            entries.append(add_entry(store, _as_it_is(store, grub4dos_entry(), edits.here)))
        if edits.timeout is not None:
            set_timeout(store, edits.timeout)
        found = store.get(Ids.BOOT_MANAGER)
        waits = found.value(ElementType.TIMEOUT) if found else None
        outcome = "created" if old is None else "changed" if store.edited else "same"
        return StoreChange(
            firmware=firmware, path=firmware.store, data=store.commit() if outcome != "same" else None,
            outcome=outcome, entries=tuple(entries), removed=removed, unknown=unknown,
            default=found.text(ElementType.DEFAULT) if found else None,
            timeout=waits if isinstance(waits, int) else None)


def starts_alone(data: bytes, edits: StoreEdits, where: str) -> bool:
    """Whether a store has these entries and no others. Raises NotAStore."""
    with Store(data, where=where) as store:
        found = {each.id for each in store.objects() if each.type in (ObjectType.OS_LOADER, ObjectType.RESUME)}
        wanted = {each.id for entry in edits.entries for each in find_entry(store, entry.device, entry.path)}
    return found == wanted


def _as_it_is(store: Store, entry: Entry, here: Device | None) -> Entry:
    """The entry with the device that one in the store has, where that means the same partition in another way."""
    others: Sequence[Device | None] = ()
    if isinstance(entry.device, BootDevice):
        others = (here,)
    elif here is not None and entry.device == here:
        others = (BootDevice(),)
    if find_entry(store, entry.device, entry.path, entry.type):
        return entry
    for other in others:
        if other is not None and find_entry(store, other, entry.path, entry.type):
            kept = tuple(element for element in entry.fixed if element.type != ElementType.OS_DEVICE)
            return replace(entry, device=other, fixed=kept)
    return entry


def _remove(store: Store, edits: StoreEdits) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids that were not there, and those removed."""
    unknown, removed = [], list[str]()
    for id_ in edits.remove:
        try:
            removed += remove_entry(store, id_)
        except NoSuchEntry:
            unknown.append(id_)
    if edits.remove_device is not None:
        for entry in find_entry(store, edits.remove_device, type_=ObjectType.OS_LOADER):
            removed += remove_entry(store, entry.id)
    return tuple(unknown), tuple(removed)
