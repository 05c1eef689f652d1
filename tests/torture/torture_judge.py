"""What a volume and a WIM are, byte for byte where it counts, and whether a recovered pair is the old or the new one.

Of a volume counts what its own $Bitmap calls used, and what lies behind the last cluster; of a WIM, everything.
The new volume is the one that the recorded run made, which the programs of others find sound (`judges`); so equal
bytes mean the same names, times, security, streams and pointers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from wimboot.errors import Error
from wimboot.ntfs import cluster_bitmap, volume_facts
from wimboot.storage import FileDevice
from wimboot.storage.faults import Image, MemoryFile

__all__ = ["Whole", "is_dirty", "look_at"]

_VOLUME_IS_DIRTY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A volume, the bytes of it that count as (start, content), and a WIM or none."""

    volume: bytes
    used: tuple[tuple[int, bytes], ...]
    wim: bytes | None

    def has_volume(self, image: Image) -> bool:
        """Whether the image is this volume."""
        return image.size == len(self.volume) and all(
            image.read(start, len(content)) == content for start, content in self.used)

    def has_wim(self, image: Image | None) -> bool:
        """Whether the image is this WIM."""
        if image is None or self.wim is None:
            return image is None and self.wim is None
        return image.size == len(self.wim) and image.read(0, image.size) == self.wim


def look_at(volume: Image, wim: Image | None) -> Whole:
    """Remember a pair."""
    content = volume.read(0, volume.size)
    return Whole(volume=content, used=tuple(_used(volume, content)),
                 wim=None if wim is None else wim.read(0, wim.size))


def _used(volume: Image, content: bytes) -> list[tuple[int, bytes]]:
    device = FileDevice(MemoryFile(volume))
    facts = volume_facts(device)
    bitmap, size = cluster_bitmap(device), facts.cluster_size
    pieces = []
    for used, run in groupby(range(facts.total_clusters), lambda cluster: bitmap[cluster >> 3] >> (cluster & 7) & 1):
        if used:
            clusters = list(run)
            start, end = clusters[0] * size, (clusters[-1] + 1) * size
            pieces.append((start, content[start:end]))
    end = facts.total_clusters * size
    return [*pieces, (end, content[end:])]


def is_dirty(volume: Image) -> bool:
    """Whether a volume tells everybody to check it first, or cannot be read as one at all."""
    try:
        return bool(volume_facts(FileDevice(MemoryFile(volume))).flags & _VOLUME_IS_DIRTY)
    except Error:
        return True
