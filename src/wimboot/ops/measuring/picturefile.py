"""Where a picture goes: a new file, or over an older picture; never over anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk.loops import identity_of
from wimboot.errors import Refused
from wimboot.storage import HostFile, HostFolder, HostMissing, durable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wimboot.ops.options import Folders

__all__ = ["PictureInTheWay", "check_picture", "write_picture"]

_HEAD = 1024


class PictureInTheWay(Refused):
    """A file that would be lost."""

    id = "not-a-picture"
    sentence = "{where} is there already and is {what}, so no picture is drawn over it"
    advice = "Name a new file, or an SVG that may be replaced."


def check_picture(path: Path) -> None:
    """Whether a picture may be written there. Raises PictureInTheWay, HostError."""
    if not path.parent.is_dir():
        raise HostMissing(missing=path.parent, what="creating", where=str(path))
    if not path.exists():
        return
    if not path.is_file():
        raise PictureInTheWay(where=str(path), what="no ordinary file")
    file = HostFile.open(path)
    try:
        head = file.pread(0, _HEAD)
    finally:
        file.close()
    if head and b"<svg" not in head:
        raise PictureInTheWay(where=str(path), what="no SVG")


def write_picture(path: Path, text: str, inputs: Iterable[Path], folders: Folders = HostFolder) -> None:
    """Write it durably; a crash leaves the file that was there, or the new one.

    Raises PictureInTheWay where it is one of the `inputs`, HostError.
    """
    check_picture(path)
    identity = identity_of(path)
    if identity is not None and identity in {identity_of(each) for each in inputs}:
        raise PictureInTheWay(where=str(path), what="one of the files that were measured")
    durable.replace(folders(path.parent), path.name, text.encode("utf-8"))
