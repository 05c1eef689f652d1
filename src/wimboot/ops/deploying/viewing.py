"""An image of a WIM looked at as a whole: its tree, its Windows, the rules for it."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.formats.ini import CaptureList
from wimboot.frozen import Frozen
from wimboot.ops.capturing.rules import find_lists
from wimboot.ops.opening.meanwhile import Meanwhile
from wimboot.plan.forms import Forms, plan_forms
from wimboot.tree.selection import select
from wimboot.wim import real_path
from wimboot.windows.identify import System, identify
from wimboot.windows.lists import compose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.tree import Tree
    from wimboot.tree.selection import Lists
    from wimboot.wim import Store

__all__ = ["ImageView", "exclusions_of", "loading_image", "reader_of", "view_image"]

_FILES_KEPT = 8
"""The hives are read for the system and again for the rules."""


class ImageView(Frozen):
    """Image `number` of a store. `system` is None where it holds no Windows."""

    store: Store
    number: int
    tree: Tree
    system: System | None
    lists: Lists
    read: Callable[[str], bytes | None] = lambda _: None
    """A file of it by its path, None where it has none."""
    captured_with: Lists | None = None
    """The exclusions it was captured with; None where the image does not tell."""

    @property
    def name(self) -> str:
        """Its name in the WIM."""
        return self.store.images[self.number - 1].name

    def forms(self, *, pointers: bool) -> Forms:
        """Which of its files become pointers on a volume that is to have any."""
        ruled_by = select(self.tree, self.lists).real_by
        return plan_forms(self.tree, pointers=pointers, ruled_by=ruled_by, places=self.store.place_columns)


def loading_image(store: Store, number: int, wim: Path) -> Meanwhile[Tree]:
    """The tree for `view_image`, loaded while the caller does something else."""
    inside = parse_inside(real_path(wim)) is not None   # its bytes come from a library for one thread
    return Meanwhile(partial(store.apart().load_tree, number), apart=not inside)


def view_image(
    store: Store, number: int, config: Path | None, wim: Path, emit: Emit, own_files: Iterable[str] = (),
    tree: Tree | None = None
) -> ImageView:
    """Look at an image; `own_files` are those of WIMs on the volume that it is for, `tree` its files where they were
    loaded already.

    Raises BlobMissing where the WIM lacks any of its data, and what reading it raises.
    """
    tree = tree or store.load_tree(number)

    read = reader_of(store, tree)
    system = identify(read)
    return ImageView(store=store, number=number, tree=tree, system=system, read=read,
                     lists=find_lists(config, wim, read, system, emit, own_files),
                     captured_with=exclusions_of(store, number))


def reader_of(store: Store, tree: Tree) -> Callable[[str], bytes | None]:
    """What gives a file of an image by its path, None where it has none."""
    @lru_cache(_FILES_KEPT)
    def read(path: str) -> bytes | None:
        node = tree.find(path)
        stream = tree.data_stream(node) if node >= 0 else -1
        if stream < 0:
            return None
        row = tree.stream(stream)
        return store.read(row.hash) if row.size else b""

    return read


def exclusions_of(store: Store, number: int) -> Lists | None:
    """What an image was captured without; None where it does not tell, or there is no such image."""
    text = store.images[number - 1].capture_list if 1 <= number <= len(store.images) else ""
    if not text:
        return None
    origin = f"the list that image {number} was captured with"
    return compose(CaptureList.parse(text.encode()), version=None, has_overlay_driver=False, origin=origin)
