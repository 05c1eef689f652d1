"""A new volume whose own files all lie near its start, so that its end is one free stretch.

mkntfs puts the copy of $MFT's first records and the journal into the middle of a volume. Where they lie is said by
the boot sector, its copy and the files' own records; Windows puts that copy at cluster 2.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError
from wimboot.formats.ntfsrecord import Attribute, FileRecord, fix, pack_runs, unfix
from wimboot.ntfs.metafile import BITMAP_RECORD, DATA, Extents, Metafiles

if TYPE_CHECKING:
    from wimboot.storage import File

__all__ = ["gather"]

_MIRROR_RECORD: Final = 1
_LOG_RECORD: Final = 2
"""Both are among the four records that $MFTMirr has at least: $MFT, itself, $LogFile, $Volume."""
_MIRROR_LCN: Final = 0x38
_ZONE: Final = 8
"""The part of a volume that is left to $MFT to grow in: an eighth, by ntfs-3g and by Windows."""
_STEP: Final = 1 << 20


def gather(device: File) -> None:
    """Move $MFTMirr and $LogFile of the new volume on `device` behind the room that is left to $MFT, its start at most.

    `device` ends with the copy of the boot sector. Raises FormatError, HostError.
    """
    files = Metafiles(device)
    boot = files.boot
    bits = _BitmapFile(files)
    mirror = boot.mirror_lcn
    for number in (_MIRROR_RECORD, _LOG_RECORD):
        data = _in_one_run(files, number)
        lcn, clusters = data.runs[0]
        place = bits.free(boot.total_clusters // _ZONE, clusters)
        if lcn is None or place is None or place >= lcn:
            continue
        _copy(device, lcn * boot.cluster_size, place * boot.cluster_size, clusters * boot.cluster_size)
        bits.mark(place, clusters, used=True)
        bits.mark(lcn, clusters, used=False)
        if number == _MIRROR_RECORD:
            mirror = place
        record = _moved(files.mft.read(number * boot.record_size, boot.record_size), data, place)
        for start in (boot.mft_lcn, mirror):
            device.pwrite(start * boot.cluster_size + number * boot.record_size, record)
    bits.write()
    for sector in (0, device.size() - boot.sector_size):
        device.pwrite(sector + _MIRROR_LCN, struct.pack("<Q", mirror))


class _BitmapFile:
    """$Bitmap of a volume, and where its bytes go back to."""

    def __init__(self, files: Metafiles) -> None:
        attribute = files.attribute(BITMAP_RECORD, DATA)
        if attribute is None or attribute.value is not None or 8 * attribute.initialized < files.boot.total_clusters:
            raise FormatError("$Bitmap", 0, "it does not cover the volume")
        self._device, self._count = files.device, files.boot.total_clusters
        self._extents = Extents(files.device, files.boot)
        self._extents.add(attribute.runs)
        self._bits = bytearray(self._extents.read(0, attribute.initialized))

    def free(self, start: int, clusters: int) -> int | None:
        """The first of `clusters` free ones in a row, from `start` on; None where there are none."""
        run = 0
        for cluster in range(start, self._count):
            run = 0 if self._bits[cluster >> 3] >> (cluster & 7) & 1 else run + 1
            if run == clusters:
                return cluster + 1 - clusters
        return None

    def mark(self, start: int, clusters: int, *, used: bool) -> None:
        for cluster in range(start, start + clusters):
            bit = 1 << (cluster & 7)
            self._bits[cluster >> 3] = self._bits[cluster >> 3] & ~bit | (bit if used else 0)

    def write(self) -> None:
        offset = 0
        while offset < len(self._bits):
            place, room = self._extents.place(offset)
            if place is None:
                raise FormatError("$Bitmap", offset, "it has a hole")
            self._device.pwrite(place, self._bits[offset:offset + room])
            offset += room


def _in_one_run(files: Metafiles, number: int) -> Attribute:
    """The data of a file that has one record and one run, and a run list that lies in that record."""
    found = [one for one in files.record(number).attributes if one.type == DATA and not one.name]
    if len(found) != 1 or len(found[0].runs) != 1:
        raise FormatError("$MFT", number, "its data does not lie in one place")
    return found[0]


def _copy(device: File, source: int, target: int, size: int) -> None:
    for offset in range(0, size, _STEP):
        device.pwrite(target + offset, device.pread(source + offset, min(_STEP, size - offset)))


def _moved(raw: bytes, data: Attribute, lcn: int) -> bytes:
    """The record `raw`, as it lies on the volume, with the one run of its attribute `data` at `lcn`."""
    record = bytearray(unfix(raw))
    length, = struct.unpack_from("<I", record, data.offset + 4)
    pairs, = struct.unpack_from("<H", record, data.offset + 32)
    packed = pack_runs([(lcn, data.runs[0][1])])
    if pairs + len(packed) > length:
        raise FormatError(FileRecord.STRUCTURE, data.offset, "there is no room for another place")
    record[data.offset + pairs:data.offset + length] = packed.ljust(length - pairs, b"\0")
    return fix(bytes(record))
