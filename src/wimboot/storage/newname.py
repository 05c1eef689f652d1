"""Giving a file a name that nothing has: another file that got it in the last moment stays."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["rename_new"]

_HERE: Final = -100
"""AT_FDCWD of fcntl.h."""
_NO_REPLACE: Final = 1
"""RENAME_NOREPLACE of linux/fs.h."""
_NOT_KNOWN: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK})
"""How kernels, and file systems, say that they have no such call."""


def rename_new(old: Path, new: Path) -> None:
    """In one folder. Raises FileExistsError, and OSError as renaming does.

    Where the file system cannot do that in one step the file has both names for a moment; where it has no hard links
    either, as FAT, all there is is a look before.
    """
    for way in (_rename, _link):
        try:
            way(old, new)
        except OSError as error:
            if error.errno not in _NOT_KNOWN:
                raise
        else:
            return
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(new))
    old.rename(new)


def _rename(old: Path, new: Path) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_HERE, os.fsencode(old), _HERE, os.fsencode(new), _NO_REPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(new))


def _link(old: Path, new: Path) -> None:
    os.link(old, new, follow_symlinks=False)
    old.unlink()
