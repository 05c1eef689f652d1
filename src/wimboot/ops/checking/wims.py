"""Check a WIM by itself: the list of files of each image, that every blob is there, and that its bytes are sound."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Unsupported, advice
from wimboot.events import Phase, Problem
from wimboot.ops.checking.advising import spare_options, written_anew
from wimboot.ops.checking.diagnosis import counted
from wimboot.tree import passes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from wimboot.events import Emit
    from wimboot.ops.checking.findings import Verified
    from wimboot.tree import Tree
    from wimboot.wim import Store
    from wimboot.wim.check import BlobProblem

__all__ = ["check_data", "verify_store"]


def verify_store(store: Store, verified: Verified, emit: Emit, *, quick: bool, threads: int) -> None:
    """Check a whole WIM; with `quick` without the data."""
    emit(Phase(name="images", total=len(store.images)))
    trees: dict[int, Tree] = {}
    for number in range(1, len(store.images) + 1):
        where = f"image {number} of {store.where}"
        try:
            trees[number] = tree = store.load_tree(number, allow_missing=True)
        except (Damaged, Unsupported) as error:
            verified.tell_error(error, where, image=number)
            verified.lists.add(number)
            continue
        missing = {sha1 for sha1 in passes.hashes(tree) if sha1 not in store}
        if missing:
            verified.missing |= missing
            paths = tuple(_paths(tree, missing))
            verified.tell(Problem(
                id="blob-missing", where=where, paths=paths, facts={"image": number, "blobs": sorted(missing)},
                text=f"the data of {counted(len(paths), 'file')} is not in the WIM (the first: {min(missing).hex()})",
                advice=_advice(store, verified)))
    if not quick:
        damaged = check_data(store, None, verified, emit, threads)
        known = {store.parts[0].table.row(store.parts[0].table.metadata[number - 1]).sha1 for number in verified.lists}
        verified.damaged = {problem.sha1 for problem in damaged} - known
        _tell_damaged(store, trees, [problem for problem in damaged if problem.sha1 not in known], verified)


def check_data(
    store: Store, hashes: Collection[bytes] | None, verified: Verified, emit: Emit, threads: int
) -> list[BlobProblem]:
    """Read these blobs (None: all, and the lists of files) and hash them; what is not sound."""
    every = store.hashes() if hashes is None else hashes
    blobs = [blob for blob in map(store.blob, every) if blob is not None]
    total = sum(blob.size for blob in blobs)
    phase = Phase(name="data", total=total, unit="bytes")
    emit(phase)
    problems = store.check_blobs(hashes, phase.counter, threads)
    verified.blobs += len(blobs)
    verified.data_size += total
    return problems


def _tell_damaged(store: Store, trees: dict[int, Tree], problems: list[BlobProblem], verified: Verified) -> None:
    hashes = {problem.sha1 for problem in problems}
    used = hashes if verified.lists else {sha1 for tree in trees.values() for sha1 in hashes & passes.hashes(tree)}
    paths = tuple(f"image {number}: {path}" for number, tree in trees.items() for path in _paths(tree, hashes))
    known = [problem for problem in problems if problem.sha1 in used]
    if known:
        verified.tell(Problem(
            id="blob-damaged", where=store.where, paths=paths, facts={"blobs": sorted(used)},
            text=f"damaged in it: {counted(len(known), 'blob')} (the first: {known[0].text}), the data of "
                 f"{counted(len(paths), 'file')} of its images",
            advice=_advice(store, verified)))
    strays = [problem for problem in problems if problem.sha1 not in used]
    if strays:
        copy = verified.spares[0] if verified.spares else None
        verified.tell(Problem(
            id="blob-damaged", where=store.where, facts={"blobs": sorted(hashes - used)},
            text=f"damaged in it, though no image refers to it: {counted(len(strays), 'blob')} (the first: "
                 f"{strays[0].text}); an entry of the table is wrong, or the data of an image that was deleted",
            advice=f"No file of an image needs it. {written_anew(Path(store.where), copy)}"))


def _paths(tree: Tree, hashes: set[bytes]) -> Iterable[str]:
    for number in range(tree.stream_count):
        if tree.stream(number).hash in hashes:
            yield tree.path(tree.links_of(tree.stream_node(number))[0])


def _advice(store: Store, verified: Verified) -> str:
    return advice("`wimboot verify --wim {wim} --repair {spares}` takes sound data from another copy.",
                  wim=store.where, spares=spare_options(verified.spares))
