"""Putting an image onto a volume: what `apply`, `restore` and `convert --format` share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.errors import Damaged
from wimboot.events import Emit, Phase
from wimboot.ops.deploying.checkout import Checkout
from wimboot.ops.opening.meanwhile import Meanwhile, StoppableCounter
from wimboot.ops.pointing.placing import register
from wimboot.ops.pointing.pointers import NotBackable, refresh_pointers
from wimboot.wim import real_path

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.deploying.viewing import ImageView
    from wimboot.ops.opening.volume import Opened
    from wimboot.plan.forms import Forms
    from wimboot.tree.changes import Changes
    from wimboot.windows.wimplace import WimPlace

__all__ = [
    "BlobsDamaged",
    "carry_out",
    "check_pointers_possible",
    "checking_new_pointers",
]

class BlobsDamaged(Damaged):
    """Blobs that pointers would need are not what they should be."""

    id = "blobs-damaged"
    sentence = "{count} blobs of {where} that files would be replaced by are damaged (the first: {first})"
    advice = "Nothing was changed. `wimboot verify --wim {where}` lists all damage; take the WIM from a backup."


def check_pointers_possible(view: ImageView, wim: Path) -> None:
    """Whether Windows' driver reads pointers to this image. Raises NotBackable."""
    if view.store.not_backable is not None:
        raise NotBackable(wim=wim, why=view.store.not_backable)


def checking_new_pointers(
    view: ImageView, changes: Changes, forms: Forms, threads: int, wim: Path, emit: Emit
) -> Meanwhile[None]:
    """Read the blobs of files about to be replaced by pointers back from the disk, while the caller changes the volume
    inside its transaction: nothing may be committed before the `result` was asked for. That raises BlobsDamaged.
    """
    store, image = view.store, view.tree
    streams = {new for new, _ in changes.data} | {image.data_stream(node) for node in changes.created}
    rows = [image.stream(stream) for stream in streams if stream >= 0 and forms.is_pointer(image.stream_node(stream))]
    hashes = {row.hash for row in rows if not row.name}
    counter = StoppableCounter()
    if hashes:
        emit(Phase(name="read-back", total=sum(blob.size for blob in map(store.blob, hashes) if blob), unit="bytes",
                   counter=counter))

    def check() -> None:
        problems = apart.check_blobs(hashes, counter, threads) if hashes else ()
        if problems:
            raise BlobsDamaged(count=len(problems), where=wim, first=problems[0].text)

    apart = store.apart()
    inside = parse_inside(real_path(wim)) is not None   # its bytes come from a library for one thread
    return Meanwhile(check, apart=not inside, stop=counter.stop)


def carry_out(
    opened: Opened, view: ImageView, changes: Changes, forms: Forms, place: WimPlace | None, emit: Emit
) -> int:
    """Change the volume inside its transaction and close it; the caller commits. Returns how many pointers were behind
    the WIM, and were brought up to it.
    """
    store = view.store
    steps = len(changes.removed_links) + len(changes.added_links) + len(changes.data) + len(changes.metadata)
    phase = Phase(name="change", total=steps)
    emit(phase)
    source = None if place is None else register(opened.volume, store.guid, view.number, place)
    refreshed = refresh_pointers(opened.volume, opened.tree, store)
    Checkout(opened.volume, opened.tree, view.tree, changes, forms, store, source, phase.counter).run()
    opened.volume.close()
    return refreshed
