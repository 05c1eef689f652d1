r"""Editing a hive where it lies on a volume: `with edit(volume, path) as editing: editing.root.ensure(...).set(...)`.

Inside the volume's transaction, so nothing of it lasts before the commit:

    1. the logs beside the hive are applied to a copy of it in memory (`formats.reglog`), which is edited there
    2. the edited hive is opened again, and the keys that were edited are compared
    3. it replaces the file's data: name, attributes, times, security and links stay, and what NTFS keeps compressed or
       sparse stays so
    4. its logs are emptied: what they held is in the hive, and Windows would apply them again
    5. what lies on the volume now is read back and compared

An edit that changes nothing writes nothing, and leaves the logs as they are. The logs of transactions (.blf,
.regtrans-ms) stay: they hold none of the hive's pages.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from wimboot.errors import Damaged, Internal, Refused
from wimboot.formats.regf import HEADER_SIZE, BaseBlock
from wimboot.registry.files import LOG_SUFFIXES, load
from wimboot.registry.hive import Hive, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wimboot.storage import Data

__all__ = ["Editing", "HiveMissing", "HiveTooLarge", "HiveUnusable", "edit"]

MAX_EDITED_SIZE: Final = 256 << 20
"""Of the hives that are edited SYSTEM is the largest, with 10 to 40 MB on real systems; Windows' loader has to read it
into the memory that it has."""


class HiveMissing(Refused):
    """There is no hive to be edited."""

    id = "registry-missing"
    sentence = "{where} has no registry hive {path}"
    advice = "Without it no Windows starts: restore it, or name the volume that holds the system."


class HiveUnusable(Damaged):
    """A hive that cannot be read or edited safely."""

    id = "registry-unusable"
    sentence = "the registry hive {path} of {where} cannot be edited: {problem}"
    advice = "Start this Windows once, or restore the hive; chkdsk shows whether the volume itself is damaged."


class HiveTooLarge(Refused):
    """A hive larger than any that Windows could start from."""

    id = "registry-too-large"
    sentence = "the registry hive {path} of {where} has over {limit} bytes, more than a Windows starts with"
    advice = "Start this Windows and compact its registry, or look at what filled it."


class HiveVolume(Protocol):
    """What is needed of a volume that is open to be written."""

    @property
    def where(self) -> str:
        """What it is called."""

    def open_path(self, path: str) -> int | None:
        """The file at a path."""

    def read(self, file_id: int, name: bytes = b"", offset: int = 0, size: int = -1) -> bytes:
        """Bytes of a stream."""

    def write_data(self, file_id: int, name: bytes, parts: Iterable[Data], size: int, *, as_before: bool) -> None:
        """Replace a stream; `as_before` it stays compressed or sparse."""


class Editing:
    """A hive being edited; `changed` tells after it was left whether anything was written."""

    def __init__(self, root: Node) -> None:
        self.root = root
        self.changed = False


@contextmanager
def edit(volume: HiveVolume, path: str) -> Iterator[Editing]:
    """Edit the hive at a path. An exception inside leaves everything as it was.

    Raises:
        HiveMissing, HiveTooLarge, LogsUnusable, HiveUnusable: nothing was written.
        HiveHostError: there is no memory for it.
        what the volume raises, its transaction has to be dropped then.
    """
    file_id = volume.open_path(path)
    if file_id is None:
        raise HiveMissing(where=volume.where, path=path)
    logs = {suffix: log for suffix in LOG_SUFFIXES if (log := volume.open_path(path + suffix)) is not None}
    try:
        with Hive(_loaded(volume, path)) as hive:
            editing = Editing(hive.root)
            yield editing
            data = hive.commit() if hive.edited else None
            if data is not None:
                _check(hive, data, path)
    except Damaged as error:
        if isinstance(error, HiveUnusable):
            raise
        raise HiveUnusable(where=volume.where, path=path, problem=str(error)) from error
    if data is not None:
        _write(volume, file_id, list(logs.values()), data)
        editing.changed = True


def _loaded(volume: HiveVolume, path: str) -> bytes:
    """The hive with its logs applied."""
    def read(name: str) -> bytes | None:
        file_id = volume.open_path(name)
        if file_id is None:
            return None
        data = volume.read(file_id, b"", 0, MAX_EDITED_SIZE + 1)
        if len(data) > MAX_EDITED_SIZE:
            raise HiveTooLarge(where=volume.where, path=name, limit=MAX_EDITED_SIZE)
        return data

    replayed = load(read, path)
    if replayed is None:
        raise HiveMissing(where=volume.where, path=path)
    if len(replayed.data) > MAX_EDITED_SIZE:
        raise HiveTooLarge(where=volume.where, path=path, limit=MAX_EDITED_SIZE)
    return replayed.data


def _check(hive: Hive, data: bytes, path: str) -> None:
    """Open what would be written and compare what was edited. Raises Internal."""
    block = BaseBlock.parse(data[:HEADER_SIZE])
    if block.dirty or not block.sound:
        raise Internal(what=f"the edited hive {path} has a base block that is not sound")
    with Hive(data) as written:
        for place in sorted(hive.touched):
            if _told(Node(hive, place)) != _told(Node(written, place)):
                raise Internal(what=f"the edited hive {path} does not hold what was written into it")


def _told(key: Node) -> tuple[str, list[tuple[str, object]], list[str]]:
    return key.name, list(key.values()), [child.name for child in key.children()]


def _write(volume: HiveVolume, file_id: int, logs: list[int], data: bytes) -> None:
    """Replace the hive, empty its logs, and see that it is so. Raises Internal."""
    volume.write_data(file_id, b"", iter((data,)), len(data), as_before=True)
    for log in logs:
        if volume.read(log, b"", 0, 1):
            volume.write_data(log, b"", iter(()), 0, as_before=True)
    if volume.read(file_id) != data or any(volume.read(log) for log in logs):
        raise Internal(what="a registry hive that was written reads back as something else")
