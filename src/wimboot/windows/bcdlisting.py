r"""A store as text, the way `bcdedit /enum all /v` prints it.

Windows shows a partition by the letter it has while bcdedit runs, which nothing offline knows; it stands here as in
`--wim-place`, without a path: partition=mbr:SIGNATURE:OFFSET, partition=gpt:DISK-GUID:PARTITION-GUID.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.formats.bcd import DeviceValue, ElementFormat
from wimboot.formats.bcdnames import element_name, heading, integer_text, listing_rank
from wimboot.formats.bootdevice import (
    BootDevice,
    FileDevice,
    LocateDevice,
    LocateKind,
    PartitionDevice,
    PartitionStyle,
    RamdiskDevice,
    VhdDevice,
    VirtualDiskDevice,
)
from wimboot.formats.guid import NIL, guid_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.formats.bcd import Element
    from wimboot.formats.bootdevice import Device
    from wimboot.windows.bcd import BcdObject

__all__ = ["device_text", "element_texts", "listing"]

_COLUMN: Final = 24


def listing(objects: tuple[BcdObject, ...]) -> Iterator[str]:
    """The lines, an empty one between objects."""
    for number, each in enumerate(sorted(objects, key=lambda each: listing_rank(each.type, each.id))):
        if number:
            yield ""
        title = heading(each.type, each.id)
        yield title
        yield "-" * len(title)
        yield f"{'identifier':<{_COLUMN}}{each.id}"
        for element in each.elements:
            name = element_name(each.type, element.type)
            texts = element_texts(name, element)
            yield f"{name:<{_COLUMN - 1}} {texts[0]}"
            yield from (f"{'':<{_COLUMN}}{text}" for text in texts[1:])


def element_texts(name: str, element: Element) -> tuple[str, ...]:
    """What is shown of an element's value, a line or several; what cannot be read is shown as its bytes."""
    value = element.value
    if isinstance(value, DeviceValue):
        return (device_text(value.device, options=value.options),)
    if isinstance(value, bool):
        return ("Yes" if value else "No",)
    if isinstance(value, int):
        return (integer_text(name, value),)
    if isinstance(value, str):
        return (value.lower() if element.format == ElementFormat.OBJECT else value,)
    if isinstance(value, tuple) and value:
        return tuple(item.lower() if isinstance(item, str) else f"{item:#x}" for item in value)
    return ("" if value == () else element.data.hex(),)


def device_text(device: Device, *, options: bytes = NIL) -> str:
    """A device as bcdedit shows it; `options` is the id of the object with more options, in its 16 bytes."""
    more = "" if options == NIL else f",{{{guid_text(options)}}}"
    if isinstance(device, BootDevice):
        return f"boot{more}"
    if isinstance(device, PartitionDevice):
        return f"partition={_partition_text(device)}{more}"
    if isinstance(device, FileDevice):
        return f"file=[{_inner(device.parent)}]{device.path}{more}"
    if isinstance(device, RamdiskDevice):
        return f"ramdisk=[{_inner(device.parent)}]{device.path}{more}"
    if isinstance(device, VhdDevice):
        inner = PartitionDevice(style=device.style, partition_id=device.partition_id, disk_id=device.disk_id)
        return f"vhd={_file(device.container)},partition={_partition_text(inner)}{more}"
    if isinstance(device, VirtualDiskDevice):
        return f"vhd={_file(device.file)}{more}"
    if isinstance(device, LocateDevice):
        return f"{_located(device)}{more}"
    return f"unknown{more}"


def _located(device: LocateDevice) -> str:
    what = device.path if device.kind == LocateKind.STRING else f"custom:{device.element:08x}"
    if not isinstance(device.parent, VirtualDiskDevice):
        return f"locate={what}"
    return f"vhd={_file(device.parent.file)},locate={what}"


def _file(device: Device) -> str:
    return f"[{_inner(device.parent)}]{device.path}" if isinstance(device, FileDevice) else "[unknown]"


def _inner(device: Device) -> str:
    """What stands in brackets."""
    if isinstance(device, PartitionDevice):
        return _partition_text(device)
    if isinstance(device, LocateDevice):
        return "locate"
    return "boot" if isinstance(device, BootDevice) else "unknown"


def _partition_text(device: PartitionDevice) -> str:
    """A partition as `--wim-place` writes it, without a path."""
    if device.style == PartitionStyle.GPT:
        return f"gpt:{guid_text(device.disk_id)}:{guid_text(device.partition_id)}"
    if device.style == PartitionStyle.MBR:
        return f"mbr:{device.signature:08x}:{device.offset}"
    return "unknown"
