"""What a file is by its first and last bytes: a WIM, something that may be a disk, a volume that is none of ours.

Magics: those of `disk.table`; FAT's and exFAT's from Microsoft's specifications of them; gzip from RFC 1952, and LZ4's
frame from its specification, for RAM images.
"""

from __future__ import annotations

import zlib
from enum import Enum
from typing import TYPE_CHECKING

from wimboot.disk import DiskFormat, NotADisk, read_table
from wimboot.disk.lz4disk import Lz4Disk
from wimboot.disk.packing import Lz4Missing
from wimboot.disk.vhdlayout import is_vhd
from wimboot.errors import Error, FormatError
from wimboot.formats.lz4frame import FRAME_MAGIC, STORED
from wimboot.formats.mbr import Mbr
from wimboot.formats.wimheader import MAGIC, PIPABLE_MAGIC
from wimboot.storage import HostFile
from wimboot.storage.memory import Image, MemoryFile

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import File

__all__ = ["FileKind", "kind_of", "packed_disk_size"]

_HEAD = 4096
_LEAST_DISK = 1 << 20
"""Of an NTFS volume that mkntfs makes."""
_SECTOR = 512
_GZIP = b"\x1f\x8b\x08"
_LZ4_SIZE_OFFSET = 6
_LZ4_HAS_SIZE, _LZ4_HAS_DICTIONARY = 8, 1


class FileKind(Enum):
    """What a file is; the value says it to people."""

    WIM = "WIM"
    DISK = "disk"
    FAT = "FAT volume"
    EXFAT = "exFAT volume"
    GZIP = "disk compressed with gzip"
    LZ4 = "disk compressed with LZ4"


def kind_of(path: Path) -> FileKind | None:
    """None for what is neither a disk nor a WIM. Raises HostError where it cannot be read."""
    file = HostFile.open(path)
    try:
        return _kind(file)
    finally:
        file.close()


def packed_disk_size(path: Path, kind: FileKind) -> int | None:
    """Bytes of the disk in a compressed file, without its free end where that is not in the file; None where nothing
    tells. gzip counts up to 4 GiB.

    Raises HostError.
    """
    file = HostFile.open(path)
    try:
        if kind is FileKind.GZIP:
            told = int.from_bytes(file.pread(max(0, file.size() - 4), 4), "little")
            return max(told, _partitions_end(_from_gzip(file)))
        try:
            return Lz4Disk(file).size()     # ours, which say it behind their end
        except (FormatError, Lz4Missing):
            head = file.pread(0, _HEAD)
        if not head[4] & _LZ4_HAS_SIZE:
            return None
        return max(int.from_bytes(head[_LZ4_SIZE_OFFSET:_LZ4_SIZE_OFFSET + 8], "little"),
                   _partitions_end(_from_lz4(head)))
    finally:
        file.close()


def _partitions_end(sector: bytes) -> int:
    """Where the last partition of an MBR ends; 0 where there is none."""
    try:
        mbr = Mbr.parse(sector)
    except FormatError:
        return 0
    if mbr.is_protective:
        return 0
    return max((entry.first_sector + entry.sectors) * _SECTOR if entry.is_used else 0 for entry in mbr.entries)


def _kind(file: File) -> FileKind | None:
    head = file.pread(0, _HEAD)
    if head[:8] in (MAGIC, PIPABLE_MAGIC):
        return FileKind.WIM
    if head[:3] == _GZIP:
        return FileKind.GZIP if _begins_disk(_from_gzip(file)) else None
    if head[:4] == FRAME_MAGIC:
        return FileKind.LZ4 if _begins_disk(_from_lz4(head)) else None
    size = file.size()
    if is_vhd(file):
        return FileKind.DISK
    if head[54:57] == b"FAT" or head[82:85] == b"FAT":
        return FileKind.FAT if head[510:512] == b"\x55\xaa" else None
    if head[3:11] == b"EXFAT   ":
        return FileKind.EXFAT
    return FileKind.DISK if _is_disk(file, raw=size >= _LEAST_DISK and size % _SECTOR == 0) else None


def _is_disk(file: File, *, raw: bool) -> bool:
    """Whether it is in a form of its own, or raw, with a table or a volume that this program knows."""
    try:
        read_table(file, where="")
    except DiskFormat:
        return True
    except NotADisk:
        return False
    except Error:       # a damaged table, an encrypted volume: whoever opens it says so
        return raw
    return raw


def _begins_disk(head: bytes) -> bool:
    """Whether what is compressed begins as a disk or a volume does."""
    if len(head) < _SECTOR:
        return False
    return head[:8] == b"conectix" or head[3:11] == b"NTFS    " or _is_disk(MemoryFile(Image(head)), raw=True)


def _from_gzip(file: File) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(file.pread(0, 1 << 16), _HEAD)
    except zlib.error:
        return b""


def _from_lz4(data: bytes) -> bytes:
    """The first sector in a frame; nothing where it cannot be had. LZ4 Block Format Description."""
    if len(data) < _LZ4_SIZE_OFFSET + 16:
        return b""
    at = _LZ4_SIZE_OFFSET + 1 + (8 if data[4] & _LZ4_HAS_SIZE else 0) + (4 if data[4] & _LZ4_HAS_DICTIONARY else 0)
    stored = int.from_bytes(data[at:at + 4], "little")
    at += 4
    if stored & STORED:
        return data[at:at + _SECTOR]
    out = bytearray()
    end = min(len(data), at + stored)
    while at < end and len(out) < _SECTOR:
        token = data[at]
        literals, at = _lz4_length(data, at + 1, token >> 4)
        out += data[at:at + literals]
        at += literals
        if at + 2 > end:
            break
        back = int.from_bytes(data[at:at + 2], "little")
        match, at = _lz4_length(data, at + 2, token & 15)
        if not 0 < back <= len(out):
            return b""
        for _ in range(min(match + 4, _SECTOR)):
            out.append(out[-back])
    return bytes(out[:_SECTOR])


def _lz4_length(data: bytes, at: int, length: int) -> tuple[int, int]:
    """A length that may go on in further bytes, and where they end."""
    if length == 15:
        while at < len(data):
            length += data[at]
            at += 1
            if data[at - 1] != 255:
                break
    return length, at
