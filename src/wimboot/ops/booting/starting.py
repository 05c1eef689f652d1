"""What a system needs to be started from a system partition: which firmware, which files, which entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.errors import Damaged
from wimboot.events import Note
from wimboot.formats.bootdevice import PartitionStyle
from wimboot.frozen import Frozen
from wimboot.ops.booting.bootfiles import boot_file_set, renewed
from wimboot.ops.booting.firmware import chosen_firmware
from wimboot.ops.booting.placing import boot_place
from wimboot.ops.booting.systempartition import PartitionKind
from wimboot.ops.finding.unbacked import backed_stores
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import NoWindows, open_volume
from wimboot.registry.files import CONFIG_FOLDER
from wimboot.windows.bcd import Store
from wimboot.windows.bcdentries import Firmware
from wimboot.windows.bcdloader import LoaderWish, MenuPolicy, loader_entry, loader_path
from wimboot.windows.identify import identify

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.events import Emit
    from wimboot.formats.bootdevice import Device
    from wimboot.ops.booting.bootfiles import FilesChange, Version
    from wimboot.ops.booting.options import BootOptions
    from wimboot.ops.booting.systempartition import SystemPartition
    from wimboot.ops.opening.volume import Opened
    from wimboot.tree import Tree
    from wimboot.windows.bcd import BcdObject
    from wimboot.windows.bcdentries import Entry
    from wimboot.windows.identify import System

__all__ = ["BootSource", "Starting", "foretell", "starting"]

_TEMPLATE: Final = f"{CONFIG_FOLDER}\\BCD-Template"
_LOCALE: Final = "en-US"
_STARTS_POINTERS: Final = (6, 3)
_STARTS_VHDX: Final = (6, 2)


class BootSource(Frozen):
    """A system that is to be started: its files, on a volume or in an image, and what kind of disk it is or will be on.

    `read` gives the content of a stream. `in_file`: its disk is a file for the boot manager; `in_vhdx`: of that form.
    """

    where: str
    tree: Tree
    read: Callable[[int], bytes]
    system: System
    in_file: bool
    in_vhdx: bool = False


class Starting(Frozen):
    """What is to be brought onto a system partition, or taken from it."""

    firmwares: tuple[Firmware, ...]
    files: tuple[FilesChange, ...] = ()
    entries: tuple[tuple[Firmware, Entry], ...] = ()
    template: tuple[BcdObject, ...] = ()
    locale: str = _LOCALE
    remove_device: Device | None = None


def starting(options: BootOptions, partition: SystemPartition, emit: Emit) -> Starting:
    """Read the system that is to be started. Nothing is written.

    Raises NoWindows, NoBootFiles, what `boot_place` and `renewed` raise, and what opening and reading a volume raises.
    """
    if options.target is None:
        raise NoWindows(where=partition.where)
    with (
        open_volume(options.target, emit, write=False, inspect=True) as opened,
        backed_stores(opened, options.wim, emit) as stores,
    ):
        contents = Contents(opened.tree, opened.device, opened.volume, stores)
        system = identify(contents.read_path)
        if system is None:
            raise NoWindows(where=opened.where)
        place = boot_place(opened, options, emit)
        source = BootSource(where=opened.where, tree=opened.tree, read=contents.read, system=system,
                            in_file=place.file is not None, in_vhdx=opened.target.foreign is not None)
        files = _files(options, partition, source, emit)
        firmwares = tuple(each.firmware for each in files)
        template = _template(contents, opened, emit)
        locale = options.locale or system.default_language or _LOCALE
        for change in files:
            _warn(change.firmware, source, partition, change.version, emit)
        return Starting(firmwares=firmwares, files=files, template=template, locale=locale, entries=tuple(
            (each, loader_entry(place, _wish(options, system, each, locale, template))) for each in firmwares))


def foretell(options: BootOptions, partition: SystemPartition, source: BootSource,
             versions: dict[Firmware, Version], emit: Emit) -> None:
    """Say of a system that is not there yet what `starting` will. `versions` are of the boot managers that systems
    before it bring, and get its own. Raises NoBootFiles and what `renewed` raises.
    """
    for change in _files(options, partition, source, emit):
        if change.version is not None:
            versions[change.firmware] = max(versions.get(change.firmware, change.version), change.version)
        _warn(change.firmware, source, partition, versions.get(change.firmware), emit)


def _files(options: BootOptions, partition: SystemPartition, source: BootSource, emit: Emit) -> tuple[FilesChange, ...]:
    sets = {firmware: boot_file_set(source.tree, source.read, firmware, source.where) for firmware in Firmware}
    return tuple(renewed(sets[each], partition, options.boot_files, source.system.architecture, emit)
                 for each in chosen_firmware(partition, sets, options.firmware))


def _wish(options: BootOptions, system: System, firmware: Firmware, locale: str,
          template: tuple[BcdObject, ...]) -> LoaderWish:
    menu = MenuPolicy.LEGACY if options.inside and options.menu is None else options.menu
    return LoaderWish(
        firmware=firmware, product=system.product or f"Windows {system.version}", locale=locale, title=options.title,
        version=(system.major, system.minor), test_signing=options.test_signing, menu=menu,
        no_integrity_checks=options.no_integrity_checks, template=template)


def _template(contents: Contents, opened: Opened, emit: Emit) -> tuple[BcdObject, ...]:
    """The objects of the system's BCD-Template; without it, what every Windows can do with is taken."""
    data = contents.read_path(_TEMPLATE)
    if not data:
        return ()
    try:
        with Store(data, where=f"{opened.where}:{_TEMPLATE}") as store:
            return store.objects()
    except Damaged as error:
        emit(Note(id="template-unusable", warning=True, text=(
            f"{error}: the entries are made without this template.")))
        return ()


def _warn(firmware: Firmware, source: BootSource, partition: SystemPartition, version: Version | None,
          emit: Emit) -> None:
    """Say what will keep the system from starting, as far as it is seen from here."""
    path, system = loader_path(firmware), source.system
    if source.tree.find(path) < 0:
        emit(Note(id="no-loader", warning=True, text=(
            f"{source.where} has no {path}: this entry will not start it.")))
    identity = partition.identity
    if firmware is Firmware.BIOS and identity is not None and not identity.active:
        gpt = identity.style is PartitionStyle.GPT
        emit(Note(id="bios-starts-active", warning=True, text=(
            f"{partition.where} is on a GPT disk, from which a BIOS starts no Windows." if gpt else
            f"{partition.where} is not the active partition of its disk: a BIOS does not start from it by itself.")))
    if firmware is Firmware.UEFI and partition.kind is PartitionKind.NTFS:
        emit(Note(id="uefi-reads-fat", warning=True, text=(
            f"{partition.where} is an NTFS volume: most UEFI firmware starts from FAT only.")))
    if source.in_file and source.in_vhdx and (system.major, system.minor) < _STARTS_VHDX:
        emit(Note(id="vhdx-needs-windows-8", warning=True, text=(
            f"{source.where} is in a VHDX, from which Windows {system.version} does not start: it needs a VHD.")))
    if source.in_file and system.wimboot and version is not None and version[:2] < _STARTS_POINTERS:
        emit(Note(id="old-boot-manager", warning=True, text=(
            f"The boot manager on {partition.where} is of Windows {version[0]}.{version[1]}: it is said not to start a "
            "WIMBoot system from a VHD. Run `boot` for a Windows 8.1 or 10 too, whose boot manager then replaces it.")))
