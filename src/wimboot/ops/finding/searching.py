r"""WIMs at the places where one is put, by GUID, for a volume whose WIM is not where it is registered.

In this order: folders that the user wants searched (--search); `\System Volume Information`, `\WIMBOOT`, the root and
the default folder on the volume itself and on the other partitions of its disk; that folder on the host
(-WIMPATH, WIMBOOT_WIMPATH); beside the target; the folder above that; the current folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.formats.names import fold_text, join_path
from wimboot.frozen import Frozen
from wimboot.ops.finding.athand import How, safe_parts
from wimboot.ops.opening.wimfiles import WimFile, host_wim, host_wims

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.ops.finding.athand import AtHand, Look
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import Folders

__all__ = ["Candidate", "Searched", "host_folders", "search_by_guid"]

_ON_VOLUMES: Final = (("System Volume Information",), ("WIMBOOT",), ())
_DEPTH: Final = 16
_MOST_SEARCHED: Final = 1_000_000
"""Names under one --search folder."""


class Candidate(Frozen):
    """A WIM that may be the one, and how it was come by."""

    file: WimFile
    how: How
    at_place: bool = False


class Searched(Frozen):
    """Every WIM that was come across, and in words where it was looked."""

    candidates: tuple[Candidate, ...]
    looked: tuple[str, ...]


def search_by_guid(opened: Opened, at_hand: AtHand, also: tuple[tuple[str, ...], ...] = ()) -> Searched:
    """Look everywhere but at the registered place. `also` are folders that are looked into on volumes."""
    options = opened.options
    candidates: list[Candidate] = []
    looked: list[str] = []
    for folder in options.search:
        whole = _Walk(folder, options.folders)
        candidates += (Candidate(file=file, how=How.SEARCHED) for file in whole.wims())
        looked.append(f"{folder} and the folders in it" + ("" if whole.complete else " (not all of them: too many)"))
    named = None if options.wim_folder is None else safe_parts(str(options.wim_folder))
    folders = _once((*_ON_VOLUMES, *(() if named is None else (named,)), *also))
    for look in (at_hand.own, *at_hand.siblings()):
        candidates += _on_volume(look, folders)
        looked.append(f"{', '.join(join_path(parts) for parts in folders)} of {look.name}")
    for folder, how in host_folders(opened):
        try:
            found = [Candidate(file=file, how=how) for file in host_wims(folder, options.folders)]
        except OSError:
            continue
        candidates += found
        looked.append(str(folder))
    unread = (one.file for one in candidates if one.file.problem)
    looked += (f"{file.path}, which could not be read: {file.problem}" for file in unread)
    return Searched(candidates=tuple(candidates), looked=tuple(looked))


def _once(folders: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Each folder of a volume once, whatever its case."""
    once: dict[tuple[str, ...], tuple[str, ...]] = {}
    for parts in folders:
        once.setdefault(tuple(map(fold_text, parts)), parts)
    return tuple(once.values())


def _on_volume(look: Look, folders: tuple[tuple[str, ...], ...]) -> Iterator[Candidate]:
    for parts in folders:
        for file in look.wims(parts):
            yield Candidate(file=file, how=look.how)


def host_folders(opened: Opened) -> list[tuple[Path, How]]:
    """The folders of the host in which a WIM is likely; each once."""
    named = opened.options.wim_folder
    beside = None if opened.target.is_device else opened.target.place.path.absolute().parent
    folders: list[tuple[Path, How]] = []
    if named is not None:
        folders.append((named, How.WIM_FOLDER))
        parts = safe_parts(str(named))
        if beside is not None and parts is not None:
            folders.append((beside.joinpath(*parts), How.WIM_FOLDER))
    if beside is not None:
        # a folder for each system, and their one WIM above them, is how the 2015 tool lays them out
        folders += [(beside, How.BESIDE_TARGET), (beside.parent, How.ABOVE_TARGET)]
    folders.append((Path.cwd(), How.CURRENT_FOLDER))
    once: dict[Path, How] = {}
    for folder, how in folders:
        if folder.is_dir():
            once.setdefault(folder.absolute(), how)
    return list(once.items())


class _Walk:
    """A folder and those in it; symbolic links to folders are not followed."""

    def __init__(self, folder: Path, folders: Folders) -> None:
        self._folder, self._folders = folder, folders
        self.complete = True

    def wims(self) -> Iterator[WimFile]:
        """Every WIM, those of a folder by name; `complete` says afterwards whether there was more."""
        waiting = [(self._folder, 0)]
        count = 0
        while waiting:
            folder, depth = waiting.pop()
            deeper: list[tuple[Path, int]] = []
            for entry in _entries(folder):
                count += 1
                if count > _MOST_SEARCHED:
                    self.complete = False
                    return
                if _is_folder(entry):
                    deeper.append((Path(entry.path), depth + 1))
                elif entry.name.casefold().endswith(".wim") and Path(entry.path).is_file():
                    found = host_wim(Path(entry.path), self._folders)
                    if found.guid is not None or found.problem:
                        yield found
            if depth < _DEPTH:
                waiting += reversed(deeper)
            elif deeper:
                self.complete = False


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
