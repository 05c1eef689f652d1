"""Make a system start: boot files and boot entries on a system partition, all of it or nothing."""

from __future__ import annotations

import time
import unicodedata
from contextlib import ExitStack
from dataclasses import field
from typing import TYPE_CHECKING, Final

from wimboot.disk import DECIDED
from wimboot.errors import Refused, UsageError
from wimboot.events import Note, Phase
from wimboot.formats.bcd import object_id
from wimboot.formats.bootdevice import BootDevice
from wimboot.formats.filetime import from_unix_ns
from wimboot.frozen import Frozen
from wimboot.ops.booting.editing import StoreEdits, edit_store, starts_alone
from wimboot.ops.booting.firmware import existing_stores
from wimboot.ops.booting.grub4dos import grub4dos_files
from wimboot.ops.booting.placing import boot_place
from wimboot.ops.booting.starting import Starting, starting
from wimboot.ops.booting.stores import logs_of, read_store
from wimboot.ops.booting.systempartition import open_system_partition
from wimboot.ops.opening.volume import open_volume
from wimboot.tree import FileAttribute
from wimboot.windows.bcdentries import Firmware, Manager

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.booting.bootfiles import FilesChange
    from wimboot.ops.booting.editing import StoreChange
    from wimboot.ops.booting.options import BootOptions
    from wimboot.ops.booting.systempartition import SystemPartition

__all__ = ["BadTimeout", "BadTitle", "Booted", "NoBootStore", "NoSuchEntries", "NothingToDo", "boot"]

_HIDDEN: Final = FileAttribute.HIDDEN | FileAttribute.SYSTEM | FileAttribute.ARCHIVE
_ATTRIBUTES: Final = {Firmware.BIOS.boot_manager: FileAttribute.READONLY | _HIDDEN, "\\BOOTNXT": _HIDDEN}
"""As Windows' own setup sets them."""
_MAX_TITLE: Final = 255
_MAX_TIMEOUT: Final = 0xFFFF_FFFF


class NothingToDo(UsageError):
    """Options that ask for no change."""

    id = "nothing-to-boot"
    sentence = "there is nothing to do for {to}: {why}"
    advice = (
        "Name the system that is to start (`wimboot boot TARGET --to {to}`), or --timeout, --grub4dos, --remove-id."
    )


class BadTimeout(UsageError):
    """A number of seconds that there is not."""

    id = "bad-timeout"
    sentence = "a menu cannot wait {timeout} seconds"
    advice = "Give a number from 0 (it does not appear) to 4294967295 (it waits for ever)."


class BadTitle(UsageError):
    """A text that the menu cannot show."""

    id = "bad-title"
    sentence = "{title!r} cannot be a title in the boot menu: {why}"
    advice = "Give a line of up to 255 characters."


class NoBootStore(Refused):
    """A menu that is to be changed, and is not there."""

    id = "no-boot-store"
    sentence = "{where} has no boot configuration store to change: neither \\Boot\\BCD nor \\EFI\\Microsoft\\Boot\\BCD"
    advice = "A store is made when a system is added: `wimboot boot TARGET --to {where}`."


class NoSuchEntries(UsageError):
    """Ids that none of the stores has."""

    id = "no-such-entries"
    sentence = "no store of {where} has an entry {entries}"
    advice = "`wimboot boot --list {where}` shows the entries."


class Booted(Frozen):
    """What was done on the system partition `where`, or with a dry run would be."""

    where: str
    stores: tuple[StoreChange, ...]
    files: tuple[FilesChange, ...] = ()
    written: dict[str, int] = field(default_factory=dict)
    """Path and size of each file written."""


def boot(options: BootOptions, emit: Emit) -> Booted:
    """Bring a system into a boot menu, take it out, or change the menu; a second identical call changes nothing.

    Raises NothingToDo, NoBootStore, NoSuchEntries, what `starting`, `boot_place`, `edit_store` and `grub4dos_files`
    raise, PartitionFull, and what opening both volumes raises.
    """
    DECIDED.clear()
    _check(options)
    with ExitStack() as stack:
        partition = stack.enter_context(open_system_partition(
            options.to, emit, write=not options.dry_run, log_folder=options.log_folder, folders=options.folders,
            dry_run=options.dry_run))
        if options.target is not None and not options.remove:
            start = starting(options, partition, emit)
            return _carry_out(options, partition, start, _stores(options, partition, start), emit)
        start = _menu_only(options, partition, emit)
        changes = _stores(options, partition, start)
        _see_removed(options, partition, changes, emit)
        return _carry_out(options, partition, start, changes, emit)


def _check(options: BootOptions) -> None:
    """Raises NothingToDo, BadTimeout, BadTitle, BadGuid."""
    for text in (options.title, options.locale):
        if text is not None and (why := _title_problem(text)):
            raise BadTitle(title=text, why=why)
    if options.timeout is not None and not 0 <= options.timeout <= _MAX_TIMEOUT:
        raise BadTimeout(timeout=options.timeout)
    if options.target is None:
        menu = options.timeout is not None or options.grub4dos or options.remove_ids
        if options.remove or not menu:
            raise NothingToDo(to=options.to, why="no system is named")
    for id_ in options.remove_ids:
        object_id(id_)


def _title_problem(text: str) -> str:
    """Why a line of the menu cannot be that, "" if it can."""
    if not text.strip() or len(text) > _MAX_TITLE:
        return "it is empty or too long"
    shown = all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in text)
    return "" if shown else "it has characters that cannot be shown"


def _menu_only(options: BootOptions, partition: SystemPartition, emit: Emit) -> Starting:
    """What is to be done where no system is added. Raises NoBootStore."""
    found = existing_stores(partition, options.firmware)
    if not found:
        raise NoBootStore(where=partition.where)
    device = None
    if options.remove and options.target is not None:
        with open_volume(options.target, emit, write=False, windows=False, inspect=True) as opened:
            device = boot_place(opened, options, emit).device
    return Starting(firmwares=found, remove_device=device)


def _stores(options: BootOptions, partition: SystemPartition, start: Starting) -> tuple[StoreChange, ...]:
    here = partition.identity.device if partition.identity is not None else None
    changes = []
    for firmware in start.firmwares:
        files = next((each for each in start.files if each.firmware is firmware), None)
        manager = Manager(firmware=firmware, device=BootDevice() if here is None or options.inside else here,
                          locale=start.locale, template=start.template,
                          memory_tester=files is not None and files.memory_tester and not options.inside)
        edits = StoreEdits(here=here, entries=tuple(entry for at, entry in start.entries if at is firmware),
                           default=options.default, timeout=options.timeout, grub4dos=options.grub4dos,
                           remove=tuple(map(object_id, options.remove_ids)), remove_device=start.remove_device)
        old, where = read_store(partition, firmware), f"{partition.where}:{firmware.store}"
        if options.inside and old is not None and not starts_alone(old, edits, where):
            old = None      # what it starts lies on a disk that is not the one in memory
        changes.append(edit_store(old, manager, edits, where=where, written=from_unix_ns(time.time_ns())))
    return tuple(changes)


def _see_removed(options: BootOptions, partition: SystemPartition, changes: tuple[StoreChange, ...],
                 emit: Emit) -> None:
    """An id that no store has is a mistake; a system that is in no menu is as it was to be. Raises NoSuchEntries."""
    unknown = [id_ for id_ in map(object_id, options.remove_ids) if all(id_ in change.unknown for change in changes)]
    if unknown:
        raise NoSuchEntries(where=partition.where, entries=", ".join(unknown))
    if options.remove and not any(change.removed for change in changes):
        emit(Note(id="not-in-menu", text=f"No entry of {partition.where} starts that system: nothing to remove."))


def _carry_out(options: BootOptions, partition: SystemPartition, start: Starting, changes: tuple[StoreChange, ...],
               emit: Emit) -> Booted:
    """Write what has to be written: boot files, then the stores, then their old logs go."""
    contents: dict[str, bytes] = {}
    for files in start.files:
        contents |= files.contents
    if options.grub4dos:
        contents |= grub4dos_files(options.grub4dos_files, partition)
    contents |= {change.path: change.data for change in changes if change.data is not None}
    sizes = {path: len(data) for path, data in contents.items()}
    partition.require_room(sizes)
    if contents and not options.dry_run:
        phase = Phase(name="boot files", total=sum(sizes.values()), unit="bytes")
        emit(phase)
        for path, data in contents.items():
            partition.write(path, data, attributes=_ATTRIBUTES.get(path))
            phase.counter.add(len(data))
        for change in changes:
            if change.data is not None:
                for log in logs_of(partition, change.firmware):
                    partition.remove(log)
        partition.commit()
    return Booted(where=partition.where, stores=changes, files=start.files, written=sizes)
