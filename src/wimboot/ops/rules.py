"""Which list decides: `--config`, else the one beside the WIM or here, else the system's own, else the built-in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.events import Emit, Note
from wimboot.formats.ini import CaptureList
from wimboot.windows.bootfiles import boot_files
from wimboot.windows.lists import Lists, compose

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.windows.identify import System

__all__ = ["LIST_NAME", "find_lists"]

LIST_NAME = "WimBootCompress.ini"
LIST_IN_SYSTEM = "\\Windows\\System32\\WimBootCompress.ini"
LIST_SIZE_LIMIT = 1 << 20


def find_lists(
    config: Path | None, wim: Path | None, read: Callable[[str], bytes | None], system: System | None, emit: Emit
) -> Lists:
    """The rules for a volume. `read` gives a file of it. Raises FormatError for a list that is not one."""
    chosen, origin = _chosen(config, wim, read)
    lists = None
    if chosen is not None:
        lists = CaptureList.parse(chosen)
        for warning in lists.warnings:
            emit(Note(id="list", text=f"{origin}: {warning}", warning=True))
    return compose(
        lists,
        version=None if system is None else (system.major, system.minor),
        has_overlay_driver=system is not None and system.has_wof,
        origin=origin,
        boot_files=_sane(boot_files(read)),
    )


def _chosen(config: Path | None, wim: Path | None, read: Callable[[str], bytes | None]) -> tuple[bytes | None, str]:
    if config is not None:
        return config.read_bytes(), str(config)
    places = [Path.cwd()] if wim is None else [wim.absolute().parent, Path.cwd()]
    for folder in places:
        path = folder / LIST_NAME
        if path.is_file() and path.stat().st_size <= LIST_SIZE_LIMIT:
            return path.read_bytes(), str(path)
    inside = read(LIST_IN_SYSTEM)
    return inside, LIST_IN_SYSTEM


def _sane(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Those that can be a pattern for themselves; a hive may say anything."""
    return tuple(path for path in paths if path.startswith("\\") and not set(path) & set('*?"<>|'))
