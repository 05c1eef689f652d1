"""Files that a running Windows writes through memory, so that their times need not tell that they changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.formats.bcdnames import BIOS_FOLDER, UEFI_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.tree import Tree

__all__ = ["written_through_memory"]

_FOLDERS: Final = (
    "\\Windows\\System32\\config",
    "\\Windows\\System32\\winevt\\Logs",
    "\\Windows\\AppCompat\\Programs",
    BIOS_FOLDER,
    UEFI_FOLDER,
)
"""The system's hives and their logs, event logs, Amcache.hve, the boot configuration."""
_PROFILES: Final = ("\\Users", "\\Windows\\ServiceProfiles")
_OF_A_PROFILE: Final = ("", "\\AppData\\Local\\Microsoft\\Windows")
"""Where a profile has NTUSER.DAT and UsrClass.dat with their logs."""


def written_through_memory(tree: Tree) -> bytearray:
    """One byte a node: 1 for hives, logs of hives and events, boot configuration."""
    marks = bytearray(tree.node_count)
    for folder in _folders(tree):
        for link in tree.children(folder):
            marks[tree.link(link).node] = 1
    return marks


def _folders(tree: Tree) -> Iterator[int]:
    for path in _FOLDERS:
        if (folder := tree.find(path)) >= 0:
            yield folder
    for parent in _PROFILES:
        node = tree.find(parent)
        for link in tree.children(node) if node >= 0 else ():
            for inside in _OF_A_PROFILE:
                folder = tree.link(link).node if not inside else tree.find(tree.path(link) + inside)
                if folder >= 0:
                    yield folder
