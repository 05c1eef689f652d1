"""New disks: where their partitions lie, and the bytes of the tables that say so.

Everything begins on 1 MiB, as Windows has had it since Vista. An MBR disk has one partition, active, of type 07. A GPT
disk has, in the order that Microsoft gives ("UEFI/GPT-based hard drive partitions"): the EFI system partition, the
reserved one, Windows.
"""

from __future__ import annotations

import secrets
from enum import Enum
from typing import TYPE_CHECKING, Final

from wimboot.disk.table import TableKind
from wimboot.errors import UsageError
from wimboot.figures import told_size
from wimboot.formats.gpt import ENTRIES_SIZE, GptEntry, pack_gpt, protective_entry
from wimboot.formats.guid import GUID_SIZE, NIL, guid_text, parse_guid
from wimboot.formats.mbr import ACTIVE, BOOT_CODE_SIZE, MAX_SECTORS, NTFS_TYPE, Mbr, MbrEntry, chs_of
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NewPartition", "NewTable", "PartitionKind", "TableNotPossible", "lay_out"]

_SECTOR = 512
_ALIGNMENT: Final = 1 << 20
_GPT_TAIL: Final = _SECTOR + ENTRIES_SIZE
"""The backup at the end of the disk."""
_SMALLEST_VOLUME: Final = 2 << 20

_HIDDEN: Final = 1 << 63
"""GPT_BASIC_DATA_ATTRIBUTE_NO_DRIVE_LETTER, which Windows sets on partitions that are not for files."""


class TableNotPossible(UsageError):
    """A disk that cannot be divided as asked."""

    id = "table-not-possible"
    sentence = "a disk of {size:size} cannot be divided so: {why}"
    advice = "Give another size, or another table with --table."


class PartitionKind(Enum):
    """What a new partition is for."""

    ESP = "esp"
    MSR = "msr"
    WINDOWS = "windows"

    @property
    def type_guid(self) -> bytes:
        """Its type in a GPT."""
        return _TYPES[self][0]

    @property
    def title(self) -> str:
        """Its name in a GPT, as Windows gives it."""
        return _TYPES[self][1]


_TYPES = {
    PartitionKind.ESP: (parse_guid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), "EFI system partition"),
    PartitionKind.MSR: (parse_guid("e3c9e316-0b5c-4db8-817d-f92df00215ae"), "Microsoft reserved partition"),
    PartitionKind.WINDOWS: (parse_guid("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"), "Basic data partition"),
}


class NewPartition(Frozen):
    """A partition; `start` and `size` in bytes. `guid` is None on an MBR disk."""

    number: int
    kind: PartitionKind
    start: int
    size: int
    guid: bytes | None = None

    @property
    def id(self) -> bytes:
        """What Windows knows it by, as `disk.table.Partition.id`."""
        return self.guid if self.guid is not None else self.start.to_bytes(8, "little") + bytes(8)

    @property
    def type(self) -> str:
        """As `disk.table.Partition.type`."""
        return f"{NTFS_TYPE:02x}" if self.guid is None else guid_text(self.kind.type_guid)


class NewTable(Frozen):
    """A disk of `size` bytes. `disk_id` is what Windows knows it by: 16 bytes, as `disk.table.Table.disk_id`."""

    kind: TableKind
    size: int
    disk_id: bytes
    partitions: tuple[NewPartition, ...]

    @property
    def windows(self) -> NewPartition:
        """The partition that the system goes on; it is the last one."""
        return self.partitions[-1]

    @property
    def signature(self) -> int:
        """Of an MBR disk."""
        return int.from_bytes(self.disk_id[:4], "little")

    def pieces(self, boot_code: bytes = b"") -> Iterator[tuple[int, bytes]]:
        """What is written, as (offset, bytes). `boot_code` comes before an MBR's table, 440 bytes at most."""
        code = boot_code.ljust(BOOT_CODE_SIZE, b"\0")
        if self.kind is TableKind.MBR:
            yield 0, Mbr(boot_code=code, disk_signature=self.signature,
                         entries=(_entry(self.windows), MbrEntry(), MbrEntry(), MbrEntry())).pack()
            return
        sectors = self.size // _SECTOR
        yield 0, Mbr(boot_code=code, entries=(protective_entry(sectors), MbrEntry(), MbrEntry(), MbrEntry())).pack()
        for sector, data in pack_gpt(self.disk_id, map(_gpt_entry, self.partitions), sectors):
            yield sector * _SECTOR, data


def _entry(partition: NewPartition) -> MbrEntry:
    first, sectors = partition.start // _SECTOR, partition.size // _SECTOR
    return MbrEntry(status=ACTIVE, first_chs=chs_of(first), type=NTFS_TYPE, last_chs=chs_of(first + sectors - 1),
                    first_sector=first, sectors=sectors)


def _gpt_entry(partition: NewPartition) -> GptEntry:
    first = partition.start // _SECTOR
    return GptEntry(number=partition.number, type_guid=partition.kind.type_guid, guid=partition.guid or NIL,
                    first_sector=first, last_sector=first + partition.size // _SECTOR - 1, name=partition.kind.title,
                    attributes=0 if partition.kind is PartitionKind.WINDOWS else _HIDDEN)


def lay_out(size: int, *, kind: TableKind, esp_size: int = 0, msr_size: int = 0, tail: int = _ALIGNMENT,
            disk_id: bytes | None = None) -> NewTable:
    """A disk of `size` bytes with one partition for Windows in all that the others leave.

    Args:
        size: of the disk.
        kind: MBR or GPT.
        esp_size: of the EFI system partition; 0 for none. GPT only.
        msr_size: of the reserved partition; 0 for none. GPT only.
        tail: bytes at the end of the disk that no partition may have.
        disk_id: 16 bytes, on an MBR disk a signature and zeros; None: random.

    Raises TableNotPossible.
    """
    why = _why_not(size, kind, esp_size, msr_size, tail, disk_id)
    if why is not None:
        raise TableNotPossible(size=size, why=why)
    is_gpt = kind is TableKind.GPT
    wanted = [(PartitionKind.ESP, esp_size), (PartitionKind.MSR, msr_size)]
    partitions: list[NewPartition] = []
    start = _ALIGNMENT
    end = (size - max(tail, _GPT_TAIL if is_gpt else 0)) // _ALIGNMENT * _ALIGNMENT
    for one, length in [*((one, length) for one, length in wanted if length),
                        (PartitionKind.WINDOWS, end - start - _rounded(esp_size) - _rounded(msr_size))]:
        partitions.append(NewPartition(number=len(partitions) + 1, kind=one, start=start, size=length,
                                       guid=_random_guid() if is_gpt else None))
        start += _rounded(length)
    if partitions[-1].size < _SMALLEST_VOLUME:
        raise TableNotPossible(size=size, why=(
            f"{told_size(max(0, partitions[-1].size))} are left for the volume, "
            f"{told_size(_SMALLEST_VOLUME)} are needed"))
    return NewTable(kind=kind, size=size, partitions=tuple(partitions),
                    disk_id=disk_id or (_random_guid() if is_gpt else _random_signature()))


def _why_not(size: int, kind: TableKind, esp_size: int, msr_size: int, tail: int,
             disk_id: bytes | None) -> str | None:
    if kind not in (TableKind.MBR, TableKind.GPT):
        return "a new disk has an MBR or a GPT"
    if size % _SECTOR or size <= 0:
        return f"a disk has whole sectors of {_SECTOR} bytes"
    if min(esp_size, msr_size, tail) < 0 or esp_size % _SECTOR or msr_size % _SECTOR:
        return f"a partition has whole sectors of {_SECTOR} bytes"
    if kind is TableKind.MBR and size > MAX_SECTORS * _SECTOR:
        return "an MBR reaches no further than 2 TiB; a GPT does"
    if kind is TableKind.MBR and (esp_size or msr_size):
        return "an EFI system partition and a reserved one belong to a GPT"
    if disk_id is not None and (len(disk_id) != GUID_SIZE or disk_id == NIL or (
            kind is TableKind.MBR and (not any(disk_id[:4]) or any(disk_id[4:])))):
        return "a disk's signature has 4 bytes that are not all zero, its GUID 16"
    return None


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _random_signature() -> bytes:
    return (secrets.randbelow(MAX_SECTORS) + 1).to_bytes(4, "little") + bytes(12)


def _random_guid() -> bytes:
    """A GUID of version 4 (RFC 4122), in its stored form."""
    import uuid

    return uuid.uuid4().bytes_le
