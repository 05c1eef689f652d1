"""Removing entries from a store, with what belongs to them alone and every mention of them by the boot managers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.errors import Refused, UsageError
from wimboot.formats.bcd import ElementType, ObjectType
from wimboot.formats.bcdnames import Ids

if TYPE_CHECKING:
    from wimboot.windows.bcd import BcdObject, Store

__all__ = ["NoSuchEntry", "NotAnEntry", "remove_entry"]

_ENTRIES: Final = (ObjectType.OS_LOADER, ObjectType.BOOT_SECTOR, ObjectType.LEGACY_LOADER)
_MANAGERS: Final = (Ids.BOOT_MANAGER, Ids.FIRMWARE_MANAGER)
_ORDERS: Final = (ElementType.DISPLAY_ORDER, ElementType.BOOT_SEQUENCE, ElementType.TOOLS_ORDER)


class NoSuchEntry(UsageError):
    """An id that the store does not have."""

    id = "no-such-entry"
    sentence = "{where} has no entry {entry}"
    advice = "`wimboot boot --list PARTITION` shows the entries of its store."


class NotAnEntry(Refused):
    """An object that is no line of the menu."""

    id = "not-an-entry"
    sentence = "{entry} of {where} is no entry of the menu but {what}"
    advice = "`wimboot boot --list PARTITION` shows the entries: Windows boot loaders and real-mode boot sectors."


def remove_entry(store: Store, id_: str) -> tuple[str, ...]:
    """Remove an entry and its resume object, if no other uses that; the ids removed.

    The default becomes the first entry that is left in the menu. Raises NoSuchEntry, NotAnEntry, NotAStore.
    """
    entry = store.get(id_)
    if entry is None:
        raise NoSuchEntry(where=store.where, entry=id_)
    if entry.type not in _ENTRIES:
        raise NotAnEntry(where=store.where, entry=id_, what=f"an object of type {entry.type:08x}")
    removed = [entry.id]
    resume = _own_resume(store, entry)
    if resume is not None:
        removed.append(resume)
    for each in removed:
        store.remove(each)
    for manager in _MANAGERS:
        _forget(store, manager, removed)
    return tuple(removed)


def _own_resume(store: Store, entry: BcdObject) -> str | None:
    """The resume object that this entry names and no other loader does."""
    resume = entry.text(ElementType.RESUME_OBJECT) if entry.type == ObjectType.OS_LOADER else None
    found = None if resume is None else store.get(resume)
    if found is None or found.type != ObjectType.RESUME:
        return None
    others = (each for each in store.objects() if each.type == ObjectType.OS_LOADER and each.id != entry.id)
    if any((each.text(ElementType.RESUME_OBJECT) or "").lower() == found.id for each in others):
        return None
    return found.id


def _forget(store: Store, id_: str, removed: list[str]) -> None:
    """Take what was removed out of a boot manager's lists; another default where it was that."""
    manager = store.get(id_)
    if manager is None:
        return
    for order in _ORDERS:
        ids = manager.ids(order)
        kept = tuple(each for each in ids if each not in removed)
        if kept != ids:
            _set_order(store, id_, order, kept)
    if (manager.text(ElementType.DEFAULT) or "").lower() in removed:
        left = [each for each in manager.ids(ElementType.DISPLAY_ORDER) if each not in removed]
        _set_reference(store, id_, ElementType.DEFAULT, left[0] if left else None)
    if (manager.text(ElementType.MANAGER_RESUME) or "").lower() in removed:
        default = store.get((store.get(id_) or manager).text(ElementType.DEFAULT) or "{}")
        resume = default.text(ElementType.RESUME_OBJECT) if default else None
        _set_reference(store, id_, ElementType.MANAGER_RESUME, resume)


def _set_order(store: Store, id_: str, type_: ElementType, ids: tuple[str, ...]) -> None:
    if ids:
        store.set(id_, type_, ids)
    else:
        store.unset(id_, type_)


def _set_reference(store: Store, id_: str, type_: ElementType, to: str | None) -> None:
    if to is None:
        store.unset(id_, type_)
    else:
        store.set(id_, type_, to)
