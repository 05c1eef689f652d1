"""What a new disk is to be, and what it is when it has been made."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from wimboot.disk import TableKind
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk.partitioning import NewPartition, NewTable

__all__ = ["MSR_SIZE", "BootCode", "DiskForm", "DiskShape", "MadeDisk"]

MSR_SIZE: Final = 16 << 20
"""As the setup of Windows 10 makes it."""


class DiskForm(Enum):
    """What the file of a disk is, in the words of its usual ending."""

    RAW = "raw"
    VHD = "vhd"
    VHDX = "vhdx"
    QCOW2 = "qcow2"
    VMDK = "vmdk"
    VDI = "vdi"


class BootCode(Frozen):
    """Boot code of a Windows of the user's: what comes before an MBR's table, and the 16 first sectors of a volume.
    Empty where he gave none.
    """

    mbr: bytes = b""
    volume: bytes = b""


class DiskShape(Frozen):
    """A disk to be made. Sizes in bytes.

    `fixed`: the file is written whole at once; of VHDs only, a dynamic one grows.
    `esp_size`: of an EFI system partition, GPT only; 0 for none. `msr`: with a Microsoft reserved partition.
    `tail`: bytes at the disk's end that belong to no partition.
    `disk_id`: 16 bytes, the GUID or an MBR's signature and 12 zeros; None: random.
    `serial`: of the volume, 64 bits; None: random.
    `gathered`: the volume's own files lie near its start, none in its middle.
    """

    size: int
    form: DiskForm = DiskForm.VHD
    fixed: bool = False
    table: TableKind = TableKind.MBR
    esp_size: int = 0
    msr: bool = False
    tail: int = 1 << 20
    disk_id: bytes | None = None
    label: str = ""
    cluster_size: int = 4096
    serial: int | None = None
    boot_code: BootCode = BootCode()
    gathered: bool = False


class MadeDisk(Frozen):
    """A disk that was made. `number`, `start`, `volume_size` and `partition_id` (16 bytes, as
    `disk.table.Partition.id`) are those of the partition for Windows; `file_size` is what the file takes.
    """

    path: Path
    form: DiskForm
    fixed: bool
    table: NewTable
    label: str
    cluster_size: int
    serial: int
    boots_mbr: bool
    boots_volume: bool
    file_size: int

    @property
    def disk_id(self) -> bytes:
        """What Windows knows the disk by: 16 bytes, the GUID, or the signature and 12 zeros."""
        return self.table.disk_id

    @property
    def windows(self) -> NewPartition:
        """The partition for Windows."""
        return self.table.windows

    @property
    def number(self) -> int:
        """Its number, N of PATH#N."""
        return self.windows.number

    @property
    def start(self) -> int:
        """Its first byte on the disk."""
        return self.windows.start

    @property
    def volume_size(self) -> int:
        """Its size."""
        return self.windows.size

    @property
    def partition_id(self) -> bytes:
        """What Windows knows it by."""
        return self.windows.id
