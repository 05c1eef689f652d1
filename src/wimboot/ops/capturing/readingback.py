"""Reading back what an image stands on, before the originals are given up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.errors import Damaged
from wimboot.events import Counter, Emit, Phase
from wimboot.ops.opening.meanwhile import Meanwhile, StoppableCounter
from wimboot.tree import StreamFlag, Tree, passes
from wimboot.wim import real_path
from wimboot.wim.errors import BlobDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wimboot.ops.options import CaptureOptions
    from wimboot.wim import Append, Store

__all__ = ["OlderDataDamaged", "ReadBackFailed", "ReadingBack", "read_back", "read_back_list", "read_back_shared",
           "reading_list"]


class ReadBackFailed(Damaged):
    """What was just written to the WIM does not read back as what it should be."""

    id = "read-back"
    sentence = "{count} blobs just written to {where} do not read back as what was captured (the first: {first})"
    advice = "The disk or memory is not reliable. Nothing was changed: the volume and the WIM are as they were."


class OlderDataDamaged(Damaged):
    """What the WIM held before this run, and the new image would share, is not what it should be."""

    id = "older-data-damaged"
    sentence = (
        "{count} blobs that {where} held already, and the new image would share, are damaged (the first: {first}): "
        "so is the data of older images"
    )
    advice = (
        "Nothing was changed. `wimboot verify --wim {where}` lists all that is damaged; take the WIM from a backup, or "
        "capture into a new one."
    )


def read_back(
    store: Store, blobs: dict[bytes, int], options: CaptureOptions, emit: Emit, *, old: Store | None
) -> None:
    """Read blobs back from the disk and compare their SHA-1.

    `blobs` are hashes and sizes; `store` is the WIM as it will be, `old` as it was. Raises ReadBackFailed,
    OlderDataDamaged.
    """
    phase = Phase(name="read-back", total=sum(blobs.values()), unit="bytes")
    if blobs:
        emit(phase)
    _compare(store.apart(), blobs, options, phase.counter, old)


class ReadingBack(Meanwhile[None]):
    """The same for blobs of an append while the caller goes on: what the run added need not be sealed, and what it adds
    next is none of these. Nothing may be committed before its `result` was asked for.

    Attributes:
        places: (offset, size in the WIM) of each blob that is read.
        phase: not told yet, but counting.
    """

    def __init__(self, append: Append, hashes: Iterable[bytes], options: CaptureOptions) -> None:
        store, old, counter = append.written(), append.store, StoppableCounter()
        blobs = [blob for sha1 in hashes if (blob := store.blob(sha1)) is not None]
        sizes = {blob.sha1: blob.size for blob in blobs}
        self.places = {blob.sha1: (blob.offset, blob.size_in_wim) for blob in blobs}
        self.phase = Phase(name="read-back", total=sum(sizes.values()), unit="bytes", counter=counter)

        def work() -> None:
            append.sync()       # what is not on the disk cannot be dropped from memory, and be read from the disk
            _compare(store.apart(), sizes, options, counter, old)

        super().__init__(work, apart=_on_the_host(options), giving_way=True, stop=counter.stop)


def _on_the_host(options: CaptureOptions) -> bool:
    """Whether a thread of its own may read the WIM: the bytes of one inside a volume come from a library for one."""
    return parse_inside(real_path(options.wim)) is None


def _compare(store: Store, blobs: dict[bytes, int], options: CaptureOptions, counter: Counter, old: Store | None
             ) -> None:
    problems = store.check_blobs(blobs, counter, options.threads) if blobs else []
    for failure, found in ((OlderDataDamaged, [one for one in problems if old is not None and one.sha1 in old]),
                           (ReadBackFailed, problems)):
        if found:
            raise failure(where=str(options.wim), count=len(found), first=found[0].text)


def read_back_list(store: Store, image: int) -> None:
    """Read back the list of files of an image that was just written. Raises ReadBackFailed."""
    try:
        store.check_metadata(image)
    except BlobDamaged as error:
        raise ReadBackFailed(where=store.where, count=1, first=str(error)) from error


def reading_list(store: Store, image: int, options: CaptureOptions) -> Meanwhile[None]:
    """The same while the caller goes on."""
    return Meanwhile(partial(read_back_list, store.apart(), image), apart=_on_the_host(options))


def read_back_shared(append: Append, tree: Tree, options: CaptureOptions, emit: Emit) -> None:
    """Read what the image of `tree` takes from older ones: a damaged blob must not pass for a file that was read.

    Files that are pointers have no other data than the WIM's; `verify` is for them. Raises OlderDataDamaged.
    """
    old = append.store
    if old is None:
        return
    pointed = {tree.stream(stream).hash for stream in passes.flagged_streams(tree, StreamFlag.POINTER)}
    found = map(old.blob, passes.hashes(tree) - pointed)
    blobs = {blob.sha1: blob.size for blob in found if blob is not None}
    if blobs:
        read_back(append.pending(), blobs, options, emit, old=old)
