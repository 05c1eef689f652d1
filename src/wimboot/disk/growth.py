"""How long a target was before it grew: a record in the log, durable before the first byte is written past the old end.

Until the commit the target can be put back by it: everything that was in use is still old, so cutting off what was
added is all there is to do. That is done only where the file still is what it was, so nothing that another program
added since is lost.

Record, page 5 of the log (our own; integers little-endian)::

    offset  size  field
    0       8     magic "WBGROW\\r\\n"
    8       8     size of the target in bytes
    16      8     bytes at its start that are hashed
    24      32    SHA-256 of them, followed by the last 4 KiB
    56      32    SHA-256 of bytes 0 to 55
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from wimboot.disk.errors import TargetChanged
from wimboot.disk.log import GROWTH, PAGE
from wimboot.errors import FormatError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from wimboot.storage import File

__all__ = ["Growth", "note_growth", "undo_growth"]

_MAGIC = b"WBGROW\r\n"
_RECORD = struct.Struct("<8sQQ32s")
_MAX_HEAD = 64 << 20
"""Four times the largest table of a VHD."""


class Growth(Frozen):
    """The target before it grew."""

    size: int
    head_size: int
    digest: bytes

    def pack(self) -> bytes:
        """One page."""
        body = _RECORD.pack(_MAGIC, self.size, self.head_size, self.digest)
        return (body + hashlib.sha256(body).digest()).ljust(PAGE, b"\0")

    @classmethod
    def parse(cls, data: bytes) -> Growth:
        """Raises FormatError where there is no whole record."""
        end = _RECORD.size
        if len(data) < end + 32 or data[:8] != _MAGIC:
            raise FormatError("growth record", 0, "no such magic")
        if hashlib.sha256(data[:end]).digest() != data[end:end + 32]:
            raise FormatError("growth record", end, "its SHA-256 is wrong")
        _, size, head_size, digest = _RECORD.unpack_from(data)
        if head_size > min(size, _MAX_HEAD):
            raise FormatError("growth record", 16, f"{head_size:,} bytes hashed of {size:,}")
        return cls(size=size, head_size=head_size, digest=digest)


def _digest(file: File, size: int, head_size: int) -> bytes:
    tail = max(0, size - PAGE)
    return hashlib.sha256(file.pread(0, head_size) + file.pread(tail, size - tail)).digest()


def note_growth(log: File, file: File, size: int, head_size: int) -> None:
    """Say, durably but for the log's name, that `file` is about to grow from `size` bytes. Raises HostError."""
    head_size = min(head_size, size, _MAX_HEAD)
    log.pwrite(GROWTH, Growth(size=size, head_size=head_size, digest=_digest(file, size, head_size)).pack())
    log.sync()


def undo_growth(log: File, file: File, where: str) -> None:
    """Cut off what a transaction that was never committed added to its target, durably.

    Raises TargetChanged where the file is longer than it was but not by that run, HostError.
    """
    try:
        record = Growth.parse(log.pread(GROWTH, PAGE))
    except FormatError:
        return      # a torn record: it was not durable yet, so the target had not grown
    if file.size() <= record.size:
        return
    if _digest(file, record.size, record.head_size) != record.digest:
        raise TargetChanged(where=where, why="it grew by another program's writes, too")
    file.truncate(record.size)
    file.sync()
