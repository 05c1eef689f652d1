"""The bytes behind every stream of a volume, whatever form they have there.

Ordinary streams come from their clusters, NTFS-compressed ones through libntfs-3g, Compact OS files are unpacked,
pointers are followed into their WIM. What cannot be read is an error, never zeros.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Unsupported
from wimboot.formats.reparse import FileBacked
from wimboot.ntfs import Reader
from wimboot.ops.opening.ranged import (
    LibraryStream,
    PlainStream,
    SizeDiffers,
    UncheckedStream,
    refuse_content_elsewhere,
)
from wimboot.tree import StreamFlag, Tree
from wimboot.wim.compact import ranged_compact, unpack

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence

    from wimboot.ntfs import Volume
    from wimboot.ops.opening.ranged import Ranged
    from wimboot.storage import Device
    from wimboot.wim import Store

__all__ = ["Contents", "PointerUnbacked"]

WHOLE_LIMIT = 1 << 30
"""Files read in one piece (Compact OS, hives, lists) are smaller; larger ones are refused rather than swapped."""

PART = 4 << 20
"""The most bytes of a stream that `parts` gives at once."""


class PointerUnbacked(Damaged):
    """A pointer whose content is in none of the WIMs at hand."""

    id = "blob-missing"
    sentence = "{where} of {volume} is a pointer to the blob {sha1}, which is in none of the WIMs at hand"
    advice = (
        "`wimboot verify {volume}` tells which WIM it uses, what is wrong with that or with the volume's record of it, "
        "and what mends it. Where the WIM lies elsewhere, name its folder with --search."
    )


class TooLargeWhole(Unsupported):
    """A file that would have to be held in memory as a whole."""

    id = "too-large"
    sentence = "{where} has {size} bytes, too many to unpack at once"
    advice = "Exclude it with a WimBootCompress.ini, or unpack it under Windows (compact /u)."


class Contents:
    """Reads streams of one scanned volume; a `BlobSource` for captures. `stores` are where pointers are followed to."""

    def __init__(self, tree: Tree, device: Device, volume: Volume, stores: Sequence[Store] = ()) -> None:
        self._tree = tree
        self._device = device
        self._volume = volume
        self._stores = tuple(stores)
        self._reader = Reader(device, tree, self._by_library)
        self._library = threading.Lock()

    def read(self, stream: int) -> bytes:
        """The whole content of a stream. Raises PointerUnbacked, TooLargeWhole, Damaged."""
        row = self._tree.stream(stream)
        if row.flags & StreamFlag.POINTER:
            return self._through_pointer(stream, row.hash)
        if row.size > WHOLE_LIMIT:
            raise TooLargeWhole(where=self._where(stream), size=row.size)
        if row.flags & StreamFlag.COMPACT:
            value = FileBacked.parse(self._tree.stream_bytes(stream))
            return unpack(self._reader.raw_compact(stream), row.size, value, where=self._where(stream))
        out = bytearray(row.size)
        self._reader.read_into(stream, 0, memoryview(out))
        return bytes(out)

    def ranged(self, stream: int) -> Ranged:
        """A stream to be read in parts, in any order and by any number of threads.

        Raises PointerUnbacked, ContentElsewhere, SizeDiffers, CompactUnknown, Damaged.
        """
        row = self._tree.stream(stream)
        node = self._tree.stream_node(stream)
        refuse_content_elsewhere(self._tree.node(node), row, lambda: self._where(stream))
        if row.flags & StreamFlag.POINTER:
            blob = self._store_of(stream, row.hash).ranged(row.hash)
            if blob.size != row.size:
                raise SizeDiffers(where=self._where(stream), size=row.size, sha1=row.hash.hex(), found=blob.size)
            return blob
        if row.flags & StreamFlag.COMPACT:
            return self._ranged_compact(stream, row.size)
        if row.flags & StreamFlag.BY_LIBRARY:
            return LibraryStream(self._volume, self._tree.file_id(node), row, self._library)
        return PlainStream(self._reader, row)

    def _ranged_compact(self, stream: int, size: int) -> Ranged:
        def stored(offset: int, part: int) -> bytes:
            return self._reader.raw_compact(stream, offset, part)

        if not size:
            return UncheckedStream(0, stored)
        value = FileBacked.parse(self._tree.stream_bytes(stream))
        packed = self._reader.compact_size(stream)
        chunks = ranged_compact(stored, packed, size, value, where=self._where(stream))
        return UncheckedStream(size, stored if chunks is None else chunks.read)

    def parts(self, stream: int) -> Iterator[bytes | memoryview]:
        """A stream from its start, in parts of a few MiB. A blob's last one is given only when all have the right hash.

        Raises as `ranged` does, and what reading does.
        """
        source, row = self.ranged(stream), self._tree.stream(stream)
        if row.flags & StreamFlag.POINTER:
            yield from self._store_of(stream, row.hash).read_parts(row.hash)
            return
        for offset in range(0, source.size, PART):
            yield source.read(offset, PART)

    def read_path(self, path: str) -> bytes | None:
        """The unnamed data at a path of the volume; None where there is no such file."""
        node = self._tree.find(path)
        stream = self._tree.data_stream(node) if node >= 0 else -1
        return self.read(stream) if stream >= 0 else None

    def through(self, *stores: Store) -> Contents:
        """The same volume, with pointers followed into these WIMs."""
        return Contents(self._tree, self._device, self._volume, stores)

    # ---- BlobSource: what a capture reads

    def in_disk_order(self, streams: array[int]) -> array[int]:
        return self._reader.in_disk_order(streams)

    def fill(self, streams: array[int], first: int, buffer: bytearray) -> list[int]:
        return self._reader.fill(streams, first, buffer)

    def read_into(self, stream: int, offset: int, into: memoryview) -> int:
        return self._reader.read_into(stream, offset, into)

    # ---- the forms that plain clusters do not give

    def _by_library(self, stream: int) -> bytes:
        row = self._tree.stream(stream)
        if row.size > WHOLE_LIMIT:
            raise TooLargeWhole(where=self._where(stream), size=row.size)
        content: bytes = self._volume.read(self._tree.file_id(self._tree.stream_node(stream)), row.name)
        return content

    def _through_pointer(self, stream: int, sha1: bytes) -> bytes:
        return self._store_of(stream, sha1).read(sha1)

    def _store_of(self, stream: int, sha1: bytes) -> Store:
        for store in self._stores:
            if store.blob(sha1) is not None:
                return store
        raise PointerUnbacked(where=self._where(stream), volume=self._volume.where, sha1=sha1.hex())

    def _where(self, stream: int) -> str:
        links = self._tree.links_of(self._tree.stream_node(stream))
        return self._tree.path(links[0]) if links else "a file without a name"
