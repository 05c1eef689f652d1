"""Wrappers of the byte protocol for tests of every kind of bad luck: recorded, rebuilt after a crash, or
failing.

This module is the door: `Recorder` and `states` for crashes, `Faulty` for errors, `MemoryFolder` to run in.
"""

from __future__ import annotations

import errno
import os
import threading
from enum import Enum
from typing import TYPE_CHECKING, NoReturn

from wimboot.errors import HostError
from wimboot.frozen import Frozen
from wimboot.storage.crash import CrashState, Model, states
from wimboot.storage.host import OutOfSpace
from wimboot.storage.memory import Image, MemoryFile, MemoryFolder
from wimboot.storage.recorder import Recorder, Step, StepKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.storage.protocol import Data, File, Folder

__all__ = [
    "CHANGES", "EVERYTHING", "SYNCS", "CrashState", "Fault", "Faulty", "FaultyFile", "FaultyFolder", "Image",
    "Kind", "MemoryFile", "MemoryFolder", "Model", "Recorder", "Step", "StepKind", "states",
]

SYNCS = frozenset({"sync", "folder sync"})
CHANGES = frozenset({"pwrite", "truncate", "sync", "create", "replace", "remove", "folder sync"})
EVERYTHING = CHANGES | {"pread", "open", "size", "exists", "free size"}


class Kind(Enum):
    """How an operation fails."""

    IO = "io"
    """EIO; nothing was done."""
    SPACE = "space"
    """ENOSPC; nothing was done."""
    SHORT = "short"
    """ENOSPC after half of a write was done; other operations: EIO."""
    READ_ONLY = "read-only"
    """EROFS; nothing was done."""
    INTERRUPT = "interrupt"
    """KeyboardInterrupt before the operation, as Ctrl-C."""
    LOST = "lost"
    """Reported as done, but never carried out: what a missing line of code does."""


class Fault(Frozen):
    """The `at`-th (from 0) of the `operations` fails; where `sticky`, all after it do too."""

    at: int
    kind: Kind = Kind.IO
    sticky: bool = False
    operations: frozenset[str] = CHANGES


class Faulty:
    """Counts operations over all the folders that it wraps, and fails as told. `fired` tells whether it
    did.
    """

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.count = 0
        self.fired = False
        self._lock = threading.Lock()

    def folder(self, inner: Folder) -> FaultyFolder:
        return FaultyFolder(self, inner)

    def file(self, inner: File, name: str = "a file") -> FaultyFile:
        return FaultyFile(self, inner, name)

    def pass_by(self, operation: str, where: str, half: Callable[[], None] | None = None) -> bool:
        """Called before each operation. True where it is to be carried out; raises where it is to fail."""
        if operation not in self.fault.operations:
            return True
        with self._lock:
            place = self.count
            self.count += 1
        if place == self.fault.at or (self.fault.sticky and place > self.fault.at):
            self.fired = True
            if self.fault.kind is Kind.LOST:
                return False
            if self.fault.kind is Kind.SHORT and half is not None:
                half()
            _fail(self.fault.kind, operation, where, short=half is not None)
        return True


def _fail(kind: Kind, operation: str, where: str, *, short: bool) -> NoReturn:
    if kind is Kind.INTERRUPT:
        raise KeyboardInterrupt
    if kind is Kind.SPACE or (kind is Kind.SHORT and short):
        raise OutOfSpace(what=operation, where=where)
    code = errno.EROFS if kind is Kind.READ_ONLY else errno.EIO
    raise HostError(what=operation, where=where, why=os.strerror(code), errno=code)


class FaultyFile:
    """A file whose operations may fail."""

    def __init__(self, source: Faulty, inner: File, name: str) -> None:
        self._source = source
        self._inner = inner
        self._name = name

    def pread(self, offset: int, size: int) -> bytes:
        self._source.pass_by("pread", self._name)
        return self._inner.pread(offset, size)

    def pwrite(self, offset: int, data: Data) -> None:
        copy = bytes(data)
        if self._source.pass_by("pwrite", self._name,
                                lambda: self._inner.pwrite(offset, copy[:len(copy) // 2])):
            self._inner.pwrite(offset, copy)

    def truncate(self, size: int) -> None:
        if self._source.pass_by("truncate", self._name):
            self._inner.truncate(size)

    def sync(self) -> None:
        if self._source.pass_by("sync", self._name):
            self._inner.sync()

    def size(self) -> int:
        self._source.pass_by("size", self._name)
        return self._inner.size()

    def close(self) -> None:
        self._inner.close()


class FaultyFolder:
    """A folder whose operations, and those of its files, may fail."""

    def __init__(self, source: Faulty, inner: Folder) -> None:
        self._source = source
        self._inner = inner

    def open(self, name: str, *, write: bool = False) -> FaultyFile:
        self._source.pass_by("open", name)
        return FaultyFile(self._source, self._inner.open(name, write=write), name)

    def create(self, name: str) -> FaultyFile:
        self._source.pass_by("create", name)
        return FaultyFile(self._source, self._inner.create(name), name)

    def replace(self, old: str, new: str) -> None:
        if self._source.pass_by("replace", old):
            self._inner.replace(old, new)

    def rename_new(self, old: str, new: str) -> None:
        if self._source.pass_by("replace", old):
            self._inner.rename_new(old, new)

    def remove(self, name: str) -> None:
        if self._source.pass_by("remove", name):
            self._inner.remove(name)

    def exists(self, name: str) -> bool:
        self._source.pass_by("exists", name)
        return self._inner.exists(name)

    def free_size(self) -> int:
        self._source.pass_by("free size", "a folder")
        return self._inner.free_size()

    def sync(self) -> None:
        if self._source.pass_by("folder sync", "a folder"):
            self._inner.sync()
