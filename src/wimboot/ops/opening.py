"""Opening a volume: lock, finish what an interrupted run left, find the Windows on a disk, begin the transaction."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from wimboot.disk import (
    DECIDED,
    NotNtfs,
    PartitionNeeded,
    Recovered,
    TableKind,
    Transaction,
    open_target,
    parse_place,
    peek,
    recover,
)
from wimboot.errors import FormatError, Internal, Refused
from wimboot.events import Emit, Note
from wimboot.formats.ntfsboot import BootSector
from wimboot.ntfs import Volume, cluster_bitmap, scan, volume_facts
from wimboot.ops.storing import store_is
from wimboot.storage import FileDevice, SliceDevice
from wimboot.windows.identify import looks_like_windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.disk import Target
    from wimboot.ntfs import VolumeFacts
    from wimboot.ops.options import TargetOptions
    from wimboot.storage import Device
    from wimboot.tree import Tree

__all__ = ["NoVolume", "NoWindows", "Opened", "SeveralWindows", "finish_interrupted", "open_sibling", "open_volume"]

_VOLUME_IS_DIRTY = 1


class NoVolume(Refused):
    """A disk on which no NTFS volume was found."""

    id = "no-ntfs"
    sentence = "{where} has no NTFS partition"
    advice = "`wimboot info {where}` lists its partitions."


class NoWindows(Refused):
    """A volume or disk that holds no Windows."""

    id = "no-windows"
    sentence = "there is no Windows on {where}: \\Windows\\System32 has neither a SYSTEM hive nor a kernel"
    advice = "Name the partition that holds it (PATH#N); `wimboot info` lists them."


class SeveralWindows(Refused):
    """A disk with more than one Windows, and no word which."""

    id = "several-windows"
    sentence = "{where} holds several Windows systems, on partitions {partitions}"
    advice = "Say which: {where}#{first}."


class Opened:
    """A volume that is open. `transaction` is None where it is only read; `start` is its first byte on the disk."""

    def __init__(
        self,
        options: TargetOptions,
        target: Target,
        where: str,
        start: int,
        device: SliceDevice,
        transaction: Transaction | None,
    ) -> None:
        self.target = target
        self.options = options
        self.where = where
        self.start = start
        self.device = device
        self.transaction = transaction
        self._volume: Volume | None = None
        self._facts: VolumeFacts | None = None
        self._tree: Tree | None = None

    @property
    def mounted(self) -> bool:
        """Whether there is a volume, which a target about to be formatted need not have."""
        return self._volume is not None

    @property
    def volume(self) -> Volume:
        """The mounted volume."""
        if self._volume is None:
            raise NoVolume(where=self.where)
        return self._volume

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
    def tree(self) -> Tree:
        """The scan of the volume as it was when first asked for."""
        if self._tree is None:
            self._tree = scan(self.device)
        return self._tree

    def mount(self, *, inspect: bool = False) -> None:
        """Mount what the device holds now; with `inspect` also what Windows left unfinished.

        Raises what Volume raises.
        """
        self._facts, self._tree = None, None
        self._volume = Volume(self.device, write=self.transaction is not None, where=self.where, inspect=inspect)

    def close(self, *, discard: bool) -> None:
        """Unmount; with `discard` nothing more is written."""
        if self._volume is not None:
            if discard:
                self._volume.unmount(discard=True)
            else:
                self._volume.close()


def finish_interrupted(options: TargetOptions, emit: Emit) -> Recovered:
    """Complete or drop what an interrupted run left beside the target. Raises Refused where neither is safe."""
    place = parse_place(options.place)
    with open_target(place, write=False, log_folder=options.log_folder, opener=options.folders) as target:
        if not peek(target.folder, target.log_name):
            return Recovered.NOTHING
    with open_target(place, write=True, log_folder=options.log_folder, opener=options.folders) as target:
        found = recover(target.file, target.folder, target.log_name, where=options.place,
                        store_is=partial(store_is, folders=options.folders))
    if found is Recovered.COMPLETED:
        emit(
            Note(
                id="recovered",
                text=f"An earlier run on {options.place} had been interrupted after its commit; it has "
                "now been finished.",
                warning=True,
            )
        )
    elif found is Recovered.DROPPED:
        emit(
            Note(
                id="dropped",
                text=f"An earlier run on {options.place} had been interrupted before its commit; the "
                "volume is as it was before that run.",
                warning=True,
            )
        )
    return found


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
    finish_interrupted(options, emit)
    with ExitStack() as stack:
        target = stack.enter_context(
            open_target(parse_place(options.place), write=write, log_folder=options.log_folder,
                        opener=options.folders)
        )
        transaction = None
        if write:
            transaction = stack.enter_context(
                Transaction(target.file, target.folder, target.log_name, where=options.place)
            )
        base = FileDevice(target.file) if transaction is None else transaction.device
        partition = _choose_blank(target) if blank else _choose(target, base, options.place, windows=windows)
        start, size = (0, target.file.size()) if blank and partition is None else target.slice(partition)
        where = options.place if partition is None or "#" in options.place else f"{options.place}#{partition}"
        opened = Opened(options, target, where, start, SliceDevice(base, start, size), transaction)
        with _mounted(opened, mount=not blank or _holds_volume(opened.device), inspect=inspect):
            yield opened


@contextmanager
def open_sibling(opened: Opened, partition: int) -> Iterator[Opened]:
    """The volume on another partition of a disk that is open, inside the same transaction. Raises NoPartition."""
    start, size = opened.target.slice(partition)
    transaction = opened.transaction
    base = FileDevice(opened.target.file) if transaction is None else transaction.device
    where = f"{opened.target.place.path}#{partition}"
    options = replace(opened.options, place=where)
    sibling = Opened(options, opened.target, where, start, SliceDevice(base, start, size), transaction)
    with _mounted(sibling, mount=True, inspect=False):
        yield sibling


@contextmanager
def _mounted(opened: Opened, *, mount: bool, inspect: bool) -> Iterator[None]:
    if mount:
        if opened.transaction is not None:
            _begin(opened, opened.transaction)
        opened.mount(inspect=inspect)
    try:
        yield
    except BaseException:
        opened.close(discard=True)
        raise
    opened.close(discard=False)


def _begin(opened: Opened, transaction: Transaction) -> None:
    """Tell the transaction what is free, and what marks the volume while its pages are being copied."""
    facts = opened.facts
    transaction.set_free(opened.start, facts.cluster_size, cluster_bitmap(opened.device), facts.total_clusters)
    dirty = (facts.flags | _VOLUME_IS_DIRTY).to_bytes(2, "little")
    for offset in facts.flags_offsets:
        transaction.guard(opened.start + offset, dirty)


def _holds_volume(device: SliceDevice) -> bool:
    try:
        BootSector.parse(device.pread(0, 512))
    except FormatError:
        return False
    return True


def _choose_blank(target: Target) -> int | None:
    """What is to be formatted: the partition named, or a whole file that holds no partition table."""
    if target.partition is not None:
        return target.partition
    try:
        kind = target.table.kind
    except NotNtfs:
        return None
    if kind is not TableKind.NONE:
        numbers = ", ".join(str(partition.number) for partition in target.partitions) or "none"
        raise PartitionNeeded(where=str(target.place.path), numbers=numbers)
    return None


def _choose(target: Target, base: Device, place: str, *, windows: bool) -> int | None:
    """The partition meant; None for a bare volume."""
    if target.partition is not None or not target.partitions:
        if windows and not _has_windows(target, base, target.partition):
            raise NoWindows(where=place)
        return target.partition
    candidates = [partition.number for partition in target.partitions if partition.ntfs]
    if not candidates:
        raise NoVolume(where=place)
    if len(candidates) == 1 and not windows:
        return candidates[0]
    found = [number for number in candidates if _has_windows(target, base, number)]
    if not found:
        raise NoWindows(where=place)
    if len(found) > 1:
        raise SeveralWindows(where=place, partitions=", ".join(map(str, found)), first=found[0])
    return found[0]


def _has_windows(target: Target, base: Device, partition: int | None) -> bool:
    start, size = target.slice(partition)
    with Volume(SliceDevice(base, start, size), write=False, where=str(target.path), inspect=True) as volume:
        return looks_like_windows(lambda path: volume.open_path(path) is not None)
