"""A lock on a folder of the host, for what is read there, changed and written back.

It is a read lock on one byte of the folder, of the open file description: a folder cannot be opened for writing, so
there is no write lock on it. Who has it looks whether another has it too, and then gives it up: of two that come at
once none may have it, and both try again. flock is not taken, for a run that builds in the folder holds that for hours,
and is itself one of those who write a boot menu there. Nothing is written; a process that ends has it no more.

Which byte says what is changed in the folder, so that one who is long at one thing keeps nobody from another.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import struct
import time
from typing import TYPE_CHECKING, Final

from wimboot.disk.locking import Locked
from wimboot.storage import host_error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["folder_lock"]

_FLOCK: Final = struct.Struct("@hhqqi4x")
"""struct flock of fcntl.h: kind, whence, start, size, process."""
_PATIENCE: Final = 1.0      # seconds
_PAUSES: Final = range(10, 50)      # milliseconds
_UNSUPPORTED: Final = frozenset({errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


@contextlib.contextmanager
def folder_lock(path: Path, name: str, where: str) -> Iterator[bool]:
    """Keep other runs that take the lock of that name away meanwhile; one that has it is waited for, up to a second.

    Whether it keeps them away: a file system without locks grants it to everybody. Raises Locked, HostError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise host_error("opening", path, error) from error
    try:
        byte = int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")
        patience = time.monotonic() + _PATIENCE
        while (taken := _take(descriptor, byte, path)) is False:
            if time.monotonic() >= patience:
                raise Locked(where=where)
            time.sleep(secrets.choice(_PAUSES) / 1000)      # lest two that came at once do so again
        yield bool(taken)
    finally:
        os.close(descriptor)


def _take(descriptor: int, byte: int, path: Path) -> bool | None:
    """Whether it is held now, and by nobody else; None where there are no locks. Raises HostError."""
    try:
        _call(descriptor, fcntl.F_OFD_SETLK, fcntl.F_RDLCK, byte)
        if _call(descriptor, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte) == fcntl.F_UNLCK:
            return True
        _call(descriptor, fcntl.F_OFD_SETLK, fcntl.F_UNLCK, byte)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise host_error("locking", path, error) from error
    return False


def _call(descriptor: int, request: int, kind: int, byte: int) -> int:
    """The kind of lock that comes back: for F_OFD_GETLK that of another in the way, F_UNLCK where there is none."""
    answer = fcntl.fcntl(descriptor, request, _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0))
    return int(_FLOCK.unpack(answer)[0])
