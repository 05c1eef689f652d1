"""Copies of a WIM that may take the place of one that cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Error, Internal
from wimboot.ops.opening.storing import opened_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wimboot.ops.checking.diagnosis import Use
    from wimboot.ops.finding.locating import Found, Located, PassedOver
    from wimboot.ops.options import Folders

__all__ = ["whole_copy", "whole_spare"]


def whole_copy(located: Located, wim: Path) -> Path | None:
    """Another copy of a WIM that cannot be read, with the data of all pointers."""
    found = located.found
    copies: tuple[Found | PassedOver, ...] = () if found is None else (found, *found.passed_over)
    return next((one.path for one in copies if one.whole and one.path != wim), None)


def whole_spare(
    spares: Sequence[Path], guid: bytes | None, folders: Folders, uses: Iterable[Use] = (), wim_index: int = 0
) -> Path | None:
    """The first of these that is a WIM of that GUID (None: of any) and has the image and the data of all pointers."""
    hashes = b"".join({use.pointer.hash for use in uses})
    for path in spares:
        try:
            with opened_store(path, folders) as store:
                if guid in (None, store.guid) and wim_index <= len(store.images) and not store.count_lacking(hashes):
                    return path
        except Internal:
            raise
        except Error:
            continue
    return None
