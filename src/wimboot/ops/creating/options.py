"""What `wimboot create` is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.frozen import Frozen
from wimboot.storage import HostFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wimboot.ops.creating.shape import DiskShape
    from wimboot.storage import Folder

__all__ = ["ChildOptions", "CreateOptions"]


class CreateOptions(Frozen):
    """A new disk. `boot_code`: files or disks that boot code is taken from."""

    path: Path
    shape: DiskShape
    boot_code: tuple[str, ...] = ()
    dry_run: bool = False
    folders: Callable[[Path], Folder] = HostFolder


class ChildOptions(Frozen):
    """A new differencing VHD. `size`: what the user thinks that the parent has, or None."""

    path: Path
    parent: Path
    size: int | None = None
    dry_run: bool = False
    folders: Callable[[Path], Folder] = HostFolder
