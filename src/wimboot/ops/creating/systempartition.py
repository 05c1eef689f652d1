"""The EFI system partition of a new disk: FAT32, as every firmware reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.errors import UsageError
from wimboot.fat import format_volume

if TYPE_CHECKING:
    from wimboot.storage import Device

__all__ = ["EspTooSmall", "check_system_partition", "format_system_partition"]

SECTOR: Final = 512
_LEAST: Final = 36 << 20
"""FAT32 has 65,525 clusters at least, of 512 bytes here, and two tables of 256 KiB for them."""
_LABEL: Final = "SYSTEM"


class EspTooSmall(UsageError):
    """Firmware need not read other kinds of FAT on a disk."""

    id = "esp-too-small"
    sentence = "an EFI system partition of {size:size} is too small for FAT32"
    advice = "Give it 100M, as Windows does, 36M at least."


def check_system_partition(size: int) -> None:
    """Raises EspTooSmall; 0 is none."""
    if size and size < _LEAST:
        raise EspTooSmall(size=size)


def format_system_partition(device: Device, *, start: int) -> None:
    """Make the partition at byte `start` of a disk an empty FAT32 volume. Raises FatSizeNotPossible, HostError."""
    format_volume(device, device.size(), label=_LABEL, hidden_sectors=start // SECTOR)
