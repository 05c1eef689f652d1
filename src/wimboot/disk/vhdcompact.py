"""Giving back what a VHD's disk does not use: blocks are forgotten, the last ones move into the holes, the file ends
behind what is left.

A block can go where every byte of it that is in use reads the same without it: as zeros, or as the parent has it. What
is not in use may read as anything.

The order of durable steps:

 1. in one transaction over the file itself: blocks are copied into holes, the table tells of it, a footer stands at the
    new end. Holes are written straight where the volumes did not use them; a crash before the commit leaves the old
    disk, for the old table still leads to every block. While pages are copied both footers that a reader would look
    for say that this is no VHD; recovery finishes the copying
 2. the file is cut behind the new footer - a crash before that leaves a whole VHD that is longer than it has to be: the
    old footer, still at its end, says what the new one says. The next run cuts it
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from wimboot.disk._vhd import SparseDisk
from wimboot.disk.unused import used_runs
from wimboot.disk.vhdlayout import read_layout, structures_of
from wimboot.errors import Internal
from wimboot.formats.vhdfooter import FOOTER_SIZE, SECTOR, UNREADY_COOKIE
from wimboot.formats.vhdsparse import UNUSED, bitmap_size, pack_table
from wimboot.frozen import Frozen
from wimboot.storage import SliceDevice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wimboot.disk.transaction import Transaction
    from wimboot.disk.unused import FreeMap
    from wimboot.disk.vhdlayout import Layout
    from wimboot.events import Counter
    from wimboot.storage import Device, File

__all__ = ["PAGE", "Compaction", "Move", "free_pages", "idle_blocks", "plan_compaction", "write_compaction"]

PAGE = 4096
"""What a transaction writes as a whole."""
_PIECE = 64 << 10


class Move(Frozen):
    """A block, with its bitmap, from one place in the file to another; in bytes."""

    block: int
    old: int
    new: int


class Compaction(Frozen):
    """What becomes of a file: of its `blocks` those in `dropped` go, `moves` are done in their order, `footer_offset`
    is the new end. `block_size` is that of a block with its bitmap.
    """

    blocks: int
    block_size: int
    dropped: tuple[int, ...]
    moves: tuple[Move, ...]
    footer_offset: int

    @property
    def file_size(self) -> int:
        """Of the file when all is done."""
        return self.footer_offset + FOOTER_SIZE


def idle_blocks(layout: Layout, disk: File, below: File | None, maps: Sequence[FreeMap],
                counter: Counter | None = None) -> list[int]:
    """The blocks that can go, rising. `below` is the parent's disk, None of a dynamic one. `counter` counts bytes of
    the blocks looked at. Raises HostError.
    """
    if layout.header is None or layout.table is None:
        return []
    size, found = layout.header.block_size, []
    for block, entry in enumerate(layout.table):
        if entry == UNUSED:
            continue
        start, end = block * size, min((block + 1) * size, layout.footer.size)
        if all(_is_idle(disk, below, one, two) for one, two in used_runs(maps, start, end)):
            found.append(block)
        if counter is not None:
            counter.add(size)
    return found


def _is_idle(disk: File, below: File | None, start: int, end: int) -> bool:
    """Whether these bytes read the same without the block that holds them."""
    while start < end:
        size = min(_PIECE, end - start)
        if disk.pread(start, size) != (bytes(size) if below is None else below.pread(start, size)):
            return False
        start += size
    return True


def plan_compaction(layout: Layout, idle: Iterable[int]) -> Compaction:
    """Pure: without the blocks in `idle`, which are allocated. The highest block goes into the lowest hole that has
    room for it, as long as that brings it down; its data on 4 KiB, as Windows has it, where all the others are.
    """
    if layout.header is None or layout.table is None:
        raise Internal(what="a fixed VHD has no blocks to give back")
    bits = bitmap_size(layout.header.block_size)
    size = bits + layout.header.block_size
    dropped = tuple(sorted(idle))
    gone = set(dropped)
    if any(layout.table[block] == UNUSED for block in gone):
        raise Internal(what="a block was to go that is not there")
    kept = sorted((entry * SECTOR, block) for block, entry in enumerate(layout.table)
                  if entry != UNUSED and block not in gone)
    count = len(kept) + len(dropped)
    aligned = all((place + bits) % PAGE == 0 for place, _ in kept)
    fixed = structures_of(layout)
    holes = _holes([*((place, size) for place, _ in kept), *fixed], layout.footer_offset)
    moves: list[Move] = []
    for start, end in holes:
        place = _place_from(start, bits, aligned=aligned)
        while kept and place + size <= end and place < kept[-1][0]:
            old, block = kept.pop()
            moves.append(Move(block=block, old=old, new=place))
            place = _place_from(place + size, bits, aligned=aligned)
    ends = [offset + length for offset, length in [*fixed, *((place, size) for place, _ in kept),
                                                   *((move.new, size) for move in moves)]]
    return Compaction(blocks=count, block_size=size, dropped=dropped, moves=tuple(moves), footer_offset=max(ends))


def _holes(taken: list[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """What lies between these (offset, size) and before `end`, as start and end, in whole sectors."""
    holes, start = [], 0
    for offset, size in sorted(taken):
        if offset // SECTOR * SECTOR > start:
            holes.append((start, offset // SECTOR * SECTOR))
        start = max(start, -(-(offset + size) // SECTOR) * SECTOR)
    return [*holes, (start, end)] if start < end else holes


def _place_from(start: int, bits: int, *, aligned: bool) -> int:
    """Where a block may begin, from `start` on."""
    return -(-(start + bits) // PAGE) * PAGE - bits if aligned else start


def write_compaction(plan: Compaction, layout: Layout, transaction: Transaction,
                     counter: Counter | None = None) -> None:
    """Through a transaction over the whole file, which is not committed yet. `counter` counts the bytes moved.

    Raises HostError; FormatError where what was written is no sound VHD, which is a bug.
    """
    if layout.header is None or layout.table is None:
        raise Internal(what="a fixed VHD has no blocks to give back")
    file = transaction.device
    table = array("I", layout.table)
    for offset in (0,) if layout.tail_problem else (0, layout.footer_offset):
        transaction.guard(offset, UNREADY_COOKIE)
    for block in plan.dropped:
        table[block] = UNUSED
    for move in plan.moves:
        file.pwrite(move.new, file.pread(move.old, plan.block_size))
        table[move.block] = move.new // SECTOR
        if counter is not None:
            counter.add(plan.block_size)
    _write_table(file, layout, table)
    if layout.head_problem:
        file.pwrite(0, layout.footer.pack())
    file.pwrite(plan.footer_offset, layout.footer.pack())
    written = read_layout(SliceDevice(file, 0, plan.file_size), "what was written")
    if written.table != table or written.footer != layout.footer:
        raise Internal(what="a compacted VHD does not read as it was written")


def _write_table(file: File, layout: Layout, table: array[int]) -> None:
    """The entries that changed, and those between them."""
    if layout.header is None or layout.table is None:
        return
    changed = [block for block, entry in enumerate(table) if entry != layout.table[block]]
    if changed:
        part = table[changed[0]:changed[-1] + 1]
        file.pwrite(layout.header.table_offset + 4 * changed[0], pack_table(part)[:4 * len(part)])


def free_pages(disk: Device, maps: Sequence[FreeMap]) -> tuple[bytes, int]:
    """Of a VHD's `disk`: the pages of the file that hold nothing but what the volumes do not use, as
    `Transaction.set_free` of the whole file takes them in units of 4 KiB: a bit a page, clear where free, and how many
    pages there are.
    """
    used, pages = None, 0
    if isinstance(disk, SparseDisk):
        for area in maps:
            bits, pages = disk.free_pages(area.start, area.unit_size, area.bitmap, area.count)
            number = int.from_bytes(bits, "little")
            used = number if used is None else used & number
    return (b"", 0) if used is None else (used.to_bytes(pages // 8 + 1, "little"), pages)
