r"""grub4dos' own files on the system partition: \grldr.mbr, which the boot manager starts, and \grldr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.errors import HostError, Refused
from wimboot.storage import host_error
from wimboot.windows.bcdloader import GRLDR_MBR

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.booting.systempartition import SystemPartition

__all__ = ["NoGrub4dos", "grub4dos_files"]

_NEEDED: Final = (GRLDR_MBR, "\\grldr")
_LIMIT: Final = 16 << 20


class NoGrub4dos(Refused):
    """An entry for grub4dos, and no grub4dos."""

    id = "no-grub4dos"
    sentence = "{where} has no {missing}, which the grub4dos entry would start"
    advice = "Give the folder that holds grldr.mbr and grldr: --grub4dos-files DIR."


def grub4dos_files(folder: Path | None, partition: SystemPartition) -> dict[str, bytes]:
    """The files to be written: those of `folder` that differ from what is there. Raises NoGrub4dos, HostError."""
    found = {path: data for path in _NEEDED if (data := _read(folder, path)) is not None}
    missing = [path for path in _NEEDED if path not in found and not partition.exists(path)]
    if missing:
        raise NoGrub4dos(where=partition.where, missing=" and no ".join(missing))
    return {path: data for path, data in found.items() if partition.read(path) != data}


def _read(folder: Path | None, path: str) -> bytes | None:
    """A file of the folder, however it spells the name."""
    if folder is None:
        return None
    name = path.removeprefix("\\")
    try:
        file = next((each for each in folder.iterdir() if each.name.lower() == name and each.is_file()), None)
        if file is None:
            return None
        if file.stat().st_size > _LIMIT:
            raise HostError(what="reading", where=file, why="it is too large to be part of grub4dos")
        return file.read_bytes()
    except OSError as error:
        raise host_error("reading", folder, error) from error
