"""Which files of a Windows volume are registry hives, where their logs lie, and how both are read as one.

Windows keeps logs beside the hive under its name with .LOG, .LOG1 and .LOG2 (`formats.reglog`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.formats.bcdnames import BIOS_FOLDER, UEFI_FOLDER
from wimboot.formats.reglog import Replayed, replay
from wimboot.frozen import Frozen
from wimboot.tree.constants import FileAttribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wimboot.tree import Tree

__all__ = ["CONFIG_FOLDER", "LOG_SUFFIXES", "HiveFile", "hives", "load"]

CONFIG_FOLDER = "\\Windows\\System32\\config"

LOG_SUFFIXES = (".LOG", ".LOG1", ".LOG2")

_CONFIG_NAMES = (
    "BBI", "BCD-Template", "COMPONENTS", "DEFAULT", "DRIVERS", "ELAM", "SAM", "SECURITY", "SOFTWARE",
    "SYSTEM", "VSMIDK",
)
_SINGLE = (
    f"{BIOS_FOLDER}\\BCD", f"{UEFI_FOLDER}\\BCD", "\\Windows\\AppCompat\\Programs\\Amcache.hve",
    "\\Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT",
)
_PROFILE_FOLDERS = ("\\Users", "\\Windows\\ServiceProfiles", "\\Documents and Settings")
_SYSTEM_PROFILES = (
    "\\Windows\\System32\\config\\systemprofile", "\\Windows\\SysWOW64\\config\\systemprofile",
)
_USER_CLASSES = "AppData\\Local\\Microsoft\\Windows\\UsrClass.dat"
_PACKAGES = "AppData\\Local\\Packages"
_PACKAGE_HIVES = ("Settings\\settings.dat", "SystemAppData\\Helium\\User.dat",
                  "SystemAppData\\Helium\\UserClasses.dat")


class HiveFile(Frozen):
    """A file that is a hive by its place; `path` as it is spelt on the volume."""

    path: str
    node: int


def load(read: Callable[[str], bytes | None], path: str) -> Replayed | None:
    """The hive at `path` with its logs applied; None where there is no such file.

    Raises FormatError, and LogsUnusable where a log holds newer data that cannot be applied.
    """
    data = read(path)
    if data is None:
        return None
    logs = {suffix: log for suffix in LOG_SUFFIXES if (log := read(path + suffix))}
    return replay(data, logs)


def hives(tree: Tree) -> list[HiveFile]:
    """The files that are hives by their place and name, each once.

    A file there need not be a hive (RegBack's are empty): the first four bytes tell.
    """
    found: dict[int, HiveFile] = {}
    for folder, name in _candidates(tree):
        link = tree.lookup(folder, name.encode("utf-16-le"))
        if link < 0:
            continue
        row = tree.link(link)
        if row.node in found or tree.attributes(row.node) & FileAttribute.DIRECTORY:
            continue
        found[row.node] = HiveFile(path=tree.path(link), node=row.node)
    return list(found.values())


def _candidates(tree: Tree) -> Iterator[tuple[int, str]]:
    """(folder, name) of each place where a hive can lie."""
    for name in _CONFIG_NAMES:
        for folder in (CONFIG_FOLDER, CONFIG_FOLDER + "\\RegBack"):
            yield from _at(tree, 0, f"{folder}\\{name}")
    for path in _SINGLE:
        yield from _at(tree, 0, path)
    profiles = [node for path in _SYSTEM_PROFILES if (node := tree.find(path)) >= 0]
    for path in _PROFILE_FOLDERS:
        profiles += _folders(tree, tree.find(path))
    for profile in profiles:
        yield profile, "NTUSER.DAT"
        yield from _at(tree, profile, _USER_CLASSES)
        packages = _below(tree, profile, _PACKAGES)
        for package in _folders(tree, packages):
            for path in _PACKAGE_HIVES:
                yield from _at(tree, package, path)


def _at(tree: Tree, folder: int, path: str) -> Iterator[tuple[int, str]]:
    parent, _, name = path.rpartition("\\")
    node = _below(tree, folder, parent)
    if node >= 0:
        yield node, name


def _below(tree: Tree, folder: int, path: str) -> int:
    """The node at a path below a folder; -1 if none."""
    for part in path.split("\\"):
        if part and folder >= 0:
            link = tree.lookup(folder, part.encode("utf-16-le"))
            folder = tree.link(link).node if link >= 0 else -1
    return folder


def _folders(tree: Tree, folder: int) -> list[int]:
    """The nodes with children in a folder, none where it is -1. Junctions have none."""
    if folder < 0:
        return []
    nodes = (tree.link(link).node for link in tree.children(folder))
    return [node for node in nodes if tree.children(node)]
