"""What a volume and a WIM are, byte for byte where it counts, and whether a recovered pair is the old or the new one.

Of a volume counts what its own $Bitmap calls used, and what lies behind the last cluster; of a WIM, everything.
The new volume is the one that the recorded run made, which the programs of others find sound (`judges`); so equal
bytes mean the same names, times, security, streams and pointers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from wimboot.errors import Error
from wimboot.events import Counter
from wimboot.formats.reparse import WimPointer
from wimboot.ntfs import Reader, cluster_bitmap, scan, volume_facts
from wimboot.storage import FileDevice
from wimboot.storage.faults import Image, MemoryFile
from wimboot.tree import StreamFlag, StreamKind
from wimboot.wim import Store

__all__ = ["Whole", "fitting", "is_dirty", "look_at", "names_in", "shape"]

_VOLUME_IS_DIRTY = 1
_OF_EACH_RUN = "\\System Volume Information\\WimOverlay"
"""Files that hold a GUID made by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A volume, the bytes of it that count as (start, content), and a WIM or none."""

    volume: bytes
    used: tuple[tuple[int, bytes], ...]
    wim: bytes | None

    def has_volume(self, image: Image) -> bool:
        """Whether the image is this volume."""
        return image.size == len(self.volume) and all(
            image.read(start, len(content)) == content for start, content in self.used)

    def has_wim(self, image: Image | None) -> bool:
        """Whether the image is this WIM."""
        if image is None or self.wim is None:
            return image is None and self.wim is None
        return image.size == len(self.wim) and image.read(0, image.size) == self.wim


def look_at(volume: Image, wim: Image | None) -> Whole:
    """Remember a pair."""
    content = volume.read(0, volume.size)
    return Whole(volume=content, used=tuple(_used(volume, content)),
                 wim=None if wim is None else wim.read(0, wim.size))


def _used(volume: Image, content: bytes) -> list[tuple[int, bytes]]:
    device = FileDevice(MemoryFile(volume))
    facts = volume_facts(device)
    bitmap, size = cluster_bitmap(device), facts.cluster_size
    pieces = []
    for used, run in groupby(range(facts.total_clusters), lambda cluster: bitmap[cluster >> 3] >> (cluster & 7) & 1):
        if used:
            clusters = list(run)
            start, end = clusters[0] * size, (clusters[-1] + 1) * size
            pieces.append((start, content[start:end]))
    end = facts.total_clusters * size
    return [*pieces, (end, content[end:])]


def is_dirty(volume: Image) -> bool:
    """Whether a volume tells everybody to check it first, or cannot be read as one at all."""
    try:
        return bool(volume_facts(FileDevice(MemoryFile(volume))).flags & _VOLUME_IS_DIRTY)
    except Error:
        return True


Shape = dict[str, tuple[object, ...]]


def shape(volume: Image) -> Shape:
    """What a volume holds, as far as two runs of one verb make it alike: path -> attributes, security, streams."""
    device = FileDevice(MemoryFile(volume))
    tree = scan(device)
    reader = Reader(device, tree, None)
    found: Shape = {}
    for link in range(1, tree.link_count):
        path, row = tree.path(link), tree.link(link)
        facts = tree.node(row.node)
        streams: list[tuple[object, ...]] = []
        for stream in tree.streams_of(row.node):
            content = stream.hash
            if stream.kind == StreamKind.DATA and not stream.flags & (StreamFlag.POINTER | StreamFlag.BY_LIBRARY):
                content = b"" if path.startswith(_OF_EACH_RUN) else reader.read(stream.index, 0, stream.size)
            streams.append((stream.name, stream.kind, stream.size, content))
        security = tree.securities[facts.security] if facts.security >= 0 else b""
        found[path] = (facts.attributes, security, row.short_name, sorted(streams, key=repr))
    return found


def names_in(wim: Image) -> tuple[str, ...]:
    """The images of a WIM whose every blob was read and is what its hash says."""
    with_file = Store.open(MemoryFile(wim), where="the WIM")
    problems = with_file.check_blobs(None, Counter(), 1)
    assert not problems, problems[0]
    return tuple(image.name for image in with_file.images)


def fitting(volume: Image, wim: Image | None) -> str | None:
    """Why the pointers on a volume do not lead into this WIM; None where they all do."""
    tree = scan(FileDevice(MemoryFile(volume)))
    values = [tree.stream_bytes(stream) for stream in range(tree.stream_count)
              if tree.stream(stream).flags & StreamFlag.POINTER]
    if not values:
        return None
    if wim is None:
        return f"{len(values)} pointers, and no WIM"
    store = Store.open(MemoryFile(wim), where="the WIM")
    for pointer in map(WimPointer.parse, values):
        blob = store.blob(pointer.hash)
        if blob is None or (blob.offset, blob.size_in_wim, blob.size) != (
                pointer.offset, pointer.size_in_wim, pointer.size):
            return f"the pointer to {pointer.hash.hex()} leads nowhere"
        if pointer.table_hash != store.table_hash:
            return f"the pointer to {pointer.hash.hex()} knows another table"
    return None
