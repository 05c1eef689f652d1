"""WIMs on a volume that other systems stand on: a restore of the volume would take their data away, or back in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.disk import parse_place
from wimboot.disk.inside import Inside
from wimboot.errors import FormatError, Refused
from wimboot.formats.names import split_path
from wimboot.formats.wimheader import HEADER_SIZE, WimHeader
from wimboot.ops.sharing.users import users_of
from wimboot.tree import FileAttribute, StreamFlag

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.ops.opening.volume import Opened
    from wimboot.tree import Tree
    from wimboot.tree.changes import Changes

__all__ = ["BacksOthers", "refuse_backing_others"]

_LEAST_SIZE: Final = 4096
_WITHOUT_DATA: Final = StreamFlag.POINTER | StreamFlag.COMPACT | StreamFlag.ENCRYPTED | StreamFlag.RESIDENT


class BacksOthers(Refused):
    """What a restore would remove or replace is the data of another system."""

    id = "wim-backs-others"
    sentence = "{path} of {where}, which would be removed or replaced, is the WIM that {places} stand on"
    advice = "Leave it alone with --keep {path}, or say --yes where those systems are not needed any more."


def refuse_backing_others(opened: Opened, changes: Changes) -> None:
    """Raises BacksOthers, and what reading the volume raises."""
    tree = opened.tree
    for link in sorted(_given_up(tree, changes)):
        node = tree.link(link).node
        try:
            header = WimHeader.parse(opened.volume.read(tree.file_id(node), b"", 0, HEADER_SIZE))
        except FormatError:
            continue
        path = tree.path(link)
        inside = Inside(volume=parse_place(opened.where), parts=split_path(path))
        users = users_of(header.guid, inside.as_path()).but([opened], opened.slot.disk)
        if users.found:
            places = ", ".join(sorted(user.place for user in users.found))
            raise BacksOthers(path=path, where=opened.where, places=places)


def _given_up(tree: Tree, changes: Changes) -> Iterator[int]:
    """Names of files that could be WIMs, and that go or get other data."""
    for link in changes.removed_links:
        if _could_be(tree, tree.link(link).node):
            yield link
    for _, stream in changes.data:
        if stream >= 0 and not tree.stream(stream).name and _could_be(tree, tree.stream_node(stream)):
            yield tree.links_of(tree.stream_node(stream))[0]


def _could_be(tree: Tree, node: int) -> bool:
    stream = tree.data_stream(node)
    if stream < 0 or tree.attributes(node) & FileAttribute.DIRECTORY:
        return False
    row = tree.stream(stream)
    return row.size >= _LEAST_SIZE and not row.flags & _WITHOUT_DATA
