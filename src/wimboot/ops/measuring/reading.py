"""Folders of the host through which nothing can be written: what only measures leaves interrupted runs to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from wimboot.errors import Busy
from wimboot.storage import HostFolder
from wimboot.storage.durable import LEFTOVER_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.options import Folders
    from wimboot.storage import File, Folder

__all__ = ["ReadingFolder", "RunUnfinished", "reading"]


class RunUnfinished(Busy):
    """Something could only be read after an interrupted run was finished or undone."""

    id = "run-unfinished"
    sentence = "an interrupted run on {where} has to be finished or undone before it can be measured"
    advice = "`wimboot recover TARGET` does that for a volume and its WIM, `wimboot verify --wim WIM` for a WIM alone."


class ReadingFolder:
    """A folder of which files are only read; changes raise RunUnfinished.

    A file that an unfinished run left and nobody needs is not there: it need not be removed before others are read.
    """

    def __init__(self, folder: Folder, where: str) -> None:
        self._folder = folder
        self._where = where

    def open(self, name: str, *, write: bool = False) -> File:
        if write:
            self._refuse(name)
        return self._folder.open(name)

    def create(self, name: str) -> NoReturn:
        self._refuse(name)

    def rename_new(self, _old: str, new: str) -> NoReturn:
        self.create(new)

    def replace(self, _old: str, new: str) -> NoReturn:
        self._refuse(new)

    def remove(self, name: str) -> NoReturn:
        self._refuse(name)

    def exists(self, name: str) -> bool:
        return not name.endswith(LEFTOVER_SUFFIX) and self._folder.exists(name)

    def free_size(self) -> int:
        return self._folder.free_size()

    def sync(self) -> None:
        """There is nothing to sync."""

    def _refuse(self, name: str) -> NoReturn:
        raise RunUnfinished(where=f"{self._where}/{name}")


def reading(folders: Folders = HostFolder) -> Folders:
    """The same folders, only to be read."""
    def opened(path: Path) -> Folder:
        return ReadingFolder(folders(path), str(path))

    return opened
