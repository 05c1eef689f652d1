"""What there is of a plan: the store and its images, each system's disk, and what it stands on. Only reads."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk import NotADisk, PlaceUnknown
from wimboot.errors import Refused
from wimboot.events import Emit, silent
from wimboot.formats.vhdfooter import DiskType
from wimboot.ops.opening.storing import choose_image, opened_store
from wimboot.ops.opening.volume import NoVolume, open_volume
from wimboot.ops.options import TargetOptions
from wimboot.ops.pointing.placing import UnreadablePlace, find_place, volume_sources
from wimboot.ops.pointing.pointers import count_behind
from wimboot.plan.declared import LaterFolder
from wimboot.plan.deploying import FoundImage, FoundStore, FoundSystem, Ground
from wimboot.tree import passes
from wimboot.windows.identify import Architecture
from wimboot.windows.ownfolders import somebodys

if TYPE_CHECKING:
    from wimboot.formats.wimxml import ImageXml
    from wimboot.ntfs import Volume
    from wimboot.ops.assembling.planned import Planned
    from wimboot.ops.opening.volume import Opened
    from wimboot.plan.declared import SystemWish
    from wimboot.tree import Tree
    from wimboot.wim import Store
    from wimboot.windows.wimplace import WimPlace

__all__ = ["PlaceNotSaid", "look_at_store", "look_at_system", "place_for_new", "place_registered", "standing"]


class PlaceNotSaid(Refused):
    """A folder on a disk of this machine only, and no word where it will lie."""

    id = "plan-place"
    sentence = "where {folder} will lie when Windows runs has to be said in the plan: {why}"
    advice = (
        "Add [place] with disk (its signature or GUID), partition (its first byte, or GUID) and directory; or "
        "[place] with later = true, and nothing starts before that was told."
    )


def look_at_store(planned: Planned, folder_options: TargetOptions) -> FoundStore:
    """The store's images, and those that would come. Raises what opening a WIM raises, NoImage."""
    images: tuple[FoundImage, ...] = ()
    wim = planned.wim
    if os.path.lexists(wim):
        with opened_store(wim, folder_options.folders) as store:
            images = tuple(map(_image, store.images))
    names = {image.name for image in images}
    coming = []
    for origin in planned.declared.store.origins:
        if origin.wim is not None and origin.name not in names:
            source = Path(planned.beside(origin.wim))
            with opened_store(source, folder_options.folders) as store:
                xml = store.images[choose_image(store, origin.image or "", where=str(source)) - 1]
                coming.append(_image(xml, origin.name))
    return FoundStore(images=images, coming=tuple(coming))


def _image(xml: ImageXml, name: str | None = None) -> FoundImage:
    number = None if xml.windows is None else xml.windows.architecture
    found = next((one.value for one in Architecture if one.number == number), "")
    return FoundImage(name=xml.name if name is None else name, architecture=found,
                      files=xml.file_count + xml.directory_count)


def look_at_system(planned: Planned, wish: SystemWish, store: Store | None, like: TargetOptions,
                   emit: Emit) -> FoundSystem:
    """What lies where a system is to be; `like` tells where logs lie. `store` None: there is none yet.

    A system that hibernates is looked at too, for nothing may have to be done to it. Raises what opening raises.
    """
    place = planned.target(wish)
    if wish.file is not None and not os.path.lexists(place):
        return FoundSystem(ground=Ground.ABSENT)
    options = TargetOptions(place=place, log_folder=like.log_folder, folders=like.folders)
    try:
        with open_volume(options, emit, write=False, windows=False, inspect=True) as opened:
            return _found(opened, wish, store)
    except (NotADisk, NoVolume) as error:
        return FoundSystem(ground=Ground.OTHER, why=str(error))


def _found(opened: Opened, wish: SystemWish, store: Store | None) -> FoundSystem:
    found, target = standing(opened.volume, opened.tree, store), opened.target
    if wish.file is None:
        return found
    fixed = None if target.vhd is None else target.vhd.kind is DiskType.FIXED
    return replace(found, size=target.disk.size(), table=target.table.kind, fixed=fixed)


def standing(volume: Volume, tree: Tree, store: Store | None) -> FoundSystem:
    """What a volume stands on. Raises OverlayDamaged."""
    sources = volume_sources(volume)
    mine = () if store is None else sources.of_wim(store.guid)
    if store is None or not mine:
        why = "it stands on another WIM" if sources.all else _holds(tree)
        return FoundSystem(ground=Ground.OTHER if why else Ground.EMPTY, why=why)
    used = mine if len(mine) == 1 else [
        source for source in mine if passes.pointer_rows(tree, source.data_source_id)] or mine
    source = used[-1]
    return FoundSystem(ground=Ground.STANDING, image=source.wim_index, place=sources.place(source.data_source_id),
                       behind=count_behind(volume, tree, store))


def _holds(tree: Tree) -> str:
    """What of somebody's is on a volume that is in no WIMBoot form; empty where there is nothing."""
    kept = list(somebodys(tree))
    return f"it holds {kept[0]}" + (f" and {len(kept) - 1:,} more" if len(kept) > 1 else "") if kept else ""


def place_registered(planned: Planned) -> WimPlace | None:
    """Where systems should look for the store; None where what they have registered stands."""
    declared = planned.declared
    if declared.place is None:
        try:
            return _place_now(planned, silent)
        except (UnreadablePlace, PlaceUnknown):
            return None
    return None if isinstance(declared.place, LaterFolder) else declared.place.of(declared.store.wim)


def place_for_new(planned: Planned, emit: Emit) -> str:
    """What a new system is told, as `--wim-place` has it. Raises PlaceNotSaid, BadPlace."""
    declared = planned.declared
    if declared.place is not None:
        place = declared.place.of(declared.store.wim)
        return str(find_place(str(place), planned.wim, emit))
    try:
        return str(_place_now(planned, emit))
    except (UnreadablePlace, PlaceUnknown) as error:
        raise PlaceNotSaid(folder=planned.folder, why=str(error)) from error


def _place_now(planned: Planned, emit: Emit) -> WimPlace:
    """Where the store lies now, or will when the folders on the way to it are made. Raises what `find_place` does."""
    wim, missing = planned.wim, [planned.wim.name]
    while not wim.parent.exists():
        wim = wim.parent
        missing.insert(0, wim.name)
    place = find_place(None, wim, emit)
    return replace(place, path="\\".join((place.path.rpartition("\\")[0], *missing)))
