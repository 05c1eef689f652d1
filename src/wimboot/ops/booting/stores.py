r"""The boot configuration stores of a system partition: read with their logs, written once for all.

A store that is there is replayed before it is read. Its logs go when it is written: Windows could apply them again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.disk import parse_place
from wimboot.errors import FormatError
from wimboot.frozen import Frozen
from wimboot.ops.booting.systempartition import open_system_partition
from wimboot.registry.files import LOG_SUFFIXES, load
from wimboot.storage import host_error
from wimboot.windows.bcd import MAX_STORE_SIZE, NotAStore, Store
from wimboot.windows.bcdentries import Firmware

if TYPE_CHECKING:
    from collections.abc import Callable

    from wimboot.events import Emit
    from wimboot.ops.booting.systempartition import SystemPartition
    from wimboot.windows.bcd import BcdObject

__all__ = ["ListedStore", "list_stores", "logs_of", "read_store"]

_MAGIC: Final = b"regf"


class ListedStore(Frozen):
    """A store and what is in it. `firmware` is None for a file by itself."""

    where: str
    firmware: Firmware | None
    objects: tuple[BcdObject, ...]


def read_store(partition: SystemPartition, firmware: Firmware) -> bytes | None:
    """The store for that firmware, its logs applied; None where there is none. Raises NotAStore, LogsUnusable."""
    return _load(partition.read, firmware.store, f"{partition.where}:{firmware.store}")


def logs_of(partition: SystemPartition, firmware: Firmware) -> tuple[str, ...]:
    """The paths of the logs that lie beside it."""
    return tuple(firmware.store + suffix for suffix in LOG_SUFFIXES if partition.exists(firmware.store + suffix))


def list_stores(place: str, emit: Emit, *, log_folder: Path | None = None) -> tuple[ListedStore, ...]:
    """The stores of a system partition, or the one that a file of the host is; none where the partition has none.

    Raises NotAStore, LogsUnusable, and what opening a system partition raises.
    """
    path = parse_place(place).path
    if _is_hive(path):
        data = _load(_read_host, str(path), str(path))
        return () if data is None else (_listed(data, str(path), None),)
    with open_system_partition(place, emit, write=False, log_folder=log_folder) as partition:
        found = [(firmware, read_store(partition, firmware)) for firmware in Firmware]
        return tuple(_listed(data, f"{partition.where}:{firmware.store}", firmware)
                     for firmware, data in found if data is not None)


def _listed(data: bytes, where: str, firmware: Firmware | None) -> ListedStore:
    with Store(data, where=where) as store:
        return ListedStore(where=where, firmware=firmware, objects=store.objects())


def _load(read: Callable[[str], bytes | None], path: str, where: str) -> bytes | None:
    try:
        replayed = load(read, path)
    except FormatError as error:
        raise NotAStore(where=where, problem=str(error)) from error
    return None if replayed is None else replayed.data


def _is_hive(path: Path) -> bool:
    """Whether a file of the host begins as a registry hive does."""
    try:
        with path.open("rb") as file:
            return path.is_file() and file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def _read_host(name: str) -> bytes | None:
    path = Path(name)
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > MAX_STORE_SIZE:
            raise NotAStore(where=name, problem=f"it has {path.stat().st_size:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise host_error("reading", name, error) from error
