"""Where a system lies when its machine starts, written by its user."""

from __future__ import annotations

import pytest

from wimboot.formats.bcd import ElementType
from wimboot.formats.bootdevice import BootDevice, FileDevice, LocateDevice, LocateKind, PartitionDevice
from wimboot.windows.bootplace import BadVhdPlace, BadVolumePlace, BootPlace

DISK = PartitionDevice.mbr(0x5CBEA03E, 1 << 20)


@pytest.mark.parametrize(("text", "parent"), [
    ("mbr:5cbea03e:1048576:\\x64\\win7.vhd", DISK), ("boot:\\x64\\win7.vhd", BootDevice()),
    ("LOCATE:/x64/win7.vhd", LocateDevice(kind=LocateKind.STRING, path="\\x64\\win7.vhd")),
])
def test_places_of_a_vhd(text: str, parent: object) -> None:
    """The loader's device looks for the loader's path in the VHD, the system's for the system root."""
    place = BootPlace.parse_vhd(text)
    assert place.file == FileDevice(parent=parent, path="\\x64\\win7.vhd")  # type: ignore[arg-type]  # a device
    elements = [device.element for device in (place.device, place.os_device) if isinstance(device, LocateDevice)]
    assert elements == [ElementType.PATH, ElementType.SYSTEM_ROOT]


def test_places_of_a_volume() -> None:
    """One device, for the loader and for the system."""
    assert BootPlace.parse_volume("mbr:5cbea03e:1048576") == BootPlace(device=DISK, os_device=DISK)
    assert BootPlace.parse_volume("boot").device == BootDevice()
    guids = "0b2394a9-095e-487d-8d48-719ecd4d78ca", "8e0f2c38-e4ea-47ba-b7fc-9d8c74dccf0b"
    device = BootPlace.parse_volume(f"gpt:{guids[0]}:{guids[1]}").device
    assert isinstance(device, PartitionDevice)
    assert device.style == 0


@pytest.mark.parametrize("text", ["", "C:\\a.vhd", "mbr:0:512:\\a.vhd", "boot:a.vhd", "locate:\\", "later",
                                  "boot:\\a?.vhd", "mbr:1:512:\\a.vhd inside mbr:2:512:\\b.vhd", "gpt:1:2:\\a.vhd"])
def test_what_is_no_place_of_a_vhd_is_told(text: str) -> None:
    """With the reason, and what can be written."""
    with pytest.raises(BadVhdPlace):
        BootPlace.parse_vhd(text)


@pytest.mark.parametrize("text", ["", "C:", "mbr:0:512", "mbr:1:512:\\a", "later", "mbr:1", "boot:\\a", "gpt:1:2",
                                  "mbr:1:512:\\a inside mbr:2:512"])
def test_what_is_no_place_of_a_volume_is_told(text: str) -> None:
    """A path is too much, half a place too little."""
    with pytest.raises(BadVolumePlace):
        BootPlace.parse_volume(text)
