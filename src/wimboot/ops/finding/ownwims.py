"""A WIM in the very volume that it backs: neither captured nor pointed, nor removed, replaced or formatted over."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.errors import FormatError, Refused
from wimboot.formats.names import join_path
from wimboot.formats.wimheader import HEADER_SIZE, WimHeader
from wimboot.ops.finding.athand import safe_parts
from wimboot.ops.finding.backing import search
from wimboot.storage.durable import temporary_name
from wimboot.tree import ROOT, FileAttribute
from wimboot.wim import record_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wimboot.ops.opening.volume import Opened
    from wimboot.tree import Tree
    from wimboot.windows.sources import Sources

__all__ = [
    "WimInTheWay", "WimOnVolume", "note_registered", "own_files", "own_folders", "refuse_formatting_wim",
    "refuse_in_the_way",
]


class WimOnVolume(Refused):
    """The volume to be formatted holds the WIM that is to fill it."""

    id = "wim-on-volume"
    sentence = "{wim} lies on {where}, which would be formatted"
    advice = "Leave out --format: only what differs is changed then, and the WIM stays."


class WimInTheWay(Refused):
    """The image has something of its own where the WIM lies."""

    id = "wim-in-the-way"
    sentence = "the image has a file {path}, and on {where} that is the WIM itself"
    advice = "Move the WIM to another folder of the volume, under Windows or from its mount, and name it there."


def note_registered(opened: Opened, sources: Sources) -> None:
    """Note the WIMs of the volume's data sources that lie in it, also those that this run does not use: a verb may have
    been given a copy, or another of several WIMs. Raises what looking for a WIM raises.
    """
    for source in sources.all:
        place = sources.place(source.data_source_id)
        parts = None if place is None or place.is_later else safe_parts(place.path)
        if parts and _is_wim(opened, path := join_path(parts), source.wim_guid):
            opened.slot.wims.add(path)
    for found in search(opened, sources).values():
        inside = parse_inside(found)
        if inside is not None and inside.volume.path.resolve() == opened.target.path \
                and opened.target.slice(inside.volume.partition)[0] == opened.start:
            opened.slot.wims.add(inside.path)


def _is_wim(opened: Opened, path: str, guid: bytes) -> bool:
    """Whether such a file of the volume begins as that WIM does, however it goes on."""
    node = opened.tree.find(path)
    if node < 0 or opened.tree.attributes(node) & FileAttribute.DIRECTORY:
        return False
    with suppress(FormatError):
        return WimHeader.parse(opened.volume.read_path(path, HEADER_SIZE) or b"").guid == guid
    return False


def own_files(opened: Opened) -> tuple[str, ...]:
    r"""The paths (`\dir\x.wim`) of the WIMs that this run uses and that lie in the opened volume, and what belongs to
    them; a folder that holds nothing else too. All of it is left out and left alone.
    """
    files = [path + end for path in sorted(opened.slot.wims)
             for end in ("", temporary_name(""), record_name(""), temporary_name(record_name("")))]
    return (*files, *own_folders(opened.tree, files))


def own_folders(tree: Tree, files: Iterable[str]) -> list[str]:
    """The folders in which nothing but these files and such folders is."""
    own = {node for node in map(tree.find, files) if node >= 0}
    found = []
    waiting = sorted(own)
    while waiting:
        for link in tree.links_of(waiting.pop()):
            folder = tree.link(link).parent
            if folder == ROOT or folder in own:
                continue
            if all(tree.link(child).node in own for child in tree.children(folder)):
                own.add(folder)
                waiting.append(folder)
                found.append(tree.path(tree.links_of(folder)[0]))
    return found


def refuse_in_the_way(image: Tree, opened: Opened) -> None:
    """Raises WimInTheWay where the image would put something over the WIM."""
    for path in opened.slot.wims:
        if image.find(path) >= 0:
            raise WimInTheWay(path=path, where=opened.where)


def refuse_formatting_wim(opened: Opened) -> None:
    """Raises WimOnVolume."""
    for path in opened.slot.wims:
        raise WimOnVolume(wim=path, where=opened.where)
