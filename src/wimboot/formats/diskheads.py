"""What the first bytes of QCOW2, VMDK and VDI files say of them: what decides whether they can be used as they lie.

QCOW2, big-endian (docs/interop/qcow2.txt of QEMU)::

    offset  size  field
    0       4     "QFI", FB
    4       4     version, 2 or 3
    8       8     offset of the backing file's name; 0 without one
    24      8     size of the disk
    32      4     encryption, 0 for none
    60      4     number of snapshots
    72      8     features that a reader has to know (version 3): 0 dirty, 1 corrupt, 2 data in another file,
                  3 another compression, 4 tables with parts of clusters
    88      8     features that a writer has to know or to clear

VMDK with its data in the same file, little-endian (VMware, Virtual Disk Format 5.0)::

    0       4     "KDMV"
    8       4     flags: 16 compressed, 17 with markers between
    12      8     size of the disk in sectors; 0 where another file has it
    28      8     sector of the descriptor, a text
    36      8     its sectors
    64      8     sectors before the first data
    72      1     1 while it is being written

VDI, little-endian (VirtualBox, VDICore.h)::

    64      4     7F 10 DA BE
    68      4     version, 00010001
    76      4     kind: 1 grows, 2 fixed
    344     4     offset of the data
    368     8     size of the disk
    440     16    unique id of the parent
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HEAD_SIZE", "DiskHead", "parse_qcow2", "parse_vdi", "parse_vmdk"]

HEAD_SIZE: Final = 512
_QCOW2: Final = struct.Struct(">4sIQ8xQI24xI8x")
_QCOW2_FEATURES: Final = struct.Struct(">QQQ")
_DIRTY, _CORRUPT, _OTHER_FILE, _KNOWN = 1, 2, 4, 0b11111
_VMDK: Final = struct.Struct("<4s4xIQ8xQQ20xQB")
_COMPRESSED: Final = 3 << 16
_SECTOR: Final = 512
_MOST_DESCRIPTOR: Final = 1 << 20
_NO_PARENT: Final = "ffffffff"
_PARENT: Final = re.compile(r"(?im)^\s*parentCID\s*=\s*([0-9a-f]{1,8})\s*$")
_KIND: Final = re.compile(r'(?im)^\s*createType\s*=\s*"([^"]*)"')
_VDI: Final = struct.Struct("<II4xI")
_VDI_VERSION: Final = 0x0001_0001
_MOST_SIZE: Final = 1 << 60


class DiskHead(Frozen):
    """The disk's `size`; `data_offset`, before which none of its bytes lie; why it cannot be read as it lies, and why
    not written, or empty texts.
    """

    size: int
    data_offset: int
    unreadable: str = ""
    unwritable: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.size <= _MOST_SIZE or not 0 <= self.data_offset <= _MOST_SIZE:
            raise FormatError("disk header", 0, f"{self.size:,} bytes, their data from byte {self.data_offset:,} on")


def _need(data: bytes, what: str) -> None:
    if len(data) < HEAD_SIZE:
        raise FormatError(what, len(data), "it is cut off")


def parse_qcow2(data: bytes) -> DiskHead:
    """The first 512 bytes. Raises FormatError."""
    _need(data, "QCOW2 header")
    magic, version, backing, size, encryption, snapshots = _QCOW2.unpack_from(data)
    if magic != b"QFI\xfb" or version not in (2, 3):
        raise FormatError("QCOW2 header", 4, f"version {version}")
    needed, _, autoclear = _QCOW2_FEATURES.unpack_from(data, 72) if version == 3 else (0, 0, 0)
    why = next((text for text, found in (
        ("it stands on another file", backing), ("it is encrypted", encryption),
        ("it is marked as damaged", needed & _CORRUPT), ("its data lies in another file", needed & _OTHER_FILE),
        ("it was not closed by the machine that used it last", needed & _DIRTY),
        (f"it has features that are not known ({needed:x})", needed & ~_KNOWN)) if found), "")
    fixed = "it has snapshots" if snapshots else "it keeps notes of what changes (bitmaps)" if autoclear else ""
    return DiskHead(size=size, data_offset=HEAD_SIZE, unreadable=why, unwritable=fixed)


def parse_vmdk(data: bytes, read: Callable[[int, int], bytes]) -> DiskHead:
    """The first 512 bytes; `read` gives bytes of the file, by offset and size. Raises FormatError."""
    _need(data, "VMDK header")
    magic, flags, sectors, at, length, before, unclean = _VMDK.unpack_from(data)
    if magic != b"KDMV":
        raise FormatError("VMDK header", 0, "no such signature")
    if sectors > _MOST_SIZE // _SECTOR or before > _MOST_SIZE // _SECTOR:
        raise FormatError("VMDK header", 12, f"a disk of {sectors} sectors")
    if not 0 < length * _SECTOR <= _MOST_DESCRIPTOR or at > _MOST_SIZE // _SECTOR:
        return DiskHead(size=sectors * _SECTOR, data_offset=0, unreadable="it is one of several files of a disk")
    text = read(at * _SECTOR, length * _SECTOR).partition(b"\0")[0].decode("utf-8", "replace")
    parent, kind = _PARENT.search(text), _KIND.search(text)
    why = next((reason for reason, found in (
        ("its data is compressed", flags & _COMPRESSED), ("its data lies in other files", not sectors),
        ("it is one of several files", kind is None or kind.group(1).casefold() != "monolithicsparse"),
        ("it stands on another disk", parent is not None and parent.group(1).lower() != _NO_PARENT),
        ("it was not closed by the machine that used it last", unclean)) if found), "")
    return DiskHead(size=sectors * _SECTOR, data_offset=before * _SECTOR, unreadable=why)


def parse_vdi(data: bytes) -> DiskHead:
    """The first 512 bytes. Raises FormatError."""
    _need(data, "VDI header")
    magic, version, kind = _VDI.unpack_from(data, 64)
    if magic != 0xBEDA_107F or version != _VDI_VERSION:
        raise FormatError("VDI header", 68, f"version {version:08X}")
    offset, = struct.unpack_from("<I", data, 344)
    size, = struct.unpack_from("<Q", data, 368)
    why = f"it is of kind {kind}, which stands on another disk" if kind not in (1, 2) or any(data[440:456]) else ""
    return DiskHead(size=size, data_offset=offset, unreadable=why)
