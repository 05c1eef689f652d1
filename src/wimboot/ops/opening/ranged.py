"""A stream of a volume read in parts, in any order, whatever form it has there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wimboot.errors import Damaged, Unsupported
from wimboot.formats.reparse import REPARSE_TAG_DEDUP, REPARSE_TAG_WOF
from wimboot.tree import StreamFlag

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from wimboot.ntfs import Reader, Volume
    from wimboot.tree import NodeRow, StreamRow

__all__ = [
    "ContentElsewhere", "LibraryStream", "PlainStream", "Ranged", "SizeDiffers", "UncheckedStream",
    "refuse_content_elsewhere",
]

_FILTERED = frozenset({REPARSE_TAG_WOF, REPARSE_TAG_DEDUP})


class ContentElsewhere(Unsupported):
    """A file whose data only a filter of Windows, or a service on the net, can give; the volume has zeros for it."""

    id = "content-elsewhere"
    sentence = "{where} keeps its data elsewhere, in a way that only Windows resolves (reparse tag {tag})"
    advice = "Make it an ordinary file under Windows first."


class SizeDiffers(Damaged):
    """A pointer whose blob is not as long as the file."""

    id = "blob-size-differs"
    sentence = "{where} has {size} bytes, but the blob {sha1} that it points to has {found}"
    advice = "`wimboot verify TARGET` tells which pointers are like this."


class Ranged(Protocol):
    """Bytes, of which `read` gives any part. `sha1` is None where nobody noted what they hash to."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    @property
    def sha1(self) -> bytes | None:
        """Of all bytes."""
        ...

    def read(self, offset: int, size: int) -> bytes | memoryview:
        """Up to `size` bytes from `offset`; fewer where the data ends. Any number of threads. Raises Error."""
        ...


class UncheckedStream:
    """What another reader gives, without a hash to hold it against."""

    sha1 = None

    def __init__(self, size: int, read: Callable[[int, int], bytes | memoryview]) -> None:
        self.size = size
        self.read = read


class PlainStream:
    """A stream that lies in clusters or in its file record."""

    sha1 = None

    def __init__(self, reader: Reader, row: StreamRow) -> None:
        self.size = row.size
        self._reader = reader
        self._stream = row.index

    def read(self, offset: int, size: int) -> bytes:
        """As Ranged says. Raises HostError."""
        return self._reader.read(self._stream, offset, size)


class LibraryStream:
    """A stream that libntfs-3g reads, which one thread at a time may ask: an NTFS-compressed one."""

    sha1 = None

    def __init__(self, volume: Volume, file_id: int, row: StreamRow, lock: threading.Lock) -> None:
        self.size = row.size
        self._volume = volume
        self._file_id = file_id
        self._name = row.name
        self._lock = lock

    def read(self, offset: int, size: int) -> bytes:
        """As Ranged says. Raises FileEncrypted, VolumeDamaged, HostError."""
        with self._lock:
            content: bytes = self._volume.read(self._file_id, self._name, offset, size)
        return content


def refuse_content_elsewhere(node: NodeRow, row: StreamRow, where: Callable[[], str]) -> None:
    """Refuse the unnamed data of a reparse point that nothing but zeros stands for. Raises ContentElsewhere."""
    if not node.reparse_tag or row.name or not row.size or row.flags & (StreamFlag.POINTER | StreamFlag.COMPACT):
        return
    if node.reparse_tag in _FILTERED or (row.flags & StreamFlag.SPARSE and row.allocated < row.size):
        raise ContentElsewhere(where=where(), tag=f"{node.reparse_tag:#010x}")
