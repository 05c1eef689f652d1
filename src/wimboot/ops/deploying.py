"""Putting an image onto a volume: what `apply`, `restore` and `convert --format` share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Refused
from wimboot.events import Counter, Emit, Phase
from wimboot.ops.checkout import Checkout
from wimboot.ops.driver import check_driver
from wimboot.ops.placing import register
from wimboot.ops.pointing import refresh_pointers
from wimboot.ops.rules import find_lists
from wimboot.plan.forms import Forms, plan_forms
from wimboot.tree import StreamFlag, Tree, diff, passes
from wimboot.tree.selection import select
from wimboot.wim.errors import BlobMissing
from wimboot.windows.identify import System, identify

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.contents import Contents
    from wimboot.ops.opening import Opened
    from wimboot.tree.changes import Changes
    from wimboot.wim import Store
    from wimboot.windows.wimplace import WimPlace

__all__ = [
    "BlobsDamaged",
    "NotBackable",
    "carry_out",
    "changes_between",
    "check_new_pointers",
    "check_pointers_possible",
    "forms_of",
    "look_at",
    "read_image",
]

_WINDOW = 4 << 20


class NotBackable(Refused):
    """A WIM that Windows' overlay driver cannot read."""

    id = "wim-not-backable"
    sentence = "Windows cannot read pointers into {wim}: {why}"
    advice = "Write its data with --full, or bring the image into a WIM that Windows can read: --export STORE.wim."


class BlobsDamaged(Damaged):
    """Blobs that pointers would need are not what they should be."""

    id = "blobs-damaged"
    sentence = "{count} blobs of {where} that files would be replaced by are damaged (the first: {first})"
    advice = "Nothing was changed. Take the WIM from a backup; `wimboot verify --wim` lists all that is damaged."


def read_image(store: Store, tree: Tree, path: str) -> bytes | None:
    """The unnamed data at a path of an image; None where it has no such file."""
    node = tree.find(path)
    stream = tree.data_stream(node) if node >= 0 else -1
    if stream < 0:
        return None
    row = tree.stream(stream)
    return store.read(row.hash) if row.size else b""


def look_at(store: Store, number: int) -> tuple[Tree, System | None]:
    """The tree of an image and the Windows in it. Raises BlobMissing where the WIM lacks any of its data."""
    tree = store.load_tree(number)
    for sha1 in passes.hashes(tree):
        if sha1 not in store:
            raise BlobMissing(where=store.where, sha1=sha1.hex())
    return tree, identify(lambda path: read_image(store, tree, path))


def changes_between(tree: Tree, image: Tree, ignored: bytearray, contents: Contents, emit: Emit) -> Changes:
    """What must happen to the volume; reads the files whose sizes alone do not tell whether they differ."""
    changes = diff(tree, image, ignored=ignored)
    if changes.unknown:
        sizes = sum(tree.stream(old).size for _, old in changes.unknown)
        phase = Phase(name="compare", total=sizes, unit="bytes")
        emit(phase)
        for _, stream in changes.unknown:
            tree.set_hash(stream, _sha1(tree, stream, contents, phase.counter))
        changes = diff(tree, image, ignored=ignored)
    return changes


def _sha1(tree: Tree, stream: int, contents: Contents, counter: Counter) -> bytes:
    row = tree.stream(stream)
    if row.flags & StreamFlag.COMPACT:
        counter.add(row.size)
        return hashlib.sha1(contents.read(stream), usedforsecurity=False).digest()
    digest = hashlib.sha1(usedforsecurity=False)
    buffer = memoryview(bytearray(min(_WINDOW, row.size)))
    for offset in range(0, row.size, _WINDOW):
        part = buffer[: min(_WINDOW, row.size - offset)]
        contents.read_into(stream, offset, part)
        digest.update(part)
        counter.add(len(part))
    return digest.digest()


def forms_of(
    image: Tree, system: System | None, store: Store, config: Path | None, wim: Path, *, pointers: bool, emit: Emit
) -> Forms:
    """Which files of an image become pointers."""
    lists = find_lists(config, wim, lambda path: read_image(store, image, path), system, emit)
    return plan_forms(image, pointers=pointers, ruled_by=select(image, lists).real_by, places=store.pointer_places)


def check_pointers_possible(store: Store, system: System | None, driver: str | None, wim: Path, emit: Emit) -> None:
    """Whether a system can stand on pointers into this store. Raises NotBackable, DriverNeeded."""
    if store.not_backable is not None:
        raise NotBackable(wim=wim, why=store.not_backable)
    check_driver(system, driver, where=f"the image in {wim}", emit=emit)


def check_new_pointers(
    store: Store, image: Tree, changes: Changes, forms: Forms, threads: int, wim: Path, emit: Emit
) -> None:
    """Read the blobs of files about to be replaced by pointers back from the disk. Raises BlobsDamaged."""
    streams = {new for new, _ in changes.data} | {image.data_stream(node) for node in changes.created}
    hashes = {
        image.stream(stream).hash for stream in streams if stream >= 0 and forms.pointer[image.stream_node(stream)]
    }
    if hashes:
        phase = Phase(name="read-back", total=sum(blob.size for blob in map(store.blob, hashes) if blob), unit="bytes")
        emit(phase)
        problems = store.check_blobs(hashes, phase.counter, threads)
        if problems:
            raise BlobsDamaged(count=len(problems), where=wim, first=problems[0].text)


def carry_out(
    opened: Opened,
    tree: Tree,
    image: Tree,
    changes: Changes,
    forms: Forms,
    store: Store,
    number: int,
    place: WimPlace | None,
    emit: Emit,
) -> None:
    """Change the volume inside its transaction and close it; the caller commits."""
    steps = len(changes.removed_links) + len(changes.added_links) + len(changes.data) + len(changes.metadata)
    phase = Phase(name="change", total=steps)
    emit(phase)
    source = None if place is None else register(opened.volume, store.guid, number, place)
    refresh_pointers(opened.volume, tree, store)
    Checkout(opened.volume, tree, image, changes, forms, store, source, phase.counter).run()
    opened.volume.close()
