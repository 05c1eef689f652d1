"""What `wimboot space` found, as a picture: bars of one scale, a block a volume, the volumes of a WIM together.

An SVG that stands for itself: no fonts, scripts or files besides it. Its colours follow the reader's, light or dark,
where the viewer knows of that. Every bar carries its number: `data-what` is the key of the JSON document, `data-bytes`
the value.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from wimboot.cli import show
from wimboot.cli.english import singular
from wimboot.cli.spacetable import windows_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wimboot.ops.measuring.figures import DiskFigures, Share, VolumeFigures, WimFigures
    from wimboot.ops.space import Space

__all__ = ["draw"]

_WIDTH: Final = 960
_MARGIN: Final = 32
_BARS: Final = 200                  # where bars begin
_LONGEST: Final = 500               # of a bar; what it says stands behind it
_BAR: Final = 14
_STEP: Final = 22                   # from one bar to the next
_WIDE: Final = frozenset("WFA")
_STYLE: Final = """
svg { font-family: system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC",
  "WenQuanYi Micro Hei", sans-serif; font-size: 13px }
.page { fill: #ffffff } .text { fill: #1f2933 } .quiet { fill: #52606d } .rule { stroke: #cbd2d9 }
.title { font-size: 20px; font-weight: 600 } .head { font-size: 15px; font-weight: 600 } .name { font-weight: 600 }
.seen { fill: #829ab1 } .own { fill: #1d4ed8 } .shared { fill: #6d9df2 } .host { fill: #0f766e }
.named { fill: #52606d } .rest { fill: #b4c0cc }
.claim { fill: none; stroke: #0f766e; stroke-width: 1.5; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
.page { fill: #14181d } .text { fill: #e4e7eb } .quiet { fill: #a8b3bf } .rule { stroke: #3e4c59 }
.seen { fill: #7b8794 } .own { fill: #5b8def } .shared { fill: #a9c5fb } .host { fill: #2aa79b }
.named { fill: #a8b3bf } .rest { fill: #52606d }
.claim { stroke: #2aa79b }
}"""
_LEGEND: Final = (("seen", "as Windows sees it"), ("own", "in the WIM, only its own"), ("shared", "in the WIM, shared"),
                  ("host", "on the host"), ("claim", "when started"))


@dataclass(slots=True, kw_only=True)
class _Sheet:
    """What was drawn so far, down to `y`. `most` is the number of bytes that the longest bar stands for."""

    most: int
    folder: str
    y: float = 0
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, text: str, kind: str = "text", *, room: float = 0, end: bool = False) -> None:
        """A line of text; more than `room` points of it are cut, and then shown as a hint."""
        plain = show.plain(singular(text))
        shown = _cut(plain, room) if room else plain
        hint = "" if shown == plain else f"<title>{escape(plain)}</title>"
        anchor = ' text-anchor="end"' if end else ""
        self.parts.append(f'<text x="{x:g}" y="{self.y:g}" class="{kind}"{anchor}>{hint}{escape(shown)}</text>')

    def bar(self, kind: str, what: str, size: int, *, begin: int = 0) -> float:
        """A bar of `size` bytes that begins at `begin`; where it ends."""
        x, width = _BARS + self._length(begin), self._length(size)
        top = self.y - _BAR + 3
        self.parts.append(
            f'<rect x="{x:.2f}" y="{top:g}" width="{max(width, 1):.2f}" height="{_BAR}" rx="2" class="{kind}" '
            f'data-what="{what}" data-bytes="{size}"><title>{escape(show.size(size))}</title></rect>')
        return x + max(width, 1)

    def rule(self) -> None:
        """A line across."""
        end = _WIDTH - _MARGIN
        self.parts.append(f'<line x1="{_MARGIN}" y1="{self.y:g}" x2="{end}" y2="{self.y:g}" class="rule"/>')

    def _length(self, size: int) -> float:
        return size * _LONGEST / self.most

    def short(self, path: object) -> str:
        """A path without the folder that all have in common."""
        text = str(path)
        return text[len(self.folder):] if self.folder and text.startswith(self.folder) else text


def draw(found: Space) -> str:
    """The picture, an XML document."""
    disks = {disk.path: disk for disk in found.disks}
    sheet = _Sheet(most=_most(found), folder=_common_folder(found))
    _head(sheet, found)
    for wim in found.wims:
        users = [(volume, share) for volume in found.volumes for share in volume.shares
                 if share.blobs is not None and share.guid == wim.guid and volume.where in wim.users]
        if wim.blobs is not None and (users or wim.copy_of is None):
            _wim(sheet, wim)
            for volume, share in users:
                _volume(sheet, volume, disks[volume.disk], share)
    lost = [(volume, share) for volume in found.volumes for share in volume.shares
            if share.blobs is None and share.pointers]
    _others(sheet, "their WIM was not found, or cannot be read", lost, disks)
    plain = [(volume, None) for volume in found.volumes if not any(share.pointers for share in volume.shares)]
    _others(sheet, "ordinary files", plain, disks)
    return _document(sheet)


def _document(sheet: _Sheet) -> str:
    height = round(sheet.y + _MARGIN)
    return "\n".join([
        '<?xml version="1.0" encoding="UTF-8"?>',
        (f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
         f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="What Windows systems take">'),
        f"<style>{_STYLE}\n</style>",
        f'<rect width="{_WIDTH}" height="{height}" class="page"/>',
        *sheet.parts, "</svg>", ""])


def _head(sheet: _Sheet, found: Space) -> None:
    sheet.y = _MARGIN + 16
    sheet.text(_MARGIN, "What these systems take", "text title")
    sheet.y += 24
    grown = "" if found.at_most == found.taken else f", {show.size(found.at_most)} at most"
    seen, taken = show.size(found.seen), show.size(found.taken)
    sheet.text(_MARGIN, f"{seen} as Windows sees it, {taken} on the host{grown}", "quiet")
    sheet.y += 26
    x = float(_MARGIN)
    for kind, text in _LEGEND:
        sheet.parts.append(f'<rect x="{x:g}" y="{sheet.y - 10:g}" width="12" height="12" rx="2" class="{kind}"/>')
        sheet.text(x + 18, text, "quiet")
        x += 18 + _width(text) + 18


def _wim(sheet: _Sheet, wim: WimFigures) -> None:
    _section(sheet, f"{sheet.short(wim.path)}: {show.size(wim.size)}, {len(wim.images):,} images")
    saved = [f"{show.size(size)} between the {what}" for size, what, number in (
        (wim.between_volumes, "systems", len(wim.users)), (wim.between_images, "images", len(wim.images)))
        if size and number > 1]
    if saved:
        sheet.y += 20
        sheet.text(_MARGIN, f"sharing saves {', '.join(saved)}", "quiet")
    named = 0 if wim.named is None or wim.solid else min(wim.named.in_wim, wim.size)
    sheet.y += 28
    sheet.text(_MARGIN, "the WIM", "quiet")
    end = sheet.bar("named", "named_by_volumes.bytes_in_wim", named) if named else 0.0
    end = max(end, sheet.bar("rest", "other_bytes", wim.size - named, begin=named))
    sheet.text(end + 8, f"{show.size(wim.size)}" + (f", {show.size(named)} of it for these systems" if named else ""))


def _volume(sheet: _Sheet, volume: VolumeFigures, disk: DiskFigures, share: Share | None) -> None:
    sheet.y += 38
    name = windows_name(volume)
    sheet.text(_MARGIN, sheet.short(volume.where), "text name", room=_WIDTH - 3 * _MARGIN - _width(name))
    sheet.text(_WIDTH - _MARGIN, name, "quiet", end=True)
    _line(sheet, "as Windows sees it", ("seen", "virtual_bytes", volume.seen))
    if share is not None and share.blobs is not None and share.alone is not None:
        own, shared = share.alone.in_wim, share.blobs.in_wim - share.alone.in_wim
        sheet.y += _STEP
        sheet.text(_MARGIN, "in the WIM", "quiet")
        end = sheet.bar("own", "alone_bytes_in_wim", own) if own or not shared else 0.0
        if shared:
            end = sheet.bar("shared", "shared_bytes_in_wim", shared, begin=own)
        text = f", {show.size(shared) if own else 'all'} of it shared" if shared else ""
        sheet.text(end + 8, show.size(share.blobs.in_wim) + text)
    elif share is not None:
        sheet.y += _STEP
        sheet.text(_MARGIN, "in the WIM", "quiet")
        sheet.text(_BARS, f"not known: {share.pointers:,} pointers to a WIM that is not there", "quiet")
    if disk.occupied is not None:
        _host(sheet, volume, disk.occupied)


def _host(sheet: _Sheet, volume: VolumeFigures, occupied: int) -> None:
    takes = None if volume.start is None else volume.start.takes
    if takes is None or takes == occupied:
        _line(sheet, "on the host", ("host", "occupied_bytes", occupied))
        return
    sheet.y += _STEP
    sheet.text(_MARGIN, "on the host", "quiet")
    sheet.bar("host", "occupied_bytes", occupied)
    end = sheet.bar("claim", "start.host_bytes", takes)
    sheet.text(end + 8, f"{show.size(occupied)}, {show.size(takes)} when started")


def _line(sheet: _Sheet, label: str, bar: tuple[str, str, int]) -> None:
    sheet.y += _STEP
    sheet.text(_MARGIN, label, "quiet")
    sheet.text(sheet.bar(*bar) + 8, show.size(bar[2]))


def _others(sheet: _Sheet, title: str, volumes: Sequence[tuple[VolumeFigures, Share | None]],
            disks: dict[Path, DiskFigures]) -> None:
    if volumes:
        _section(sheet, title)
        sheet.y -= 8
    for volume, share in volumes:
        _volume(sheet, volume, disks[volume.disk], share)


def _section(sheet: _Sheet, title: str) -> None:
    sheet.y += 30
    sheet.rule()
    sheet.y += 28
    sheet.text(_MARGIN, title, "text head", room=(_WIDTH - 2 * _MARGIN) * 13 / 15)


def _most(found: Space) -> int:
    sizes = [volume.seen for volume in found.volumes] + [wim.size for wim in found.wims]
    sizes += [disk.occupied or 0 for disk in found.disks]
    sizes += [volume.start.takes or 0 for volume in found.volumes if volume.start is not None]
    return max([1, *sizes])


def _common_folder(found: Space) -> str:
    paths = [*(disk.path for disk in found.disks), *(wim.path for wim in found.wims)]
    try:
        folder = os.path.commonpath([path.parent for path in paths]) if paths else ""
    except ValueError:      # some are absolute, some are not
        return ""
    return folder.rstrip("/") + "/" if folder else ""


def _width(text: str) -> float:
    """Points that a text takes at 13 of them, about: signs of East Asia are as wide as high."""
    return sum(13 if unicodedata.east_asian_width(letter) in _WIDE else 7 for letter in text)


def _cut(text: str, room: float) -> str:
    """As much of the end of a text as there is room for."""
    if _width(text) <= room:
        return text
    kept, width = 0, 13.0
    for letter in reversed(text):
        width += _width(letter)
        if width > room:
            break
        kept += 1
    return "\u2026" + text[len(text) - kept:]
