"""Which disks stand on a disk that is no VHD: found by looking beside it, for it knows nothing of them."""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Final

from wimboot.disk.neighbours import files_beside
from wimboot.errors import Error, Refused
from wimboot.formats.diskheads import HEAD_SIZE
from wimboot.formats.diskparents import ParentLink, own_id, parent_link
from wimboot.storage import HostFile

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import File

__all__ = ["DiskHasOverlay", "refuse_overlays"]

_MOST: Final = 10_000
"""Files that are looked into; more of them are no folder of disks."""


class DiskHasOverlay(Refused):
    """Writing a base would destroy what stands on it."""

    id = "disk-has-overlay"
    sentence = "{where} is what {child} stands on, which would be destroyed by a change of it"
    advice = "Merge {child} into it (qemu-img commit), or delete that one, or change a copy of the whole."


def refuse_overlays(file: File, path: Path, *, where: str) -> None:
    """`file` is the one at `path`, which is resolved. Raises DiskHasOverlay, HostError.

    Of a neighbour that is damaged or cannot be read nothing is known: it counts for nothing.
    """
    mine = b""
    with contextlib.suppress(Error):
        mine = own_id(file.pread(0, HEAD_SIZE), file.pread)
    for place in islice(files_beside(path), _MOST):
        with contextlib.suppress(OSError):
            link = _link_of(place)
            if link is not None and ((mine and mine in link.ids)
                                     or any(_leads(name, place.parent, path) for name in link.names)):
                raise DiskHasOverlay(where=where, child=place)


def _link_of(place: Path) -> ParentLink | None:
    """Raises OSError."""
    if not place.is_file():
        return None
    with contextlib.suppress(Error):
        file = HostFile.open(place)
        try:
            return parent_link(file.pread(0, HEAD_SIZE), file.pread)
        finally:
            file.close()
    return None


def _leads(name: str, folder: Path, path: Path) -> bool:
    """Whether a name in a child that lies in `folder` leads to `path`; of a path of Windows its last part counts."""
    for text in dict.fromkeys((name, name.rpartition("\\")[2])):
        with contextlib.suppress(OSError, ValueError):
            if text and (folder / text).samefile(path):
                return True
    return False
