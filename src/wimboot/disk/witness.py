"""Pages that a transaction leaves alone, next to those that it changes: they tell a volume that lived on from
one that waits for its recovery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk.log import PAGE, pages_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_BYSTANDERS", "bystanders"]

MOST_BYSTANDERS = 128


def bystanders(records: bytes, guarded: Iterable[int], target_size: int) -> list[int]:
    """The pages before and behind each guarded page and each run of changed ones: not all, but spread over the whole.

    `records` are a log's packed page records. Empty only where every page of the target is changed. What lies
    next to changed metadata is metadata, and a driver that writes to the volume hardly leaves all of it alone.
    """
    count = -(-target_size // PAGE)
    changed = set(pages_of(records))

    def beside(pages: Iterable[int]) -> set[int]:
        return {near for page in pages for near in (page - 1, page + 1)
                if 0 <= near < count and near not in changed}

    first = beside(guarded)
    others = sorted(beside(changed) - first)
    room = MOST_BYSTANDERS - len(first)
    if len(others) > room:
        others = [others[number * len(others) // room] for number in range(room)]
    return sorted(first.union(others))
