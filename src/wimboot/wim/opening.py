"""Opening a WIM at a path of the host, or at one inside a volume (`PATH#N:/dir/x.wim`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.storage.host import HostFolder, resolved
from wimboot.wim.errors import WimMissing, WimSplit
from wimboot.wim.store import SplitStore, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wimboot.storage.protocol import File, Folder

__all__ = ["open_store", "real_path"]


def real_path(path: Path) -> Path:
    """Where a WIM lies, symbolic links followed: what belongs to it (undo record, new file, lock) lies beside it there.

    For a WIM inside a volume the links to that are followed. Raises HostError where links lead in a circle, BadInside.
    """
    inside = parse_inside(path)
    if inside is not None:
        return inside.real().as_path()
    return resolved(path, str(path))


@contextmanager
def open_store(path: Path, folders: Callable[[Path], Folder] = HostFolder) -> Iterator[Store]:
    """The WIM at `path`, closed on leaving; the first part of a split one (`name.swm`, `name2.swm`...) brings the rest.

    `folders` gives the folder of a host path. Raises WimMissing, and what Store.open raises.
    """
    real = real_path(path)
    folder = folders(real.parent)
    if not folder.exists(real.name):
        raise WimMissing(where=str(path))
    file = folder.open(real.name)
    try:
        try:
            store = Store.open(file, where=str(path))
        except WimSplit as error:
            if error.facts["part"] != 1:
                raise
            store = _open_parts(folders, path, int(str(error.facts["parts"])))
        try:
            yield store
        finally:
            store.close()
    finally:
        file.close()


def _open_parts(folders: Callable[[Path], Folder], path: Path, total: int) -> Store:
    paths = [path, *(path.with_name(f"{path.stem}{number}{path.suffix}") for number in range(2, total + 1))]
    files: list[tuple[File, str]] = []
    try:
        for each in paths:
            real = real_path(each)
            files.append((folders(real.parent).open(real.name), str(each)))
        return SplitStore.open_parts(files, where=str(path))
    except BaseException:
        for file, _ in files:
            file.close()
        raise
