"""Volumes that follow a WIM whose images are renumbered and whose blobs move: may they, and what they register."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import Refused
from wimboot.frozen import Frozen
from wimboot.ops.pointing.placing import volume_sources, write_sources
from wimboot.plan.pruning import stand_in
from wimboot.tree import StreamFlag, passes
from wimboot.windows.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from wimboot.ops.opening.volume import Opened
    from wimboot.plan.pruning import Chosen
    from wimboot.wim import Store

__all__ = ["DataWouldGo", "Follower", "StandsOnDropped", "check_followers", "renumber", "standing_on"]


class DataWouldGo(Refused):
    """A volume whose pointers lead to blobs that would be gone."""

    id = "data-in-use"
    sentence = "{count} files of {where} have their data only in images that would be dropped (the first: {first})"
    advice = (
        "Keep image {image} ({name}), which has it, or bring the volume to an image that stays first: `wimboot restore "
        "{where} --image N`, or where it has changed `wimboot update {where}`."
    )


class StandsOnDropped(Refused):
    """A volume that would lose the image that it is compared with and restored to."""

    id = "image-in-use"
    sentence = "{where} stands on image {image:d} ({name}), which would be dropped"
    advice = (
        "Keep it, or bring the volume to another one first: `wimboot restore {where} --image N`, or where it has "
        "changed `wimboot update {where}`. All data of its files stays in the WIM: with --force it stands on image "
        "{other} from then on."
    )


class Follower(Frozen):
    """A volume, the number of the image it stands on and the one that has after; `refreshed` pointers were changed."""

    where: str
    before: int
    after: int
    refreshed: int = 0

    def refreshed_by(self, count: int) -> Follower:
        """With the number of pointers that were changed."""
        return replace(self, refreshed=count)


def standing_on(opened: Opened, guid: bytes) -> list[int]:
    """The image numbers that the volume has registered for the WIM with this GUID, the one that counts last."""
    return [source.wim_index for source in volume_sources(opened.volume).of_wim(guid)]


def check_followers(
    opened: Sequence[Opened], store: Store, chosen: Chosen, kept: Container[bytes], *, force: bool
) -> list[Follower]:
    """What becomes of these volumes when only the blobs in `kept` stay. Raises DataWouldGo, StandsOnDropped."""
    moves = _moves(store, chosen)
    followers = []
    for one in opened:
        number = standing_on(one, store.guid)[-1]
        here = 1 <= number <= len(store.images)
        name = store.images[number - 1].name if here else "which is not there"
        _check_data(one, store, kept, chosen)
        if number in chosen.drop and not force:
            other = moves[number]
            stays = store.images[chosen.keep[other - 1] - 1].name
            raise StandsOnDropped(where=one.where, image=number, name=name, other=f"{chosen.keep[other - 1]} ({stays})")
        followers.append(Follower(where=one.where, before=number, after=moves.get(number, number)))
    return followers


def _moves(store: Store, chosen: Chosen) -> dict[int, int]:
    """Each image's number and the one that stands for it afterwards."""
    return {
        number: chosen.number_after(number) or chosen.keep.index(stand_in(store.images, chosen, number)) + 1
        for number in range(1, len(store.images) + 1)
    }


def _check_data(opened: Opened, store: Store, kept: Container[bytes], chosen: Chosen) -> None:
    tree = opened.tree
    rows = (row for source in volume_sources(opened.volume).of_wim(store.guid)
            for row in passes.pointer_rows(tree, source.data_source_id))
    going = {sha1 for sha1, _ in rows if sha1 not in kept and sha1 in store}
    if not going:
        return
    streams = [stream for stream in passes.flagged_streams(tree, StreamFlag.POINTER)
               if tree.stream(stream).hash in going]
    links = tree.links_of(tree.stream_node(streams[0]))
    first = tree.path(links[0]) if links else "a file without a name"
    image = _latest_with(store, chosen.drop, tree.stream(streams[0]).hash)
    raise DataWouldGo(where=opened.where, count=len(streams), first=first, image=image,
                      name=store.images[image - 1].name)


def _latest_with(store: Store, images: Sequence[int], sha1: bytes) -> int:
    """The last of these images, some of them, that has this data; the last of all where it is in none."""
    return next((number for number in reversed(images)
                 if sha1 in passes.hashes(store.load_tree(number, allow_missing=True))), images[-1])


def renumber(opened: Opened, store: Store, chosen: Chosen) -> None:
    """Register the new number of the image that the volume stands on."""
    moves = _moves(store, chosen)
    sources = volume_sources(opened.volume)
    overlay = sources.overlay
    for source in sources.of_wim(store.guid):
        number = moves.get(source.wim_index, source.wim_index)
        overlay = overlay.replace(source.data_source_id, wim_index=number)
    if overlay != sources.overlay:
        write_sources(opened.volume, Sources(overlay=overlay))
