"""What `wimboot space` tells people: a table for each WIM with the volumes on it, then what has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.cli import show
from wimboot.cli.english import singular
from wimboot.errors import advice
from wimboot.formats.guid import guid_text
from wimboot.windows.wimplace import told_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wimboot.ops.measuring.figures import DiskFigures, Other, RealFiles, Share, VolumeFigures, WimFigures
    from wimboot.ops.space import Space

__all__ = ["tell", "windows_name"]

_MOST_OTHERS = 20
_STATES = {
    "hibernated": "Windows is hibernated, or was shut down by Fast Startup",
    "log-not-clean": "Windows did not write its changes to the end",
    "volume-dirty": "the volume is marked for a check",
}
_FREE = "Nothing keeps it real: the next conversion or update makes it a pointer."
_COLUMNS = [
    ("volume", "left"), ("Windows", "left"), ("as seen", "right"), ("on the volume", "right"), ("on the host", "right"),
    ("started", "right"), ("in the WIM", "right"), ("only its own", "right"),
]


def tell(found: Space) -> None:
    """All of it."""
    if not (found.disks or found.wims or found.others):
        show.say("No disk, no VHD and no WIM was found.")
        return
    page = _Page(found)
    for wim in found.wims:
        _wim(wim, found, page)
    _homeless(found, page)
    _ordinary(found, page)
    bare = [disk for disk in found.disks if not any(volume.disk == disk.path for volume in found.volumes)]
    if bare:
        page.heading("disks without an NTFS volume that can be read")
        show.table([("disk", "left"), ("what it is", "left"), ("on the host", "right")],
                   [(show.plain(disk.path), _what(disk), _size(disk.occupied)) for disk in bare])
    if any(volume.start is not None and volume.start.expands and volume.start.claims for volume in found.volumes):
        show.say("\nstarted: Windows makes a VHD as large as its disk when it starts from it, and does not start where "
                 "the host\nhas no room for that; VirtualDiskExpandOnMount = 4 in its registry leaves the VHD as it "
                 "is.")
    for volume in found.volumes:
        _remarks(volume, page.disks[volume.disk])
    for volume in found.volumes:
        if volume.real is not None:
            _real(volume, volume.real, page)
    _others(found.others, page)
    grown = "" if found.at_most == found.taken else f"; {show.size(found.at_most)} once every disk has its full size"
    seen, taken = show.size(found.seen), show.size(found.taken)
    show.say(f"\nall together: {seen} as Windows sees it, {taken} on the host{grown}")


class _Page:
    """What is told so far: a blank line lies between headings, and a file of the host is told with one of its volumes.
    """

    def __init__(self, found: Space) -> None:
        self.disks = {disk.path: disk for disk in found.disks}
        self._first: dict[Path, VolumeFigures] = {}
        for volume in found.volumes:
            self._first.setdefault(volume.disk, volume)
        self._begun = False

    def heading(self, text: str) -> None:
        """Begin something new."""
        show.say(f"\n{text}" if self._begun else text)
        self._begun = True

    def on_host(self, volume: VolumeFigures) -> str:
        """What the file takes, once."""
        occupied, first = self.disks[volume.disk].occupied, self._first[volume.disk]
        return _size(occupied) if occupied is None or volume.where == first.where else f"with #{first.partition}"


def windows_name(volume: VolumeFigures) -> str:
    """The system in short: "Windows 7 Ultimate x86"."""
    system = volume.system
    if system is None:
        return "no Windows"
    architecture = "" if system.architecture is None else f" {system.architecture.value}"
    return (system.product or f"Windows {system.version}") + architecture


def _wim(wim: WimFigures, found: Space, page: _Page) -> None:
    if wim.blobs is None:
        page.heading(f"{show.plain(wim.path)}: could not be read: {wim.problem}")
        return
    images = f"{len(wim.images):,} images"
    of = "" if wim.copy_of is None else (
        f"; {'a copy' if wim.same_blobs else 'another state'} of {show.plain(wim.copy_of)}")
    page.heading(f"{show.plain(wim.path)}: {show.size(wim.size)}, {images}, {wim.compression}{of}")
    rows = [_row(volume, share, page) for volume in found.volumes for share in volume.shares
            if share.wim is not None and share.blobs is not None and volume.where in wim.users
            and _same(share, wim)]
    if rows:
        _volumes(rows)
    for line in _saved(wim):
        show.say(f"  {line}")
    if wim.problem:
        show.say(f"  {wim.problem}")


def _same(share: Share, wim: WimFigures) -> bool:
    return share.guid == wim.guid and wim.copy_of is None


def _saved(wim: WimFigures) -> Iterable[str]:
    if wim.solid:
        yield "its blobs are compressed together, so what each one takes cannot be told"
        return
    saved = [f"{show.size(size)} between the {what}" for size, what, number in (
        (wim.between_volumes, "volumes", len(wim.users)), (wim.between_images, "images", len(wim.images)))
        if size is not None and number > 1]
    if saved:
        yield f"sharing saves {', '.join(saved)}"
    if wim.unused is not None and wim.unused.count:
        yield f"{show.size(wim.unused.in_wim)} belong to no image"


def _homeless(found: Space, page: _Page) -> None:
    """Volumes whose WIM was not found, or cannot be read, by that WIM."""
    groups: dict[bytes, list[tuple[VolumeFigures, Share]]] = {}
    for volume in found.volumes:
        for share in volume.shares:
            if share.blobs is None and share.pointers:
                groups.setdefault(share.guid, []).append((volume, share))
    for guid, users in groups.items():
        first = users[0][1]
        what = f"cannot be read: {first.problem}" if first.wim is not None else "was not found"
        page.heading(f"the WIM {{{guid_text(guid)}}}, {show.plain(told_place(first.place, 'registered at'))}, {what}")
        _volumes([_row(volume, share, page) for volume, share in users])


def _ordinary(found: Space, page: _Page) -> None:
    rows = [_row(volume, None, page) for volume in found.volumes
            if not any(share.pointers for share in volume.shares)]
    if rows:
        page.heading("volumes of ordinary files")
        _volumes(rows)


def _row(volume: VolumeFigures, share: Share | None, page: _Page) -> tuple[str, ...]:
    started = "" if volume.start is None else _size(volume.start.takes)
    needs = ("", "") if share is None else ("?", "?") if share.blobs is None or share.alone is None else (
        show.size(share.blobs.in_wim), show.size(share.alone.in_wim))
    return (show.plain(volume.where), show.plain(windows_name(volume)), show.size(volume.seen),
            show.size(volume.used), page.on_host(volume), started, *needs)


def _volumes(rows: Sequence[Sequence[str]]) -> None:
    used = [number for number in range(len(_COLUMNS)) if any(row[number] for row in rows)]
    show.table([_COLUMNS[number] for number in used], [[row[number] for number in used] for row in rows])


def _remarks(volume: VolumeFigures, disk: DiskFigures) -> None:
    where = show.plain(volume.where)
    start = volume.start
    if volume.state is not None:
        show.say(f"{where}: {_STATES[volume.state]}; what Windows had not written yet is not counted.")
    if start is not None and disk.free is not None and (start.claims or 0) > disk.free:
        show.say(f"{where}: NO ROOM: started, it takes {show.size(start.claims or 0)} more, and {show.size(disk.free)} "
                 "are free beside it.")
    if start is not None and start.problem:
        show.say(f"{where}: whether Windows makes this VHD larger could not be read: {start.problem}")
    missing = sum(share.missing for share in volume.shares)
    if missing:
        show.say(advice("{where}: {missing:,} pointers without data in the WIM; `wimboot verify {where}` names them.",
                        where=where, missing=missing))
    if volume.unregistered:
        show.say(f"{where}: {volume.unregistered:,} pointers into WIMs that the volume does not name.")
    if volume.problem:
        show.say(f"{where}: {volume.problem}")
    if disk.damage:
        show.say(f"{where}: {disk.damage}")


def _real(volume: VolumeFigures, groups: tuple[RealFiles, ...], page: _Page) -> None:
    files = f"{sum(group.files for group in groups):,} real files"
    occupied = show.size(sum(group.occupied for group in groups))
    page.heading(f"{show.plain(volume.where)}: {files} in {occupied}, and why")
    rows: list[tuple[str, ...]] = []
    for reason in dict.fromkeys(group.reason for group in groups):
        ours = [group for group in groups if group.reason is reason]
        sentence = _FREE if reason is None else reason.sentence
        rows.append(_group(sentence, ours, "" if ours[0].rule is not None else ours[0].largest))
        rows += (_group(f"  {group.rule}", [group], group.largest) for group in ours if group.rule is not None)
    show.table([("why", "left"), ("files", "right"), ("as seen", "right"), ("clusters", "right"),
                ("the largest", "left")], rows)


def _group(why: str, groups: Sequence[RealFiles], largest: str) -> tuple[str, ...]:
    return (why, f"{sum(group.files for group in groups):,}", show.size(sum(group.seen for group in groups)),
            show.size(sum(group.occupied for group in groups)), show.plain(largest))


def _others(others: Sequence[Other], page: _Page) -> None:
    if others:
        page.heading("not measured")
    for other in others[:_MOST_OTHERS]:
        show.say(f"  {show.plain(other.path)}: {other.what}: {other.why}")
    if len(others) > _MOST_OTHERS:
        show.say(f"  and {len(others) - _MOST_OTHERS:,} more (--json names them all)")


def _what(disk: DiskFigures) -> str:
    form = disk.form.upper() if disk.form != "raw" else "raw"
    if disk.table is None:
        inside = "" if disk.disk_size is None else f" of {show.size(disk.disk_size)}"
        return f"a disk{inside} in memory, compressed with {form}"
    table = {"none": "no partition table", "mbr": "MBR", "gpt": "GPT"}[disk.table.value]
    parts = f"{disk.partitions} partitions"
    return singular(f"{disk.kind} {form}, {table}, {parts}" if disk.kind else f"{form}, {table}, {parts}")


def _size(size: int | None) -> str:
    return "" if size is None else show.size(size)
