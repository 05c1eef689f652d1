"""The EFI system partition of a new disk: FAT32, as every firmware reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Unsupported

if TYPE_CHECKING:
    from wimboot.storage import Device

__all__ = ["EspNotPossible", "format_system_partition"]


class EspNotPossible(Unsupported):
    """FAT volumes cannot be made yet."""

    id = "esp-not-possible"
    sentence = "an EFI system partition cannot be made: this build has no FAT"
    advice = "Leave out --esp."


def format_system_partition(device: Device, *, hidden_sectors: int) -> None:
    """Make the partition an empty FAT32 volume. Raises EspNotPossible, HostError."""
    raise EspNotPossible(hidden_sectors=hidden_sectors, size=device.size())
