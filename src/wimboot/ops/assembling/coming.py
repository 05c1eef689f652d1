"""The images of a plan's steps, wherever they are now: in the store, or still to come to it. Only reads."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.events import silent
from wimboot.frozen import Frozen
from wimboot.ops.deploying.viewing import reader_of
from wimboot.ops.finding.unbacked import backed_stores
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import choose_image, opened_store
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import CaptureOptions, Compression, TargetOptions
from wimboot.windows.identify import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wimboot.ops.assembling.jobs import DeployOptions
    from wimboot.ops.assembling.planned import Planned
    from wimboot.plan.declared import ImageOrigin
    from wimboot.plan.deploying import FoundImage
    from wimboot.tree import Tree
    from wimboot.wim import Store
    from wimboot.windows.identify import System

__all__ = ["ComingImage", "Images", "capture_options"]


class ComingImage(Frozen):
    """An image as it would be captured, and the Windows in it."""

    image: FoundImage
    system: System | None


def capture_options(planned: Planned, origin: ImageOrigin, options: DeployOptions, wim: Path, *,
                    dry_run: bool) -> CaptureOptions:
    """Capturing the volume of an origin into `wim`."""
    word = planned.declared.store.compression
    target = TargetOptions(place=planned.beside(origin.target or ""), log_folder=options.log_folder, dry_run=dry_run,
                           search=options.search, wim_folder=options.wim_folder, folders=options.folders)
    return CaptureOptions(target=target, wim=wim, compression=None if word is None else Compression(word),
                          threads=options.threads, name=origin.name)


class Images:
    """The images by the numbers that they have in the store, or will have there.

    `store` is there with the images that it has; `origins` are where the others come from, in the order in which they
    come; `captured` are those of them that are to be captured from volumes, by name.
    """

    def __init__(self, planned: Planned, store: Store | None, origins: tuple[ImageOrigin, ...],
                 captured: Mapping[str, ComingImage], options: DeployOptions) -> None:
        self._planned = planned
        self._store = store
        self._there = 0 if store is None else len(store.images)
        self._origins = origins
        self._captured = captured
        self._options = options
        self._systems: dict[int, System | None] = {}

    def system(self, number: int) -> System | None:
        """The Windows of an image; None where there is none in it."""
        if number not in self._systems:
            origin = self._on_volume(number)
            if origin is not None:
                self._systems[number] = self._captured[origin.name].system
            else:
                with self._stored(number) as (store, at):
                    self._systems[number] = identify(reader_of(store, store.load_tree(at)))
        return self._systems[number]

    @contextmanager
    def files(self, number: int) -> Iterator[tuple[Tree, Callable[[int], bytes]]]:
        """The tree of an image, and what reads its streams."""
        origin = self._on_volume(number)
        if origin is not None:
            target = capture_options(self._planned, origin, self._options, self._planned.wim, dry_run=True).target
            with open_volume(target, silent, write=False) as opened, backed_stores(opened, None, silent) as stores:
                yield opened.tree, Contents(opened.tree, opened.device, opened.volume, stores).read
        else:
            with self._stored(number) as (store, at):
                tree = store.load_tree(at)
                yield tree, partial(_read, store, tree)

    def _on_volume(self, number: int) -> ImageOrigin | None:
        """The origin of an image that is to be captured; None for one that a WIM has."""
        if number <= self._there:
            return None
        origin = self._origins[number - self._there - 1]
        return None if origin.target is None else origin

    @contextmanager
    def _stored(self, number: int) -> Iterator[tuple[Store, int]]:
        """The WIM that has an image, and the image's number in it."""
        if self._store is not None and number <= self._there:
            yield self._store, number
            return
        origin = self._origins[number - self._there - 1]
        source = Path(self._planned.beside(origin.wim or ""))
        with opened_store(source, self._options.folders) as other:
            yield other, choose_image(other, origin.image or "", where=str(source))


def _read(store: Store, tree: Tree, stream: int) -> bytes:
    row = tree.stream(stream)
    return store.read(row.hash) if row.size else b""
