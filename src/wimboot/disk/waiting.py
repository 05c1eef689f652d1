"""Which logs lie in a folder, and of what: a device's log lies where the user wanted it, out of the device's sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk.log import PAGE, Header
from wimboot.errors import Error
from wimboot.storage import HostFile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOG_SUFFIX", "waiting_logs"]

LOG_SUFFIX = ".wimboot-log"


def waiting_logs(folder: Path) -> list[str]:
    """The logs in this folder by name, each with the target it is for: `NAME (TARGET)`; one that does not tell, or
    cannot be read, by its name alone. Nothing where the folder cannot be read. Opens them to read only.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith(LOG_SUFFIX) and path.is_file())
    except OSError:
        return []
    return [f"{path.name} ({where})" if (where := _target_of(path)) else path.name for path in paths]


def _target_of(path: Path) -> str:
    """What the log says that it is for; empty where it says nothing. The header's SHA-256 is not checked."""
    try:
        file = HostFile.open(path)
    except Error:
        return ""
    try:
        header = Header.parse(file.pread(0, PAGE))
        end = header.index_offset + header.index_size
        if end > file.size():
            return ""
        name = file.pread(end - header.where_size, header.where_size).decode(errors="replace")
        return "".join(letter if letter.isprintable() else "?" for letter in name)
    except Error:
        return ""
    finally:
        file.close()
