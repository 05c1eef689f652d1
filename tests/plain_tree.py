"""Trees out of lists of paths: written as an image's metadata, and read by the program's reader."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from wimboot.formats.names import encode_name, split_path
from wimboot.tree import Tree
from wimboot.wim._metadata import parse

__all__ = ["tree_of"]

FOLDER, ARCHIVE = 0x10, 0x20
_DENTRY = struct.Struct("<QIiQQQQQQ20sIQHHH")


def tree_of(paths: Iterable[str], *, links: Iterable[Iterable[str]] = ()) -> Tree:
    r"""A tree with these files, folders where a path ends in a backslash. `links`: names of one file each."""
    children: dict[tuple[str, ...], dict[str, int]] = {(): {}}
    groups = {path: number for number, same in enumerate(links, 1) for path in same}
    kinds: dict[tuple[str, ...], int] = {(): 0}
    for path in [*paths, *groups]:
        parts = split_path(path)
        for depth in range(1, len(parts) + 1):
            file = depth == len(parts) and path[-1] not in "\\/"
            children[parts[:depth - 1]].setdefault(parts[depth - 1], 0)
            kinds[parts[:depth]] = groups.get(path, 0) if file else -1
            if not file:
                children.setdefault(parts[:depth], {})
    return parse(_metadata(children, kinds))


def _metadata(children: dict[tuple[str, ...], dict[str, int]], kinds: dict[tuple[str, ...], int]) -> bytes:
    root = _dentry("", FOLDER, 0, 0)
    folders: list[tuple[str, ...]] = [()]
    for folder in folders:
        folders += [(*folder, name) for name in children[folder] if (*folder, name) in children]
    sizes = {folder: 8 + sum(len(_dentry(name, 0, 0, 0)) for name in children[folder]) for folder in folders}
    place, at = {}, 8 + len(root) + 8
    for folder in folders:
        place[folder], at = at, at + sizes[folder]
    out = [struct.pack("<II", 8, 0), _dentry("", FOLDER, place[()], 0), bytes(8)]
    for folder in folders:
        for name in children[folder]:
            path = (*folder, name)
            is_folder = path in children
            out.append(_dentry(name, FOLDER if is_folder else ARCHIVE, place.get(path, 0),
                               0 if is_folder else kinds[path]))
        out.append(bytes(8))
    return b"".join(out)


def _dentry(name: str, attributes: int, below: int, group: int) -> bytes:
    units = encode_name(name)
    size = _DENTRY.size + (len(units) + 2 if units else 0)
    size += -size % 8
    head = _DENTRY.pack(size, attributes, -1, below, 0, 0, 0, 0, 0, bytes(20), 0, group, 0, 0, len(units))
    return (head + units).ljust(size, b"\0")
