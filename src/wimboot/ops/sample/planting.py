"""Files and folders by path on a volume that is being filled: security, times and short names as Windows gives them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wimboot.formats.names import encode_name
from wimboot.ntfs.volume import ROOT
from wimboot.tree import FileAttribute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from wimboot.ntfs import Volume

__all__ = ["INSTALLED", "Planter"]

INSTALLED = 0x01D7_0000_0000_0000
"""The time of installation, February 2021, in 100 ns since 1601."""

SPREAD = 1 << 43
FULL, READ = 0x1F01FF, 0x1200A9
SYSTEM, ADMINISTRATORS, USERS = (5, 18), (5, 32, 544), (5, 32, 545)
INSTALLER = (5, 80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464)
PERSON = (5, 21, 1004336348, 1177238915, 682003330, 1000)
INHERITED_ENTRY, AUTO_INHERITED, PROTECTED = 0x10, 0x8404, 0x9004


class Planter:
    """Plants files on `volume`; folders appear as they are needed."""

    def __init__(self, volume: Volume, chance: Random) -> None:
        self.volume, self.chance = volume, chance
        self.count = 0
        self._folders: dict[str, int] = {"": ROOT}
        self._shorts: set[tuple[int, str]] = set()
        self._security = {name: volume.security_id(value) for name, value in _descriptors().items()}

    def folder(self, path: str, attributes: int = 0) -> int:
        """The folder at `path` (with `/`), made with those above it where it is missing."""
        if path not in self._folders:
            above, _, name = path.rpartition("/")
            parent = self.folder(above)
            self._folders[path] = self.volume.create_folder(
                parent, encode_name(name), self._short(parent, name), attributes, self._times(), self._security_of(path)
            )
        return self._folders[path]

    def file(
        self,
        path: str,
        data: bytes,
        *,
        attributes: int = FileAttribute.ARCHIVE,
        compressed: bool = False,
        sparse: bool = False,
        streams: Mapping[str, bytes] | None = None,
    ) -> int:
        """A file with its streams."""
        above, _, name = path.rpartition("/")
        parent = self.folder(above)
        made = self.volume.create_file(
            parent, encode_name(name), self._short(parent, name), attributes, self._times(), self._security_of(path)
        )
        if data:
            self.write(made, "", data, compressed=compressed, sparse=sparse)
        for stream, value in (streams or {}).items():
            self.write(made, stream, value)
        self.count += 1
        return made

    def write(self, file: int, stream: str, data: bytes, *, compressed: bool = False, sparse: bool = False) -> None:
        """Write a stream of a file or folder."""
        name = encode_name(stream)
        self.volume.write_data(file, name, iter((data,)), len(data), sparse=sparse, compressed=compressed)

    def link(self, file: int, path: str) -> None:
        """Another name of a file."""
        above, _, name = path.rpartition("/")
        self.volume.link(file, self.folder(above), encode_name(name))

    def _times(self) -> tuple[int, int, int]:
        creation = INSTALLED + self.chance.randrange(SPREAD)
        write = creation + self.chance.randrange(SPREAD)
        return creation, write, write + self.chance.randrange(SPREAD)

    def _security_of(self, path: str) -> int:
        kind = "person" if path.startswith("Users/") else "installer" if path.startswith("Windows") else "shared"
        return self._security[kind]

    def _short(self, parent: int, name: str) -> bytes:
        """The DOS name that Windows would have made, none for what is not ASCII."""
        if not name.isascii():
            return b""
        stem, dot, extension = name.rpartition(".") if "." in name[1:] else (name, "", "")
        clean = "".join(letter for letter in stem if letter.isalnum() or letter in "-_").upper()
        kept = extension[:3].upper()
        short = f"{clean}{dot}{kept}"
        if short != name.upper() or len(clean) > 8:
            number = 1
            while (parent, short := f"{clean[:6]}~{number}{dot}{kept}") in self._shorts and number < 9:
                number += 1
        if (parent, short) in self._shorts:
            return b""
        self._shorts.add((parent, short))
        return encode_name(short)


def _descriptors() -> dict[str, bytes]:
    return {
        "installer": _descriptor(
            INSTALLER, PROTECTED, 0, (INSTALLER, FULL), (SYSTEM, READ), (ADMINISTRATORS, READ), (USERS, READ)
        ),
        "shared": _descriptor(
            SYSTEM, AUTO_INHERITED, INHERITED_ENTRY, (SYSTEM, FULL), (ADMINISTRATORS, FULL), (USERS, READ)
        ),
        "person": _descriptor(
            PERSON, AUTO_INHERITED, INHERITED_ENTRY, (SYSTEM, FULL), (ADMINISTRATORS, FULL), (PERSON, FULL)
        ),
    }


def _descriptor(owner: tuple[int, ...], control: int, flags: int, *entries: tuple[tuple[int, ...], int]) -> bytes:
    """A self-relative descriptor ([MS-DTYP] 2.4.6): the owner is the group too."""
    packed = b"".join(struct.pack("<BBHI", 0, flags, 8 + len(_sid(who)), mask) + _sid(who) for who, mask in entries)
    access = struct.pack("<BBHHH", 2, 0, 8 + len(packed), len(entries), 0) + packed
    who = _sid(owner)
    return struct.pack("<BBHIIII", 1, 0, control, 20, 20 + len(who), 0, 20 + 2 * len(who)) + who + who + access


def _sid(parts: tuple[int, ...]) -> bytes:
    return struct.pack(">BBHI", 1, len(parts) - 1, 0, parts[0]) + struct.pack(f"<{len(parts) - 1}I", *parts[1:])
