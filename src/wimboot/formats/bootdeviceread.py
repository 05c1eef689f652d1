"""Reading a boot environment device; its layout stands in `bootdevicelayout`.

A form not described there, or one with an unexpected byte, is kept as `OpaqueDevice`, byte for byte. A device holds at
most one other, so that reading is a loop over at most MAX_DEPTH layers.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from wimboot.errors import FormatError
from wimboot.formats.bootdevice import (
    BootDevice,
    Device,
    FileDevice,
    LocateDevice,
    OpaqueDevice,
    PartitionDevice,
    RamdiskDevice,
    VhdDevice,
    VirtualDiskDevice,
)
from wimboot.formats.bootdevicelayout import (
    DISK_SIZE,
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
from wimboot.formats.names import MAX_PATH_UNITS, decode_name

__all__ = ["MAX_DEPTH", "device_size", "parse_device"]

MAX_DEPTH: Final = 4    # WIM file, partition in a VHD, container file, its partition
_MAX_SIZE: Final = 0x1_0000 * MAX_DEPTH
_WHAT: Final = "a boot environment device"

def device_size(data: bytes, offset: int = 0) -> int:
    """The size that the device at `offset` says it has, checked against the buffer. Raises FormatError."""
    if not 0 <= offset <= len(data) - HEADER.size:
        raise FormatError(_WHAT, offset, "it does not fit")
    size = int.from_bytes(data[offset + 8:offset + 12], "little")
    if not HEADER.size <= size <= min(len(data) - offset, _MAX_SIZE):
        raise FormatError(_WHAT, offset + 8, f"it says that it has {size:,} bytes")
    return size


_Outer: TypeAlias = "type[FileDevice | VhdDevice | RamdiskDevice | VirtualDiskDevice | LocateDevice]"


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
    if len(raw) < LOCATE_SIZE:
        return None, b""
    kind, block = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[0x10:0x14], "little")
    if kind == DeviceType.BLOCK_IO and block == BlockType.FILE:
        form, start = FileDevice, FILE_SIZE
    elif kind == DeviceType.BLOCK_IO and block == BlockType.RAM_DISK:
        form, start = RamdiskDevice, RAMDISK_SIZE
    elif kind == DeviceType.BLOCK_IO and block == BlockType.VHD:
        form, start = VirtualDiskDevice, DISK_SIZE
    elif kind == DeviceType.PARTITION and int.from_bytes(raw[0x20:0x24], "little") == BlockType.VHD:
        form, start = VhdDevice, VHD_SIZE
    elif kind == DeviceType.LOCATE and raw[0x18:0x1C] != b"\0\0\0\0":
        form, start = LocateDevice, int.from_bytes(raw[0x18:0x1C], "little")
    else:
        return None, b""
    try:
        return form, raw[start:start + device_size(raw, start)]
    except FormatError:
        return None, b""


def _leaf(raw: bytes) -> Device:
    """A device without another in it; opaque unless writing it again gives the same bytes."""
    device: Device | None = None
    kind, flags, _, _ = HEADER.unpack_from(raw)
    if kind == DeviceType.PARTITION and len(raw) == PARTITION_SIZE:
        partition, _, style, disk = PARTITION.unpack_from(raw, 0x10)
        device = PartitionDevice(style=style, partition_id=partition, disk_id=disk, flags=flags)
    elif kind == DeviceType.BOOT and len(raw) == PARTITION_SIZE:
        device = BootDevice(flags=flags, reserved=raw[0x10:])
    elif kind == DeviceType.LOCATE and len(raw) >= LOCATE_SIZE:
        device = _locate(raw, len(raw), None)
    return _faithful(device, raw)


def _around(form: _Outer, raw: bytes, nested: Device) -> Device:
    """The device around `nested`; opaque unless writing it again gives the same bytes."""
    flags = int.from_bytes(raw[4:8], "little")
    device: Device | None = None
    if form is VhdDevice:
        partition, _, style, disk = PARTITION.unpack_from(raw, 0x10)
        device = VhdDevice(style=style, partition_id=partition, disk_id=disk, container=nested, flags=flags)
    elif form is VirtualDiskDevice:
        device = VirtualDiskDevice(file=nested, flags=flags)
    elif form is LocateDevice:
        device = _locate(raw, int.from_bytes(raw[0x18:0x1C], "little"), nested)
    else:
        start = FILE_SIZE if form is FileDevice else RAMDISK_SIZE
        path = _read_path(raw[start + len(nested.pack()):])
        if path is not None and form is FileDevice:
            device = FileDevice(parent=nested, path=path, flags=flags)
        elif path is not None:
            _, at, size, offset, _, _, _ = RAMDISK.unpack_from(raw, 0x10)
            device = RamdiskDevice(parent=nested, path=path, base=at, size=size, offset=offset, flags=flags)
    return _faithful(device, raw)


def _locate(raw: bytes, path_end: int, parent: Device | None) -> Device | None:
    path = _read_path(raw[LOCATE_SIZE:path_end])
    if path is None:
        return None
    kind, element, _ = LOCATE.unpack_from(raw, 0x10)
    return LocateDevice(kind=kind, element=element, path=path, parent=parent,
                        flags=int.from_bytes(raw[4:8], "little"))


def _read_path(units: bytes) -> str | None:
    """The text of a path with its NUL, which is to be the only one."""
    if len(units) % 2 or not units.endswith(b"\0\0") or len(units) > 2 * MAX_PATH_UNITS + 2:
        return None
    text = decode_name(units[:-2])
    return None if "\0" in text else text


def _faithful(device: Device | None, raw: bytes) -> Device:
    return device if device is not None and device.pack() == raw else OpaqueDevice(raw=raw)
