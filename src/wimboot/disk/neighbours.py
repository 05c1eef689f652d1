"""The files near a disk, among which those are that stand on it: nothing in a disk tells of its children.

Looked at are its folder and those below, then the folder above and what lies directly in its folders. Links to folders
are not followed, and nothing is entered that something else is mounted on.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from wimboot.disk.mounts import HOST, Host, mounts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["files_beside", "files_near"]

_DEPTH: Final = 3
"""Folders below the disk's own that are looked into."""
_DEPTH_ABOVE: Final = 1
_MOST: Final = 10_000
"""Names of one folder and those below it; more is no place for disks. The disk's own folder is read whole."""


def files_near(path: Path, host: Host = HOST) -> Iterator[Path]:
    """Other files near the one at `path`, which is resolved, the nearest first. What cannot be read is left out."""
    closed = {mount.point for mount in mounts(host)}
    seen: set[Path] = set()
    yield from _walk(path.parent, _DEPTH, closed, seen, path)
    if path.parent not in closed:
        yield from _walk(path.parent.parent, _DEPTH_ABOVE, closed, seen, path)


def files_beside(path: Path) -> Iterator[Path]:
    """Other files in the folder of the one at `path`, which is resolved."""
    yield from _walk(path.parent, 0, set(), set(), path)


def _walk(top: Path, most_depth: int, closed: set[Path], seen: set[Path], path: Path) -> Iterator[Path]:
    """Files of `top` and so many levels of folders below, breadth first, but for `path` and folders in `seen`."""
    waiting = [(top, 0)]
    count = 0
    while waiting:
        folder, depth = waiting.pop(0)
        if folder in seen:
            continue
        seen.add(folder)
        with contextlib.suppress(OSError):
            for entry in sorted(os.scandir(folder), key=lambda one: one.name):
                count += 1
                if count > _MOST and depth:
                    return
                place = folder / entry.name
                if _is_folder(entry):
                    if depth < most_depth and place not in closed:
                        waiting.append((place, depth + 1))
                elif place != path:
                    yield place


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
