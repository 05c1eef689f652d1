"""The files below a folder that could be disks or WIMs.

The search is bounded; symbolic links are not followed, and neither are mounts: what lies on another file system is
measured when it is named.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from wimboot.storage import host_error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Walk", "walk"]

_DEPTH = 16
_MOST_NAMES = 100_000
"""Below one folder; a folder of disk images has fewer."""
_LEAST = 208
"""Bytes of a WIM's header: nothing smaller is a disk or a WIM."""


@dataclass(slots=True, kw_only=True)
class Walk:
    """What was found: regular files, those of a folder by name.

    `unread` are folders that cannot be listed, with why; `mounts` those of another file system; `complete` is False
    where there was more.
    """

    files: list[Path] = field(default_factory=list)
    unread: list[tuple[Path, str]] = field(default_factory=list)
    mounts: list[Path] = field(default_factory=list)
    complete: bool = True


def walk(folder: Path, *, most: int = _MOST_NAMES, depth: int = _DEPTH) -> Walk:
    """Look through a folder, breadth first. Raises HostError where the folder itself cannot be listed."""
    found = Walk()
    try:
        device = folder.stat().st_dev
        next(folder.iterdir(), None)
    except OSError as error:
        raise host_error("listing", folder, error) from error
    waiting = deque([(folder, 0)])
    left = most
    while waiting:
        here, level = waiting.popleft()
        try:
            with os.scandir(here) as names:
                entries = list(islice(names, left + 1))
        except OSError as error:
            found.unread.append((here, error.strerror or str(error)))
            continue
        if len(entries) > left:
            found.complete = False
            entries.pop()
        left -= len(entries)
        folders = _sort(here, sorted(entries, key=lambda entry: entry.name), device, found)
        if folders and level == depth:
            found.complete = False
        else:
            waiting += [(each, level + 1) for each in folders]
    return found


def _sort(here: Path, entries: list[os.DirEntry[str]], device: int, found: Walk) -> list[Path]:
    """Put each name where it belongs; the folders to look into."""
    folders = []
    for entry in entries:
        path = here / entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                if entry.stat(follow_symlinks=False).st_dev == device:
                    folders.append(path)
                else:
                    found.mounts.append(path)
            elif entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size >= _LEAST:
                found.files.append(path)
        except OSError as error:
            found.unread.append((path, error.strerror or str(error)))
    return folders
