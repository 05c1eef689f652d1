"""Opening a volume: lock, finish what an interrupted run left, find the Windows on a disk, begin the transaction."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from wimboot.disk import DECIDED, NotADisk, PartitionNeeded, TableKind, parse_place, waiting_logs
from wimboot.errors import FormatError, Internal, Refused, UsageError
from wimboot.formats.ntfsboot import BootSector
from wimboot.ntfs import Volume, VolumeDirty, scan, volume_facts
from wimboot.ops.opening.disks import finish_interrupted, open_disk
from wimboot.ops.opening.meanwhile import Meanwhile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.disk import Target, Transaction
    from wimboot.events import Emit
    from wimboot.ntfs import VolumeFacts
    from wimboot.ops.opening.disks import OpenDisk, Slot
    from wimboot.ops.options import TargetOptions
    from wimboot.storage import SliceDevice
    from wimboot.tree import Tree

__all__ = [
    "LogNearby", "NoSuchPath", "NoVolume", "NoWindows", "Opened", "SeveralWindows", "finish_interrupted",
    "open_sibling", "open_volume", "refuse_changing", "refuse_dirty",
]


class NoVolume(UsageError):
    """A disk on which no NTFS volume was found."""

    id = "no-ntfs"
    sentence = "{where} has no NTFS partition"
    advice = "`wimboot info {where}` lists its partitions."


class NoWindows(Refused):
    """A volume or disk that holds no Windows."""

    id = "no-windows"
    sentence = "there is no Windows on {where}: \\Windows\\System32 has neither a SYSTEM hive nor a kernel"
    advice = "Name the partition that holds it (PATH#N); `wimboot info {where}` lists them."


class SeveralWindows(Refused):
    """A disk with more than one Windows, and no word which."""

    id = "several-windows"
    sentence = "{where} holds several Windows systems, on partitions {partitions}"
    advice = "Say which: {where}#{first}."


class NoSuchPath(UsageError):
    """A path that the volume does not have."""

    id = "no-such-path"
    sentence = "{where} has no {path}"
    advice = "Paths begin at the volume's root; case does not matter: \\Windows\\System32\\ntdll.dll."


class LogNearby(Refused):
    """A volume marked for a check, and the log of an interrupted run that may be why."""

    id = "log-nearby"
    sentence = "{where} is marked as needing a check, and logs of interrupted runs lie in {folder}: {logs}"
    advice = (
        "If one of them is of this volume, finish that run before anything else: wimboot recover {where} --log "
        "{folder}. A check by Windows (chkdsk /f) is for after that, or where none is."
    )


class Opened:
    """A volume that is open. `transaction` is None where it is only read; `start` is its first byte on the disk."""

    def __init__(self, options: TargetOptions, where: str, slot: Slot, *, write: bool) -> None:
        self.target = slot.disk.target
        self.options = options
        self.where = where
        self.start = slot.start
        self.device = slot.device
        self.transaction = slot.disk.transaction if write else None
        self.slot = slot
        slot.where = where
        self._facts: VolumeFacts | None = None
        self._tree: Tree | None = None
        self._ahead: Meanwhile[Tree] | None = None
        self._written_before = 0

    @property
    def mounted(self) -> bool:
        """Whether there is a volume, which a target about to be formatted need not have."""
        return self.slot.mounted

    @property
    def volume(self) -> Volume:
        """The mounted volume."""
        if not self.slot.mounted:
            raise NoVolume(where=self.where)
        return self.slot.for_reading()

    @property
    def writing(self) -> Transaction:
        """The transaction of a volume that is open for writing."""
        if self.transaction is None:
            raise Internal(what="a volume that is only read was to be changed")
        return self.transaction

    @property
    def facts(self) -> VolumeFacts:
        """What the volume says of itself."""
        if self._facts is None:
            self._facts = volume_facts(self.device)
        return self._facts

    @property
    def free_size(self) -> int:
        """Bytes free on the volume, fewer where the VHD around it has no room to grow so far."""
        free = self.volume.free_clusters * self.facts.cluster_size
        room = self.target.room
        return free if room is None else min(free, room)

    @property
    def tree(self) -> Tree:
        """The scan of the volume as it was when first asked for."""
        self.wait_for_scan()
        if self._tree is None:
            self.slot.settle()
            self._tree = scan(self.device)
        return self._tree

    def scan_ahead(self) -> None:
        """Begin the scan now, in a thread of its own; `tree` waits for it, and before that nothing must be written."""
        self._ahead = Meanwhile(partial(scan, self.device))
        self._written_before = self._written

    def wait_for_scan(self) -> None:
        """Until the volume may be written. Raises what the scan raised, Internal where it was written meanwhile."""
        if self._ahead is not None and self._tree is None:
            self._tree = self._ahead.result()
            if self._written != self._written_before:
                raise Internal(what="a volume was written while it was scanned")

    @property
    def _written(self) -> int:
        """Bytes that the transaction has taken so far."""
        return 0 if self.transaction is None else self.transaction.logged_bytes + self.transaction.straight_bytes

    def _wait(self) -> None:
        if self._ahead is not None:
            self._ahead.wait()

    def mount(self, *, inspect: bool = False) -> None:
        """Mount what the device holds now; with `inspect` also what Windows left unfinished.

        Raises what Volume raises.
        """
        self._wait()
        self._facts, self._tree, self._ahead = None, None, None
        self.slot.mount(inspect=inspect)

    def close(self, *, discard: bool) -> None:
        """Unmount; with `discard` nothing more is written."""
        self._wait()
        self.slot.close(discard=discard)


@contextmanager
def open_volume(
    options: TargetOptions, emit: Emit, *, write: bool, windows: bool = True, blank: bool = False,
    inspect: bool = False
) -> Iterator[Opened]:
    """The volume of a target.

    Args:
        options: which target, and where its transaction log lies.
        emit: told of an interrupted run that had to be finished first.
        write: begin a transaction; the caller commits it, leaving without that changes nothing.
        windows: the volume must hold a Windows.
        blank: it is about to be formatted, and need not hold a volume.
        inspect: it is only looked at, and may be hibernated or otherwise unfinished.

    Raises:
        Refused: no volume or Windows, several of them, mounted, hibernated, dirty, locked.
    """
    DECIDED.clear()
    with open_disk(options, emit, write=write) as disk:
        target = disk.target
        named = parse_place(options.place).partition
        partition = _choose_blank(target, named) if blank else _choose(disk, named, options.place, windows=windows)
        start, size = (0, target.disk.size()) if blank and partition is None else target.slice(partition)
        where = options.place if partition is None or "#" in options.place else f"{options.place}#{partition}"
        opened = Opened(options, where, disk.slot(start, size, where), write=write)
        with _mounted(opened, mount=not blank or _holds_volume(opened.device), inspect=inspect):
            yield opened


@contextmanager
def open_sibling(opened: Opened, partition: int) -> Iterator[Opened]:
    """The volume on another partition of a disk that is open, inside the same transaction. Raises NoPartition."""
    start, size = opened.target.slice(partition)
    where = f"{opened.target.place.path}#{partition}"
    slot = opened.slot.disk.slot(start, size, where)
    sibling = Opened(replace(opened.options, place=where), where, slot, write=opened.transaction is not None)
    with _mounted(sibling, mount=True, inspect=False):
        yield sibling


@contextmanager
def _mounted(opened: Opened, *, mount: bool, inspect: bool) -> Iterator[None]:
    if opened.transaction is not None:
        opened.slot.allow_writing(holds_volume=mount)
    if mount and not opened.mounted:
        try:
            opened.mount(inspect=inspect)
        except VolumeDirty:
            refuse_dirty(opened)
    if opened.options.dry_run and not inspect:
        refuse_changing(opened)
    try:
        yield
    except BaseException:
        opened.close(discard=True)
        raise
    opened.close(discard=False)


def refuse_changing(opened: Opened) -> None:
    """Refuse, of a volume that is open to be read, what opening it to be changed refuses.

    Raises LogNearby, VolumeDirty, and as `Target.refuse_writing`.
    """
    if opened.mounted and opened.facts.dirty:
        refuse_dirty(opened)
    opened.target.refuse_writing()


def refuse_dirty(opened: Opened) -> NoReturn:
    """A commit marks the volume while its pages are copied: the log of one that was cut short may lie nearby.

    Raises LogNearby, VolumeDirty.
    """
    options = opened.options
    beside = () if opened.target.is_device else (opened.target.path.parent,)
    for folder in dict.fromkeys((options.log_folder, options.wim_folder, *beside, Path.cwd())):
        found = [] if folder is None else waiting_logs(folder)
        logs = [log for log in found if not log.startswith(opened.target.log_name)]     # that is this run's own
        if logs:
            raise LogNearby(where=opened.where, folder=folder, logs=", ".join(logs))
    raise VolumeDirty(where=opened.where)


def _holds_volume(device: SliceDevice) -> bool:
    try:
        BootSector.parse(device.pread(0, 512))
    except FormatError:
        return False
    return True


def _choose_blank(target: Target, named: int | None) -> int | None:
    """What is to be formatted: the partition named, or a whole file that holds no partition table."""
    if named is not None:
        return named
    try:
        kind = target.table.kind
    except NotADisk:
        return None
    if kind is not TableKind.NONE:
        numbers = ", ".join(str(partition.number) for partition in target.partitions) or "none"
        raise PartitionNeeded(where=str(target.place.path), numbers=numbers)
    return None


def _choose(disk: OpenDisk, named: int | None, place: str, *, windows: bool) -> int | None:
    """The partition meant; None for a bare volume."""
    target = disk.target
    if named is not None or not target.partitions:
        if windows and not _has_windows(disk, named):
            raise NoWindows(where=place)
        return named
    candidates = [partition.number for partition in target.partitions if partition.ntfs]
    if not candidates:
        raise NoVolume(where=place)
    if len(candidates) == 1 and not windows:
        return candidates[0]
    found = [number for number in candidates if _has_windows(disk, number)]
    if not found:
        raise NoWindows(where=place)
    if len(found) > 1:
        raise SeveralWindows(where=place, partitions=", ".join(map(str, found)), first=found[0])
    return found[0]


def _has_windows(disk: OpenDisk, partition: int | None) -> bool:
    from wimboot.windows.identify import looks_like_windows  # what reads hives; where a partition is named, unneeded

    start, size = disk.target.slice(partition)
    slot = disk.slot(start, size, str(disk.target.path))
    if slot.mounted:
        volume = slot.for_reading()
        return looks_like_windows(lambda path: volume.open_path(path) is not None)
    with Volume(slot.device, write=False, where=str(disk.target.path), inspect=True) as volume:
        return looks_like_windows(lambda path: volume.open_path(path) is not None)
