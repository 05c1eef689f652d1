"""Giving a system what it needs, inside the transaction of its volume; and trying that out without writing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from wimboot.errors import Damaged, Internal
from wimboot.events import Note, Phase
from wimboot.formats.filetime import from_unix_ns
from wimboot.formats.names import encode_name
from wimboot.ops.preparing.preparation import change
from wimboot.registry.edit import edit
from wimboot.registry.files import CONFIG_FOLDER
from wimboot.tree import FileAttribute
from wimboot.windows.security import PROGRAM_FILE
from wimboot.windows.services import DRIVERS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wimboot.events import Emit
    from wimboot.ntfs import Volume
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.preparing.preparation import Preparation
    from wimboot.storage import Data
    from wimboot.windows.driverfile import Driver

__all__ = ["SYSTEM_HIVE", "NoDriversFolder", "prepare", "rehearse"]

SYSTEM_HIVE: Final = f"{CONFIG_FOLDER}\\SYSTEM"


class NoDriversFolder(Damaged):
    """A Windows without the folder of its drivers."""

    id = "no-drivers-folder"
    sentence = "{where} has no {path}, where a driver belongs"
    advice = "Name the volume that holds the system, or restore it first."


def prepare(opened: Opened, wish: Preparation, emit: Emit) -> bool:
    """Write what the system lacks of `wish`; whether anything had to be written. The volume is closed then, and what is
    asked of it next opens it again.

    Raises what `edit` and `change` raise, NoDriversFolder; nothing lasts unless the caller commits.
    """
    emit(Phase(name="prepare"))
    volume = opened.volume
    changed = wish.driver is not None and _put_driver(volume, wish.driver)
    with edit(volume, SYSTEM_HIVE) as editing:
        change(editing.root, wish)
    if wish.driver is not None and (changed or editing.changed):
        file, name = wish.driver.file, wish.driver.service.name
        emit(Note(id="driver-installed", text=f"{file.where}, version {file.version}, becomes the boot driver {name}."))
    if changed or editing.changed:
        opened.close(discard=False)
        opened.mount()      # whoever scans it sees what was written
    return changed or editing.changed


def _put_driver(volume: Volume, driver: Driver) -> bool:
    """Write a driver's file as a real one, where it is not there already. Raises NoDriversFolder."""
    folder = volume.open_path(DRIVERS_FOLDER)
    if folder is None or not volume.is_folder(folder):
        raise NoDriversFolder(where=volume.where, path=DRIVERS_FOLDER)
    data, path = driver.file.data, f"{DRIVERS_FOLDER}\\{driver.file_name}"
    file = volume.open_path(path)
    if file is None:
        now = from_unix_ns(time.time_ns())
        name = encode_name(driver.file_name)
        file = volume.create_file(folder, name, _short_name(driver.file_name), FileAttribute.ARCHIVE, (now, now, now),
                                  volume.security_id(PROGRAM_FILE))
    elif not volume.reparse_tag(file) and volume.read(file) == data:
        return False
    volume.write_data(file, b"", iter((data,)), len(data), as_before=True)
    if volume.read(file) != data:
        raise Internal(what=f"{path} reads back as something else")
    return True


def _short_name(name: str) -> bytes:
    """A name that is its own DOS name; none for a longer one: Windows needs none."""
    stem, _, extension = name.partition(".")
    fits = name.isascii() and 0 < len(stem) <= 8 and len(extension) <= 3 and "." not in extension and " " not in name
    return encode_name(name.upper()) if fits else b""


def rehearse(read: Callable[[str], bytes | None], wish: Preparation, *, where: str) -> bool:
    """Edit a copy in memory, to be refused now rather than later; whether anything would be written to the hive.

    `read` gives a file of the system by its path. Raises as `prepare`.
    """
    with edit(_Copy(read, where), SYSTEM_HIVE) as editing:
        change(editing.root, wish)
    return editing.changed


class _Copy:
    """Files of a system, in memory, as `edit` wants a volume."""

    def __init__(self, read: Callable[[str], bytes | None], where: str) -> None:
        self._read = read
        self._where = where
        self._files: list[bytes] = []
        self._numbers: dict[str, int] = {}

    @property
    def where(self) -> str:
        return self._where

    def open_path(self, path: str) -> int | None:
        if path not in self._numbers:
            data = self._read(path)
            if data is None:
                return None
            self._numbers[path] = len(self._files)
            self._files.append(data)
        return self._numbers[path]

    def read(self, file_id: int, name: bytes = b"", offset: int = 0, size: int = -1) -> bytes:
        data = self._files[file_id]
        if name:
            raise Internal(what="a named stream of a copy in memory was asked for")
        return data[offset:] if size < 0 else data[offset:offset + size]

    def write_data(self, file_id: int, name: bytes, parts: Iterable[Data], size: int, *,
                   as_before: bool) -> None:  # noqa: ARG002 - memory stores every file alike
        data = b"".join(bytes(part) for part in parts)
        if name or len(data) != size:
            raise Internal(what="a copy in memory was written in another size")
        self._files[file_id] = data
