"""The master boot record and the chain of extended boot records.

MBR, the first sector of a disk (source: UEFI specification 2.10, section 5.2.1; Microsoft's disk signature
at 440 as bootmgr and `mountvol` use it)::

    offset  size  field
    0       440   boot code
    440     4     disk signature
    444     2     0, or 5A5A on a disk that must not be written
    446     4x16  partition entries
    510     2     55 AA

Entry::

    0       1     status: 80 active, 00 not; anything else is no MBR
    1       3     first sector as cylinder, head, sector
    4       1     type: 0 unused; 07 NTFS or exFAT; 05, 0F, 85 extended; EE protects a GPT
    5       3     last sector as cylinder, head, sector
    8       4     first sector
    12      4     number of sectors

An extended partition holds a chain of sectors of the same form (EBR): the first entry is a partition
counted from that sector, the second the next EBR counted from the start of the extended partition (source:
Linux, block/partitions/msdos.c; `sfdisk` output). Logical partitions are numbered from 5 in the order of
the chain.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ACTIVE", "BOOT_CODE_SIZE", "MAX_SECTORS", "NO_CHS", "NTFS_TYPE", "PROTECTIVE_TYPE", "Mbr",
    "MbrEntry", "MbrPartition", "chs_of", "mbr_partitions",
]

SECTOR = 512
ACTIVE = 0x80
BOOT_CODE_SIZE = 440
MAX_SECTORS = 0xFFFF_FFFF
"""What 32 bits can count."""
NTFS_TYPE = 0x07
_EXTENDED_TYPES = frozenset({0x05, 0x0F, 0x85})
PROTECTIVE_TYPE = 0xEE
MAX_LOGICAL = 256
"""Linux makes no device for a partition beyond the 256th either."""

_HEAD = struct.Struct("<440sIH")
_ENTRY = struct.Struct("<B3sB3sII")
_ENTRIES_OFFSET = 446
_FIRST_LOGICAL = 5
_HEADS, _TRACK = 255, 63
"""What every BIOS of the last decades reports, and Windows writes into every table, whatever a VHD's footer says."""
_LAST_CYLINDER = 1023
NO_CHS = b"\xfe\xff\xff"
"""What Windows writes for a sector beyond that."""


def chs_of(sector: int) -> bytes:
    """A sector's place as an entry has it: head; sector from 1 with the cylinder's bits 8 and 9 on top; cylinder.

    NO_CHS for what lies beyond cylinder 1023.
    """
    cylinder, inside = divmod(sector, _HEADS * _TRACK)
    if cylinder > _LAST_CYLINDER:
        return NO_CHS
    head, track_sector = divmod(inside, _TRACK)
    return bytes((head, track_sector + 1 | cylinder >> 8 << 6, cylinder & 0xFF))


class MbrEntry(Frozen):
    """One of the four entries of a boot record, as it stands there. `first_sector` counts from what the
    record says.
    """

    status: int = 0
    first_chs: bytes = b"\0\0\0"
    type: int = 0
    last_chs: bytes = b"\0\0\0"
    first_sector: int = 0
    sectors: int = 0

    @property
    def is_used(self) -> bool:
        return self.type != 0 and self.sectors != 0

    def pack(self) -> bytes:
        return _ENTRY.pack(self.status, self.first_chs, self.type, self.last_chs, self.first_sector,
                           self.sectors)

    @classmethod
    def parse(cls, data: bytes, offset: int) -> MbrEntry:
        """Raises FormatError for a status that no MBR has."""
        status, first_chs, kind, last_chs, first, count = _ENTRY.unpack_from(data, offset)
        if status & ~ACTIVE:
            raise FormatError("MBR", offset, f"a partition's status is {status:02X}")
        return cls(status=status, first_chs=first_chs, type=kind, last_chs=last_chs, first_sector=first,
                   sectors=count)


class Mbr(Frozen):
    """A boot record: of a disk, or of one link of an extended partition's chain."""

    boot_code: bytes = bytes(440)
    disk_signature: int = 0
    reserved: int = 0
    entries: tuple[MbrEntry, MbrEntry, MbrEntry, MbrEntry] = (MbrEntry(),) * 4

    @property
    def is_protective(self) -> bool:
        """Whether a GPT describes the disk."""
        return any(entry.type == PROTECTIVE_TYPE for entry in self.entries)

    def pack(self) -> bytes:
        return (_HEAD.pack(self.boot_code, self.disk_signature, self.reserved)
                + b"".join(entry.pack() for entry in self.entries) + b"\x55\xaa")

    @classmethod
    def parse(cls, data: bytes) -> Mbr:
        """The first 512 bytes of `data`. Raises FormatError."""
        if len(data) < SECTOR:
            raise FormatError("MBR", len(data), "it is cut off")
        if data[510:512] != b"\x55\xaa":
            raise FormatError("MBR", 510, "no signature 55 AA")
        boot_code, signature, reserved = _HEAD.unpack_from(data)
        one, two, three, four = (MbrEntry.parse(data, _ENTRIES_OFFSET + 16 * number) for number in range(4))
        return cls(boot_code=boot_code, disk_signature=signature, reserved=reserved,
                   entries=(one, two, three, four))


class MbrPartition(Frozen):
    """A partition with its place on the disk in sectors."""

    number: int
    first_sector: int
    sectors: int
    type: int
    active: bool

    @property
    def is_extended(self) -> bool:
        return self.type in _EXTENDED_TYPES


def mbr_partitions(mbr: Mbr, read: Callable[[int], bytes], disk_sectors: int) -> tuple[MbrPartition, ...]:
    """All partitions: primary ones 1 to 4 (extended ones among them), then logical ones from 5 on.

    `read` gives the sector of a number. Raises FormatError where one reaches past the disk or its extended
    partition, two overlap, or the chain turns in a circle or does not end.
    """
    found = [
        MbrPartition(number=number, first_sector=entry.first_sector, sectors=entry.sectors, type=entry.type,
                     active=entry.status == ACTIVE)
        for number, entry in enumerate(mbr.entries, 1) if entry.is_used
    ]
    for partition in found:
        if not 0 < partition.first_sector <= disk_sectors - partition.sectors:
            raise FormatError("MBR", _ENTRIES_OFFSET + 16 * (partition.number - 1),
                              f"partition {partition.number} does not lie on the disk")
    _refuse_overlap(found)
    logical: list[MbrPartition] = []
    for partition in found:
        if partition.is_extended:
            logical += _chain(partition, read, _FIRST_LOGICAL + len(logical))
    return (*found, *logical)


def _chain(extended: MbrPartition, read: Callable[[int], bytes], number: int) -> list[MbrPartition]:
    """The logical partitions of one extended partition."""
    found: list[MbrPartition] = []
    start, end = extended.first_sector, extended.first_sector + extended.sectors
    sector = start
    seen: set[int] = set()
    while True:
        if sector in seen or len(seen) == MAX_LOGICAL:
            raise FormatError("extended boot record", 0, "the chain of logical partitions does not end")
        seen.add(sector)
        record = Mbr.parse(read(sector))
        following = 0
        for place, entry in enumerate(record.entries):
            if not entry.is_used:
                continue
            if entry.type in _EXTENDED_TYPES:
                following = following or start + entry.first_sector
                continue
            first = sector + entry.first_sector
            if entry.first_sector == 0 or first + entry.sectors > end:
                raise FormatError("extended boot record", _ENTRIES_OFFSET + 16 * place,
                                  "a logical partition does not lie in its extended partition")
            found.append(MbrPartition(number=number + len(found), first_sector=first, sectors=entry.sectors,
                                      type=entry.type, active=entry.status == ACTIVE))
            if len(found) > MAX_LOGICAL:
                raise FormatError("extended boot record", 0, "too many logical partitions")
        if not following:
            break
        if not start < following < end:
            raise FormatError("extended boot record", _ENTRIES_OFFSET, "the chain leaves its partition")
        sector = following
    _refuse_overlap(found)
    return found


def _refuse_overlap(partitions: list[MbrPartition]) -> None:
    """Writing one of two partitions that overlap would damage the other."""
    ordered = sorted(partitions, key=lambda partition: partition.first_sector)
    for one, two in itertools.pairwise(ordered):
        if one.first_sector + one.sectors > two.first_sector:
            raise FormatError("MBR", _ENTRIES_OFFSET, f"partitions {one.number} and {two.number} overlap")
