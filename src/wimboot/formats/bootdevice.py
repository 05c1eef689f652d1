"""Where boot loader and overlay filter look for a disk, a partition, a file: a BOOT_ENVIRONMENT_DEVICE as a value.

`bootdevicelayout` has the bytes, `bootdeviceread` reads them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import TypeAlias

from wimboot.formats.bootdevicelayout import (
    DISK_SIZE,
    FILE,
    FILE_SIZE,
    HEADER,
    LOCATE,
    LOCATE_SIZE,
    PARTITION,
    PARTITION_SIZE,
    RAMDISK,
    RAMDISK_SIZE,
    VHD_SIZE,
    BlockType,
    DeviceType,
)
from wimboot.formats.guid import NIL
from wimboot.formats.names import MAX_PATH_UNITS, encode_name, fold_text
from wimboot.frozen import Frozen

__all__ = [
    "BootDevice", "Device", "DeviceFlag", "FileDevice", "LocateDevice", "LocateKind", "OpaqueDevice",
    "PartitionDevice", "PartitionStyle", "RamdiskDevice", "VhdDevice", "VirtualDiskDevice", "same_location",
]

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


class PartitionDevice(Frozen):
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
        return (HEADER.pack(DeviceType.PARTITION, self.flags, PARTITION_SIZE, 0)
                + _identity(self.partition_id, BlockType.HARD_DISK, self.style, self.disk_id) + NIL)


class VhdDevice(Frozen):
    """A partition inside a VHD that lies, as `container`, on another disk than the pointers."""

    style: int
    partition_id: bytes
    disk_id: bytes
    container: Device
    flags: int = 0

    def pack(self) -> bytes:
        """The structure and, behind it, the container's."""
        nested = self.container.pack()
        return (HEADER.pack(DeviceType.PARTITION, self.flags, VHD_SIZE + len(nested), 0)
                + _identity(self.partition_id, BlockType.VHD, self.style, self.disk_id) + nested)


class FileDevice(Frozen):
    r"""A file on a device; `path` begins with a backslash and has no drive letter."""

    parent: Device
    path: str
    flags: int = 0

    def pack(self) -> bytes:
        """The structure with its parent and its path."""
        rest = self.parent.pack() + _path(self.path)
        size = FILE_SIZE + len(rest)
        return (HEADER.pack(DeviceType.BLOCK_IO, self.flags, size, 0)
                + FILE.pack(BlockType.FILE, 1, size - 0x14, BlockType.FILE) + rest)


class RamdiskDevice(Frozen):
    r"""A disk image, `\boot\boot.wim`, that the boot manager loads into memory."""

    parent: Device
    path: str
    base: int = 0
    size: int = 0
    offset: int = 0
    flags: int = DeviceFlag.UNSPECIFIED

    def pack(self) -> bytes:
        """The structure with its parent and its path."""
        rest = self.parent.pack() + _path(self.path)
        size = RAMDISK_SIZE + len(rest)
        image = RAMDISK.pack(BlockType.RAM_DISK, self.base, self.size, self.offset, 1, size - 0x28, BlockType.FILE)
        return HEADER.pack(DeviceType.BLOCK_IO, self.flags, size, 0) + image + rest


class VirtualDiskDevice(Frozen):
    """A VHD as a whole; which partition of it is meant, a `LocateDevice` around it finds out."""

    file: Device
    flags: int = 0

    def pack(self) -> bytes:
        """The structure and, behind it, the file's."""
        nested = self.file.pack()
        return (HEADER.pack(DeviceType.BLOCK_IO, self.flags, DISK_SIZE + len(nested), 0)
                + BlockType.VHD.to_bytes(4, "little") + bytes(20) + nested)


class LocateKind(IntEnum):
    """What says the path to look for."""

    ELEMENT = 0
    STRING = 1


class LocateDevice(Frozen):
    """The partition that holds the file of a path: that in `element` of the same object, or `path`.

    It is looked for in `parent`; None: on every disk.
    """

    kind: int = LocateKind.ELEMENT      # LocateKind; unknown values are kept
    element: int = 0
    path: str = ""
    parent: Device | None = None
    flags: int = 0

    def pack(self) -> bytes:
        """The structure with its path and its parent."""
        path, nested = _path(self.path), b"" if self.parent is None else self.parent.pack()
        offset = LOCATE_SIZE + len(path) if self.parent is not None else 0
        return (HEADER.pack(DeviceType.LOCATE, self.flags, LOCATE_SIZE + len(path) + len(nested), 0)
                + LOCATE.pack(self.kind, self.element, offset) + path + nested)


class BootDevice(Frozen):
    """The device that the boot manager came from, `boot` in bcdedit. `reserved`: 56 bytes, else zeros."""

    flags: int = 0
    reserved: bytes = bytes(56)

    def pack(self) -> bytes:
        """The 72 bytes."""
        return HEADER.pack(DeviceType.BOOT, self.flags, 16 + len(self.reserved), 0) + self.reserved


class OpaqueDevice(Frozen):
    """A device of a form not read here, as its bytes."""

    raw: bytes

    def pack(self) -> bytes:
        """The same bytes."""
        return self.raw


Device: TypeAlias = (
    "PartitionDevice | VhdDevice | FileDevice | RamdiskDevice | VirtualDiskDevice | LocateDevice | BootDevice"
    " | OpaqueDevice"
)


def _path(text: str) -> bytes:
    """A path with its NUL."""
    units = encode_name(text)
    if "\0" in text or len(units) > 2 * MAX_PATH_UNITS:
        raise ValueError("a path holds no NUL and at most 32,767 units")
    return units + b"\0\0"


def _identity(partition_id: bytes, parent: int, style: int, disk_id: bytes) -> bytes:
    if len(partition_id) != 16 or len(disk_id) != 16:
        raise ValueError("the ids of a partition and a disk have 16 bytes")
    return PARTITION.pack(partition_id, parent, style, disk_id)


def same_location(one: Device, other: Device) -> bool:
    """Whether two devices mean the same place: equal ids, paths equal but for case, whatever the flags."""
    here: Device | None = one
    there: Device | None = other
    while here is not None and there is not None:
        (own, here), (others, there) = _outermost(here), _outermost(there)
        if own != others:
            return False
    return here is there


def _outermost(device: Device) -> tuple[object, Device | None]:
    """What the device itself says of a place, and the device in it.

    Of a partition that is the 20 bytes of the disk and the 16 of the partition, which is what the driver compares
    (public disassembly of wof.sys).
    """
    if isinstance(device, FileDevice | RamdiskDevice):
        return (type(device), fold_text(device.path)), device.parent
    if isinstance(device, VirtualDiskDevice):
        return VirtualDiskDevice, device.file
    if isinstance(device, LocateDevice):
        return (device.kind, device.element, fold_text(device.path)), device.parent
    if isinstance(device, PartitionDevice | VhdDevice):
        identity = (type(device), device.style, device.disk_id, device.partition_id)
        return identity, device.container if isinstance(device, VhdDevice) else None
    return device, None
