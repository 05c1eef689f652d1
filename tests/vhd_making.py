"""Small VHDs for tests, with blocks smaller than `create_vhd` makes them, and any parent."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

from wimboot.disk import Place, Target, Transaction, open_target
from wimboot.formats.vhdfooter import NO_OFFSET, DiskType, Footer, geometry_of
from wimboot.formats.vhdsparse import UNUSED, W2RU, Locator, SparseHeader, pack_table

__all__ = ["begin", "fixed_vhd", "patched_footer", "sparse_vhd", "writing"]

ID = bytes(range(16))


def _footer(kind: DiskType, size: int, unique_id: bytes) -> Footer:
    return Footer(type=kind, size=size, original_size=size, geometry=geometry_of(size), unique_id=unique_id,
                  time=500_000_000, data_offset=NO_OFFSET if kind is DiskType.FIXED else 512)


def fixed_vhd(content: bytes, *, unique_id: bytes = ID) -> bytes:
    """A fixed VHD."""
    return content + _footer(DiskType.FIXED, len(content), unique_id).pack()


def sparse_vhd(size: int, block_size: int = 16384, *, parent: str = "", parent_id: bytes = b"p" * 16,
               unique_id: bytes = ID, parent_time: int = 0) -> bytes:
    """An empty dynamic VHD; a differencing one where `parent`, a path as Windows writes it, is given."""
    footer = _footer(DiskType.DIFFERENCING if parent else DiskType.DYNAMIC, size, unique_id).pack()
    entries = -(-size // block_size)
    table = pack_table(array("I", [UNUSED]) * entries)
    header = SparseHeader(table_offset=1536, entries=entries, block_size=block_size)
    raw = parent.encode("utf-16-le")
    if parent:
        locator = Locator(kind=W2RU, space=512, length=len(raw), offset=1536 + len(table))
        header = SparseHeader(table_offset=1536, entries=entries, block_size=block_size, parent_id=parent_id,
                              parent_time=parent_time, locators=(locator, *(Locator(),) * 7))
    return footer + header.pack() + table + (raw.ljust(512, b"\0") if parent else b"") + footer


def patched_footer(data: bytes, **changes: Any) -> bytes:
    """The same VHD with other values in its footer and its copy, under right checksums."""
    footer = replace(Footer.parse(data[-512:]), **changes).pack()
    return (footer + data[512:-512] if data[:8] == b"conectix" else data[:-512]) + footer


def writing(path: Path) -> Target:
    """The target, opened for writing."""
    return open_target(Place(path), write=True)


def begin(target: Target, *, batch_pages: int | None = None) -> Transaction:
    """A transaction on its disk."""
    return Transaction(target.file, target.folder, target.log_name, where=str(target.path), disk=target.over,
                       batch_pages=batch_pages)
