"""Who a differencing VHD stands on.

Windows starts from a chain of two: the differencing disk and its parent. The parent is looked for as Windows does, by
the path from the child's folder and by the absolute one; a drive letter stands for the volume that the child lies on,
for there is no telling which it was. Last, beside the child.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

from wimboot.disk.mounts import HOST, Host, mount_of
from wimboot.errors import Refused
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
    "VhdChainTooLong", "VhdParentChanged", "VhdParentMissing", "check_parent", "find_parent",
]

_SECOND = 1_000_000_000
_CLOCK_STEP = 2 * _SECOND
"""What a FAT file's time of change is a multiple of, in nanoseconds; it may be off by as much."""


class VhdParentMissing(Refused):
    """A differencing disk without the disk that it stands on."""

    id = "vhd-parent-missing"
    sentence = "{where} is a differencing VHD, and its parent {parent} was not found"
    advice = "Put the parent at that place, or beside {where}; without it the disk cannot be read."


class VhdParentChanged(Refused):
    """The file at the parent's place is not what the child was made on."""

    id = "vhd-parent-changed"
    sentence = "{where} cannot be used on its parent {parent}: {why}"
    advice = ("A differencing VHD fits the very state of the parent that it was made on: put that one back. {copied}")


class VhdChainTooLong(Refused):
    """More than a child and its parent."""

    id = "vhd-chain"
    sentence = ("{where} stands on {parent}, which is a differencing VHD itself; Windows starts from chains of two at "
                "most")
    advice = "Merge {parent} into its own parent first."


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


def check_parent(header: SparseHeader, child: Footer, parent: Footer, parent_path: Path, *, where: str) -> None:
    """That the parent is the one, as it was. Raises VhdParentChanged."""
    why, copied = None, ""
    if parent.unique_id != header.parent_id:
        why = f"its unique id is {parent.unique_id.hex()}, not {header.parent_id.hex()}"
    elif parent.size != child.size:
        why = f"it has {parent.size:,} bytes, not {child.size:,}"
    elif header.parent_time:
        noted = to_unix_seconds(header.parent_time)
        with contextlib.suppress(OSError):
            changed = parent_path.stat().st_mtime_ns
            # The specification says the time at which the file was changed. Some programs write the footer's, when it
            # was made; that it was not changed since the child was is all that can be told of it then.
            if not _is_from(changed, noted) and (
                    header.parent_time != parent.time
                    or changed > to_unix_seconds(child.time) * _SECOND + _CLOCK_STEP):
                why = "it was changed since, as its time tells"
                copied = (f"If it was only copied, copy it again with its times (cp -p); if that one is gone and "
                          f"you are sure that no byte is another: touch -d @{noted} {shlex.quote(str(parent_path))}")
    if why is not None:
        raise VhdParentChanged(where=where, parent=parent_path, why=why, copied=copied)


def _is_from(changed: int, noted: int) -> bool:
    """Whether a file's time of change, in nanoseconds, is that of so many seconds, rounded up or down, or as FAT does.
    """
    off = abs(changed - noted * _SECOND)
    return off < _SECOND or (changed % _CLOCK_STEP == 0 and off <= _CLOCK_STEP)
