r"""BOOT_ENVIRONMENT_DEVICE: where boot loader and overlay filter look for a disk, a partition, a file.

The same structure stands in WimOverlay.dat (as "entry_2") and, after 16 bytes of a GUID, in the device
elements of a BCD store. Facts: [D] public disassembly of wof.sys, [S] real BCD stores. Little-endian.

    offset size  field
    0x00   4     device type       0 block I/O, 5 boot, 6 partition, 8 locate, others                 [S]
    0x04   4     flags             1 unspecified, 2 force FVE, 4 parent signature invalid, 8 VHD in a RAM disk
    0x08   4     size              of the whole structure
    0x0C   4     padding           0
    0x10   -     by type

Partition (type 6, size 0x48) and VHD (type 6, size 0x38 + L):

    0x10   16    partition id      MBR: u64 offset in bytes, u64 0. GPT: the partition's unique GUID  [S][D]
    0x20   4     parent type       0 hard disk; 6 VHD, the form with the container behind it
    0x24   4     partition style   1 MBR, 0 GPT, 2 none
    0x28   16    disk id           MBR: u32 signature, zeros. GPT: the disk's GUID
    0x38   16    reserved, 0       VHD: instead, to the end, the FILE device (L bytes) of the container

File (type 0, size 0x20 + parent + path):

    0x10   4     block I/O type    5
    0x14   4     file path version 1
    0x18   4     file path length  size - 0x14
    0x1C   4     file path type    5
    0x20   -     parent            the device that holds the file
    -      -     path              UTF-16LE with NUL, `\dir\file`, no drive letter

A form outside of these, or one with an unexpected byte, is kept as `OpaqueDevice`, byte for byte. A device
holds at most one other, so that reading is a loop over at most MAX_DEPTH layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct
from typing import Final, TypeAlias

from wimboot.errors import FormatError
from wimboot.formats.guid import NIL
from wimboot.formats.names import MAX_PATH_UNITS, decode_name, encode_name, fold_text

__all__ = [
    "MAX_DEPTH", "BootDevice", "Device", "DeviceFlag", "FileDevice", "OpaqueDevice", "PartitionDevice",
    "PartitionStyle", "VhdDevice", "device_size", "parse_device", "same_location",
]

MAX_DEPTH: Final = 4    # WIM file, partition in a VHD, container file, its partition
MAX_SIZE: Final = 0x1_0000 * MAX_DEPTH
_HEADER = Struct("<IIII")
_PARTITION = Struct("<16sII16s")
_FILE = Struct("<IIII")
_PARTITION_SIZE: Final = 0x48
_VHD_SIZE: Final = 0x38
_FILE_SIZE: Final = 0x20
_WHAT: Final = "a boot environment device"


class _Type(IntEnum):
    BLOCK_IO = 0
    BOOT = 5
    PARTITION = 6


_HARD_DISK: Final = 0
_FILE_PATH: Final = 5
_IN_VHD: Final = 6


class DeviceFlag(IntFlag):
    """The flags of a device, as bcdedit's sources of information name them."""

    UNSPECIFIED = 1
    FORCE_FVE = 2
    PARENT_SIGNATURE_INVALID = 4
    VHD_IN_RAM_DISK = 8


class PartitionStyle(IntEnum):
    """How the disk says what its partitions are."""

    GPT = 0
    MBR = 1
    RAW = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionDevice:
    """A partition of a disk that Windows sees: a physical one, or that of a VHD it runs from."""

    style: int              # PartitionStyle; unknown values are kept
    partition_id: bytes     # 16 bytes
    disk_id: bytes          # 16 bytes
    flags: int = 0

    @classmethod
    def mbr(cls, signature: int, offset: int) -> PartitionDevice:
        """Partition at byte `offset` of the MBR disk with that signature."""
        return cls(style=PartitionStyle.MBR, partition_id=offset.to_bytes(8, "little") + bytes(8),
                   disk_id=signature.to_bytes(4, "little") + bytes(12))

    @classmethod
    def gpt(cls, disk: bytes, partition: bytes) -> PartitionDevice:
        """Partition with that unique GUID on the disk with that GUID (stored forms)."""
        return cls(style=PartitionStyle.GPT, partition_id=partition, disk_id=disk)

    @property
    def offset(self) -> int:
        """MBR: where the partition begins on its disk, in bytes."""
        return int.from_bytes(self.partition_id[:8], "little")

    @property
    def signature(self) -> int:
        """MBR: the disk's signature."""
        return int.from_bytes(self.disk_id[:4], "little")

    def pack(self) -> bytes:
        """The 72 bytes."""
        return (_HEADER.pack(_Type.PARTITION, self.flags, _PARTITION_SIZE, 0)
                + _identity(self.partition_id, _HARD_DISK, self.style, self.disk_id) + NIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class VhdDevice:
    """A partition inside a VHD that lies, as `container`, on another disk than the pointers."""

    style: int
    partition_id: bytes
    disk_id: bytes
    container: Device
    flags: int = 0

    def pack(self) -> bytes:
        """The structure and, behind it, the container's."""
        nested = self.container.pack()
        return (_HEADER.pack(_Type.PARTITION, self.flags, _VHD_SIZE + len(nested), 0)
                + _identity(self.partition_id, _IN_VHD, self.style, self.disk_id) + nested)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDevice:
    r"""A file on a device; `path` begins with a backslash and has no drive letter."""

    parent: Device
    path: str
    flags: int = 0

    def pack(self) -> bytes:
        """The structure with its parent and its path."""
        if "\0" in self.path or len(encode_name(self.path)) > 2 * MAX_PATH_UNITS:
            raise ValueError("a path holds no NUL and at most 32,767 units")
        rest = self.parent.pack() + encode_name(self.path) + b"\0\0"
        size = _FILE_SIZE + len(rest)
        return (_HEADER.pack(_Type.BLOCK_IO, self.flags, size, 0)
                + _FILE.pack(_FILE_PATH, 1, size - 0x14, _FILE_PATH) + rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootDevice:
    """The device that the boot manager came from, `boot` in bcdedit. `reserved`: 56 bytes, else zeros."""

    flags: int = 0
    reserved: bytes = bytes(56)

    def pack(self) -> bytes:
        """The 72 bytes."""
        return _HEADER.pack(_Type.BOOT, self.flags, 16 + len(self.reserved), 0) + self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueDevice:
    """A device of a form not read here, as its bytes."""

    raw: bytes

    def pack(self) -> bytes:
        """The same bytes."""
        return self.raw


Device: TypeAlias = PartitionDevice | VhdDevice | FileDevice | BootDevice | OpaqueDevice


def _identity(partition_id: bytes, parent: int, style: int, disk_id: bytes) -> bytes:
    if len(partition_id) != 16 or len(disk_id) != 16:
        raise ValueError("the ids of a partition and a disk have 16 bytes")
    return _PARTITION.pack(partition_id, parent, style, disk_id)


def device_size(data: bytes, offset: int = 0) -> int:
    """The size that the device at `offset` says it has, checked against the buffer. Raises FormatError."""
    if not 0 <= offset <= len(data) - _HEADER.size:
        raise FormatError(_WHAT, offset, "it does not fit")
    size = int.from_bytes(data[offset + 8:offset + 12], "little")
    if not _HEADER.size <= size <= min(len(data) - offset, MAX_SIZE):
        raise FormatError(_WHAT, offset + 8, f"it says that it has {size} bytes")
    return size


_Outer: TypeAlias = type[FileDevice | VhdDevice]


def parse_device(data: bytes, offset: int = 0) -> Device:
    """Read the device at `offset`; see `device_size` for where it ends. Raises FormatError."""
    rest = bytes(data[offset:offset + device_size(data, offset)])
    layers: list[tuple[_Outer, bytes]] = []
    while len(layers) < MAX_DEPTH:
        form, nested = _nesting(rest)
        if form is None:
            break
        layers.append((form, rest))
        rest = nested
    device = _leaf(rest)
    for form, raw in reversed(layers):
        device = _around(form, raw, device)
    return device


def _nesting(raw: bytes) -> tuple[_Outer | None, bytes]:
    """Which form with a device inside `raw` has, and the bytes of that device."""
    form: _Outer
    if len(raw) < _FILE_SIZE:
        return None, b""
    if raw[:4] == b"\0\0\0\0" and raw[0x10:0x14] == b"\5\0\0\0":
        form, start = FileDevice, _FILE_SIZE
    elif raw[:4] == b"\6\0\0\0" and raw[0x20:0x24] == b"\6\0\0\0":
        form, start = VhdDevice, _VHD_SIZE
    else:
        return None, b""
    try:
        return form, raw[start:start + device_size(raw, start)]
    except FormatError:
        return None, b""


def _leaf(raw: bytes) -> Device:
    """A device without another in it; opaque unless writing it again gives the same bytes."""
    device: Device = OpaqueDevice(raw=raw)
    kind, flags, _, _ = _HEADER.unpack_from(raw)
    if kind == _Type.PARTITION and len(raw) == _PARTITION_SIZE:
        partition, _, style, disk = _PARTITION.unpack_from(raw, 0x10)
        device = PartitionDevice(style=style, partition_id=partition, disk_id=disk, flags=flags)
    elif kind == _Type.BOOT and len(raw) == _PARTITION_SIZE:
        device = BootDevice(flags=flags, reserved=raw[0x10:])
    return device if device.pack() == raw else OpaqueDevice(raw=raw)


def _around(form: _Outer, raw: bytes, nested: Device) -> Device:
    """The file or VHD device around `nested`; opaque unless writing it again gives the same bytes."""
    flags = int.from_bytes(raw[4:8], "little")
    device: Device
    if form is VhdDevice:
        partition, _, style, disk = _PARTITION.unpack_from(raw, 0x10)
        device = VhdDevice(style=style, partition_id=partition, disk_id=disk, container=nested, flags=flags)
    else:
        path = raw[_FILE_SIZE + len(nested.pack()):]
        if len(path) % 2 or not path.endswith(b"\0\0") or len(path) > 2 * MAX_PATH_UNITS + 2:
            return OpaqueDevice(raw=raw)
        text = decode_name(path[:-2])
        if "\0" in text:
            return OpaqueDevice(raw=raw)
        device = FileDevice(parent=nested, path=text, flags=flags)
    return device if device.pack() == raw else OpaqueDevice(raw=raw)


def same_location(one: Device, other: Device) -> bool:
    """Whether two devices mean the same place: equal ids, paths equal but for case, whatever the flags."""
    while True:
        if isinstance(one, FileDevice) and isinstance(other, FileDevice):
            if fold_text(one.path) != fold_text(other.path):
                return False
            one, other = one.parent, other.parent
        elif isinstance(one, VhdDevice) and isinstance(other, VhdDevice):
            if not _same_identity(one, other):
                return False
            one, other = one.container, other.container
        elif isinstance(one, PartitionDevice) and isinstance(other, PartitionDevice):
            return _same_identity(one, other)
        else:
            return one == other


def _same_identity(one: PartitionDevice | VhdDevice, other: PartitionDevice | VhdDevice) -> bool:
    """The 20 bytes of the disk and the 16 of the partition, which is what the driver compares [D]."""
    return (one.style, one.disk_id, one.partition_id) == (other.style, other.disk_id, other.partition_id)
