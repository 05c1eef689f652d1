"""Which list decides: `--config`, else the one beside the WIM or here, else the system's own, else the built-in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, FormatError
from wimboot.events import Emit, Note
from wimboot.formats.ini import MAX_INI_SIZE, CaptureList
from wimboot.ops.opening.inside import read_beside
from wimboot.storage import read_start
from wimboot.windows.bootfiles import boot_files
from wimboot.windows.identify import Overlay
from wimboot.windows.lists import SYSTEM_LIST, Lists, compose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wimboot.windows.identify import System

__all__ = ["LIST_NAME", "ListDamaged", "find_lists"]

LIST_NAME = "WimBootCompress.ini"


class ListDamaged(Damaged):
    """A file that should be a WimBootCompress.ini and is none."""

    id = "list-damaged"
    sentence = "{where} is no list of what to capture: {problem}"
    advice = "Correct it, or name another with --config; it is a text of sections like [ExclusionList]."


def find_lists(
    config: Path | None, wim: Path | None, read: Callable[[str], bytes | None], system: System | None, emit: Emit,
    own_files: Iterable[str] = (),
) -> Lists:
    """The rules for a volume. `read` gives a file of it, `own_files` are those of WIMs that lie in it.

    Raises ListDamaged, HostError.
    """
    chosen, origin = _chosen(config, wim, read)
    lists = None
    if chosen is not None:
        try:
            lists = CaptureList.parse(chosen)
        except FormatError as error:
            raise ListDamaged(where=origin, problem=str(error)) from error
        for warning in lists.warnings:
            emit(Note(id="list", text=f"{origin}: {warning}", warning=True))
    return compose(
        lists,
        version=None if system is None else (system.major, system.minor),
        has_overlay_driver=system is not None and system.overlay is Overlay.INBOX,   # whose loader knows pointers
        origin=origin,
        own_files=own_files,
        boot_files=_sane(boot_files(read)),
    )


def _chosen(config: Path | None, wim: Path | None, read: Callable[[str], bytes | None]) -> tuple[bytes | None, str]:
    if config is not None:
        return _read_host(config), str(config)
    beside = None if wim is None else read_beside(wim, LIST_NAME, MAX_INI_SIZE + 1)
    if beside is not None:
        return _checked(*beside), beside[1]
    places = [Path.cwd()] if wim is None else [wim.absolute().parent, Path.cwd()]
    for folder in places:
        path = folder / LIST_NAME
        if path.is_file():
            return _read_host(path), str(path)
    inside = read(SYSTEM_LIST)
    return inside, SYSTEM_LIST


def _read_host(path: Path) -> bytes:
    return _checked(read_start(path, MAX_INI_SIZE + 1), str(path))


def _checked(data: bytes, where: str) -> bytes:
    if len(data) > MAX_INI_SIZE:
        raise ListDamaged(where=where, problem=f"it has more than {MAX_INI_SIZE:,} bytes")
    return data


def _sane(paths: dict[str, str]) -> dict[str, str]:
    """Those that can be a pattern for themselves; a hive may say anything."""
    return {path: why for path, why in paths.items() if path.startswith("\\") and not set(path) & set('*?"<>|')}
