"""WIM files by their headers: in folders of the host, and in folders of a volume that is not mounted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.errors import Error, FormatError
from wimboot.formats.names import decode_name
from wimboot.formats.wimheader import HEADER_SIZE, WimHeader
from wimboot.frozen import Frozen
from wimboot.ntfs import list_folder
from wimboot.ops.opening.inside import wim_folder
from wimboot.ops.options import TargetOptions
from wimboot.storage import HostFolder
from wimboot.wim import real_path, recover

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wimboot.ntfs import Volume
    from wimboot.ops.options import Folders
    from wimboot.wim import Recovered

__all__ = ["WimFile", "host_wim", "host_wims", "volume_wim", "volume_wims", "wim_guid"]

_MOST_NAMES = 100_000
"""Of one folder; a folder that has more is no place where a WIM is put."""

_SUFFIX = ".wim"


class WimFile(Frozen):
    """A file where a WIM may be. `guid` is None for one that is none, or cannot be read: `problem` says why then.

    `path` is what opens it, `recovered` what had to be done before it could be read.
    """

    path: Path
    guid: bytes | None
    image_count: int = 0
    problem: str = ""
    recovered: Recovered | None = None


def wim_guid(path: Path, folders: Folders = HostFolder) -> bytes | None:
    """The GUID in a WIM's header; None where the file is no WIM or cannot be read.

    A header that a power cut tore is put right first, where the interrupted append left its record.
    """
    return host_wim(path, folders).guid


def host_wim(path: Path, folders: Folders = HostFolder) -> WimFile:
    """What the file at a path is. Raises nothing."""
    try:
        return _of(path, _read(path, folders))
    except FormatError:
        pass
    except Error as error:
        return WimFile(path=path, guid=None, problem=str(error))
    try:
        real = real_path(path)
        if parse_inside(real) is None:
            recovered = recover(folders(real.parent), real.name, where=str(path))
            return replace(_of(path, _read(path, folders)), recovered=recovered)
    except Error as error:
        return WimFile(path=path, guid=None, problem="" if isinstance(error, FormatError) else str(error))
    return WimFile(path=path, guid=None)


def _read(path: Path, folders: Folders) -> bytes:
    with wim_folder(path, TargetOptions(place="", folders=folders), write=False) as place:
        file = place.folder.open(place.name)
        try:
            return file.pread(0, HEADER_SIZE)
        finally:
            file.close()


def _of(path: Path, data: bytes) -> WimFile:
    header = WimHeader.parse(data)
    return WimFile(path=path, guid=header.guid, image_count=header.image_count)


def host_wims(folder: Path, folders: Folders) -> Iterator[WimFile]:
    """The WIMs of a folder of the host, by name, and what is called so and cannot be read.

    Raises OSError where the folder cannot be listed.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix.casefold() == _SUFFIX and path.is_file():
            found = host_wim(path, folders)
            if found.guid is not None or found.problem:
                yield found


def volume_wim(volume: Volume, parts: Sequence[str], path: Path, folders: Folders) -> WimFile | None:
    """What lies at a path of a volume; None where nothing does, or a folder. `path` is what opens it."""
    try:
        file_id = _descend(volume, parts)
        if file_id is None or volume.is_folder(file_id):
            return None
        return _inside(volume, file_id, path, folders)
    except Error as error:
        return WimFile(path=path, guid=None, problem=str(error))


def volume_wims(
    volume: Volume, parts: Sequence[str], folder: Path, folders: Folders
) -> Iterator[WimFile]:
    """The WIMs of a folder of a volume, which `folder` opens; none where there is no such folder or it is damaged."""
    try:
        file_id = _descend(volume, parts)
        if file_id is None or not volume.is_folder(file_id):
            return
        names, _ = list_folder(volume, file_id, _MOST_NAMES)
    except Error:
        return
    for name, wim in sorted(_called_wim(names)):
        try:
            found = None if volume.is_folder(wim) else _inside(volume, wim, folder / name, folders)
        except Error as error:
            found = WimFile(path=folder / name, guid=None, problem=str(error))
        if found is not None and (found.guid is not None or found.problem):
            yield found


def _called_wim(names: Iterable[tuple[bytes, int]]) -> Iterator[tuple[str, int]]:
    for units, file_id in names:
        name = decode_name(units)
        if name.casefold().endswith(_SUFFIX):
            yield name, file_id


def _descend(volume: Volume, parts: Sequence[str]) -> int | None:
    return volume.open_path("\\".join(parts))


def _inside(volume: Volume, file_id: int, path: Path, folders: Folders) -> WimFile:
    try:
        return _of(path, volume.read(file_id, b"", 0, HEADER_SIZE))
    except FormatError:     # torn, perhaps: what waits for that volume is finished when it is opened
        return host_wim(path, folders)
