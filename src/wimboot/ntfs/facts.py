"""What a volume says of itself, read from its bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.frozen import Frozen
from wimboot.ntfs.metafile import BAD_CLUSTERS_RECORD, BITMAP_RECORD, DATA, VOLUME_RECORD, Metafiles

if TYPE_CHECKING:
    from wimboot.formats.ntfsboot import BootSector
    from wimboot.storage.protocol import File

__all__ = ["VolumeFacts", "bad_clusters", "cluster_bitmap", "volume_facts"]

_VOLUME_NAME, _VOLUME_INFORMATION = 0x60, 0x70
_INFORMATION = struct.Struct("<8xBBH")
_FLAGS_OFFSET = 10
_BAD_NAME = "$Bad".encode("utf-16-le")
_DIRTY = 1
_LARGEST_BITMAP = 1 << 29      # 2^32 clusters, NTFS' most


class VolumeFacts(Frozen):
    """Of an NTFS volume; `flags_offsets` are where the 2 bytes of its flags lie on the device ($MFT, then $MFTMirr)."""

    serial: int
    label: str
    version: tuple[int, int]
    flags: int
    flags_offsets: tuple[int, ...]
    cluster_size: int
    record_size: int
    total_clusters: int
    free_clusters: int
    hidden_sectors: int
    volume_size: int
    """Bytes from the boot sector to the backup boot sector."""

    @property
    def dirty(self) -> bool:
        """Whether Windows wants to check the volume first."""
        return bool(self.flags & _DIRTY)


def volume_facts(device: File) -> VolumeFacts:
    """Of the volume on `device`. Raises FormatError."""
    files = Metafiles(device)
    information = next((a for a in files.record(VOLUME_RECORD).attributes if a.type == _VOLUME_INFORMATION), None)
    if information is None or information.value is None or information.size < _INFORMATION.size:
        raise FormatError("$Volume", 0, "it has no volume information")
    major, minor, flags = _INFORMATION.unpack_from(information.value)
    name = files.attribute(VOLUME_RECORD, _VOLUME_NAME)
    boot = files.boot
    return VolumeFacts(
        serial=boot.serial, version=(major, minor), flags=flags,
        label="" if name is None else files.content(name, 1024).decode("utf-16-le", "replace"),
        flags_offsets=_flags_offsets(files, boot, information.value_offset + _FLAGS_OFFSET),
        cluster_size=boot.cluster_size, record_size=boot.record_size, total_clusters=boot.total_clusters,
        free_clusters=boot.total_clusters - _used(_bitmap(files), boot.total_clusters),
        hidden_sectors=boot.hidden_sectors, volume_size=boot.volume_size)


def cluster_bitmap(device: File) -> bytes:
    """$Bitmap: bit n%8 of byte n//8 is set where cluster n is in use. Raises FormatError."""
    return _bitmap(Metafiles(device))


def bad_clusters(device: File) -> int:
    """Clusters that Windows found unreadable and put into $BadClus:$Bad. Raises FormatError."""
    attribute = Metafiles(device).attribute(BAD_CLUSTERS_RECORD, DATA, _BAD_NAME)
    return sum(clusters for lcn, clusters in attribute.runs if lcn is not None) if attribute is not None else 0


def _bitmap(files: Metafiles) -> bytes:
    attribute = files.attribute(BITMAP_RECORD, DATA)
    need = -(-files.boot.total_clusters // 8)
    if attribute is None or attribute.size < need:
        raise FormatError("$Bitmap", 0, f"it is shorter than the {need} bytes that the volume needs")
    return files.content(attribute, _LARGEST_BITMAP)


def _used(bitmap: bytes, clusters: int) -> int:
    last = bitmap[clusters // 8] & (1 << clusters % 8) - 1 if clusters % 8 else 0
    return int.from_bytes(bitmap[:clusters // 8], "little").bit_count() + last.bit_count()


def _flags_offsets(files: Metafiles, boot: BootSector, inside: int) -> tuple[int, ...]:
    """Raises FormatError where the flags cannot be set by hand: a word that the update sequence stands for."""
    if inside % 512 > 508:
        raise FormatError("$Volume", inside, "its flags lie across the end of a sector")
    offset = VOLUME_RECORD * boot.record_size + inside
    place, room = files.mft.place(offset)
    if place is None or room < 2:
        raise FormatError("$Volume", inside, "its flags do not lie in one place")
    mirror = boot.mirror_lcn * boot.cluster_size + offset
    if mirror + 2 > boot.volume_size:
        raise FormatError("$MFTMirr", 0, "it reaches past the end of the volume")
    return place, mirror
