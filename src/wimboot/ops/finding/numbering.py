"""Whether the image that a volume is registered with has still its number.

A data source names its image by number, and a WIM that grows keeps the numbers. One that was rewritten without the
volume (pruned, or changed by another program) may have given them to others. The volume's pointers carry the hash of
the blob table that they were made for: where the WIM did not grow from that one, the volume's files have to tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Refused, Unsupported
from wimboot.events import Note
from wimboot.tree import diff, passes, table_hashes
from wimboot.wim import grew_from

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from wimboot.formats.overlaydat import DataSource
    from wimboot.tree import Tree
    from wimboot.wim import Store

__all__ = ["ImageMoved", "check_number", "has_grown", "nearest_image", "nearest_note"]


class ImageMoved(Refused):
    """The WIM was rewritten without the volume, and another image may have the number now."""

    id = "image-moved"
    sentence = (
        "{wim} did not grow from what the pointers of {where} know: it was rewritten without that volume, or is "
        "damaged. The volume is registered with image {number:d} of it, and nearest to image {nearest:d}, {name}"
    )
    advice = (
        "`wimboot verify {where} --wim {wim} --repair` tells the two apart, registers the nearest and relinks the "
        "pointers; nothing else of the volume changes. `wimboot restore {where} --wim {wim} --image N` makes it "
        "another image, and removes what that does not have."
    )


def check_number(tree: Tree, source: DataSource, store: Store, *, where: str, wim: Path, sure: bool = False) -> bool:
    """True where the WIM grew from the table that a pointer of this data source knows, and where it has no image of
    that number, which is told elsewhere. Else the volume has to be nearest to the image that it is registered with.

    That gives False, for its own image may have been dropped: who lets the pointers know the new table, after which
    nobody could tell, says which image it is then (`nearest_note`). With `sure` it is refused, too: for who changes
    files by that number, or volumes that were only named beside another. Raises ImageMoved, HostError.
    """
    if source.wim_index > len(store.images) or has_grown(tree, source, store):
        return True
    hashes = {sha1 for sha1, _ in passes.pointer_rows(tree, source.data_source_id)}
    nearest = nearest_image(tree, store, hashes, registered=source.wim_index)
    if sure or nearest != source.wim_index:
        raise ImageMoved(where=where, wim=wim, number=source.wim_index, nearest=nearest,
                         name=store.images[nearest - 1].name)
    return False


def nearest_note(number: int, store: Store, *, where: str, registered: int = 0) -> Note:
    """That a volume stands on an image as far as its files tell; whoever knows better can say so before a restore."""
    before = "" if registered in (0, number) else f" (registered was image {registered})"
    return Note(id="image-chosen", text=(
        f"{where} stands on image {number}, {store.images[number - 1].name}, of {store.where}: of its images that is "
        f"the one with the volume's data from which it differs least{before}."))


def has_grown(tree: Tree, source: DataSource, store: Store) -> bool:
    """Whether the WIM grew, if it changed at all, from what a pointer of this data source was made for; so the images
    have their numbers. True where no pointer tells. Raises HostError.
    """
    known = table_hashes(tree, source.data_source_id)
    return not known or any(grew_from(store, table) for table in known)


def nearest_image(tree: Tree, store: Store, hashes: Collection[bytes], *, registered: int = 0) -> int:
    """The number of the image that has most of these blobs; of several the one from which the fewest names and files of
    the volume differ, then the registered one, then the newest. The registered one, or 1, where none has any of the
    blobs.
    """
    wanted, best = set(hashes), (0, 0, False)
    nearest = registered if 1 <= registered <= len(store.images) else 1
    for number in range(1, len(store.images) + 1):
        try:
            image = store.load_tree(number, allow_missing=True)
        except (Damaged, Unsupported):
            continue
        changes = diff(tree, image)
        differing = len(changes.removed_links) + len(changes.added_links) + len(changes.data)
        rank = (len(wanted & passes.hashes(image)), -differing, number == registered)
        if rank[0] and rank >= best:
            best, nearest = rank, number
    return nearest
