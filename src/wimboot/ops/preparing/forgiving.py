r"""What `prepare` wrote is no change that a user made.

An image that came from another disk, or was captured before the system had pointers, is not quite what its volume holds
after `apply` or `restore`: the registry knows the new drive, the mark and the driver. That alone is nothing to tell, to
put into a new image, or to undo. Once Windows has run, its registry is another anyway, and counts as such.
"""

from __future__ import annotations

import re
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.errors import Error
from wimboot.formats.regf import HEADER_SIZE, BaseBlock
from wimboot.ops.preparing.prepare import SYSTEM_HIVE
from wimboot.registry import Hive
from wimboot.registry.comparing import same_but_for
from wimboot.registry.files import LOG_SUFFIXES, load
from wimboot.windows import expanding
from wimboot.windows.driverfile import WOFADK_NAME
from wimboot.windows.mounteddevices import KEY as LETTERS_KEY
from wimboot.windows.mounteddevices import is_drive_entry
from wimboot.windows.services import DRIVERS_FOLDER, WOFADK

if TYPE_CHECKING:
    from wimboot.ops.opening.contents import Contents
    from wimboot.tree import Tree
    from wimboot.tree.changes import Changes
    from wimboot.wim import Store

__all__ = ["as_prepared"]

_CONTROL_SET: Final = re.compile(r"controlset\d{3}\\(.*)", re.ASCII | re.DOTALL)
_SERVICE: Final = f"services\\{WOFADK.name}".lower()


def as_prepared(undo: Changes, tree: Tree, image: Tree, contents: Contents, store: Store) -> Changes:
    """`undo`, which makes the volume's `tree` the `image`, without what `prepare` did to the volume."""
    node = image.find(SYSTEM_HIVE)
    stream = image.data_stream(node) if node >= 0 else -1
    old = next((old for new, old in undo.data if new == stream), -1) if stream >= 0 else -1
    if old < 0 or not _only_prepared(image, old, stream, contents, store):
        return undo
    logs = {image.data_stream(log) for suffix in LOG_SUFFIXES if (log := image.find(SYSTEM_HIVE + suffix)) >= 0}
    return replace(
        undo,
        data=[(new, was) for new, was in undo.data
              if new != stream and not (new in logs and was >= 0 and not tree.stream(was).size)],
        removed_links=_without_driver(undo.removed_links, tree, image),
    )


def _without_driver(links: array[int], tree: Tree, image: Tree) -> array[int]:
    path = f"{DRIVERS_FOLDER}\\{WOFADK_NAME}"
    driver = tree.find(path)
    if driver < 0 or image.find(path) >= 0:
        return links
    return array(links.typecode, (link for link in links if tree.link(link).node != driver))


def _only_prepared(image: Tree, old: int, new: int, contents: Contents, store: Store) -> bool:
    """Whether the hive of the volume is the image's, but for what `prepare` writes; what cannot be read is not."""
    def of_image(path: str) -> bytes | None:
        node = image.find(path)
        row = image.stream(image.data_stream(node)) if node >= 0 and image.data_stream(node) >= 0 else None
        return None if row is None else store.read(row.hash) if row.size else b""

    try:
        here = BaseBlock.parse(bytes(contents.ranged(old).read(0, HEADER_SIZE)))
        there = BaseBlock.parse(bytes(store.ranged(image.stream(new).hash).read(0, HEADER_SIZE)))
        if here.dirty or not (there.dirty or here.written == there.written):
            return False    # Windows ran
        before = load(of_image, SYSTEM_HIVE)
        if before is None or BaseBlock.parse(before.data).written != here.written:
            return False
        with Hive(before.data) as first, Hive(contents.read(old)) as second:
            return same_but_for(first.root, second.root, _exempt)
    except Error:
        return False


def _exempt(path: str, name: str | None) -> bool:
    """Whether `prepare` writes a value; or a key, `name` None, or makes one, `name` empty."""
    match = _CONTROL_SET.fullmatch(path)
    inner = match[1] if match is not None else ""
    if name is None:
        return inner == _SERVICE
    if not name:
        return path in ("setup", LETTERS_KEY.lower()) or (expanding.KEY.lower().startswith(inner) and inner != "")
    if path == LETTERS_KEY.lower():
        return is_drive_entry(name)
    return (path, name) == ("setup", "wimboot") or (inner, name) == (expanding.KEY.lower(), expanding.VALUE.lower())
