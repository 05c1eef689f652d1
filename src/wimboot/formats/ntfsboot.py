"""The boot sector of an NTFS volume."""

from __future__ import annotations

import struct
from typing import ClassVar

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = ["BootSector"]

_BOOT = struct.Struct("<3s8sHB14xI4x4xQQQb3xb3xQ")
_SIZES = frozenset((512, 1024, 2048, 4096))
_LARGEST_CLUSTER = 2 << 20
_LARGEST_RECORD = 64 << 10


class BootSector(Frozen):
    """The fields that say where things lie; sizes in bytes.

    offset size field (source: Windows' NTFS documentation as libntfs-3g's layout.h has it; mkntfs output)
    0x00   3    jump
    0x03   8    "NTFS    "
    0x0B   2    bytes a sector: 512, 1024, 2048 or 4096
    0x0D   1    sectors a cluster: a power of two up to 128; above 128 the two's complement of its exponent
    0x1C   4    hidden sectors: the partition's first sector on its disk
    0x28   8    sectors of the volume, the backup boot sector behind it not counted
    0x30   8    LCN of $MFT
    0x38   8    LCN of $MFTMirr
    0x40   1    clusters a file record; negative: the exponent of its size in bytes
    0x44   1    clusters an index block, likewise
    0x48   8    serial number
    0x1FE  2    55 AA (not asked for: firmware does, NTFS drivers do not)
    """

    STRUCTURE: ClassVar[str] = "NTFS boot sector"
    SIZE: ClassVar[int] = 512

    sector_size: int
    cluster_size: int
    record_size: int
    index_size: int
    hidden_sectors: int
    total_sectors: int
    mft_lcn: int
    mirror_lcn: int
    serial: int

    @property
    def total_clusters(self) -> int:
        """Clusters that can hold data; sectors behind the last whole one belong to none."""
        return self.total_sectors * self.sector_size // self.cluster_size

    @property
    def volume_size(self) -> int:
        """Bytes from the boot sector to the end of the last sector of the volume."""
        return self.total_sectors * self.sector_size

    @classmethod
    def parse(cls, data: bytes) -> BootSector:
        """Of the first 512 bytes of a volume. Raises FormatError."""
        if len(data) < cls.SIZE:
            raise FormatError(cls.STRUCTURE, len(data), "it is cut short")
        (_, name, sector, cluster_code, hidden, total, mft, mirror, record_code, index_code,
         serial) = _BOOT.unpack_from(data)
        if name != b"NTFS    ":
            raise FormatError(cls.STRUCTURE, 3, "it does not carry the name NTFS")
        if sector not in _SIZES:
            raise FormatError(cls.STRUCTURE, 0x0B, f"sectors of {sector} bytes")
        cluster = sector * (cluster_code if cluster_code <= 128 else 1 << min(256 - cluster_code, 32))
        if cluster_code == 0 or cluster & cluster - 1 or cluster > _LARGEST_CLUSTER:
            raise FormatError(cls.STRUCTURE, 0x0D, f"{cluster_code:#x} as sectors of a cluster")
        if not 0 < total < 1 << 50 or total * sector < cluster:
            raise FormatError(cls.STRUCTURE, 0x28, f"a volume of {total:,} sectors")
        clusters = total * sector // cluster
        for offset, lcn in ((0x30, mft), (0x38, mirror)):
            if not 0 < lcn < clusters:
                raise FormatError(cls.STRUCTURE, offset, f"cluster {lcn} of {clusters}")
        return cls(sector_size=sector, cluster_size=cluster, hidden_sectors=hidden, total_sectors=total,
                   record_size=cls._record_size(record_code, cluster, 0x40),
                   index_size=cls._record_size(index_code, cluster, 0x44), mft_lcn=mft, mirror_lcn=mirror,
                   serial=serial)

    @classmethod
    def _record_size(cls, code: int, cluster: int, offset: int) -> int:
        size = code * cluster if code > 0 else 1 << min(-code, 32)
        if size & size - 1 or not 512 <= size <= _LARGEST_RECORD:
            raise FormatError(cls.STRUCTURE, offset, f"records of {size:,} bytes")
        return size
