r"""`PATH#N:/dir/file`, or `PATH:/dir/file` for a bare volume: a file inside a volume that is not mounted.

Such a text is kept in a Path, so that whoever names a WIM need not care where it lies; its folder is the same text
without the last part. A host folder whose name ends in a colon, where there is one, comes first. Backslashes behind the
colon mean the same as slashes.
"""

from __future__ import annotations

import os
from pathlib import Path

from wimboot.disk.target import Place, parse_place
from wimboot.errors import UsageError
from wimboot.formats.names import MAX_NAME_UNITS, NOT_IN_NAMES, encode_name, join_path, split_path
from wimboot.frozen import Frozen
from wimboot.storage.host import resolved

__all__ = ["BadInside", "Inside", "parse_inside"]



class BadInside(UsageError):
    """The path within the volume cannot be one."""

    id = "bad-inside-path"
    sentence = "{where} names no file of a volume: {why}"
    advice = "Give PATH#N:/dir/file.wim, the path from the volume's root on, without . or .. in it."


class Inside(Frozen):
    """A file or folder of a volume: the volume, and the names on the way from its root."""

    volume: Place
    parts: tuple[str, ...]

    @property
    def path(self) -> str:
        r"""Within the volume: `\dir\file`."""
        return join_path(self.parts)

    @property
    def parent(self) -> Inside:
        """The folder it lies in."""
        return Inside(volume=self.volume, parts=self.parts[:-1])

    def of(self, name: str) -> Inside:
        """A file in this folder."""
        return Inside(volume=self.volume, parts=(*self.parts, name))

    def real(self) -> Inside:
        """The same, the host's symbolic links followed. Raises HostError where they lead in a circle."""
        path = resolved(self.volume.path, str(self.volume))
        return Inside(volume=Place(path, self.volume.partition), parts=self.parts)

    def as_path(self) -> Path:
        """The text, as what names a WIM."""
        return Path(str(self))

    def __str__(self) -> str:
        return f"{self.volume}:/{'/'.join(self.parts)}"


def parse_inside(path: Path) -> Inside | None:
    """What a path means within a volume; None for a path of the host. Raises BadInside."""
    text = str(path)
    at = text.find(":")
    while at >= 0:
        head, tail = text[:at], text[at + 1:]
        if head and tail[:1] in ("", "/", "\\") and not os.path.lexists(text[:at + 1]):
            place = parse_place(head)
            if place.partition is not None or (place.path.exists() and not place.path.is_dir()):
                return Inside(volume=place, parts=_checked(tail, text))
        at = text.find(":", at + 1)
    return None


def _checked(path: str, text: str) -> tuple[str, ...]:
    parts = split_path(path)
    for part in parts:
        if part in (".", "..") or NOT_IN_NAMES & set(part) or part[-1] in " .":
            raise BadInside(where=text, why=f"{part!r} cannot be a name on it")
        if len(encode_name(part)) > 2 * MAX_NAME_UNITS:
            raise BadInside(where=text, why="a name is too long")
    return parts
