"""Which WIM backs a volume: by the GUID in its WimOverlay.dat, wherever such a file is likely to lie."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.errors import Error, FormatError, Refused
from wimboot.formats.guid import guid_text
from wimboot.formats.wimheader import HEADER_SIZE, WimHeader
from wimboot.ops.contents import Contents
from wimboot.ops.storing import opened_store
from wimboot.storage import HostFolder
from wimboot.tree import StreamFlag, passes
from wimboot.wim import real_path, recover
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.opening import Opened
    from wimboot.ops.options import Folders
    from wimboot.wim import Store
    from wimboot.windows.sources import Sources

__all__ = [
    "NotWimBoot",
    "OtherWim",
    "WimNotFound",
    "likely_folders",
    "require_wim",
    "search",
    "stores_behind",
    "wim_guid",
]


class NotWimBoot(Refused):
    """A volume that is not in WIMBoot form."""

    id = "not-wimboot"
    sentence = "{where} is not in WIMBoot form: it has no WimOverlay.dat, so no WIM belongs to it"
    advice = "Name the WIM with --wim, or convert the volume first."


class WimNotFound(Refused):
    """The WIM of a volume is at none of the likely places."""

    id = "wim-not-found"
    sentence = "the WIM of {where} (GUID {guid}, last known at {place}) is in none of {folders}"
    advice = "Name it with --wim."


class OtherWim(Refused):
    """The WIM given is not the one that the volume's pointers lead into."""

    id = "other-wim"
    sentence = "{wim} is not the WIM of {where}: its GUID is {found}, the volume stands on {expected}"
    advice = "Give the WIM that the volume uses; `wimboot info {where}` shows which one that is."


def wim_guid(path: Path, folders: Folders = HostFolder) -> bytes | None:
    """The GUID in a WIM's header; None where the file is no WIM or cannot be read.

    A header that a power cut tore is put right first, where the interrupted append left its record.
    """
    try:
        return _header(path, folders).guid
    except FormatError:
        pass
    except Error:
        return None
    try:
        real = real_path(path)
        recover(folders(real.parent), real.name, where=str(path))
        return _header(path, folders).guid
    except Error:
        return None


def _header(path: Path, folders: Folders) -> WimHeader:
    real = real_path(path)
    file = folders(real.parent).open(real.name)
    try:
        return WimHeader.parse(file.pread(0, HEADER_SIZE))
    finally:
        file.close()


def likely_folders(opened: Opened) -> list[Path]:
    """Where the WIM of a volume is looked for: beside it, here, in the folder that the user set."""
    beside = opened.target.path.absolute().parent
    named = opened.options.wim_folder
    return [beside, Path.cwd()] if named is None else [beside, Path.cwd(), named, beside / str(named).lstrip("/")]


def search(opened: Opened, sources: Sources) -> dict[int, Path]:
    """data source id -> a WIM of the right GUID in a likely folder; one of the recorded name before others."""
    found: dict[int, Path] = {}
    for path in _wims(likely_folders(opened)):
        guid = wim_guid(path, opened.options.folders)
        for source in sources.all:
            if source.wim_guid == guid:
                place = sources.place(source.data_source_id)
                same_name = place is not None and place.path.rpartition("\\")[2].casefold() == path.name.casefold()
                if same_name or source.data_source_id not in found:
                    found[source.data_source_id] = path
    return found


def require_wim(
    opened: Opened, sources: Sources, wim: Path | None
) -> tuple[DataSource, Path]:
    """The data source that a verb works with, and its WIM file. Raises NotWimBoot, WimNotFound, OtherWim."""
    where = opened.where
    if not sources.all:
        raise NotWimBoot(where=where)
    if wim is not None:
        guid = wim_guid(wim, opened.options.folders)
        mine = [source for source in sources.all if source.wim_guid == guid]
        if not mine:
            raise OtherWim(
                wim=wim,
                where=where,
                found="none" if guid is None else guid_text(guid),
                expected=" or ".join(guid_text(source.wim_guid) for source in sources.all),
            )
        return mine[-1], wim
    likely = likely_folders(opened)
    found = search(opened, sources)
    for source in reversed(sources.all):
        if source.data_source_id in found:
            return source, found[source.data_source_id]
    last = sources.all[-1]
    raise WimNotFound(
        where=where,
        guid=guid_text(last.wim_guid),
        place=sources.place(last.data_source_id),
        folders=", ".join(map(str, likely)),
    )


@contextmanager
def stores_behind(opened: Opened, own: Store | None, folders: Folders) -> Iterator[list[Store]]:
    """The WIMs that pointers of the volume are followed into: `own`, open already, then those of its data sources.

    One that is not found is missed only when a pointer into it must be read. Raises OverlayDamaged and what opening
    a WIM raises.
    """
    stores = [] if own is None else [own]
    with ExitStack() as stack:
        if passes.flagged_streams(opened.tree, StreamFlag.POINTER):
            sources = read_sources(Contents(opened.tree, opened.device, opened.volume).read_path)
            for path in sorted(set(search(opened, sources).values())):
                if own is None or wim_guid(path, folders) != own.guid:
                    stores.append(stack.enter_context(opened_store(path, folders)))
        yield stores


def _wims(folders: Sequence[Path]) -> Iterator[Path]:
    seen = set()
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix.casefold() == ".wim" and path.is_file() and path.resolve() not in seen:
                    seen.add(path.resolve())
                    yield path
