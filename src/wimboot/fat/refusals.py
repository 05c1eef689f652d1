"""Why a FAT volume, or one file of it, is not touched."""

from __future__ import annotations

from wimboot.errors import Refused

__all__ = ["FatSizeNotPossible"]


class FatSizeNotPossible(Refused):
    """A size, cluster size or label that no FAT volume has."""

    id = "fat-size-not-possible"
    sentence = "a FAT volume of {size} bytes cannot be made: {why}"
