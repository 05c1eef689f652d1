"""Holes in a file of the host: bytes that no longer take room and read as zeros."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Final

from wimboot.errors import HostError, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wimboot.events import Counter
    from wimboot.storage import File

__all__ = ["HolesNotPossible", "claimed_bytes", "occupied_size", "punch"]

_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2
"""Of linux/falloc.h."""
_PAGE: Final = 4096
_NOT_POSSIBLE: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EINVAL})


class HolesNotPossible(Unsupported):
    """The file system, or what lies there, has no holes."""

    id = "no-holes"
    sentence = "room within {where} cannot be given back: {why}"
    advice = "Copy it to a file system that can (ext4, XFS, Btrfs, tmpfs), leaving zeros out: cp --sparse=always."


def _descriptor(file: File, where: str) -> int:
    fileno = getattr(file, "fileno", None)
    if fileno is None:
        raise HolesNotPossible(where=where, why="it is no file of this machine")
    return int(fileno())


def occupied_size(file: File, where: str) -> int:
    """Bytes that the file takes on its disk. Raises HolesNotPossible."""
    return os.fstat(_descriptor(file, where)).st_blocks * 512


def _whole_pages(runs: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for start, end in runs:
        first, last = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
        if first < last:
            yield first, last


def claimed_bytes(file: File, runs: Iterable[tuple[int, int]], where: str) -> int:
    """How many bytes of these runs, as start and end, take room now, in whole pages. Raises HolesNotPossible."""
    descriptor, total = _descriptor(file, where), 0
    for start, end in _whole_pages(runs):
        at = start
        while at < end:
            try:
                data = min(end, os.lseek(descriptor, at, os.SEEK_DATA))
                at = min(end, os.lseek(descriptor, data, os.SEEK_HOLE)) if data < end else end
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise HolesNotPossible(where=where, why=error.strerror or str(error)) from error
                break       # nothing but a hole up to the file's end
            total += at - data
    return total


def punch(file: File, runs: Iterable[tuple[int, int]], where: str, counter: Counter | None = None) -> None:
    """Give back the whole pages of these runs, as start and end. `counter` counts their bytes.

    Nothing may refer to them: a crash leaves some of them zeros. Raises HolesNotPossible, HostError.
    """
    descriptor = _descriptor(file, where)
    call = ctypes.CDLL(None, use_errno=True).fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)
    for start, end in _whole_pages(runs):
        while call(descriptor, _PUNCH_HOLE | _KEEP_SIZE, start, end - start):
            code = ctypes.get_errno()
            if code == errno.EINTR:
                continue
            if code in _NOT_POSSIBLE:
                raise HolesNotPossible(where=where, why=os.strerror(code))
            raise HostError(what="punching a hole into", where=where, why=os.strerror(code), errno=code)
        if counter is not None:
            counter.add(end - start)
    file.sync()
