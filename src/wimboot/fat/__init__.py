"""FAT volumes: system partitions that firmware reads. Ours, for no kept library takes a device and refuses damage."""

from wimboot.fat.format import format_volume
from wimboot.fat.volume import FatEntry, FatVolume

__all__ = ["FatEntry", "FatVolume", "format_volume"]
