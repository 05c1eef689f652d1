"""Writing one image of a scanned volume into a WIM: what `capture`, `convert` and `update` share."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from wimboot.errors import UsageError
from wimboot.events import Emit, Phase
from wimboot.formats.filetime import from_unix_ns
from wimboot.formats.ini import CaptureList
from wimboot.formats.wimxml import ImageXml
from wimboot.frozen import Frozen
from wimboot.ops.capturing.carrying import carry_attributes
from wimboot.ops.opening.contents import PointerUnbacked
from wimboot.tree import StreamFlag, Tree, passes
from wimboot.tree.selection import ListKind, Lists
from wimboot.wim import copy_blobs
from wimboot.windows.identify import image_name
from wimboot.windows.imagefacts import facts
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.ops.capturing.snapshot import Snapshot
    from wimboot.ops.opening.contents import Contents
    from wimboot.ops.options import CaptureOptions
    from wimboot.plan.capture import CapturePlan
    from wimboot.wim import Append, Store

__all__ = [
    "BadImageName", "Image", "ImageNameTaken", "add_contents", "add_image", "image_name_for", "write_image",
]

_LEVEL, _FAST_LEVEL = 30, 20
"""Of libwim's XPRESS and LZX compressors. 30 takes 5 % less time than its default of 50 and leaves 0.08 % more; 20,
which searches less cleverly, 13 % less and 1 % more."""


class ImageNameTaken(UsageError):
    """Two images of a WIM cannot have one name."""

    id = "image-name-taken"
    sentence = "{where} already has an image named {name!r}"
    advice = "Choose another --name; `wimboot images {where}` lists those there are."


class BadImageName(UsageError):
    """A name that nobody could type again, or that XML cannot hold."""

    id = "bad-name"
    sentence = "{name!r} cannot name an image"
    advice = "Give a --name of printable characters."


class Image(Frozen):
    """An image that was written: its number in the WIM and by how many bytes the WIM grew."""

    number: int
    name: str
    guid: bytes
    growth: int


def write_image(
    append: Append,
    snapshot: Snapshot,
    plan: CapturePlan,
    options: CaptureOptions,
    emit: Emit,
    stores: Sequence[Store] = (),
) -> Image:
    """Read, hash, compress and append what the WIM lacks, then the image; everything is synced but not yet visible.

    `stores` are further WIMs in which blobs behind pointers are found. Raises PointerUnbacked rather than store a
    pointer file as anything but what it contains.
    """
    name = image_name_for(append.store, snapshot, options)
    carry_attributes(snapshot.tree, read_sources(snapshot.contents.read_path),
                     stores if append.store is None else [append.store, *stores])
    add_contents(append, snapshot, plan, options, emit, stores)
    return add_image(append, snapshot, plan, name, emit)


def add_contents(
    append: Append,
    snapshot: Snapshot,
    plan: CapturePlan,
    options: CaptureOptions,
    emit: Emit,
    stores: Sequence[Store] = (),
) -> None:
    """Read, hash, compress and append what the WIM lacks. Raises PointerUnbacked, Damaged, HostError."""
    tree = snapshot.tree
    _bring_pointed_blobs(append, snapshot, plan, stores)
    packed = [stream for stream in plan.streams if tree.stream(stream).flags & StreamFlag.COMPACT]
    plain = plan.streams
    if packed:
        apart = frozenset(packed)
        plain = plain.__class__("I", (stream for stream in plain if stream not in apart))
    phase = Phase(name="capture", total=plan.read_size, unit="bytes")
    emit(phase)
    append.add_streams(
        tree,
        snapshot.contents,
        plain,
        counter=phase.counter,
        threads=options.threads,
        level=_FAST_LEVEL if options.fast else _LEVEL,
    )
    for stream in packed:
        _add_packed(append, tree, snapshot.contents, stream)
        phase.counter.add(tree.stream(stream).size)


def add_image(append: Append, snapshot: Snapshot, plan: CapturePlan, name: str, emit: Emit) -> Image:
    """Append the image of a tree all of whose contents are there; everything is synced but not yet visible."""
    emit(Phase(name="image"))
    now = from_unix_ns(time.time_ns())
    system = snapshot.system
    number = append.add_image(
        snapshot.tree,
        ImageXml(
            name=name,
            flags="" if system is None else system.edition,
            creation_time=now,
            last_modification_time=now,
            wimboot=True,
            capture_list=_list_of(snapshot.selection.lists),
            windows=None if system is None else facts(system),
        ),
        plan.excluded,
    )
    append.seal()
    return Image(number=number, name=name, guid=append.guid, growth=append.growth)


def _list_of(lists: Lists) -> str:
    """What the user's or the built-in list left out, to be kept with the image: a restore leaves the same alone."""
    used = CaptureList(
        exclusion=tuple(rule.pattern for rule in lists.of(ListKind.EXCLUSION)),
        exception=tuple(rule.pattern for rule in lists.of(ListKind.EXCEPTION)),
    )
    text = used.pack().decode().replace("\r\n", "\n")
    return "".join(character for character in text if character == "\n" or character >= " ")


def image_name_for(store: Store | None, snapshot: Snapshot, options: CaptureOptions) -> str:
    """The name that the user gave, else one of system and time that the WIM lacks.

    Raises BadImageName, ImageNameTaken.
    """
    taken = set() if store is None else {image.name for image in store.images}
    if options.name is not None:
        if not options.name.strip() or not options.name.isprintable():
            raise BadImageName(name=options.name)
        if options.name in taken:
            raise ImageNameTaken(where=str(options.wim), name=options.name)
        return options.name
    now = datetime.now().astimezone()
    stem = f"Volume_{now:%Y%m%d%H%M}" if snapshot.system is None else image_name(snapshot.system, now)
    name, number = stem, 2
    while name in taken:  # two captures within a minute
        name, number = f"{stem}_{number}", number + 1
    return name


def _bring_pointed_blobs(append: Append, snapshot: Snapshot, plan: CapturePlan, stores: Sequence[Store]) -> None:
    tree = snapshot.tree
    streams, digests = passes.pointer_digests(tree, plan.included)
    missing = {digests[20 * at:20 * at + 20]: streams[at] for at in append.lacking(digests)}
    for store in stores:
        here = [sha1 for sha1 in missing if sha1 in store]
        copy_blobs(store, here, append)
        for sha1 in here:
            del missing[sha1]
    for sha1, stream in missing.items():
        links = tree.links_of(tree.stream_node(stream))
        raise PointerUnbacked(where=tree.path(links[0]), volume=snapshot.opened.where, sha1=sha1.hex())


def _add_packed(append: Append, tree: Tree, contents: Contents, stream: int) -> None:
    tree.set_hash(stream, append.add_blob(contents.read(stream)))
