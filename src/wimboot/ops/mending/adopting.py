"""Data sources made anew from the pointers that name them: which WIM they meant, and which of its images. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.ops.checking.diagnosis import Use
    from wimboot.wim import Store

__all__ = ["belongs", "holds_all"]


def holds_all(uses: Sequence[Use], store: Store) -> bool:
    """Whether a WIM has the data of every one of these pointers, as Windows can read it."""
    return bool(uses) and None not in store.pointer_places([use.pointer.hash for use in uses])


def belongs(uses: Sequence[Use], store: Store) -> bool:
    """Whether pointers were made for this WIM: they know its table, or most lead just where it has their data.

    A WIM that has all their data will do as well.
    """
    if any(use.pointer.version == 2 and use.pointer.table_hash == store.table_hash for use in uses):
        return True
    places = store.pointer_places([use.pointer.hash for use in uses])
    right = sum(1 for use, place in zip(uses, places, strict=True)
                if place == (use.pointer.offset, use.pointer.size_in_wim))
    return 2 * right > len(uses) or holds_all(uses, store)
