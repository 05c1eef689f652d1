"""The growing end of a WIM: everything new is written behind the old, nothing before it is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.storage.protocol import Data, File

__all__ = ["Tail"]

_PUSH = 16 << 20    # the kernel is told to begin writing out after so many bytes, so that the final sync is short


class Tail:
    """Appends to a file from `start` on. `begin` is called before the first write."""

    def __init__(self, file: File, start: int, begin: Callable[[], None]) -> None:
        self.file = file
        self.start = start
        self.end = start
        self._begin: Callable[[], None] | None = begin
        self._pushed = start
        fileno = getattr(file, "fileno", None)
        self._descriptor: int | None = None if fileno is None else fileno()

    @property
    def begun(self) -> bool:
        """Whether anything was written."""
        return self._begin is None

    def _ready(self) -> None:
        if self._begin is not None:
            self._begin()
            self._begin = None

    def append(self, data: Data) -> int:
        """Write at the end; where it lies."""
        self._ready()
        offset = self.end
        self.file.pwrite(offset, data)
        self.end += memoryview(data).nbytes
        if self._descriptor is not None and self.end - self._pushed >= _PUSH:
            os.posix_fadvise(self._descriptor, self._pushed, self.end - self._pushed, os.POSIX_FADV_DONTNEED)
            self._pushed = self.end
        return offset

    def reserve(self, size: int) -> int:
        """Leave room for something known later; where it lies."""
        self._ready()
        offset = self.end
        self.end += size
        return offset

    def patch(self, offset: int, data: Data) -> None:
        """Fill what was reserved. Only behind the start."""
        if offset < self.start:
            raise ValueError("that part of the WIM is not ours")
        self.file.pwrite(offset, data)

    def rewind(self, offset: int) -> None:
        """Forget what was appended from `offset` on."""
        if not self.start <= offset <= self.end:
            raise ValueError("that part of the WIM is not ours")
        self.file.truncate(offset)
        self.end = self._pushed = offset
