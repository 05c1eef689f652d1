"""Where sound data of a hash is to be had: in copies of a WIM, and in real files of a volume."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter as Tally
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Error, Internal
from wimboot.events import Phase
from wimboot.frozen import Frozen
from wimboot.tree import StreamFlag, StreamKind
from wimboot.wim import copy_blobs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from wimboot.events import Counter, Emit
    from wimboot.ops.opening.contents import Contents
    from wimboot.tree import Tree
    from wimboot.wim import Append, Store

__all__ = ["Offers", "RealFiles", "bring", "count_references", "find_sound"]

_WINDOW = 2 << 20
_NOT_REAL = StreamFlag.POINTER | StreamFlag.ENCRYPTED


class RealFiles(Frozen):
    """A volume on which real files may hold what is looked for."""

    tree: Tree
    contents: Contents
    where: str


@dataclass(slots=True, kw_only=True)
class Offers:
    """Who has sound data: stores with hashes, streams of real files by hash. `lacking` nobody has."""

    stores: list[tuple[Store, list[bytes]]] = field(default_factory=list)
    files: dict[bytes, int] = field(default_factory=dict)
    volume: RealFiles | None = None
    lacking: set[bytes] = field(default_factory=set)
    size: int = 0

    @property
    def hashes(self) -> set[bytes]:
        """All that are to be had."""
        return {sha1 for _, hashes in self.stores for sha1 in hashes} | self.files.keys()

    @property
    def told(self) -> list[tuple[str, int]]:
        """(where, how many) of each place that gives some."""
        found = [(store.where, len(hashes)) for store, hashes in self.stores]
        return found if self.volume is None or not self.files else [*found, (self.volume.where, len(self.files))]


def find_sound(
    wanted: Mapping[bytes, int | None], stores: Sequence[Store], volume: RealFiles | None, emit: Emit, *, threads: int
) -> Offers:
    """Look for these blobs {hash: size, None where it is not known}; each that is offered was read and hashed."""
    offers = Offers(volume=volume, lacking=set(wanted))
    for store in stores:
        here = sorted(sha1 for sha1 in offers.lacking if sha1 in store)
        if here:
            sizes = {sha1: blob.size for sha1 in here if (blob := store.blob(sha1)) is not None}
            phase = Phase(name="spare", total=sum(sizes.values()), unit="bytes")
            emit(phase)
            bad = {problem.sha1 for problem in store.check_blobs(here, phase.counter, threads)}
            good = [sha1 for sha1 in here if sha1 not in bad and wanted[sha1] in (None, sizes[sha1])]
            if good:
                offers.stores.append((store, good))
                offers.lacking.difference_update(good)
                offers.size += sum(sizes[sha1] for sha1 in good)
    if volume is not None and offers.lacking:
        _look_into_files(volume, wanted, offers)
    return offers


def _look_into_files(volume: RealFiles, wanted: Mapping[bytes, int | None], offers: Offers) -> None:
    """Files of the right size are read, until nothing is lacking."""
    sizes = Tally(wanted[sha1] for sha1 in offers.lacking)
    tree = volume.tree
    for stream in range(tree.stream_count):
        row = tree.stream(stream)
        if not sizes[row.size] or row.kind != StreamKind.DATA or row.flags & _NOT_REAL or not row.size:
            continue
        sha1 = _hash(volume, stream, row.size, packed=bool(row.flags & StreamFlag.COMPACT))
        if sha1 in offers.lacking:
            offers.files[sha1] = stream
            offers.lacking.remove(sha1)
            offers.size += row.size
            sizes[row.size] -= 1


def _hash(volume: RealFiles, stream: int, size: int, *, packed: bool) -> bytes | None:
    """The SHA-1 of a real file; None where it cannot be read, for then it is of no help."""
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        for piece in _pieces(volume, stream, size, packed=packed):
            digest.update(piece)
    except Internal:
        raise
    except Error:
        return None
    return digest.digest()


def _pieces(volume: RealFiles, stream: int, size: int, *, packed: bool) -> Iterator[bytes | memoryview]:
    if packed:
        yield volume.contents.read(stream)
        return
    buffer = memoryview(bytearray(min(size, _WINDOW)))
    for at in range(0, size, _WINDOW):
        piece = buffer[:min(_WINDOW, size - at)]
        yield piece[:volume.contents.read_into(stream, at, piece)]


def bring(offers: Offers, append: Append, counter: Counter, *, threads: int) -> None:
    """Store what is offered in a WIM that lacks it, or for which it was given up. Raises BlobDamaged, HostError."""
    for store, hashes in offers.stores:
        copy_blobs(store, hashes, append, counter=counter, threads=threads)
    if offers.volume is None:
        return
    tree, contents = offers.volume.tree, offers.volume.contents
    plain = array("I")
    for stream in offers.files.values():
        if tree.stream(stream).flags & StreamFlag.COMPACT:
            append.add_blob(contents.read(stream))
            counter.add(tree.stream(stream).size)
        else:
            plain.append(stream)
    append.add_streams(tree, contents, plain, counter=counter, threads=threads)


def count_references(store: Store, hashes: Collection[bytes]) -> dict[bytes, int]:
    """{hash: how often the images refer to it}, at least 1."""
    counts: Tally[bytes] = Tally(dict.fromkeys(hashes, 0))
    for number in range(1, len(store.images) + 1):
        try:
            tree = store.load_tree(number, allow_missing=True)
        except Damaged:
            continue
        for stream in range(tree.stream_count):
            sha1 = tree.stream(stream).hash
            if sha1 in counts:
                counts[sha1] += len(tree.links_of(tree.stream_node(stream)))
    return {sha1: max(1, count) for sha1, count in counts.items()}
