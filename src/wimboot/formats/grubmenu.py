"""grub4dos' menu.lst: the entry that loads a disk image into memory, and putting it into a menu once.

Source: grub4dos 0.4.6a and for UEFI, their README and change log. The menu is UTF-8; an entry goes from `title` to the
next one; spaces in paths are escaped.

    find --set-root --ignore-floppies --ignore-cd PATH      the partition that has the image becomes the root
    map --mem --top PATH (hd0)                              into memory, from its top down, as the first disk
    map --top --mem=-N PATH (hd0)                           the same, a disk of N sectors where the image has fewer
    map (hd0) (hd1)                                         the first disk becomes the second
    map --hook                                              from here on
    dd if=(hd0,0)+1 of=(hd0)L+1                             then the volume's boot sector is copied to its last, L
    root (hd0,0); chainloader /bootmgr                      Windows' boot manager, from the image

What 0.4.6a says of N (stage2/builtins.c, map_func, February 2024, and its README): memory for N sectors is set aside,
the image's bytes are read into its beginning, the rest is left as it is, and the disk has N sectors. Without it there
are as many as the image or its partition table says, whichever are more. For UEFI (branch efi) N sectors are set aside
as well, but the firmware is told the size of the image (disk_io.c, last_block): there an image has its whole disk.
"""

from __future__ import annotations

import re
from enum import Enum
from itertools import pairwise
from typing import Final

from wimboot.errors import FormatError
from wimboot.frozen import Frozen

__all__ = ["MAX_MENU_SIZE", "Larger", "MenuEntry", "MenuKind", "image_entry", "put_entry"]

MAX_MENU_SIZE: Final = 1 << 20
_TITLE: Final = re.compile(r"^\s*(?:title|iftitle)(?:\s|$)", re.IGNORECASE)
_COMMENT: Final = re.compile(r"^\s*(?:#.*)?$")
_LINES: Final = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_BOM: Final = "\ufeff"
_NEW: Final = ("timeout 10", "default 0", "")


class MenuKind(Enum):
    """By what the image is found again when Windows runs, and what starts it."""

    BIOS = "bios"               # SVBus, FiraDisk, WinVBlock: they find grub4dos' own map
    UEFI = "uefi"               # grub4dos for UEFI, SVBus


class Larger(Frozen):
    """A disk that is larger than its image: how many sectors it has, and which of them is its volume's last one."""

    sectors: int
    last: int


class MenuEntry(Frozen):
    """An entry for the image at `path` (with /, from the root of its partition). `title` None leaves the one there is,
    else `new_title`.
    """

    path: str
    commands: tuple[str, ...]
    title: str | None
    new_title: str

    def lines(self, title: str | None = None) -> tuple[str, ...]:
        """All lines."""
        return (f"title {title or self.title or self.new_title}", *self.commands)


def image_entry(path: str, kind: MenuKind, *, title: str | None, new_title: str,
                larger: Larger | None = None) -> MenuEntry:
    """The entry for an image; `larger`: of a disk of which it has the beginning, never for UEFI."""
    name = _escaped(path)
    memory = "--mem --top" if larger is None else f"--top --mem=-{larger.sectors}"
    find = f"find --set-root --ignore-floppies --ignore-cd {name}"
    if kind is MenuKind.UEFI:
        commands = (find, f"map --mem --top {name} (hd)", "chainloader (hd-1)", "boot")
    else:
        commands = (
            find,
            f"map {memory} {name} (hd0)",
            "map (hd0) (hd1)",
            "map --hook",
            *(() if larger is None else (f"dd if=(hd0,0)+1 of=(hd0){larger.last}+1",)),
            "root (hd0,0)",
            "chainloader /bootmgr",
            "boot",
        )
    return MenuEntry(path=path, commands=commands, title=title, new_title=new_title)


def put_entry(menu: bytes | None, entry: MenuEntry) -> bytes:
    """The menu with the entry in it, in the place of one for the same image, else at its end; None: a new menu.

    What says the same already stays to the byte. Raises FormatError where the menu is no UTF-8 text.
    """
    if menu is None:
        return "".join(line + "\r\n" for line in (*_NEW, *entry.lines())).encode()
    try:
        text = menu.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("menu.lst", error.start, "it is no UTF-8 text") from error
    if "\0" in text:
        raise FormatError("menu.lst", text.index("\0"), "it is no text")
    lines = [line for line in _LINES.split(text) if line]
    newline = "\r\n" if "\r\n" in text or not text else "\n"
    start, end = _find(lines, entry.path)
    old = [line.strip("\r\n") for line in lines[start:end]]
    there = re.sub(r"^\S+\s*", "", old[0].strip().lstrip(_BOM)) if old else None
    new = entry.lines(there if entry.title is None else None)
    if [line.strip() for line in old] == list(new):
        return menu
    if not old and lines:
        if not lines[-1].endswith(("\r", "\n")):
            lines[-1] += newline
        new = (*(("",) if lines[-1].strip() else ()), *new)
        end = start = len(lines)
    mark = _BOM if old and lines[start].startswith(_BOM) else ""
    return "".join((*lines[:start], mark, *(line + newline for line in new), *lines[end:])).encode()


def _find(lines: list[str], path: str) -> tuple[int, int]:
    """The lines of the entry for an image, blank ones and comments behind it not counted; an empty range for none."""
    starts = [number for number, line in enumerate(lines) if _TITLE.match(line.lstrip(_BOM))]
    maps = re.compile(rf"^\s*map\s(?:.*\s)?{re.escape(_escaped(path))}\s+\(hd", re.IGNORECASE)
    for start, end in pairwise((*starts, len(lines))):
        if any(maps.match(line) for line in lines[start:end]):
            while _COMMENT.match(lines[end - 1].strip("\r\n")):
                end -= 1
            return start, end
    return len(lines), len(lines)


def _escaped(path: str) -> str:
    return path.replace(" ", "\\ ")
