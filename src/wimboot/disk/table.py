"""What a file or device is: a bare NTFS volume, or a disk with an MBR or GPT; and what its partitions are."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wimboot.errors import FormatError, Unsupported, UsageError
from wimboot.formats.fatboot import FatBoot
from wimboot.formats.gpt import read_gpt
from wimboot.formats.guid import guid_text
from wimboot.formats.mbr import Mbr, mbr_partitions
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from wimboot.storage import File

__all__ = [
    "SECTOR", "BitLocker", "DiskFormat", "NotADisk", "Partition", "Table", "TableKind", "container_of", "fat_name",
    "read_table",
]

SECTOR = 512
_LARGE_SECTOR = 4096
_NTFS = b"NTFS    "
_BITLOCKER = b"-FVE-FS-"
_EXFAT = b"EXFAT   "
_NAMES = {_NTFS: "ntfs", _BITLOCKER: "bitlocker", _EXFAT: "exfat"}

_CONTAINERS = (
    (0, b"vhdxfile", "VHDX"), (0, b"conectix", "VHD"), (0, b"QFI\xfb", "QCOW2"), (0, b"KDMV", "VMDK"),
    (0, b"COWD", "VMDK"), (0, b"# Disk DescriptorFile", "VMDK"), (64, b"\x7f\x10\xda\xbe", "VDI"),
)
"""Offset and magic of disk formats that are not raw (source: qemu's probes of the formats; VHD, VHDX
specifications).
"""


class NotADisk(UsageError):
    """Neither an NTFS volume nor a disk."""

    id = "not-a-disk"
    sentence = "{where} is not an NTFS volume, and it holds no partition table ({why})"
    advice = "Name an NTFS volume, a disk image or a disk."


class DiskFormat(Unsupported):
    """A disk in a format that is not raw."""

    id = "disk-format"
    sentence = "{where} is a {format} disk, not a raw one"
    advice = "Convert it first: qemu-img convert -O raw {where} disk.img"


class BitLocker(Unsupported):
    """An encrypted volume."""

    id = "bitlocker"
    sentence = "{where} is encrypted by BitLocker"
    advice = "Decrypt it in Windows, or give the decrypted device (dislocker, cryptsetup bitlkOpen)."


class TableKind(Enum):
    """How a disk is divided."""

    NONE = "none"
    MBR = "mbr"
    GPT = "gpt"


class Partition(Frozen):
    """A partition; `start` and `size` in bytes. `type` is two hexadecimal digits (MBR) or a GUID's text
    (GPT).

    `id` is what Windows knows it by: 16 bytes, the partition GUID, or on an MBR disk the start and 8 zeros.
    `file_system` is ntfs, fat12, fat16, fat32, exfat, bitlocker, or nothing where it is none of them.
    """

    number: int
    start: int
    size: int
    type: str
    id: bytes
    guid: bytes | None = None
    name: str = ""
    active: bool = False
    ntfs: bool = False
    encrypted: bool = False
    file_system: str = ""


class Table(Frozen):
    """A disk. `signature` on an MBR disk, `disk_guid` on a GPT disk; `damage` says what was wrong with a
    GPT of which only the backup could be read.
    """

    kind: TableKind
    partitions: tuple[Partition, ...] = ()
    signature: int | None = None
    disk_guid: bytes | None = None
    damage: str = ""

    @property
    def disk_id(self) -> bytes | None:
        """What Windows knows the disk by: 16 bytes, the GUID, or the signature and 12 zeros. None without a
        table.
        """
        if self.kind is TableKind.MBR and self.signature is not None:
            return self.signature.to_bytes(4, "little") + bytes(12)
        return self.disk_guid


def read_table(file: File, *, where: str, sector_size: int | None = None) -> Table:
    """`sector_size` is a device's; without it 512 is tried, then 4,096 (an image of such a disk).

    Raises NotADisk, DiskFormat, BitLocker, FormatError (a table that is damaged), HostError.
    """
    head = file.pread(0, _LARGE_SECTOR)
    _refuse_container(file, head, where)
    if head[3:11] == _NTFS:
        return Table(kind=TableKind.NONE)
    if _is_encrypted(head):
        raise BitLocker(where=where)
    fat = "exFAT" if head[3:11] == _EXFAT else fat_name(head, file.size())
    try:
        mbr = Mbr.parse(head)
    except FormatError as error:
        raise NotADisk(where=where, why=f"it is a {fat} volume" if fat else str(error)) from error
    if fat and not mbr.is_protective and not _has_partitions(mbr, file.size() // (sector_size or SECTOR)):
        raise NotADisk(where=where, why=f"it is a {fat} volume")
    if not mbr.is_protective:
        return _read_mbr(file, mbr, sector_size or SECTOR)
    sizes = (sector_size,) if sector_size else (SECTOR, _LARGE_SECTOR)
    problem: FormatError | None = None
    for size in sizes:
        try:
            return _read_gpt(file, size)
        except FormatError as error:
            problem = problem or error
    raise problem or NotADisk(where=where, why="no sector size fits")


def container_of(head: bytes) -> str | None:
    """The form of a disk that is not raw, by its first bytes."""
    return next((name for offset, magic, name in _CONTAINERS if head[offset:offset + len(magic)] == magic), None)


def _refuse_container(file: File, head: bytes, where: str) -> None:
    name = container_of(head)
    if name is not None:
        raise DiskFormat(where=where, format=name)
    # the footer of a VHD of fixed size; 511 bytes long in those of the first Virtual PC
    size = file.size()
    tail = file.pread(max(0, size - SECTOR), SECTOR)
    if tail.startswith(b"conectix") or tail[1:].startswith(b"conectix"):
        raise DiskFormat(where=where, format="VHD")


def _is_encrypted(boot: bytes) -> bool:
    return boot[3:11] == _BITLOCKER


def fat_name(boot: bytes, size: int) -> str:
    """FAT12, FAT16 or FAT32, where a volume of at most `size` bytes begins so; else nothing."""
    try:
        found = FatBoot.parse(boot)
    except FormatError:
        return ""
    return found.kind.name if found.volume_size <= size else ""


def _has_partitions(mbr: Mbr, sectors: int) -> bool:
    """Whether a sector that is a FAT volume's first one is an MBR all the same: there boot code lies at that place."""
    used = [entry for entry in mbr.entries if entry.is_used]
    return bool(used) and all(0 < entry.first_sector <= sectors - entry.sectors for entry in used)


def _file_system(file: File, start: int, size: int) -> str:
    """What a partition holds, as far as its first sector tells."""
    boot = file.pread(start, SECTOR)
    name = _NAMES.get(boot[3:11])
    return fat_name(boot, size).lower() if name is None else name


def _read_mbr(file: File, mbr: Mbr, sector_size: int) -> Table:
    def read(sector: int) -> bytes:
        return file.pread(sector * sector_size, SECTOR)

    partitions = []
    for entry in mbr_partitions(mbr, read, file.size() // sector_size):
        start = entry.first_sector * sector_size
        size = entry.sectors * sector_size
        holds = "" if entry.is_extended else _file_system(file, start, size)
        partitions.append(Partition(number=entry.number, start=start, size=size, file_system=holds,
                                    type=f"{entry.type:02x}", id=start.to_bytes(8, "little") + bytes(8),
                                    active=entry.active, ntfs=holds == "ntfs", encrypted=holds == "bitlocker"))
    return Table(kind=TableKind.MBR, partitions=tuple(partitions), signature=mbr.disk_signature)


def _read_gpt(file: File, sector_size: int) -> Table:
    def read(sector: int, count: int) -> bytes:
        return file.pread(sector * sector_size, count * sector_size)

    gpt = read_gpt(read, file.size() // sector_size, sector_size)
    partitions = []
    for entry in gpt.entries:
        start = entry.first_sector * sector_size
        size = entry.sectors * sector_size
        holds = _file_system(file, start, size)
        partitions.append(Partition(number=entry.number, start=start, size=size, file_system=holds,
                                    type=guid_text(entry.type_guid), id=entry.guid, guid=entry.guid,
                                    name=entry.name, ntfs=holds == "ntfs", encrypted=holds == "bitlocker"))
    return Table(kind=TableKind.GPT, partitions=tuple(partitions), disk_guid=gpt.header.disk_guid,
                 damage=gpt.why)
