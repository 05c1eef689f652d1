"""The disks that this run has open, each once: what lies on one disk is changed in one transaction.

A verb's target and its WIM may lie on one volume, on two of one disk, or on two disks. Whoever opens a disk that is
open already shares its lock, its transaction and its mounted volumes; the last one to leave closes it. A volume is
mounted when it is first asked for, and again when it was unmounted in between, so nobody has to outlive anybody.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk import Recovered, Transaction, open_target, parse_place, peek, recover
from wimboot.disk.target import Locked
from wimboot.errors import Error, HostError, Internal
from wimboot.events import Emit, Note
from wimboot.ntfs import Volume, cluster_bitmap, volume_facts
from wimboot.storage import SliceDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wimboot.disk import StoreMark, Target
    from wimboot.ops.options import TargetOptions
    from wimboot.storage import Device
    from wimboot.wim import Append

__all__ = ["OpenDisk", "Slot", "find_disk", "finish_interrupted", "open_disk", "settle", "tell_of_footer"]

_VOLUME_IS_DIRTY = 1
_OPEN: list[OpenDisk] = []


class Slot:
    """A volume's place on an open disk, and the volume while it is mounted.

    `wims` are the paths of WIMs in it that this run uses.
    """

    def __init__(self, disk: OpenDisk, start: int, size: int, where: str) -> None:
        self.disk = disk
        self.start = start
        self.where = where
        self.device = SliceDevice(disk.device, start, size)
        self.wims: set[str] = set()
        self._volume: Volume | None = None
        self._write = False
        self._touched = False
        self._given_up = False

    @property
    def mounted(self) -> bool:
        """Whether there was a volume when it was last asked for."""
        return self._volume is not None

    def allow_writing(self, *, holds_volume: bool = True) -> None:
        """From now on it is mounted for writing. `holds_volume` False: its old contents are nobody's to tell."""
        if self._write:
            return
        self.close(discard=False)
        self._write = True
        if holds_volume:
            self._begin()

    def mount(self, *, inspect: bool = False) -> Volume:
        """Mount what the device holds now. Raises what Volume raises."""
        write = self._write and self.disk.writable
        self._volume = Volume(self.device, write=write, where=self.where, inspect=inspect)
        return self._volume

    def _begin(self) -> None:
        """Tell the transaction what is free, and what marks the volume while its pages are being copied."""
        transaction = self.disk.transaction
        if transaction is None:
            raise Internal(what="a volume that is only read was to be changed")
        facts = volume_facts(self.device)
        transaction.set_free(self.start, facts.cluster_size, cluster_bitmap(self.device), facts.total_clusters)
        dirty = (facts.flags | _VOLUME_IS_DIRTY).to_bytes(2, "little")
        for offset in facts.flags_offsets:
            transaction.guard(self.start + offset, dirty)

    def for_reading(self) -> Volume:
        """The volume, mounted again where it was closed meanwhile."""
        volume = self._volume
        return self.mount() if volume is None or volume.closed else volume

    def for_writing(self) -> Volume:
        """The same, about to be changed by a WIM that lies in it. Raises HostError where nothing can be any more."""
        if not (self._write and self.disk.writable) or self._given_up:
            raise HostError(what="changing", where=self.where, why="its transaction is over")
        self._touched = True
        return self.for_reading()

    def forget_cached(self, places: Iterable[tuple[int, int]]) -> None:
        """Make reads of these (byte on the volume, bytes) come from the disk, as far as the host lets us."""
        file = self.disk.target.file
        if self.disk.writable:
            file.sync()
        fileno = getattr(file, "fileno", None)
        if fileno is None:
            return
        for place, size in places:
            os.posix_fadvise(fileno(), self.start + place, size, os.POSIX_FADV_DONTNEED)

    def settle(self) -> None:
        """Hand the device what a WIM's growth left in the volume's cache, before others look at the device."""
        if self._touched and self._volume is not None:
            self._volume.close()
            self._touched = False

    def close(self, *, discard: bool) -> None:
        """Unmount; with `discard` nothing more is written."""
        if self._volume is None:
            return
        if discard:
            self._given_up = True
            self._volume.unmount(discard=True)
        else:
            self._volume.close()


class OpenDisk:
    """A target that is open and locked; `transaction` is None where it is only read."""

    def __init__(self, target: Target, transaction: Transaction | None) -> None:
        self.target = target
        self.transaction = transaction
        self.device: Device = target.disk if transaction is None else transaction.device
        self.users = 0
        self.appends: list[Append] = []
        self._slots: dict[int, Slot] = {}

    @property
    def writable(self) -> bool:
        """Whether it can still be changed."""
        return self.transaction is not None and self.transaction.is_open

    def slot(self, start: int, size: int, where: str) -> Slot:
        """The volume that begins at byte `start`."""
        if start not in self._slots:
            self._slots[start] = Slot(self, start, size, where)
        return self._slots[start]

    def settle(self) -> None:
        """Hand the transaction everything that was changed. Raises what unmounting does."""
        for slot in self._slots.values():
            slot.close(discard=False)

    def close(self, *, discard: bool) -> None:
        """Unmount what is mounted."""
        for slot in self._slots.values():
            if discard:
                with suppress(Error):
                    slot.close(discard=True)
            else:
                slot.close(discard=False)


def find_disk(place: str) -> OpenDisk | None:
    """The disk of that place, PATH or PATH#N, where this run has it open."""
    path = parse_place(place).path
    with suppress(OSError, RuntimeError):
        path = path.resolve()
    return next((disk for disk in _OPEN if disk.target.path == path), None)


def settle(transactions: Iterable[Transaction]) -> None:
    """Hand these transactions what volumes of their disks that are still mounted hold back."""
    for transaction in transactions:
        for disk in _OPEN:
            if disk.transaction is transaction:
                disk.settle()


@contextmanager
def open_disk(options: TargetOptions, emit: Emit, *, write: bool) -> Iterator[OpenDisk]:
    """The disk of a target, opened, or shared where it is open.

    Leaving without a commit changes nothing. Raises Locked where it is open only to be read and is to be written, and
    what opening, recovering and locking raise.
    """
    disk = find_disk(options.place)
    if disk is None:
        with _open_finished(options, emit, write=write) as target:
            tell_of_footer(target, emit)
            if not write:
                with _used(OpenDisk(target, None)) as disk:
                    yield disk
                return
            with (
                Transaction(target.file, target.folder, target.log_name, where=options.place,
                            disk=target.over) as transaction,
                _used(OpenDisk(target, transaction)) as disk,
            ):
                yield disk
        return
    if write and disk.transaction is None:
        raise Locked(where=options.place)
    with _used(disk):
        yield disk


def _open_finished(options: TargetOptions, emit: Emit, *, write: bool) -> Target:
    """The target, after what an interrupted run left beside it was finished or dropped."""
    opening = partial(open_target, parse_place(options.place), write=write, log_folder=options.log_folder,
                      opener=options.folders)
    target = opening()
    try:
        waits = peek(target.folder, target.log_name)
    except BaseException:
        target.close()
        raise
    if not waits:
        return target
    target.close()
    finish_interrupted(options, emit)
    return opening()


def tell_of_footer(target: Target, emit: Emit) -> None:
    """Say that one of a VHD's two footers is broken: the other one served. Raises what opening a VHD raises."""
    if target.vhd is not None and target.vhd.damage:
        emit(Note(id="vhd-footer", warning=True, text=(
            f"One of the two footers of {target.path} is broken ({target.vhd.damage}); the other one is sound. "
            "Whatever changes the disk mends it.")))


@contextmanager
def _used(disk: OpenDisk) -> Iterator[OpenDisk]:
    if disk not in _OPEN:
        _OPEN.append(disk)
    disk.users += 1
    failed = True
    try:
        yield disk
        failed = False
    finally:
        disk.users -= 1
        if not disk.users:
            _OPEN.remove(disk)
            disk.close(discard=failed or disk.writable)


def finish_interrupted(options: TargetOptions, emit: Emit, before: Callable[[Path], None] | None = None) -> Recovered:
    """Complete or drop what an interrupted run left beside the target; `before` is called with the WIM by which that is
    decided, if it is. Raises Refused where neither is safe.
    """
    from wimboot.ops.opening.storing import store_is  # the WIM that it looks at may lie on a disk too

    def is_there(mark: StoreMark) -> bool:
        if before is not None:
            before(Path(mark.place))
        return store_is(mark, options.folders, options.log_folder)

    place = parse_place(options.place)
    with open_target(place, write=False, log_folder=options.log_folder, opener=options.folders) as target:
        if not peek(target.folder, target.log_name):
            return Recovered.NOTHING
    with open_target(place, write=True, log_folder=options.log_folder, opener=options.folders) as target:
        found = recover(target.file, target.folder, target.log_name, where=options.place,
                        store_is=is_there)
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
