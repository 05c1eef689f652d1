"""Who a differencing VHD stands on, and which ones stand on a VHD.

Windows starts from a chain of two: the differencing disk and its parent. The parent is looked for as Windows does, by
the path from the child's folder and by the absolute one; a drive letter stands for the volume that the child lies on,
for there is no telling which it was. Last, beside the child.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from wimboot.disk.mounts import HOST, Host, mount_of
from wimboot.disk.vhdlayout import parent_id_of
from wimboot.errors import Error, Refused
from wimboot.formats.vhdfooter import to_unix_seconds
from wimboot.formats.vhdsparse import W2KU, W2RU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wimboot.disk.vhdlayout import Layout
    from wimboot.formats.vhdfooter import Footer
    from wimboot.formats.vhdsparse import SparseHeader
    from wimboot.storage import File, Folder

__all__ = [
    "VhdChainTooLong", "VhdHasChildren", "VhdParentChanged", "VhdParentMissing", "check_parent", "child_beside",
    "find_parent",
]

_SUFFIXES = (".vhd", ".avhd")
_CLOCK_STEP = 2
"""Seconds by which a FAT file's time of change may be off."""


class VhdParentMissing(Refused):
    """A differencing disk without the disk that it stands on."""

    id = "vhd-parent-missing"
    sentence = "{where} is a differencing VHD, and its parent {parent} was not found"
    advice = "Put the parent at that place, or beside {where}; without it the disk cannot be read."


class VhdParentChanged(Refused):
    """The file at the parent's place is not what the child was made on."""

    id = "vhd-parent-changed"
    sentence = "{where} cannot be used on its parent {parent}: {why}"
    advice = ("A differencing VHD fits the very state of the parent that it was made on. Put that one back; if the "
              "parent was only copied, copy it again with its times (cp -p).")


class VhdChainTooLong(Refused):
    """More than a child and its parent."""

    id = "vhd-chain"
    sentence = ("{where} stands on {parent}, which is a differencing VHD itself; Windows starts from chains of two at "
                "most")
    advice = "Merge {parent} into its own parent first."


class VhdHasChildren(Refused):
    """Writing a parent would destroy what stands on it."""

    id = "vhd-has-children"
    sentence = "{where} is the parent of {child}, which would be destroyed by a change of it"
    advice = "Change {child} instead, or merge or delete it first."


def find_parent(layout: Layout, header: SparseHeader, file: File, path: Path, *, where: str,
                opener: Callable[[Path], Folder], host: Host = HOST) -> Path:
    """The file of the parent of the child at `path`. Raises VhdParentMissing, HostError."""
    named = ""
    for windows_path, place in _places(header, file, path, host):
        named = named or windows_path
        if place is not None and opener(place.parent).exists(place.name):
            return place
    raise VhdParentMissing(where=where, parent=named or f"(unique id {layout.footer.unique_id.hex()})")


def _places(header: SparseHeader, file: File, path: Path, host: Host) -> Iterator[tuple[str, Path | None]]:
    """The parent's path as Windows would have it, and where that is here, if anywhere; likeliest first."""
    texts = dict.fromkeys((W2RU, W2KU), "")
    for locator in header.locators:
        if locator.kind in texts and not texts[locator.kind]:
            raw = file.pread(locator.offset, locator.length)
            texts[locator.kind] = raw.decode("utf-16-le", "replace").partition("\0")[0]
    if texts[W2RU]:
        yield texts[W2RU], _beneath(path.parent, texts[W2RU])
    absolute = texts[W2KU] or header.parent_name
    if absolute[1:3] == ":\\":
        mount = mount_of(path, host)
        yield absolute, None if mount is None else _beneath(mount.point, absolute[3:])
    for text in (texts[W2RU], absolute, header.parent_name):
        if text:
            yield text, _beneath(path.parent, text.replace("/", "\\").rpartition("\\")[2])


def _beneath(folder: Path, windows_path: str) -> Path | None:
    """Follow a relative path of Windows; letters of another case will do where there is no exact match."""
    parts = [part for part in windows_path.split("\\") if part not in ("", ".")]
    if not parts or "\0" in windows_path or any("/" in part for part in parts):
        return None
    for part in parts:
        exact = folder.parent if part == ".." else folder / part
        if part != ".." and not os.path.lexists(exact):
            with contextlib.suppress(OSError):
                names = sorted(entry for entry in folder.iterdir() if entry.name.casefold() == part.casefold())
                exact = names[0] if names else exact
        folder = exact
    return folder


def check_parent(header: SparseHeader, size: int, parent: Footer, parent_path: Path, *, where: str) -> None:
    """That the parent is the one, as it was. Raises VhdParentChanged."""
    why = None
    if parent.unique_id != header.parent_id:
        why = f"its unique id is {parent.unique_id.hex()}, not {header.parent_id.hex()}"
    elif parent.size != size:
        why = f"it has {parent.size} bytes, not {size}"
    elif header.parent_time not in (0, parent.time):
        # the specification says the time at which the file was changed, some programs write the footer's
        with contextlib.suppress(OSError):
            changed = parent_path.stat().st_mtime
            if abs(changed - to_unix_seconds(header.parent_time)) > _CLOCK_STEP:
                why = "it was changed since, as its time tells"
    if why is not None:
        raise VhdParentChanged(where=where, parent=parent_path, why=why)


def child_beside(unique_id: bytes, path: Path, opener: Callable[[Path], Folder]) -> Path | None:
    """A differencing VHD in the folder of the one at `path` that stands on it."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix.casefold() in _SUFFIXES)
    except OSError:
        return None
    folder = opener(path.parent)
    for name in names:
        if name == path.name:
            continue
        with contextlib.suppress(Error):
            file = folder.open(name)
            try:
                if parent_id_of(file) == unique_id:
                    return path.parent / name
            finally:
                file.close()
    return None
