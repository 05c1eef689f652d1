"""The WIMs that the measured volumes use, and others that were found: each opened once, added up at the end."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from wimboot.disk.inside import parse_inside
from wimboot.disk.loops import identity_of
from wimboot.errors import Error
from wimboot.events import Phase
from wimboot.ops.measuring.figures import ImageFigures, WimFigures
from wimboot.ops.opening.storing import opened_store
from wimboot.wim import real_path
from wimboot.wim.usage import Blobs, Marks, PointerUse, Sums, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from wimboot.events import Emit
    from wimboot.ops.options import Folders
    from wimboot.tree import Tree
    from wimboot.wim import Store

__all__ = ["NamedBlobs", "OpenWim", "OpenWims", "SharesOf"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBlobs:
    """What one data source of a volume names of a WIM, and what of that nothing else here names."""

    blobs: Blobs
    alone: Blobs


@dataclass(slots=True, kw_only=True)
class OpenWim:
    """A WIM, and who uses it: (volume, data source id) -> what its pointers name."""

    path: Path
    store: Store
    usage: Usage
    uses: dict[tuple[str, int], PointerUse] = field(default_factory=dict)

    def use(self, volume: str, tree: Tree, data_source_id: int) -> PointerUse:
        """Note what the pointers of a volume's data source name."""
        found = self.usage.pointers(tree, data_source_id)
        self.uses[volume, data_source_id] = found
        return found


SharesOf = dict[tuple[str, int], NamedBlobs]


class OpenWims:
    """Every WIM of one run. A context manager: leaving it closes them."""

    def __init__(self, folders: Folders, log_folder: Path | None) -> None:
        self._folders = folders
        self._log_folder = log_folder
        self._stack = ExitStack()
        self._open: dict[object, OpenWim] = {}
        self._failed: dict[object, WimFigures] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._stack.close()

    def open(self, path: Path) -> OpenWim:
        """The WIM at a path, opened once under whatever name. Raises what opening it raises."""
        key = _key(path)
        if key not in self._open:
            try:
                store = self._stack.enter_context(opened_store(path, self._folders, self._log_folder))
            except Error as error:
                self._failed.setdefault(key, _failed(path, error))
                raise
            self._open[key] = OpenWim(path=path, store=store, usage=Usage(store))
        return self._open[key]

    def figures(self, others: Iterable[Path], emit: Emit) -> tuple[list[WimFigures], SharesOf]:
        """Those that volumes use, then `others`; and what each volume's data sources name."""
        rest = {_key(path): path for path in others}
        used = [key for key in self._open if self._open[key].uses]
        paths = {**{key: self._open[key].path for key in used}, **rest}
        phase = Phase(name="WIMs", total=len(paths), unit="files")
        emit(phase)
        wims: list[WimFigures] = []
        shares: SharesOf = {}
        for key, path in paths.items():
            if key not in self._failed:
                wims.append(self._measured(key, path, shares))
            phase.counter.add(1)
        wims += self._failed.values()
        return _with_copies(wims), shares

    def _measured(self, key: object, path: Path, shares: SharesOf) -> WimFigures:
        known = self._open.get(key)
        try:
            if known is not None:
                return _figures(known, shares)
            with opened_store(path, self._folders, self._log_folder) as store:
                return _figures(OpenWim(path=path, store=store, usage=Usage(store)), shares)
        except Error as error:
            return _failed(path, error)


def _key(path: Path) -> object:
    return identity_of(real_path(path)) or str(path)


def _failed(path: Path, error: Error) -> WimFigures:
    size, occupied = _sizes(path)
    return WimFigures(path=path, guid=None, size=size, occupied=occupied, problem=f"{error} {error.hint}".strip())


def _sizes(path: Path) -> tuple[int, int | None]:
    """Of the file, and what it takes on its host; (0, None) where that is not the host."""
    if parse_inside(real_path(path)) is not None:
        return 0, None
    try:
        status = real_path(path).stat()
    except OSError:
        return 0, None
    return status.st_size, status.st_blocks * 512


def _figures(wim: OpenWim, shares: SharesOf) -> WimFigures:
    store = wim.store
    names = list(wim.uses)
    own = wim.usage.sums([use.marks for use in wim.uses.values()])
    volumes = list(dict.fromkeys(volume for volume, _ in names))
    merged = [_merged([wim.uses[name].marks for name in names if name[0] == volume]) for volume in volumes]
    between = own if len(volumes) == len(names) else wim.usage.sums(merged)
    for name, blobs, alone in zip(names, own.each, own.alone, strict=True):
        shares[name] = NamedBlobs(blobs=blobs, alone=alone)
    images = wim.usage.sums([wim.usage.image(number) for number in range(1, len(store.images) + 1)])
    size, occupied = _sizes(wim.path)
    parts = [_sizes(real_path(wim.path).with_name(name)) for name in _other_parts(wim)]
    solid = wim.usage.solid
    return WimFigures(
        path=wim.path,
        guid=store.guid,
        size=sum((one for one, _ in parts), size) or store.size,
        occupied=None if occupied is None else sum((one or 0 for _, one in parts), occupied),
        compression=store.compression.name.lower(),
        chunk_size=store.chunk_size,
        images=_images(store, images),
        blobs=images.everything,
        unused=_less(images.everything, images.together),
        named=own.together if names else None,
        between_volumes=None if solid or not names else between.shared,
        between_images=None if solid else images.shared,
        solid=solid,
        not_backable=store.not_backable,
        users=tuple(volumes),
    )


def _other_parts(wim: OpenWim) -> list[str]:
    return [f"{wim.path.stem}{number}{wim.path.suffix}" for number in range(2, len(wim.store.parts) + 1)]


def _images(store: Store, sums: Sums) -> tuple[ImageFigures, ...]:
    return tuple(
        ImageFigures(number=number, name=image.name, blobs=blobs, alone=alone)
        for number, (image, blobs, alone) in enumerate(zip(store.images, sums.each, sums.alone, strict=True), start=1)
    )


def _merged(users: list[Marks]) -> Marks:
    """The blobs of any of them."""
    parts = []
    for marks in zip(*users, strict=True):
        together = 0
        for one in marks:
            together |= int.from_bytes(one, "little")
        parts.append(bytearray(together.to_bytes(len(marks[0]), "little")))
    return Marks(parts)


def _less(all_of: Blobs, some: Blobs) -> Blobs:
    return Blobs(count=all_of.count - some.count, size=all_of.size - some.size, in_wim=all_of.in_wim - some.in_wim)


def _with_copies(wims: list[WimFigures]) -> list[WimFigures]:
    """Say which are copies of another one here: that is the one that volumes use, else the first."""
    first: dict[bytes, WimFigures] = {}
    for wim in sorted(wims, key=lambda wim: not wim.users):
        if wim.guid is not None:
            first.setdefault(wim.guid, wim)
    return [wim if wim.guid is None or first[wim.guid] is wim else replace(
        wim, copy_of=first[wim.guid].path, same_blobs=wim.blobs == first[wim.guid].blobs) for wim in wims]
