"""Whether a WIM that is open still is what its name says: other programs need not care for a lock."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wimboot.wim.errors import WimChanged

if TYPE_CHECKING:
    from wimboot.storage.protocol import File, Folder

__all__ = ["check_stays", "has_name"]


def has_name(folder: Folder, name: str, file: File) -> bool:
    """Whether the file of this name, which must exist, is the open one; a file without a descriptor always is."""
    fileno = getattr(file, "fileno", None)
    if fileno is None:
        return True
    again = folder.open(name)
    try:
        found = getattr(again, "fileno", fileno)
        return os.path.samestat(os.fstat(fileno()), os.fstat(found()))
    finally:
        again.close()


def check_stays(folder: Folder, name: str, file: File, header: bytes, size: int, *, where: str) -> None:
    """Before an open and locked WIM is made another: it has its name, this header, and at least this size.

    Moved away, deleted or written over meanwhile, it would take what is to be in it along.

    Raises WimChanged, HostError.
    """
    problem = ""
    if not folder.exists(name):
        problem = "it was moved or deleted"
    elif not has_name(folder, name, file):
        problem = "another file was put in its place"
    elif file.pread(0, len(header)) != header or file.size() < size:
        problem = "it was written over"
    if problem:
        raise WimChanged(where=where, problem=problem)
