"""The durable door for whole files: a name holds its old or its new content, never anything between.

 1. write the new content under another name beside it - a crash here leaves the old file, and a leftover
 2. sync it - the same
 3. rename it over the name - a crash leaves the old or the new file
 4. sync the folder - from here on the new file
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from wimboot.errors import HostError

if TYPE_CHECKING:
    from wimboot.storage.protocol import Data, Folder

__all__ = ["LEFTOVER_SUFFIX", "remove", "replace"]

LEFTOVER_SUFFIX = ".wimboot-new"


def replace(folder: Folder, name: str, data: Data) -> None:
    """Make `name` in `folder` hold exactly `data`, durably. Raises HostError; the old file is then still
    there.
    """
    temporary = f".{name}.{secrets.token_hex(4)}{LEFTOVER_SUFFIX}"
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
