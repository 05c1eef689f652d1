"""Which differencing VHDs stand on a VHD: found by looking, for the parent knows nothing of them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from wimboot.disk.mounts import HOST, Host
from wimboot.disk.neighbours import files_near
from wimboot.disk.vhdchain import VhdParentMissing, find_parent
from wimboot.disk.vhdlayout import parent_id_of, read_layout
from wimboot.errors import Error, Refused
from wimboot.storage import HostFile, HostFolder

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import File

__all__ = ["VhdHasChildren", "refuse_children"]

_SUFFIXES: Final = (".vhd", ".avhd")


class VhdHasChildren(Refused):
    """Writing a parent would destroy what stands on it."""

    id = "vhd-has-children"
    sentence = "{where} is the parent of {child}, which would be destroyed by a change of it"
    advice = "Change {child} instead, or merge or delete it first."


def refuse_children(unique_id: bytes, path: Path, *, where: str, host: Host = HOST) -> None:
    """Raises VhdHasChildren where a differencing VHD stands on the one of that id at `path`, which is resolved."""
    child = _child_of(unique_id, path, host)
    if child is not None:
        raise VhdHasChildren(where=where, child=child)


def _child_of(unique_id: bytes, path: Path, host: Host = HOST) -> Path | None:
    """A differencing VHD near the one at `path`, which is resolved, that stands on it.

    One in another folder that finds a copy of it first stands on that. A child that cannot be read counts for nothing.
    """
    for place in files_near(path, host):
        if place.suffix.casefold() not in _SUFFIXES:
            continue
        with contextlib.suppress(Error, OSError):
            if not place.is_file():
                continue
            file = HostFile.open(place)
            try:
                if parent_id_of(file) == unique_id and (
                        place.parent == path.parent or not _stands_on_a_copy(file, place, unique_id, path, host)):
                    return place
            finally:
                file.close()
    return None


def _stands_on_a_copy(file: File, place: Path, unique_id: bytes, path: Path, host: Host) -> bool:
    """Whether the child at `place` finds a parent of that id other than the one at `path`."""
    try:
        layout = read_layout(file, str(place))
        if layout.header is None:
            return False
        found = find_parent(layout, layout.header, file, place, where=str(place), opener=HostFolder, host=host)
        if found.samefile(path):
            return False
        parent = HostFile.open(found)
    except (VhdParentMissing, OSError, Error):
        return False
    try:
        return read_layout(parent, str(found)).footer.unique_id == unique_id
    except Error:
        return False
    finally:
        parent.close()
