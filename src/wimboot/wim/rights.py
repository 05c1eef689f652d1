"""Who may read and write a WIM that takes another's place: whoever could before."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wimboot.storage.protocol import File

__all__ = ["take_after"]


def take_after(new: File, old: File) -> None:
    """Give a new file of the host the owner and the mode of another, as far as we may."""
    fileno, old_fileno = getattr(new, "fileno", None), getattr(old, "fileno", None)
    if fileno is None or old_fileno is None:
        return
    status = os.fstat(old_fileno())
    with contextlib.suppress(OSError):
        os.fchown(fileno(), status.st_uid, status.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(fileno(), status.st_mode & 0o777)
