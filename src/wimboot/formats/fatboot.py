"""The first sectors of a FAT volume: the boot sector with its parameter block, and FSInfo.

Boot sector (source: Microsoft, FAT32 File System Specification 1.03, "Boot Sector and BPB"; the state byte: Windows'
fastfat, Linux, fs/fat/fat.h). Little-endian::

    offset  size  field
    0       3     jump: EB xx 90 or E9 xx xx
    3       8     OEM name, "MSDOS5.0"; "EXFAT   " is another file system
    11      2     bytes a sector: 512, 1024, 2048 or 4096
    13      1     sectors a cluster: a power of two
    14      2     reserved sectors: those before the first FAT
    16      1     FATs, 1 or 2
    17      2     entries of the root folder; 0 on FAT32
    19      2     sectors of the volume, 0 where they stand at 32
    21      1     media: F8 and above, F0
    22      2     sectors a FAT; 0 on FAT32, and only there
    24      2, 2  sectors a track, heads
    28      4     hidden sectors: the partition's first sector on its disk
    32      4     sectors of the volume, where 19 says 0

    FAT12, FAT16      FAT32
    -                 36   4   sectors a FAT
    -                 40   2   bit 7: only the FAT of that number (bits 0-3) is in use, else all are the same
    -                 42   2   version, 0
    -                 44   4   first cluster of the root folder
    -                 48   2   sector of FSInfo; 0 or FFFF: none
    -                 50   2   sector of the boot sector's copy; 0 or FFFF: none
    -                 52   12  reserved
    36   1            64   1   drive, 80
    37   1            65   1   state: bit 0 not unmounted, bit 1 to be checked
    38   1            66   1   29 where the three that follow are there
    39   4            67   4   serial number
    43   11           71   11  label
    54   8            82   8   "FAT16   "; it decides nothing
    62                90       boot code, to 510
    510  2     55 AA

Which FAT it is: FAT32 where the sectors a FAT stand at 36 (as Windows and Linux decide), else by the number of
clusters: FAT12 below 4,085, FAT16 below 65,525.

FSInfo (the same source)::

    0    4    "RRaA"
    484  4    "rrAa"
    488  4    free clusters, FFFFFFFF: not known
    492  4    cluster from which to look for free ones, FFFFFFFF: not known
    508  4    00 00 55 AA
"""

from __future__ import annotations

import struct
from dataclasses import replace
from enum import IntEnum
from typing import ClassVar, Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = ["FAT16_LEAST", "FAT32_LEAST", "FatBoot", "FatKind", "FsInfo"]

FAT16_LEAST: Final = 4085
FAT32_LEAST: Final = 65_525
_NOT_KNOWN: Final = 0xFFFF_FFFF
"""What FSInfo says of a number that nobody has counted."""

_MOST_CLUSTERS: Final = 0x0FFF_FFF5
_LARGEST_CLUSTER: Final = 256 << 10
_HEAD = struct.Struct("<3s8sHBHBHHBHHHII")
_TAIL = struct.Struct("<BBBI11s8s")
_FAT32 = struct.Struct("<IHHIHH12s")
_FSINFO = struct.Struct("<4s480s4sII12sI")
_END: Final = b"\x55\xaa"
_END_OFFSET: Final = 510
_ABSENT: Final = (0, 0xFFFF)
_ONE_FAT: Final = 0x80


class FatKind(IntEnum):
    """How many bits an entry of the FAT has; of FAT32's 32 the upper four are reserved."""

    FAT12 = 12
    FAT16 = 16
    FAT32 = 32


class FatBoot(Frozen):
    """A boot sector as it stands. What only FAT32 has is 0 elsewhere; `fat_sectors` is that of either place."""

    STRUCTURE: ClassVar[str] = "FAT boot sector"
    SIZE: ClassVar[int] = 512

    kind: FatKind
    jump: bytes
    oem_name: bytes
    sector_size: int
    cluster_sectors: int
    reserved_sectors: int
    fat_count: int
    root_entries: int
    total_sectors_16: int
    media: int
    fat_sectors: int
    track_sectors: int
    heads: int
    hidden_sectors: int
    total_sectors_32: int
    flags: int = 0
    version: int = 0
    root_cluster: int = 0
    fsinfo: int = 0
    backup: int = 0
    reserved: bytes = bytes(12)
    drive: int = 0x80
    state: int = 0
    signature: int = 0x29
    serial: int
    label: bytes
    type_name: bytes
    boot_code: bytes

    @property
    def total_sectors(self) -> int:
        return self.total_sectors_16 or self.total_sectors_32

    @property
    def volume_size(self) -> int:
        """Bytes from the boot sector to the end of the last sector."""
        return self.total_sectors * self.sector_size

    @property
    def cluster_size(self) -> int:
        return self.cluster_sectors * self.sector_size

    @property
    def fat_size(self) -> int:
        """Bytes of one FAT."""
        return self.fat_sectors * self.sector_size

    @property
    def fat_offset(self) -> int:
        """Byte at which the first FAT begins."""
        return self.reserved_sectors * self.sector_size

    @property
    def root_offset(self) -> int:
        """Byte at which the root folder begins; on FAT32 that of the data."""
        return self.fat_offset + self.fat_count * self.fat_size

    @property
    def root_size(self) -> int:
        """Bytes of the root folder, whole sectors; 0 on FAT32."""
        return -(-self.root_entries * 32 // self.sector_size) * self.sector_size

    @property
    def data_offset(self) -> int:
        """Byte at which cluster 2 begins."""
        return self.root_offset + self.root_size

    @property
    def cluster_count(self) -> int:
        """Clusters of data; they are numbered from 2."""
        return max(0, self.volume_size - self.data_offset) // self.cluster_size

    @property
    def state_offset(self) -> int:
        """Where `state` lies."""
        return 65 if self.kind is FatKind.FAT32 else 37

    @property
    def active_fats(self) -> tuple[int, ...]:
        """The numbers of the FATs that are in use, from 0."""
        if self.flags & _ONE_FAT:
            return (self.flags & 0xF,)
        return tuple(range(self.fat_count))

    @property
    def fsinfo_sector(self) -> int | None:
        """Where FSInfo lies, if there is one."""
        return None if self.fsinfo in _ABSENT else self.fsinfo

    @property
    def backup_sector(self) -> int | None:
        """Where the boot sector's copy lies, if there is one."""
        return None if self.backup in _ABSENT else self.backup

    def pack(self) -> bytes:
        """The 512 bytes."""
        large = self.kind is FatKind.FAT32
        head = _HEAD.pack(
            self.jump, self.oem_name, self.sector_size, self.cluster_sectors, self.reserved_sectors, self.fat_count,
            self.root_entries, self.total_sectors_16, self.media, 0 if large else self.fat_sectors, self.track_sectors,
            self.heads, self.hidden_sectors, self.total_sectors_32)
        middle = _FAT32.pack(self.fat_sectors, self.flags, self.version, self.root_cluster, self.fsinfo, self.backup,
                             self.reserved) if large else b""
        tail = _TAIL.pack(self.drive, self.state, self.signature, self.serial, self.label, self.type_name)
        packed = head + middle + tail + self.boot_code
        if len(packed) != _END_OFFSET:
            raise ValueError(f"a boot sector of {len(packed) + len(_END):,} bytes")
        return packed + _END

    @classmethod
    def parse(cls, data: bytes) -> FatBoot:
        """Of the first 512 bytes of a volume. Raises FormatError."""
        if len(data) < cls.SIZE:
            raise FormatError(cls.STRUCTURE, len(data), "it is cut short")
        head = _HEAD.unpack_from(data)
        jump, oem_name, sector_size, cluster_sectors, reserved_sectors, fat_count, root_entries = head[:7]
        total_16, media, fat_16, track_sectors, heads, hidden_sectors, total_32 = head[7:]
        _check_mark(data, jump, oem_name, media)
        _check_sizes(sector_size, cluster_sectors)
        large = fat_16 == 0
        fat_32, flags, version, root_cluster, fsinfo, backup, reserved = (
            _FAT32.unpack_from(data, _HEAD.size) if large else (0, 0, 0, 0, 0, 0, bytes(12)))
        place = _HEAD.size + (_FAT32.size if large else 0)
        drive, state, signature, serial, label, type_name = _TAIL.unpack_from(data, place)
        boot = cls(     # FAT16 is told from FAT12 when the clusters are known
            kind=FatKind.FAT32 if large else FatKind.FAT12, jump=jump, oem_name=oem_name, sector_size=sector_size,
            cluster_sectors=cluster_sectors, reserved_sectors=reserved_sectors, fat_count=fat_count,
            root_entries=root_entries, total_sectors_16=total_16, media=media, fat_sectors=fat_32 if large else fat_16,
            track_sectors=track_sectors, heads=heads, hidden_sectors=hidden_sectors, total_sectors_32=total_32,
            flags=flags, version=version, root_cluster=root_cluster, fsinfo=fsinfo, backup=backup, reserved=reserved,
            drive=drive, state=state, signature=signature, serial=serial, label=label, type_name=type_name,
            boot_code=data[place + _TAIL.size:_END_OFFSET])
        _check_layout(boot)
        if large:
            _check_fat32(boot)
            return boot
        return _with_kind(boot)


def _check_mark(data: bytes, jump: bytes, oem_name: bytes, media: int) -> None:
    what = FatBoot.STRUCTURE
    if data[_END_OFFSET:_END_OFFSET + len(_END)] != _END:
        raise FormatError(what, _END_OFFSET, "no signature 55 AA")
    if jump[0] not in (0xEB, 0xE9):
        raise FormatError(what, 0, "it does not begin with a jump")
    if oem_name in (b"NTFS    ", b"EXFAT   ", b"-FVE-FS-"):
        raise FormatError(what, 3, f"it is that of {oem_name.decode('ascii').strip()}")
    if media != 0xF0 and media < 0xF8:
        raise FormatError(what, 21, f"{media:#x} as media")


def _check_sizes(sector_size: int, cluster_sectors: int) -> None:
    what = FatBoot.STRUCTURE
    if sector_size not in (512, 1024, 2048, 4096):
        raise FormatError(what, 11, f"sectors of {sector_size:,} bytes")
    if cluster_sectors == 0 or cluster_sectors & cluster_sectors - 1 or (
            cluster_sectors * sector_size > _LARGEST_CLUSTER):
        raise FormatError(what, 13, f"clusters of {cluster_sectors} sectors")


def _check_layout(boot: FatBoot) -> None:
    """Everything has its place before the next thing, and there is room for every cluster's entry."""
    what = FatBoot.STRUCTURE
    if boot.reserved_sectors == 0:
        raise FormatError(what, 14, "no sector is reserved for it")
    if boot.fat_count not in (1, 2):
        raise FormatError(what, 16, f"{boot.fat_count} FATs")
    if boot.fat_sectors == 0:
        raise FormatError(what, 22, "a FAT without sectors")
    if boot.total_sectors == 0 or boot.total_sectors_32 not in (0, boot.total_sectors):
        raise FormatError(what, 19, f"{boot.total_sectors_16:,} and {boot.total_sectors_32:,} sectors")
    if boot.cluster_count == 0:
        raise FormatError(what, 32, f"{boot.total_sectors:,} sectors leave no room for data")
    _check_room(boot)


def _check_room(boot: FatBoot) -> None:
    if boot.fat_size * 8 < (boot.cluster_count + 2) * boot.kind:
        raise FormatError(FatBoot.STRUCTURE, 22,
                          f"a FAT of {boot.fat_size:,} bytes for {boot.cluster_count:,} clusters")


def _check_fat32(boot: FatBoot) -> None:
    what = FatBoot.STRUCTURE
    if boot.root_entries:
        raise FormatError(what, 17, f"a root folder of {boot.root_entries} entries on FAT32")
    if boot.version:
        raise FormatError(what, 42, f"version {boot.version:#x}")
    if boot.cluster_count > _MOST_CLUSTERS:
        raise FormatError(what, 32, f"{boot.cluster_count:,} clusters")
    if not 2 <= boot.root_cluster < boot.cluster_count + 2:
        raise FormatError(what, 44, f"the root folder in cluster {boot.root_cluster}")
    if boot.active_fats[0] >= boot.fat_count:
        raise FormatError(what, 40, f"FAT {boot.active_fats[0]} of {boot.fat_count:,}")
    for offset, sector in ((48, boot.fsinfo_sector), (50, boot.backup_sector)):
        if sector is not None and sector >= boot.reserved_sectors:
            raise FormatError(what, offset, f"sector {sector}, which is not a reserved one")


def _with_kind(boot: FatBoot) -> FatBoot:
    """FAT12 or FAT16."""
    what = FatBoot.STRUCTURE
    if boot.root_entries == 0:
        raise FormatError(what, 17, "a root folder without entries")
    if boot.cluster_count >= FAT32_LEAST:
        raise FormatError(what, 22, f"{boot.cluster_count:,} clusters without a FAT32")
    if boot.cluster_count >= FAT16_LEAST:
        boot = replace(boot, kind=FatKind.FAT16)
        _check_room(boot)
    return boot


class FsInfo(Frozen):
    """What FAT32 keeps of its free clusters, to be believed as a hint only."""

    STRUCTURE: ClassVar[str] = "FSInfo"
    SIZE: ClassVar[int] = 512

    free_clusters: int = _NOT_KNOWN
    next_free: int = _NOT_KNOWN
    reserved: bytes = bytes(480)
    reserved_end: bytes = bytes(12)

    def pack(self) -> bytes:
        """The 512 bytes."""
        return _FSINFO.pack(b"RRaA", self.reserved, b"rrAa", self.free_clusters, self.next_free, self.reserved_end,
                            0xAA55_0000)

    @classmethod
    def parse(cls, data: bytes) -> FsInfo:
        """Raises FormatError."""
        if len(data) < cls.SIZE:
            raise FormatError(cls.STRUCTURE, len(data), "it is cut short")
        lead, reserved, mark, free, following, reserved_end, end = _FSINFO.unpack_from(data)
        for offset, found, wanted in ((0, lead, b"RRaA"), (484, mark, b"rrAa"), (508, end, 0xAA55_0000)):
            if found != wanted:
                raise FormatError(cls.STRUCTURE, offset, "a signature is missing")
        return cls(free_clusters=free, next_free=following, reserved=reserved, reserved_end=reserved_end)
