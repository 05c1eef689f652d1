"""The durable door for whole files: a name holds its old or its new content, never anything between.

 1. write the new content under another name beside it - a crash here leaves the old file, and a leftover, which
    the next `replace` removes
 2. sync it - the same
 3. rename it over the name - a crash leaves the old or the new file
 4. sync the folder - from here on the new file
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from wimboot.errors import HostError

if TYPE_CHECKING:
    from wimboot.storage.protocol import Data, Folder

__all__ = ["LEFTOVER_SUFFIX", "remove", "replace", "temporary_name"]

LEFTOVER_SUFFIX = ".wimboot-new"


def temporary_name(name: str) -> str:
    """What a new file is called until it is whole."""
    return name + LEFTOVER_SUFFIX


def replace(folder: Folder, name: str, data: Data) -> None:
    """Make `name` in `folder` hold exactly `data`, durably. One writer at a time.

    Raises HostError; the old file is then still there, or the new one whose folder could not be synced.
    """
    temporary = temporary_name(name)
    if folder.exists(temporary):
        folder.remove(temporary)
    file = folder.create(temporary)
    try:
        try:
            file.pwrite(0, data)
            file.sync()
        finally:
            file.close()
        folder.replace(temporary, name)
    except BaseException:
        with contextlib.suppress(HostError):
            folder.remove(temporary)
        raise
    folder.sync()


def remove(folder: Folder, name: str) -> None:
    """Remove `name`, durably. Raises HostError."""
    folder.remove(name)
    folder.sync()
