"""Checks of raw cells before libhivex frees them: it trusts what a key names, or stops the process.

A cell is a 32-bit size, negative where in use, and data. Places here are bytes from the start of the file;
those in cells count from the end of the base block. Fields used, from the start of the cell (M. Suhanov's
specification):

    nk   4 "nk", 24 subkeys, 32 subkey list, 40 values, 44 value list, 48 security, 52 class name
    lf, lh   4 signature, 6 count, then 8 bytes each: key, hash         li   the same with 4 bytes each: key
    ri   4 "ri", 6 count, then 4 bytes each: another list
    vk   4 "vk", 8 size (top bit: the data stand in the next field), 12 data
    sk   4 "sk", 8 and 12 neighbours in the ring of security cells
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from wimboot.formats.regf import BASE_BLOCK_SIZE, PAGE_SIZE
from wimboot.registry._hivex import HiveDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_DEPTH", "check_bins", "check_subtree", "value_list"]

MAX_DEPTH = 512
"""Of keys, as Windows has it."""

_NONE = 0xFFFFFFFF
_BIN_HEADER = struct.Struct("<4sII")
_BIN_HEADER_SIZE = 32


def check_bins(data: bytes, bins_size: int) -> None:
    """Refuse bins that do not fill `bins_size` exactly: new ones would lie over them. Raises HiveDamaged."""
    at, end = BASE_BLOCK_SIZE, BASE_BLOCK_SIZE + bins_size
    while at < end:
        signature, offset, size = _BIN_HEADER.unpack_from(data, at)
        whole = size and size % PAGE_SIZE == 0 and size <= end - at
        if signature != b"hbin" or offset != at - BASE_BLOCK_SIZE or not whole:
            raise HiveDamaged(problem=f"the bin at {at:#x} is not valid")
        at += size


def value_list(data: bytes, node: int) -> int:
    """The place of a key's list of values."""
    return _u32(data, node + 44) + BASE_BLOCK_SIZE


def check_subtree(data: bytes, bins_size: int, node: int) -> None:
    """Refuse a key that cannot be deleted safely.

    Every cell of it and of what lies below must be in use, of its kind, and named once. Raises HiveDamaged.
    """
    check_bins(data, bins_size)
    cells = dict(_used_cells(data, bins_size))
    walk = _Walk(data, cells)
    todo = [(node, 0)]
    while todo:
        at, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise HiveDamaged(problem=f"keys are nested deeper than {MAX_DEPTH}")
        todo += [(child, depth + 1) for child in walk.key(at)]


def _used_cells(data: bytes, bins_size: int) -> Iterator[tuple[int, int]]:
    """(place, size) of each cell in use; the bins were checked."""
    at, end = BASE_BLOCK_SIZE, BASE_BLOCK_SIZE + bins_size
    while at < end:
        cell, next_bin = at + _BIN_HEADER_SIZE, at + _u32(data, at + 8)
        while cell < next_bin:
            size = int.from_bytes(data[cell:cell + 4], "little", signed=True)
            if not 4 < abs(size) <= next_bin - cell or size % 4:
                raise HiveDamaged(problem=f"the cell at {cell:#x} has a size of {size:,}")
            if size < 0:
                yield cell, -size
            cell += abs(size)
        at = next_bin


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset:offset + 4], "little")


def _u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset:offset + 2], "little")


class _Walk:
    """Takes the cells of keys, each once."""

    def __init__(self, data: bytes, cells: dict[int, int]) -> None:
        self.data = data
        self.cells = cells
        self.taken: set[int] = set()

    def key(self, node: int) -> list[int]:
        """Take a key with its lists, values and class name; the keys below it."""
        self.take(node, b"nk", 80)
        self.security(_u32(self.data, node + 48))
        class_name = _u32(self.data, node + 52)
        if class_name != _NONE:
            self.take(class_name + BASE_BLOCK_SIZE, b"", 4)
        values = _u32(self.data, node + 40)
        if values:
            self.values(value_list(self.data, node), values)
        return self.subkeys(_u32(self.data, node + 32)) if _u32(self.data, node + 24) else []

    def values(self, place: int, count: int) -> None:
        self.take(place, b"", 4 + 4 * count)
        for index in range(count):
            value = _u32(self.data, place + 4 + 4 * index) + BASE_BLOCK_SIZE
            self.take(value, b"vk", 24)
            if not _u32(self.data, value + 8) >> 31:
                self.take(_u32(self.data, value + 12) + BASE_BLOCK_SIZE, b"", 4)

    def subkeys(self, place: int) -> list[int]:
        lists, found = [place + BASE_BLOCK_SIZE], []
        while lists:
            at = lists.pop()
            self.take(at, b"", 8)
            signature, count = self.data[at + 4:at + 6], _u16(self.data, at + 6)
            step = 8 if signature in {b"lf", b"lh"} else 4
            if signature not in {b"lf", b"lh", b"li", b"ri"} or 8 + step * count > self.cells[at]:
                raise HiveDamaged(problem=f"the list of keys at {at:#x} is not valid")
            places = [_u32(self.data, at + 8 + step * index) + BASE_BLOCK_SIZE for index in range(count)]
            if signature == b"ri":
                lists += places
            else:
                found += places
        return found

    def security(self, place: int) -> None:
        if place == _NONE:
            return
        place += BASE_BLOCK_SIZE
        around = [_u32(self.data, place + 8) + BASE_BLOCK_SIZE, _u32(self.data, place + 12) + BASE_BLOCK_SIZE]
        for cell in (place, *around):
            if self.cells.get(cell, 0) < 24 or self.data[cell + 4:cell + 6] != b"sk":
                raise HiveDamaged(problem=f"the security cell at {cell:#x} is not valid")

    def take(self, cell: int, signature: bytes, size: int) -> None:
        if self.cells.get(cell, 0) < size or not self.data.startswith(signature, cell + 4):
            raise HiveDamaged(problem=f"the cell at {cell:#x} is not what a key takes it for")
        if cell in self.taken:
            raise HiveDamaged(problem=f"the cell at {cell:#x} is used twice")
        self.taken.add(cell)
