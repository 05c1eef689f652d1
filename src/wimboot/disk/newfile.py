"""New files of disks: the name appears when everything under it is durable, and never takes another file's place.

 1. the file is made under another name beside it, and locked - a crash here leaves that, which the next run removes
 2. it is written and synced - the same
 3. it takes its name - a crash leaves it or nothing
 4. the folder is synced - from here on it is there
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from typing import TYPE_CHECKING

from wimboot.disk.interrupts import DECIDED, uninterrupted
from wimboot.disk.locking import Locked
from wimboot.errors import HostError, Refused
from wimboot.storage import durable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.storage import File, Folder

__all__ = ["DiskExists", "new_file", "refuse_existing", "take_name"]


class DiskExists(Refused):
    """There is something by that name."""

    id = "disk-exists"
    sentence = "{where} exists already"
    advice = "Name another file, or delete that one first."


def refuse_existing(folder: Folder, name: str, where: str) -> None:
    """Raises DiskExists."""
    if folder.exists(name):
        raise DiskExists(where=where)


def take_name(folder: Folder, old: str, name: str, where: str) -> None:
    """Rename `old`, unless there is something by that name, be it as new as can be. Raises DiskExists, HostError."""
    try:
        folder.rename_new(old, name)
    except HostError as error:
        if error.facts.get("errno") == errno.EEXIST:
            raise DiskExists(where=where) from error
        raise


@contextlib.contextmanager
def new_file(folder: Folder, name: str, *, where: str, final: bool = False, replace: bool = False) -> Iterator[File]:
    """The file while it is written; leaving the block in order gives it the name, an exception removes it.

    With `final` a Ctrl-C that comes when it has its name is forgotten, and later ones are too: nothing follows in this
    run. Without, it takes the file away again. With `replace` a file of that name goes when the new one takes it.

    Raises DiskExists, Locked (another run is making it), HostError.
    """
    if not replace:
        refuse_existing(folder, name, where)
    temporary = durable.temporary_name(name)
    _remove_leftover(folder, temporary, where)
    file: File | None = None
    try:
        with uninterrupted():
            file = folder.create(temporary)
        _hold(file, where)
        yield file
        file.sync()
        if not replace:
            refuse_existing(folder, name, where)
    except BaseException:
        if file is not None:
            with uninterrupted():
                _remove_own(folder, temporary, file)
        raise
    try:
        _publish(folder, temporary, name, where, final=final, replace=replace)
    finally:
        file.close()


def _publish(folder: Folder, temporary: str, name: str, where: str, *, final: bool, replace: bool) -> None:
    there = False
    try:
        with uninterrupted(forget=final):
            if replace:
                folder.replace(temporary, name)
            else:
                take_name(folder, temporary, name, where)
            there = True
            folder.sync()
            if final:
                DECIDED.set()
    except BaseException:
        with contextlib.suppress(HostError), uninterrupted():
            if not (there and replace):     # what was there is gone, and the new file is whole
                folder.remove(name if there else temporary)
        raise


def _descriptor(file: File) -> int | None:
    fileno = getattr(file, "fileno", None)
    return None if fileno is None else int(fileno())


def _hold(file: File, where: str) -> None:
    """Tell other runs that this one is at it. Raises Locked where one of them took it for a leftover meanwhile."""
    descriptor = _descriptor(file)
    if descriptor is None:
        return
    if not _lock(descriptor) or not os.fstat(descriptor).st_nlink:
        raise Locked(where=where)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True     # a file system without locks
    return True


def _remove_leftover(folder: Folder, temporary: str, where: str) -> None:
    """What a run that was killed left. Raises Locked where that run is alive."""
    if not folder.exists(temporary):
        return
    file = folder.open(temporary, write=True)
    try:
        descriptor = _descriptor(file)
        if descriptor is not None and not _lock(descriptor):
            raise Locked(where=where)
        folder.remove(temporary)
    finally:
        file.close()


def _remove_own(folder: Folder, temporary: str, file: File) -> None:
    """The file that this run made, unless another run has put one of its own there."""
    descriptor = _descriptor(file)
    ours = descriptor is None or os.fstat(descriptor).st_nlink > 0
    file.close()
    if ours:
        with contextlib.suppress(HostError):
            folder.remove(temporary)
