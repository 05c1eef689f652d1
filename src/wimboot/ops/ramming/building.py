"""The disk while it is built: a dynamic VHD beside the image that it becomes, which is gone afterwards."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final

from wimboot.disk.target import LOG_SUFFIX
from wimboot.errors import HostError, Refused
from wimboot.events import Note
from wimboot.ops.apply import apply
from wimboot.ops.boot import boot
from wimboot.ops.booting.options import BootFiles, BootOptions
from wimboot.ops.creating.making import make_disk
from wimboot.ops.creating.shape import DiskForm, DiskShape
from wimboot.ops.opening.disks import open_disk
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import ApplyOptions, TargetOptions
from wimboot.ops.preparing.prepare import SYSTEM_HIVE
from wimboot.plan.space import NotEnoughSpace
from wimboot.registry.edit import edit
from wimboot.storage import durable
from wimboot.windows.ramsystem import settle_in_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.events import Emit, Event
    from wimboot.ops.apply import Applied
    from wimboot.ops.creating.shape import MadeDisk
    from wimboot.ops.ramming.options import RamOptions
    from wimboot.ops.ramming.source import RamSource
    from wimboot.storage import Folder

__all__ = ["TAIL", "RamTooSmall", "built_disk", "fill_disk"]

TAIL: Final = 1 << 20
"""Of the disk's end belongs to no partition: the driver that finds the disk in memory hides its last sector."""
_BUILDING: Final = ".building"
_OF_NO_ACCOUNT: Final = frozenset({"vhd-expands", "uefi-reads-fat", "menu-policy"})
"""What deploying and booting say of a disk that is to stay one."""


class RamTooSmall(Refused):
    """A disk that its system does not fit on."""

    id = "ram-too-small"
    sentence = "the system needs about {needed:,} bytes, and a disk of {size:,} bytes has {free:,} for it"
    advice = "Say a larger --size; Windows wants some room besides."


@contextlib.contextmanager
def built_disk(options: RamOptions, source: RamSource, emit: Emit) -> Iterator[MadeDisk]:
    """An empty disk of that size, with an id that none of the disks around it has. Raises what `make_disk` does."""
    folder = options.folders(options.out.parent)
    path = options.out.with_name(options.out.name + _BUILDING)
    _clear(folder, path.name)
    disk_id = secrets.token_bytes(4) + bytes(12)
    while disk_id in source.disks or not any(disk_id):
        disk_id = secrets.token_bytes(4) + bytes(12)
    shape = DiskShape(size=options.size, form=DiskForm.VHD, tail=TAIL, label=options.label, disk_id=disk_id)
    try:
        yield make_disk(path, shape, emit, folders=options.folders)
    finally:
        _clear(folder, path.name)


def _clear(folder: Folder, name: str) -> None:
    """What a run that was killed left, or this one made."""
    for one in (name, name + LOG_SUFFIX, durable.temporary_name(name)):
        if folder.exists(one):
            with contextlib.suppress(HostError):
                folder.remove(one)


def fill_disk(disk: MadeDisk, options: RamOptions, source: RamSource, emit: Emit) -> Applied:
    """Deploy the image onto it, and make it a system that starts from memory; with a dry run only see that it can be.

    Raises RamTooSmall, and what `apply` and `boot` do.
    """
    target = TargetOptions(place=f"{disk.path}#{disk.number}", folders=options.folders, dry_run=options.dry_run)
    emit = _sifted(emit)
    try:
        done = apply(ApplyOptions(target=target, wim=source.wim, image=source.image, wim_place=source.place,
                                  driver=options.driver, config=options.config, in_memory=True), emit)
    except NotEnoughSpace as error:
        if error.facts["where"] != target.place:
            raise
        raise RamTooSmall(needed=error.facts["needed"], size=options.size, free=error.facts["free"]) from error
    if options.dry_run:
        return done
    with open_disk(target, emit, write=True):
        with open_volume(target, emit, write=True) as opened:
            with edit(opened.volume, SYSTEM_HIVE) as editing:
                settle_in_memory(editing.root)
            opened.close(discard=False)
        boot(BootOptions(
            to=target.place, target=target, inside=True, wim=source.wim, title=options.title, default=True, timeout=0,
            firmware=(options.firmware,), boot_files=BootFiles.SYSTEM, test_signing=options.test_signing,
            no_integrity_checks=options.no_integrity_checks, folders=options.folders), emit)
    return done


def _sifted(emit: Emit) -> Emit:
    def listen(event: Event) -> None:
        if not isinstance(event, Note) or event.id not in _OF_NO_ACCOUNT:
            emit(event)

    return listen
