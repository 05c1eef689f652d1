"""A sample system that was converted once a session; tests take copies of it, or only look."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import build
import wim_bytes
from index_judge import open_volume
from mounting import copy_sparse
from running import NO_PLACE, done
from snapshots import Snapshot, snapshot

__all__ = [
    "LOST_BITS", "OVERLAY_FILES", "SMALL", "Converted", "converted", "converted_once", "fresh_volume",
    "pristine_small", "unpacked",
]

SMALL = (build.Feature.STREAMS, build.Feature.LINKS, build.Feature.RESIDENT, build.Feature.JUNCTIONS)

LOST_BITS = 0x80 | 0x200 | 0x800
"""NORMAL, SPARSE and COMPRESSED: what a pointer cannot carry."""

OVERLAY_FILES = ("System Volume Information/WimOverlay.dat", "System Volume Information/WimOverlay.backup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A volume before (`original`) and after its conversion into `wim`, which holds one image named "first"."""

    original: Path
    volume: Path
    wim: Path
    before: Snapshot
    after: Snapshot
    told: dict[str, Any]
    """What `convert --json` said."""


@pytest.fixture(scope="session")
def pristine_small(built_system: Callable[..., build.System]) -> Path:
    """A bare volume with a Windows 7 and few files, for reading only; `small_volume` is a copy of it."""
    return built_system(size=24 << 20, files=12, features=SMALL).path


@pytest.fixture(scope="session")
def converted_once(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A volume with every feature, converted; for reading only."""
    folder = tmp_path_factory.mktemp("converted")
    original = built_system(files=60, size=64 << 20).path
    volume, wim = folder / "system.img", folder / "store.wim"
    copy_sparse(original, volume)
    told = done("convert", volume, "--wim", wim, "--name", "first", *NO_PLACE, "--json").json
    assert sorted(path.name for path in folder.iterdir()) == ["store.wim", "system.img"]
    return Converted(original=original, volume=volume, wim=wim, before=snapshot(original), after=snapshot(volume),
                     told=told)


@pytest.fixture
def converted(converted_once: Converted, tmp_path: Path) -> Converted:
    """The test's own copies of that volume and its WIM."""
    volume, wim = tmp_path / "system.img", tmp_path / "store.wim"
    copy_sparse(converted_once.volume, volume)
    copy_sparse(converted_once.wim, wim)
    return Converted(original=converted_once.original, volume=volume, wim=wim, before=converted_once.before,
                     after=converted_once.after, told=converted_once.told)


def fresh_volume(path: Path, size: int = 64 << 20) -> Path:
    """An empty volume."""
    build.make_volume(path, size=size)
    return path


def unpacked(volume: Path, name: str) -> bytes:
    """The contents of a Compact OS file (XPRESS 4K), unpacked by libwim."""
    with open_volume(volume) as view:
        source = view.mft.get(name.replace("/", "\\"))
        size, stored = source.size(""), source.open("WofCompressedData").read()
    count = -(-size // 4096)
    table = 4 * (count - 1)
    ends = [0, *struct.unpack_from(f"<{count - 1}I", stored), len(stored) - table]
    chunks = (stored[table + ends[number]:table + ends[number + 1]] for number in range(count))
    return b"".join(wim_bytes._chunk(chunk, min(4096, size - 4096 * number), 0, 4096)
                    for number, chunk in enumerate(chunks))
