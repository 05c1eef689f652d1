"""Locks on a target, of both kinds that other programs take.

flock is what runs of this program, udev and wimlib take. QEMU takes byte-range locks of the open file description
(docs/devel and block/file-posix.c of QEMU tell which bytes): byte 100 + n is read-locked by who uses permission n, byte
200 + n by who does not let others have it; permission 1 is to write, 3 to resize.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from typing import TYPE_CHECKING

from wimboot.errors import Busy
from wimboot.storage import HostNotUsable, host_error

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Locked", "ReadOnlyTarget", "device_number", "lock"]

_READ_ONLY_OF = 0x125E
"""BLKROGET of linux/fs.h."""
_FLOCK = struct.Struct("@hhqqi4x")
_USED, _UNSHARED = 100, 200
_WRITING = (1, 3)
_PATIENCE, _PAUSE = 1.0, 0.05   # seconds
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


class ReadOnlyTarget(HostNotUsable):
    """It cannot be written: no rights, a write-protected medium, a file system that is mounted read-only."""

    id = "read-only"
    sentence = "{where} cannot be written: {why}"
    advice = "Check its permissions, the write protection of the medium, and how its file system is mounted."


class Locked(Busy):
    """Another run holds the target."""

    id = "locked"
    sentence = "{where} is being used by another program, or another run of this one"
    advice = "Wait until that one is done."


def lock(path: Path, where: str, *, write: bool, is_device: bool) -> int:
    """A descriptor that holds the locks. For a device to be written it also keeps others from mounting it.

    udev, and a run that looks through the disks for who uses a WIM, hold a target for a moment: a writer waits so long.
    Raises Locked, ReadOnlyTarget, HostError.
    """
    patience = time.monotonic() + (_PATIENCE if write else 0.0)
    while True:
        try:
            return _lock_now(path, where, write=write, is_device=is_device)
        except Locked:
            if time.monotonic() >= patience:
                raise
            time.sleep(_PAUSE)


def _lock_now(path: Path, where: str, *, write: bool, is_device: bool) -> int:
    flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | (os.O_EXCL if write and is_device else 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ETXTBSY):
            raise Locked(where=where) from error
        if write and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ReadOnlyTarget(where=str(path), why=error.strerror) from error
        raise host_error("opening", path, error) from error
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        if write and is_device and device_number(descriptor, _READ_ONLY_OF):
            raise ReadOnlyTarget(where=str(path), why="the device is write-protected")
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            free = _lock_bytes(descriptor, write=write)
        except BlockingIOError as error:
            raise Locked(where=where) from error
        except OSError as error:
            raise host_error("locking", path, error) from error
        if not free:
            raise Locked(where=where)
        undo.pop_all()
    return descriptor


def _lock_bytes(descriptor: int, *, write: bool) -> bool:
    """Lock everything to write it; to read it, keep writers away and see that there is none. Whether that went."""
    try:
        if write:
            _set(descriptor, fcntl.F_WRLCK, 0, 0)
            return True
        for permission in _WRITING:
            _set(descriptor, fcntl.F_RDLCK, _UNSHARED + permission, 1)
        return not any(_is_held(descriptor, _USED + permission) for permission in _WRITING)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in _UNSUPPORTED:
            return True
        raise


def _set(descriptor: int, kind: int, start: int, size: int) -> None:
    """F_OFD_SETLK; a size of 0 reaches to the end, however far that moves."""
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, start, size, 0))


def _is_held(descriptor: int, byte: int) -> bool:
    """Whether another program has a lock on this byte, to write or as QEMU does. A read lock from the file's start on
    is what readers take, as libntfs-3g does for a mount that is read only.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    kind, _, start, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
    return bool(kind == fcntl.F_WRLCK or (kind == fcntl.F_RDLCK and start >= _USED))


def device_number(descriptor: int, request: int) -> int:
    """An ioctl that fills in one integer."""
    (value,) = struct.unpack("i", fcntl.ioctl(descriptor, request, bytes(4)))
    return int(value)
