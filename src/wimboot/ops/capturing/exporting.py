"""Bring an image out of a WIM that Windows' driver cannot read (solid, LZMS, split) into one that it can."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.events import Emit, Note, Phase
from wimboot.ops.capturing.growing import create_options
from wimboot.ops.capturing.readingback import ReadBackFailed
from wimboot.ops.opening.inside import growing_wim
from wimboot.ops.opening.storing import commit_all, opened_store
from wimboot.ops.options import TargetOptions, processors
from wimboot.ops.sharing.fallenbehind import tell_of_others
from wimboot.tree import passes
from wimboot.wim import copy_blobs

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.options import Compression, Folders
    from wimboot.wim import Store

__all__ = ["export_image"]


def export_image(wim: Path, image: int, into: Path, folders: Folders, emit: Emit, *, name: str | None = None,
                 compression: Compression | None = None) -> int:
    """Append image `image` of `wim` to the WIM `into`, which is made where there is none; its number there.

    It keeps its name, or gets `name`; `compression` is what `into` has to have. Every blob is checked against its hash
    on the way, and read back from the disk. Raises what opening the two raises, CompressionDiffers,
    BlobDamaged, NotStorable, ReadBackFailed.
    """
    with (
        growing_wim(into, TargetOptions(place="", folders=folders), create_options(compression)) as append,
        opened_store(wim, folders) as store,
    ):
        tree = store.load_tree(image)
        hashes = passes.hashes(tree)
        sizes = sum(blob.size for blob in map(store.blob, hashes) if blob is not None)
        phase = Phase(name="export", total=sizes, unit="bytes")
        emit(phase)
        copy_blobs(store, hashes, append, counter=phase.counter, threads=processors())
        xml = store.images[image - 1]
        number = append.add_image(tree, xml if name is None else replace(xml, name=name))
        append.seal()
        _read_back(append.pending(), append.new_hashes, into, emit)
        commit_all([], append, into)
        tell_of_others(append, into, emit)
    emit(Note(id="exported", text=f"Image {image} of {wim} is now image {number} of {into}, and pointers lead there."))
    return number


def _read_back(store: Store, hashes: list[bytes], into: Path, emit: Emit) -> None:
    sizes = {sha1: blob.size for sha1 in hashes if (blob := store.blob(sha1)) is not None}
    phase = Phase(name="read-back", total=sum(sizes.values()), unit="bytes")
    emit(phase)
    problems = store.check_blobs(sizes.keys(), phase.counter, processors())
    if problems:
        raise ReadBackFailed(where=str(into), count=len(problems), first=problems[0].text)
