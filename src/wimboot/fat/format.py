"""An empty FAT volume, as Windows makes system partitions: FAT32, or FAT16 and FAT12 where FAT32 has too few clusters.

Cluster sizes are those of Windows (source: Microsoft, knowledge base 140365, "Default cluster size for NTFS, FAT, and
exFAT"; fewer bytes where that would leave too few clusters for FAT32). The data begin on a page of 4 KiB.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from wimboot.fat.refusals import FatSizeNotPossible
from wimboot.formats.fatboot import FAT16_LEAST, FAT32_LEAST, FatBoot, FatKind, FsInfo
from wimboot.formats.fatdir import DirEntry, DosAttribute, dos_time
from wimboot.formats.fatname import label_bytes

if TYPE_CHECKING:
    from datetime import datetime

    from wimboot.storage import Device, File

__all__ = ["format_volume"]

_MIB: Final = 1 << 20
_FAT32_CLUSTERS: Final = (
    (64 * _MIB, 512), (128 * _MIB, 1024), (256 * _MIB, 2048), (8192 * _MIB, 4096), (16384 * _MIB, 8192),
    (32768 * _MIB, 16384),
)
"""Sizes of volumes up to which clusters have that size; 32 KiB beyond."""
_CLUSTER_COUNTS: Final = {
    FatKind.FAT12: (1, FAT16_LEAST - 17), FatKind.FAT16: (FAT16_LEAST + 16, FAT32_LEAST - 17),
    FatKind.FAT32: (FAT32_LEAST + 16, 0x0FFF_FFF4),
}
"""Not too near to where another kind begins: drivers do not agree on the exact number (the specification says so)."""
_LARGEST_CLUSTER: Final = 64 << 10
_PAGE: Final = 4096
_RESERVED_32: Final = 32
_RESERVED: Final = 1
_ROOT_ENTRIES: Final = 512
_FSINFO: Final = 1
_BACKUP: Final = 6
_MEDIA: Final = 0xF8
_END_32: Final = 0x0FFF_FFFF
_NO_BOOT: Final = bytes((0xCD, 0x18, 0xF4, 0xEB, 0xFD))
"""int 18h (tell the BIOS that this does not start), then halt for ever."""
_STEP: Final = 1 << 20
_LEAST: Final = 64 << 10
_NO_LABEL: Final = b"NO NAME    "


def format_volume(
    device: Device | File, size: int, *, label: str = "", serial: int | None = None, hidden_sectors: int = 0,
    cluster_size: int | None = None, sector_size: int = 512, made: datetime | None = None,
) -> FatBoot:
    """Write an empty volume of `size` bytes at the beginning of `device`; what it becomes.

    `hidden_sectors` is the partition's first sector on its disk, `serial` 32 bits (None: random), `made` the local time
    of its label. Free clusters are left as they are. Raises FatSizeNotPossible, HostError.
    """
    stored = label_bytes(label) if label else _NO_LABEL
    why = ""
    if sector_size not in (512, 1024, 2048, 4096):
        why = f"no disk has sectors of {sector_size:,} bytes"
    elif not _LEAST <= size <= device.size() or size // sector_size >= 1 << 32:
        why = f"it takes {_LEAST:,} bytes at least, 2^32 sectors at most, and {device.size():,} bytes are there for it"
    elif cluster_size is not None and (cluster_size & cluster_size - 1 or not (
            sector_size <= cluster_size <= _LARGEST_CLUSTER)):
        why = f"{cluster_size:,} is no cluster size for sectors of {sector_size:,} bytes"
    elif not 0 <= hidden_sectors < 1 << 32:
        why = f"its first sector, {hidden_sectors}, has no room in a boot sector"
    elif stored is None:
        why = f"{label!r} is no label: that has up to 11 letters, digits and blanks, in ASCII"
    if why or stored is None:
        raise FatSizeNotPossible(size=size, why=why)
    if serial is None:
        serial = secrets.randbits(32)
    boot = _layout(size // sector_size, sector_size, cluster_size, hidden_sectors, serial & 0xFFFF_FFFF, stored)
    if boot is None:
        raise FatSizeNotPossible(size=size, why="no FAT has so many clusters, or so few")
    _write(device, boot, stored if label else b"", made)
    return boot


def _layout(
    sectors: int, sector_size: int, cluster_size: int | None, hidden_sectors: int, serial: int, label: bytes
) -> FatBoot | None:
    """The largest FAT that fits: FAT32, else FAT16, else FAT12."""
    wanted = next((cluster for limit, cluster in _FAT32_CLUSTERS if sectors * sector_size <= limit), 32 << 10)
    for kind in (FatKind.FAT32, FatKind.FAT16, FatKind.FAT12):
        sizes = [cluster_size] if cluster_size else _cluster_sizes(kind, max(wanted, sector_size), sector_size)
        for cluster in sizes:
            boot = _boot(kind, sectors, sector_size, cluster // sector_size, hidden_sectors, serial, label)
            if boot is not None:
                return boot
    return None


def _cluster_sizes(kind: FatKind, wanted: int, sector_size: int) -> list[int]:
    """FAT32: the usual one, then smaller ones; else the smallest one first."""
    all_sizes = [sector_size << shift for shift in range(8) if sector_size << shift <= _LARGEST_CLUSTER]
    if kind is FatKind.FAT32:
        return [size for size in reversed(all_sizes) if size <= wanted]
    return all_sizes


def _boot(
    kind: FatKind, sectors: int, sector_size: int, cluster_sectors: int, hidden_sectors: int, serial: int, label: bytes
) -> FatBoot | None:
    """None where that many clusters are not of that kind."""
    large = kind is FatKind.FAT32
    root_entries = 0 if large else max(_ROOT_ENTRIES, sector_size // 32)
    reserved = _RESERVED_32 if large else _RESERVED
    root_sectors = root_entries * 32 // sector_size
    align = max(cluster_sectors, _PAGE // sector_size)
    fat_sectors = 1
    while True:     # a larger FAT leaves fewer clusters, so this ends at the first one that is large enough
        data = reserved + 2 * fat_sectors + root_sectors
        clusters = (sectors - data - (-data % align)) // cluster_sectors
        if clusters < 1:
            return None
        needed = -(-((clusters + 2) * kind) // (8 * sector_size))
        if needed <= fat_sectors:
            break
        fat_sectors = needed
    low, high = _CLUSTER_COUNTS[kind]
    if not low <= clusters <= high:
        return None
    code_size = 420 if large else 448
    small = sectors < 1 << 16 and not large
    return FatBoot(
        kind=kind, jump=b"\xeb\x58\x90" if large else b"\xeb\x3c\x90", oem_name=b"MSDOS5.0", sector_size=sector_size,
        cluster_sectors=cluster_sectors, reserved_sectors=reserved + -data % align, fat_count=2,
        root_entries=root_entries, total_sectors_16=sectors if small else 0, media=_MEDIA, fat_sectors=fat_sectors,
        track_sectors=63, heads=255, hidden_sectors=hidden_sectors, total_sectors_32=0 if small else sectors,
        root_cluster=2 if large else 0, fsinfo=_FSINFO if large else 0, backup=_BACKUP if large else 0, serial=serial,
        label=label, type_name=f"{kind.name:<8}".encode("ascii"), boot_code=_NO_BOOT.ljust(code_size, b"\0"))


def _write(device: Device | File, boot: FatBoot, label: bytes, made: datetime | None) -> None:
    """Zeros, then the FATs, the root folder with the label, FSInfo; the boot sector, which makes it a volume, last."""
    large = boot.kind is FatKind.FAT32
    end = boot.data_offset + (boot.cluster_size if large else 0)
    for offset in range(0, end, _STEP):
        device.pwrite(offset, bytes(min(_STEP, end - offset)))
    first = {FatKind.FAT12: b"\xf8\xff\xff", FatKind.FAT16: b"\xf8\xff\xff\xff",
             FatKind.FAT32: b"".join(value.to_bytes(4, "little") for value in (0x0FFF_FFF8, _END_32, _END_32))}
    for number in range(boot.fat_count):
        device.pwrite(boot.fat_offset + number * boot.fat_size, first[boot.kind])
    if label:
        day, time, _ = dos_time(made) if made is not None else (0, 0, 0)
        entry = DirEntry(name=label, attributes=DosAttribute.LABEL, written=time, written_day=day)
        device.pwrite(boot.root_offset, entry.pack())
    sector = boot.pack()
    if large:
        info = FsInfo(free_clusters=boot.cluster_count - 1, next_free=3).pack()
        third = bytes(510) + b"\x55\xaa"
        for start in (_BACKUP, 0):
            device.pwrite((start + _FSINFO) * boot.sector_size, info)
            device.pwrite((start + 2) * boot.sector_size, third)
        device.pwrite(_BACKUP * boot.sector_size, sector)
    device.pwrite(0, sector)
