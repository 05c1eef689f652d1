"""Boot code out of what the user has: a file with a boot sector, or a whole disk or volume of his own Windows.

    512 bytes, ending in 55 AA          an MBR; 440 bytes and 446 will do
    8,192 bytes, NTFS at byte 3         the boot sectors of a volume: its file $Boot, or its first 16 sectors
    a volume, a disk, a VHD, a device   the boot sectors, and the code before the table, from there
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.disk import Place, TableKind, open_target, parse_place
from wimboot.errors import Refused, UsageError
from wimboot.events import Emit, Note
from wimboot.formats.mbr import BOOT_CODE_SIZE
from wimboot.ntfs.bootcode import BOOT_AREA_SIZE, has_code, started_by
from wimboot.ops.creating.shape import BootCode
from wimboot.storage import HostFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wimboot.disk import Partition, Target
    from wimboot.storage import Folder

__all__ = ["BootCodeTwice", "BootCodeUnusable", "read_boot_code"]

_SECTORS_SIZE: Final = 64 << 10
"""A longer file is a disk or a volume."""
_MBR_SIZES: Final = (BOOT_CODE_SIZE, 446, 512)
_NTFS: Final = b"NTFS    "


class BootCodeUnusable(Refused):
    """A file that holds none."""

    id = "no-boot-code"
    sentence = "{where} holds no boot code that can be used: {why}"
    advice = ("Give the MBR (512 bytes) or the first 16 sectors of the NTFS volume (8,192 bytes) of a disk from which "
              "your Windows starts, or that disk, its image or VHD itself.")


class BootCodeTwice(UsageError):
    """Two files with the same thing."""

    id = "boot-code-twice"
    sentence = "{first} and {second} both hold {what}"
    advice = "Give one of them."


def read_boot_code(places: Iterable[str], emit: Emit, *, folders: Callable[[Path], Folder] = HostFolder) -> BootCode:
    """What these files hold together. Raises BootCodeUnusable, BootCodeTwice, and what opening a target raises."""
    mbr = volume = b""
    mbr_from = volume_from = ""
    for text in places:
        found = _read(text, folders)
        if found.mbr and mbr:
            raise BootCodeTwice(first=mbr_from, second=text, what="the code of an MBR")
        if found.volume and volume:
            raise BootCodeTwice(first=volume_from, second=text, what="the boot sectors of a volume")
        if found.mbr:
            mbr, mbr_from = found.mbr, text
        if found.volume:
            volume, volume_from = found.volume, text
    if volume and started_by(volume) != "bootmgr":
        what = "starts NTLDR, not bootmgr: no Windows since Vista" if started_by(volume) else "is not that of Windows"
        emit(Note(id="other-boot-code", warning=True, text=f"The boot code in {volume_from} {what}."))
    return BootCode(mbr=mbr, volume=volume)


def _read(text: str, folders: Callable[[Path], Folder]) -> BootCode:
    place = parse_place(text)
    with open_target(place, write=False, opener=folders) as target:
        if target.vhd is None and not target.is_device and target.file.size() <= _SECTORS_SIZE:
            return _of_sectors(target.file.pread(0, _SECTORS_SIZE), text)
        return _of_disk(target, place, text)


def _of_sectors(data: bytes, where: str) -> BootCode:
    """A file with nothing but boot sectors."""
    if data[3:11] == _NTFS:
        return BootCode(volume=_checked(data, where))
    if len(data) not in _MBR_SIZES:
        raise BootCodeUnusable(where=where, why=f"an MBR has 512 bytes, and it has {len(data):,}")
    return BootCode(mbr=_code_of_mbr(data, where))


def _checked(area: bytes, where: str) -> bytes:
    area = area[:BOOT_AREA_SIZE]
    if len(area) < BOOT_AREA_SIZE:
        raise BootCodeUnusable(where=where, why=f"that of NTFS has {BOOT_AREA_SIZE:,} bytes, not {len(area):,}")
    if not has_code(area):
        raise BootCodeUnusable(where=where, why="the volume was formatted by a program that leaves the code out")
    return area


def _code_of_mbr(data: bytes, where: str) -> bytes:
    if len(data) >= 512 and data[510:512] != b"\x55\xaa":
        raise BootCodeUnusable(where=where, why="it does not end in 55 AA")
    if any(data[start:start + 5] in (b"FAT32", b"FAT16", b"FAT12", b"EXFAT") for start in (3, 0x36, 0x52)):
        raise BootCodeUnusable(where=where, why="that is the boot sector of a FAT volume")
    code = data[:BOOT_CODE_SIZE]
    if not any(code):
        raise BootCodeUnusable(where=where, why="there are only zeros before the partition table")
    return code


def _of_disk(target: Target, place: Place, where: str) -> BootCode:
    """The code before the table, where there is some, and that of the volume named, the active one, or the only one."""
    if target.folder.exists(target.log_name):
        raise BootCodeUnusable(where=where, why="an interrupted change of it waits: wimboot recover " + str(place.path))
    kind = target.table.kind
    if kind is TableKind.NONE:
        return BootCode(volume=_checked(target.disk.pread(0, BOOT_AREA_SIZE), where))
    partition = _partition(target, place, where)
    volume = _checked(target.disk.pread(partition.start, BOOT_AREA_SIZE), where)
    head = target.disk.pread(0, 512)
    has_mbr = kind is TableKind.MBR and place.partition is None and any(head[:BOOT_CODE_SIZE])
    return BootCode(mbr=head[:BOOT_CODE_SIZE] if has_mbr else b"", volume=volume)


def _partition(target: Target, place: Place, where: str) -> Partition:
    if place.partition is not None:
        start, _ = target.slice(place.partition)
        return next(one for one in target.partitions if one.start == start)
    there = [one for one in target.partitions if one.ntfs]
    likely = [one for one in there if one.active] or there
    if len(likely) != 1:
        raise BootCodeUnusable(where=where, why=f"{len(likely):,} volumes could be meant; name one: {place.path}#N")
    return likely[0]
