"""Make a differencing VHD: a disk that reads as its parent, and holds only what is written from then on."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from wimboot.disk import LogWaits, open_target, parse_place
from wimboot.disk.newfile import refuse_existing
from wimboot.disk.vhdcreate import ParentPlace, VhdNotPossible, check_vhd, create_vhd
from wimboot.formats.vhdfooter import DiskType
from wimboot.formats.vhdsparse import BLOCK_SIZE
from wimboot.frozen import Frozen
from wimboot.storage import HostFolder, host_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wimboot.disk import Target
    from wimboot.formats.vhdfooter import Footer
    from wimboot.storage import Folder

__all__ = ["MadeChild", "make_child"]


class MadeChild(Frozen):
    """A differencing VHD. `relative` is the path by which Windows finds the parent from it."""

    path: Path
    parent: Path
    size: int
    unique_id: bytes
    parent_id: bytes
    relative: str
    file_size: int


def make_child(path: Path, parent: Path, *, size: int | None = None, dry_run: bool = False, final: bool = False,
               folders: Callable[[Path], Folder] = HostFolder) -> MadeChild:
    """A differencing VHD at `path` on the VHD `parent`, of its size.

    Raises DiskExists, Locked, LogWaits, VhdNotPossible, what opening a target raises, HostError.
    """
    folder = folders(path.parent)
    refuse_existing(folder, path.name, str(path))
    with open_target(parse_place(str(parent)), write=False, opener=folders, parents=False) as target:
        footer = _footer(target, path, parent)
        size = footer.size if size is None else size
        check_vhd(str(path), DiskType.DIFFERENCING, size, BLOCK_SIZE, footer)
        relative = _windows_path(target.path, path)
        unique_id = secrets.token_bytes(16)
        file_size = 0
        if not dry_run:
            place = ParentPlace(file=target.file, relative=relative, unix_time=_time_of(target.path))
            file_size = create_vhd(folder, path.name, kind=DiskType.DIFFERENCING, size=size, unique_id=unique_id,
                                   where=str(path), parent=place, final=final)
    return MadeChild(path=path, parent=parent, size=size, unique_id=unique_id, parent_id=footer.unique_id,
                     relative=relative, file_size=file_size)


def _footer(target: Target, path: Path, parent: Path) -> Footer:
    """Of the parent, which is at rest. Raises LogWaits, VhdNotPossible."""
    if target.folder.exists(target.log_name):
        raise LogWaits(where=str(parent))
    if target.vhd is None:
        raise VhdNotPossible(where=str(path), why=f"its parent {parent} is no VHD")
    return target.vhd.layout.footer


def _time_of(path: Path) -> int:
    """When a file was changed last, in seconds. Raises HostError."""
    try:
        return path.stat().st_mtime_ns // 1_000_000_000
    except OSError as error:
        raise host_error("looking at", path, error) from error


def _windows_path(parent: Path, path: Path) -> str:
    """From the child's folder to the parent. Raises VhdNotPossible where Windows could not go that way."""
    folder = path.parent.resolve()
    if parent.stat().st_dev != folder.stat().st_dev:
        raise VhdNotPossible(where=str(path), why="its parent lies on another file system, where it would not be found")
    relative = os.path.relpath(parent, folder)
    if "\\" in relative or ":" in relative:
        raise VhdNotPossible(where=str(path), why=f"Windows has no such path as {relative}")
    return ("" if relative.startswith("../") else ".\\") + relative.replace("/", "\\")
