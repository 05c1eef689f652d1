"""A VHD read and checked straight from the specification, slowly, with none of the program's code."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ["JudgedVhd", "judge_vhd", "libvhdi_reads"]

SECTOR = 512
STEP = 16384
ABSENT = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedVhd:
    """A sound VHD: its kind (2, 3, 4), the bytes of its disk, its ids, and how many blocks the file holds."""

    kind: int
    disk: bytes
    unique_id: bytes
    parent_id: bytes
    blocks: int


def judge_vhd(data: bytes, parent: JudgedVhd | None = None, *, aligned: bool = True, tight: bool = True) -> JudgedVhd:
    """Raises AssertionError where something is not as the specification wants it.

    `aligned`: blocks' data begins on 4 KiB, and the geometry is within the disk; `tight`: the footer follows the last
    block. Both hold for what we make.
    """
    footer = data[-SECTOR:]
    _summed(footer, b"conectix", 64)
    version, data_offset = struct.unpack_from(">I", footer, 12)[0], struct.unpack_from(">Q", footer, 16)[0]
    size, kind = struct.unpack_from(">Q", footer, 48)[0], struct.unpack_from(">I", footer, 60)[0]
    cylinders, heads, sectors = struct.unpack_from(">HBB", footer, 56)
    assert version == 0x10000
    assert len(data) % SECTOR == 0
    assert struct.unpack_from(">I", footer, 8)[0] & 2
    assert cylinders * heads * sectors * SECTOR <= size or not aligned
    assert kind in (2, 3, 4)
    if kind == 2:
        assert data_offset == 2**64 - 1
        assert len(data) == size + SECTOR
        return JudgedVhd(kind=kind, disk=data[:size], unique_id=footer[68:84], parent_id=bytes(16), blocks=0)
    assert data[:SECTOR] == footer, "the copy of the footer"
    header = data[data_offset:data_offset + 1024]
    _summed(header, b"cxsparse", 36)
    table_offset, version, entries, block_size = struct.unpack_from(">QIII", header, 16)
    assert version == 0x10000
    assert entries == -(-size // block_size)
    table = struct.unpack_from(f">{entries}I", data, table_offset)
    padding = -4 * entries % SECTOR
    assert data[table_offset + 4 * entries:][:padding] == b"\xff" * padding
    assert (kind == 4) == any(header[40:56]), "a parent's id"
    assert (kind == 4) == (parent is not None)
    bitmap_size = -(-block_size // 4096 // SECTOR) * SECTOR
    taken = [(0, SECTOR), (data_offset, 1024), (table_offset, 4 * entries + padding), *_locators(header, kind)]
    ends = [offset + length for offset, length in taken]
    disk = bytearray(size)
    for number, entry in enumerate(table):
        first, last = number * block_size, min(size, (number + 1) * block_size)
        if parent is not None:
            disk[first:last] = parent.disk[first:last]
        if entry == ABSENT:
            continue
        place = entry * SECTOR
        taken.append((place, bitmap_size + block_size))
        ends.append(place + bitmap_size + block_size)
        assert place + bitmap_size + block_size <= len(data) - SECTOR, f"block {number} is not in the file"
        assert not aligned or (place + bitmap_size) % 4096 == 0
        _lay(disk, data, number, place, bitmap_size, block_size, kind)
    taken.sort()
    for (one, length), (two, _) in pairwise(taken):
        assert one + length <= two, f"two structures at {two}"
    assert max(ends) <= len(data) - SECTOR
    assert not tight or max(ends) == len(data) - SECTOR
    if parent is not None:
        assert header[40:56] == parent.unique_id
    return JudgedVhd(kind=kind, disk=bytes(disk), unique_id=footer[68:84], parent_id=header[40:56],
                     blocks=sum(entry != ABSENT for entry in table))


def _summed(data: bytes, cookie: bytes, offset: int) -> None:
    assert data[:8] == cookie
    stored = struct.unpack_from(">I", data, offset)[0]
    assert stored == 0xFFFFFFFF - (sum(data[:offset]) + sum(data[offset + 4:])) % 2**32, f"checksum of {cookie!r}"


def _locators(header: bytes, kind: int) -> list[tuple[int, int]]:
    found = []
    for number in range(8):
        code, space, length, zero, offset = struct.unpack_from(">4sIIIQ", header, 576 + 24 * number)
        if code != bytes(4):
            assert kind == 4
            assert code in (b"W2ku", b"W2ru")
            assert zero == 0
            assert 0 < length <= space
            found.append((offset, space))
    assert bool(found) == (kind == 4)
    return found


def _lay(disk: bytearray, data: bytes, number: int, place: int, bitmap_size: int, block_size: int, kind: int) -> None:
    """Put a block's sectors where they belong."""
    bits = data[place:place + bitmap_size]
    for sector in range(min(block_size, len(disk) - number * block_size) // SECTOR):
        here = bits[sector // 8] >> (7 - sector % 8) & 1
        assert here or kind == 4, "a dynamic disk's bitmap is full"
        if here:
            source = place + bitmap_size + sector * SECTOR
            target = number * block_size + sector * SECTOR
            disk[target:target + SECTOR] = data[source:source + SECTOR]


def libvhdi_reads(path: Path, parent: Path | None = None) -> bytes:
    """The disk as libvhdi sees it, 16 KiB at a time: a longer read that begins where a child has no block it takes from
    the parent to its end (libvhdi 20260901).
    """
    import pyvhdi

    file, below = pyvhdi.file(), pyvhdi.file()
    file.open(str(path))
    try:
        if parent is not None:
            below.open(str(parent))
            assert file.get_parent_identifier() == below.get_identifier()
            file.set_parent(below)
        size = file.get_media_size()
        return b"".join(file.read_buffer_at_offset(min(STEP, size - at), at) for at in range(0, size, STEP))
    finally:
        file.close()
        if parent is not None:
            below.close()
