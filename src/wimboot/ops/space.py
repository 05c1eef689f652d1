"""What systems take: as Windows sees them, on their volumes, on the host, in the WIMs that they share.

Nothing is written, and no interrupted run is finished for it: what waits for that is said.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk import open_target, parse_place
from wimboot.disk.inside import parse_inside
from wimboot.disk.loops import identity_of
from wimboot.errors import Error, HostError
from wimboot.events import Emit, Note, Phase
from wimboot.formats.vhdfooter import DiskType
from wimboot.frozen import Frozen
from wimboot.ops.measuring.disks import disk_figures, packed_figures
from wimboot.ops.measuring.figures import DiskFigures, Other, VolumeFigures, WimFigures
from wimboot.ops.measuring.kinds import FileKind, kind_of
from wimboot.ops.measuring.reading import reading
from wimboot.ops.measuring.volumes import Asked, measure_volume
from wimboot.ops.measuring.walking import walk
from wimboot.ops.measuring.wims import UsedWims
from wimboot.ops.options import Folders, TargetOptions
from wimboot.storage import HostFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.disk import Place
    from wimboot.ops.measuring.wims import SharesOf

__all__ = ["Space", "SpaceOptions", "measure"]


_PACKED = (FileKind.GZIP, FileKind.LZ4)
_GROW = (("vhd", DiskType.DYNAMIC.name.lower()), ("vhdx", None))
"""Forms that Windows starts from and may make larger then; a VHDX may be full already."""


class SpaceOptions(Frozen):
    """What to measure: `places` are folders, disks and volumes (PATH or PATH#N), and WIMs.

    With `explain` the real files are grouped by why they are real, `config` being the list that a conversion would use.
    `search`, `wim_folder` and `log_folder` are those of `TargetOptions`.
    """

    places: tuple[str, ...]
    explain: bool = False
    config: Path | None = None
    search: tuple[Path, ...] = ()
    wim_folder: Path | None = None
    log_folder: Path | None = None
    folders: Folders = HostFolder


class Space(Frozen):
    """All that was found. `others` could not be measured; `complete` is False where a folder holds more than is read.
    """

    disks: tuple[DiskFigures, ...]
    volumes: tuple[VolumeFigures, ...]
    wims: tuple[WimFigures, ...]
    others: tuple[Other, ...]
    complete: bool

    @property
    def files(self) -> list[Path]:
        """The host's files that were read."""
        parents = (disk.parent for disk in self.disks if disk.parent is not None)
        return [*(disk.path for disk in self.disks), *parents, *(wim.path for wim in self.wims)]

    @property
    def seen(self) -> int:
        """What Windows sees, of all volumes."""
        return sum(volume.seen for volume in self.volumes)

    @property
    def taken(self) -> int:
        """What the host's files take: disks and WIMs, spare copies too."""
        return sum(disk.occupied or 0 for disk in self.disks) + sum(wim.occupied or 0 for wim in self.wims)

    @property
    def at_most(self) -> int:
        """The same once every disk has grown to its full size."""
        disks = sum(max(disk.full, disk.occupied or 0) for disk in self.disks if disk.occupied is not None)
        return disks + sum(wim.occupied or 0 for wim in self.wims)


def measure(options: SpaceOptions, emit: Emit) -> Space:
    """Measure what was named, and what is found in the folders that were named.

    What was found and cannot be read is among `others`; what was named and cannot be read raises what opening it does.
    """
    return _Measuring(options, emit).all()


class _Measuring:
    """One run. Files are known by their identity, so that each is measured once under whatever names."""

    def __init__(self, options: SpaceOptions, emit: Emit) -> None:
        self._options, self._emit = options, emit
        self._folders = reading(options.folders)
        self._disks: dict[object, DiskFigures] = {}
        self._volumes: dict[tuple[object, int | None], VolumeFigures] = {}
        self._wims: dict[object, Path] = {}
        self._named_wims: set[object] = set()
        self._others: list[Other] = []
        self._complete = True

    def all(self) -> Space:
        places = list(self._places())
        folders = tuple(Path(place) for place in self._options.places if Path(place).is_dir())
        wims = UsedWims(self._folders, self._options.log_folder, self._wims.values())
        named = {wims.used(path).guid: path for key, path in self._wims.items() if key in self._named_wims}
        asked = Asked(explain=self._options.explain, config=self._options.config, named=named, found_in=folders)
        phase = Phase(name="volumes", total=len(places), unit="files")
        self._emit(phase)
        for place, by_name in places:
            self._disk(place, asked, wims, by_name=by_name)
            phase.counter.add(1)
        figures, shares = wims.figures(self._emit)
        return Space(disks=tuple(self._disks.values()), wims=tuple(figures), others=tuple(self._others),
                     complete=self._complete,
                     volumes=tuple(_with_shares(volume, shares) for volume in self._volumes.values()))

    # ---- what there is

    def _places(self) -> Iterator[tuple[Place, bool]]:
        """The disks, each with whether it was named; WIMs are noted."""
        for text in self._options.places:
            place = parse_place(text) if parse_inside(Path(text)) is None else None
            if place is None:
                self._note_wim(Path(text), named=True)
            elif place.partition is None and place.path.is_dir():
                yield from self._below(place.path)
            elif place.partition is None and place.path.is_file():
                yield from self._found(place.path, kind_of(place.path) or FileKind.DISK, named=True)
            else:
                yield place, True

    def _below(self, folder: Path) -> Iterator[tuple[Place, bool]]:
        found = walk(folder)
        self._complete = self._complete and found.complete
        if not found.complete:
            self._emit(Note(id="many-names", warning=True, text=(
                f"{folder} holds more files, or deeper folders, than are looked at; name what is missing here.")))
        self._others += (Other(path=path, what="unread", why=why) for path, why in found.unread)
        self._others += (Other(path=path, what="file system", why="it is another one, mounted there: name it")
                         for path in found.mounts)
        for path in found.files:
            try:
                kind = kind_of(path)
            except HostError as error:
                self._others.append(Other(path=path, what="unread", why=str(error)))
                continue
            if kind is not None:
                yield from self._found(path, kind, named=False)

    def _found(self, path: Path, kind: FileKind, *, named: bool) -> Iterator[tuple[Place, bool]]:
        """A file of some kind: a disk, or noted as what it is."""
        if kind is FileKind.WIM:
            self._note_wim(path, named=named)
        elif kind in _PACKED:
            self._disks.setdefault(identity_of(path) or str(path), packed_figures(path, kind))
        elif kind is FileKind.DISK or named:
            yield parse_place(str(path)), named
        else:
            self._others.append(Other(path=path, what=kind.value, why="what is in it is not read"))

    def _note_wim(self, path: Path, *, named: bool) -> None:
        key = identity_of(path) or str(path)
        self._wims.setdefault(key, path)
        if named:
            self._named_wims.add(key)

    # ---- disks and their volumes

    def _disk(self, place: Place, asked: Asked, wims: UsedWims, *, by_name: bool) -> None:
        key = identity_of(place.path) or str(place.path)
        try:
            with open_target(place, write=False, log_folder=self._options.log_folder, opener=self._folders) as target:
                disk = disk_figures(target)
                wanted = [part.number for part in target.partitions if part.ntfs] if place.partition is None else [
                    place.partition]
                partitions = wanted if target.partitions else [place.partition]
                sealed = [f"{place.path}#{part.number}" for part in target.partitions if part.encrypted]
        except Error as error:
            self._fail(place, "disk", error, by_name=by_name)
            return
        if key not in self._disks:
            self._others += (Other(path=where, what="volume", why="it is encrypted by BitLocker") for where in sealed)
        self._disks.setdefault(key, disk)
        for number in partitions:
            if (key, number) in self._volumes:
                continue
            try:
                self._volumes[key, number] = self._volume(disk, number, asked, wims)
            except Error as error:
                where = place.path if number is None else f"{place.path}#{number}"
                self._fail(where, "volume", error, by_name=by_name)

    def _volume(self, disk: DiskFigures, number: int | None, asked: Asked, wims: UsedWims) -> VolumeFigures:
        options = self._options
        place = str(disk.path) if number is None else f"{disk.path}#{number}"
        target = TargetOptions(place=place, log_folder=options.log_folder, wim_folder=options.wim_folder,
                               search=options.search, folders=self._folders)
        grows = (disk.form, disk.kind) in _GROW and disk.occupied is not None
        full = (disk.full, disk.occupied or 0) if grows else None
        return measure_volume(target, disk.path, number, full, asked, wims, self._emit)

    def _fail(self, place: Place | Path | str, what: str, error: Error, *, by_name: bool) -> None:
        if by_name:
            raise error
        self._others.append(Other(path=str(place), what=what, why=error.told))


def _with_shares(volume: VolumeFigures, shares: SharesOf) -> VolumeFigures:
    """With what `UsedWims.figures` found out."""
    known = tuple(
        share if (found := shares.get((volume.where, share.data_source_id))) is None else replace(
            share, blobs=found.blobs, alone=found.alone) for share in volume.shares)
    return replace(volume, shares=known)


