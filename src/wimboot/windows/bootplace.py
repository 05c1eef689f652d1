r"""Where a system lies when its machine starts, as text and as the devices of its boot entry.

A volume of a disk, `--volume-place`:

    mbr:SIGNATURE:OFFSET, gpt:DISK-GUID:PARTITION-GUID      as in `--wim-place`, without a path
    boot                                                    the partition that the boot manager came from

A VHD, `--vhd-place`:

    mbr:SIGNATURE:OFFSET:\path, gpt:DISK-GUID:PARTITION-GUID:\path
    boot:\path                                              on the boot manager's own partition
    locate:\path                                            on whichever disk there is such a file

Which partition of the VHD is meant the boot manager finds out: the first one with the loader's path, for the system's
device the one with the system root.
"""

from __future__ import annotations

from wimboot.errors import UsageError
from wimboot.formats.bcd import ElementType
from wimboot.formats.bootdevice import BootDevice, Device, FileDevice, LocateDevice, LocateKind, VirtualDiskDevice
from wimboot.frozen import Frozen
from wimboot.windows.wimplace import BadPlace, WimPlace

__all__ = ["BadVhdPlace", "BadVolumePlace", "BootPlace"]

_ANY_FILE = ":\\file"
_STAND_IN = "mbr:1:512:"


class BadVhdPlace(UsageError):
    """`--vhd-place` does not say a place."""

    id = "bad-vhd-place"
    sentence = "'{text}' is not a place for a VHD: {why}"
    advice = (
        "Give mbr:SIGNATURE:OFFSET:\\path (the signature of the disk that the VHD file lies on, the byte where its "
        "partition begins), gpt:DISK-GUID:PARTITION-GUID:\\path, boot:\\path (on the system partition), or "
        "locate:\\path (searched for on every disk)."
    )


class BadVolumePlace(UsageError):
    """`--volume-place` does not say a place."""

    id = "bad-volume-place"
    sentence = "'{text}' is not a place of a volume: {why}"
    advice = (
        "Give mbr:SIGNATURE:OFFSET, gpt:DISK-GUID:PARTITION-GUID, or boot. `wimboot info DISK` shows these of a disk."
    )


class BootPlace(Frozen):
    """The device with the loader and the one with the system, which differ for a VHD. `file` is that of a VHD."""

    device: Device
    os_device: Device
    file: FileDevice | None = None

    @classmethod
    def volume(cls, device: Device) -> BootPlace:
        """A partition, or `boot`."""
        return cls(device=device, os_device=device)

    @classmethod
    def vhd(cls, file: FileDevice) -> BootPlace:
        """The partition in that VHD on which the loader and the system are found."""
        disk = VirtualDiskDevice(file=file)
        return cls(device=LocateDevice(element=ElementType.PATH, parent=disk),
                   os_device=LocateDevice(element=ElementType.SYSTEM_ROOT, parent=disk), file=file)

    @classmethod
    def parse_volume(cls, text: str) -> BootPlace:
        """What the user wrote for a volume. Raises BadVolumePlace."""
        if text.lower() == "boot":
            return cls.volume(BootDevice())
        try:
            place = WimPlace.parse(text + _ANY_FILE)
        except BadPlace as error:
            raise BadVolumePlace(text=text, why=error.facts["why"]) from error
        if place.container is not None or place.path != _ANY_FILE[1:]:
            raise BadVolumePlace(text=text, why="it names more than a partition")
        return cls.volume(place.device.parent)

    @classmethod
    def parse_vhd(cls, text: str) -> BootPlace:
        """What the user wrote for a VHD. Raises BadVhdPlace."""
        kind, _, path = text.partition(":")
        plain = text
        if kind.lower() in ("boot", "locate"):
            plain = _STAND_IN + path
        try:
            place = WimPlace.parse(plain)
        except BadPlace as error:
            raise BadVhdPlace(text=text, why=error.facts["why"]) from error
        if place.is_later:
            raise BadVhdPlace(text=text, why="an entry needs a place to start from")
        if place.container is not None:
            raise BadVhdPlace(text=text, why="Windows does not start from a VHD in a VHD")
        parent: Device = place.device.parent
        if kind.lower() == "boot":
            parent = BootDevice()
        elif kind.lower() == "locate":
            parent = LocateDevice(kind=LocateKind.STRING, path=place.path)
        return cls.vhd(FileDevice(parent=parent, path=place.path))
