"""A VHD: the disk inside a file, and the file of its parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wimboot.disk._vhd import SparseDisk
from wimboot.disk.mounts import HOST, Host
from wimboot.disk.vhdchain import VhdChainTooLong, VhdParentMissing, check_parent, find_parent
from wimboot.disk.vhdchildren import refuse_children
from wimboot.disk.vhdlayout import Layout, read_layout
from wimboot.formats.vhdfooter import DiskType
from wimboot.formats.vhdsparse import UNUSED, bitmap_size
from wimboot.storage import HostFolder, SliceDevice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wimboot.storage import Device, File, Folder

__all__ = ["Parent", "Vhd", "open_vhd"]


class Parent(Protocol):
    """The target that a differencing VHD stands on, opened and locked, as far as its child needs it."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def vhd(self) -> Vhd | None:
        """Its structures; None of what is no VHD."""

    @property
    def disk(self) -> Device:
        """The disk in it."""

    def close(self) -> None:
        """Give it back."""


class Vhd:
    """The structures of an opened VHD, and what a differencing one stands on."""

    def __init__(self, layout: Layout, parent: Parent | None = None) -> None:
        self.layout = layout
        self.parent = parent

    @property
    def kind(self) -> DiskType:
        """Fixed, dynamic or differencing."""
        return self.layout.kind

    @property
    def unique_id(self) -> bytes:
        """What children know it by."""
        return self.layout.footer.unique_id

    @property
    def size(self) -> int:
        """Of the disk inside."""
        return self.layout.footer.size

    @property
    def damage(self) -> str:
        """What is wrong with one of the two footers, of which the other one is sound; mended when it is written."""
        return self.layout.head_problem or self.layout.tail_problem

    @property
    def allocated_size(self) -> int:
        """Bytes of the disk for which there is room in the file already."""
        if self.layout.header is None or self.layout.table is None:
            return self.size
        return self.layout.header.block_size * sum(entry != UNUSED for entry in self.layout.table)

    def over(self, base: Device) -> Device:
        """The disk inside, `base` being the file's bytes: its own, or as a transaction sees them."""
        layout = self.layout
        if layout.header is None or layout.table is None:
            return SliceDevice(base, 0, self.size)
        below = None if self.parent is None else self.parent.disk
        block_size = layout.header.block_size
        disk = SparseDisk(base, below, self.size, block_size, bitmap_size(block_size), layout.table,
                          layout.header.table_offset, layout.footer.pack(), layout.footer_offset)
        disk.head_is_broken, disk.tail_is_broken = bool(layout.head_problem), bool(layout.tail_problem)
        return disk

    def close(self) -> None:
        """Give the parent back."""
        if self.parent is not None:
            self.parent.close()


def open_vhd(file: File, path: Path, *, where: str, write: bool, parent_opener: Callable[[Path], Parent] | None,
             opener: Callable[[Path], Folder] = HostFolder, host: Host = HOST) -> Vhd:
    """Read the structures of the VHD at `path`, and open its parent with `parent_opener`; None leaves the parent alone.

    Raises FormatError, VhdKind, VhdSaved, VhdHasChildren, VhdParentMissing, VhdParentChanged, VhdChainTooLong, what
    opening a target raises, HostError.
    """
    layout = read_layout(file, where)
    if write:
        refuse_children(layout.footer.unique_id, path, where=where, host=host)
    if layout.kind is not DiskType.DIFFERENCING or layout.header is None or parent_opener is None:
        return Vhd(layout)
    found = find_parent(layout, layout.header, file, path, where=where, opener=opener, host=host)
    parent = parent_opener(found)
    try:
        _check_pair(layout, parent, where, found)
    except BaseException:
        parent.close()
        raise
    return Vhd(layout, parent)


def _check_pair(layout: Layout, parent: Parent, where: str, found: Path) -> None:
    """Raises VhdParentMissing where the parent is no VHD, VhdChainTooLong, VhdParentChanged."""
    if parent.vhd is None or layout.header is None:
        raise VhdParentMissing(where=where, parent=found)
    if parent.vhd.kind is DiskType.DIFFERENCING:
        raise VhdChainTooLong(where=where, parent=found)
    check_parent(layout.header, layout.footer, parent.vhd.layout.footer, parent.path, where=where)
