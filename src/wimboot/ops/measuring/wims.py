"""The WIMs that the measured volumes use, and others that were found: added up once all volumes are known.

None is kept open in between, for it may lie inside a disk, which is given back with the volume.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.disk.loops import identity_of
from wimboot.errors import Busy, Error
from wimboot.events import Phase
from wimboot.frozen import Frozen
from wimboot.ops.measuring.figures import ImageFigures, WimFigures
from wimboot.ops.opening.storing import opened_store
from wimboot.wim import real_path
from wimboot.wim.usage import Blobs, Marks, PointerUse, Sums, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.options import Folders
    from wimboot.tree import Tree
    from wimboot.wim import Store

__all__ = ["NamedBlobs", "SharesOf", "UsedWim", "UsedWims", "WimChanging"]


class WimChanging(Busy):
    """A WIM grew, or was replaced, while it was being measured."""

    id = "wim-changing"
    sentence = "{where} was changed while it was being measured"
    advice = "Measure again once whatever writes it is done."


class NamedBlobs(Frozen):
    """What one data source of a volume names of a WIM, and what of that nothing else here names."""

    blobs: Blobs
    alone: Blobs


@dataclass(slots=True, kw_only=True)
class UsedWim:
    """A WIM, and who uses it: (volume, data source id) -> what its pointers name. `usage` goes by the table that it had
    when `table_hash` was its hash.
    """

    path: Path
    guid: bytes
    table_hash: bytes
    usage: Usage
    uses: dict[tuple[str, int], PointerUse] = field(default_factory=dict)

    def use(self, volume: str, tree: Tree, data_source_id: int) -> PointerUse:
        """Note what the pointers of a volume's data source name."""
        found = self.usage.pointers(tree, data_source_id)
        self.uses[volume, data_source_id] = found
        return found


SharesOf = dict[tuple[str, int], NamedBlobs]


class UsedWims:
    """Every WIM of one run; those at `known` paths are called so, under whatever name they are come upon."""

    def __init__(self, folders: Folders, log_folder: Path | None, known: Iterable[Path]) -> None:
        self._folders = folders
        self._names = {_key(path): path for path in known}
        self._log_folder = log_folder
        self._used: dict[object, UsedWim] = {}
        self._failed: dict[object, WimFigures] = {}

    def called(self, path: Path) -> Path:
        """What a WIM is called."""
        return self._names.get(_key(path), path)

    @contextmanager
    def opened(self, path: Path) -> Iterator[Store]:
        """A WIM for a while. Raises what opening it raises."""
        with opened_store(path, self._folders, self._log_folder) as store:
            yield store

    def used(self, path: Path) -> UsedWim:
        """The WIM at a path, so that its use can be noted. Raises what opening it raises."""
        key = _key(path)
        if key not in self._used:
            try:
                with self.opened(path) as store:
                    self._used[key] = UsedWim(path=path, guid=store.guid, table_hash=store.table_hash,
                                              usage=Usage(store))
            except Error as error:
                self._failed.setdefault(key, _failed(path, error))
                raise
        return self._used[key]

    def figures(self, emit: Emit) -> tuple[list[WimFigures], SharesOf]:
        """Those that volumes use, then the other known ones; and what each volume's data sources name."""
        paths = {key: used.path for key, used in self._used.items() if used.uses}
        paths |= {key: path for key, path in self._names.items() if key not in paths and key not in self._failed}
        phase = Phase(name="WIMs", total=len(paths), unit="files")
        emit(phase)
        wims: list[WimFigures] = []
        shares: SharesOf = {}
        for key, path in paths.items():
            wims.append(self._measured(key, path, shares))
            phase.counter.add(1)
        return _with_copies([*wims, *self._failed.values()]), shares

    def _measured(self, key: object, path: Path, shares: SharesOf) -> WimFigures:
        try:
            with self.opened(path) as store:
                known = self._used.get(key) or UsedWim(path=path, guid=store.guid, table_hash=store.table_hash,
                                                       usage=Usage(store))
                if store.table_hash != known.table_hash:
                    raise WimChanging(where=str(path))
                return _figures(known, store, shares)
        except Error as error:
            return _failed(path, error)


def _key(path: Path) -> object:
    return identity_of(real_path(path)) or str(path)


def _failed(path: Path, error: Error) -> WimFigures:
    size, occupied = _sizes(path)
    return WimFigures(path=path, guid=None, size=size, occupied=occupied, problem=error.told)


def _sizes(path: Path) -> tuple[int, int | None]:
    """Of the file, and what it takes on its host; (0, None) where that is not the host."""
    if parse_inside(real_path(path)) is not None:
        return 0, None
    try:
        status = real_path(path).stat()
    except OSError:
        return 0, None
    return status.st_size, status.st_blocks * 512


def _figures(wim: UsedWim, store: Store, shares: SharesOf) -> WimFigures:
    names = list(wim.uses)
    own = wim.usage.sums([use.marks for use in wim.uses.values()])
    volumes = list(dict.fromkeys(volume for volume, _ in names))
    merged = [_merged([wim.uses[name].marks for name in names if name[0] == volume]) for volume in volumes]
    between = own if len(volumes) == len(names) else wim.usage.sums(merged)
    for name, blobs, alone in zip(names, own.each, own.alone, strict=True):
        shares[name] = NamedBlobs(blobs=blobs, alone=alone)
    images, problem = _image_sums(store)
    size, occupied = _sizes(wim.path)
    parts = [_sizes(real_path(wim.path).with_name(name)) for name in _other_parts(wim.path, store)]
    solid = wim.usage.solid
    return WimFigures(
        path=wim.path,
        guid=store.guid,
        size=sum((one for one, _ in parts), size) or store.size,
        occupied=None if occupied is None else sum((one or 0 for _, one in parts), occupied),
        compression=store.compression.name.lower(),
        chunk_size=store.chunk_size,
        images=() if images is None else _images(store, images),
        blobs=own.everything,
        unused=None if images is None else _less(images.everything, images.together),
        named=own.together if names else None,
        between_volumes=None if solid or not names else between.shared,
        between_images=None if solid or images is None else images.shared,
        solid=solid,
        not_backable=store.not_backable,
        users=tuple(volumes),
        problem=problem,
    )


def _image_sums(store: Store) -> tuple[Sums | None, str]:
    """What its images refer to; else why that cannot be read, which is no reason not to know the rest."""
    usage = Usage(store)
    try:
        return usage.sums([usage.image(number) for number in range(1, len(store.images) + 1)]), ""
    except Error as error:
        return None, error.told


def _other_parts(path: Path, store: Store) -> list[str]:
    return [f"{path.stem}{number}{path.suffix}" for number in range(2, len(store.parts) + 1)]


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
