"""When the root folder of an image was made: that of a volume was when it was formatted, so it tells whose image it is.

Of an image's list of files (see `_metadata`) only the start is read, not checked against its hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.wim.ranged import RangedBlob

if TYPE_CHECKING:
    from wimboot.wim.part import Part

__all__ = ["root_creation"]

_CREATION: Final = 40
"""Of an entry; the root's lies behind the security data, which begin with their size."""


def root_creation(part: Part, image: int) -> int:
    """FILETIME, of an image from 1; 0 where it is not to be had. Raises BlobDamaged, TooLarge, HostError."""
    blob = part.blob_of(part.table.row(part.table.metadata[image - 1]))
    if blob.solid:
        return 0
    start = RangedBlob(part, blob)
    security = int.from_bytes(start.read(0, 4), "little")
    root = max(8, -security % 8 + security)
    return int.from_bytes(start.read(root + _CREATION, 8), "little")
