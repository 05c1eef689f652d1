"""What a file is by its first and last bytes: a WIM, something that may be a disk, a volume that is none of ours.

Magics: those of `disk.table`; FAT's and exFAT's from Microsoft's specifications of them; gzip from RFC 1952, and LZ4's
frame from its specification, for RAM images.
"""

from __future__ import annotations

import zlib
from enum import Enum
from typing import TYPE_CHECKING

from wimboot.disk import DiskFormat, NotADisk, read_table
from wimboot.disk.vhdlayout import is_vhd
from wimboot.errors import Error
from wimboot.formats.wimheader import MAGIC, PIPABLE_MAGIC
from wimboot.storage import HostFile
from wimboot.storage.memory import Image, MemoryFile

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import File

__all__ = ["FileKind", "kind_of"]

_HEAD = 4096
_LEAST_DISK = 1 << 20
"""Of an NTFS volume that mkntfs makes."""
_SECTOR = 512
_GZIP = b"\x1f\x8b\x08"
_LZ4 = b"\x04\x22\x4d\x18"
_RAM_SUFFIX = ".ram"


class FileKind(Enum):
    """What a file is; the value says it to people."""

    WIM = "WIM"
    DISK = "disk"
    FAT = "FAT volume"
    EXFAT = "exFAT volume"
    GZIP_IMAGE = "disk image compressed with gzip"
    LZ4_IMAGE = "disk image compressed with LZ4"


def kind_of(path: Path) -> FileKind | None:
    """None for what is neither a disk nor a WIM. Raises HostError where it cannot be read."""
    file = HostFile.open(path)
    try:
        return _kind(file, path.suffix.casefold())
    finally:
        file.close()


def _kind(file: File, suffix: str) -> FileKind | None:
    head = file.pread(0, _HEAD)
    if head[:8] in (MAGIC, PIPABLE_MAGIC):
        return FileKind.WIM
    if head[:3] == _GZIP:
        return FileKind.GZIP_IMAGE if _holds_disk(file) else None
    if head[:4] == _LZ4:
        return FileKind.LZ4_IMAGE if suffix == _RAM_SUFFIX else None
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


def _holds_disk(file: File) -> bool:
    """Whether what is compressed begins as a disk or a volume does."""
    try:
        head = zlib.decompressobj(31).decompress(file.pread(0, 1 << 16), _HEAD)
    except zlib.error:
        return False
    if len(head) < _SECTOR:
        return False
    return head[:8] == b"conectix" or head[3:11] == b"NTFS    " or _is_disk(MemoryFile(Image(head)), raw=True)
