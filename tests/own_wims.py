"""A converted volume whose WIM is not beside it, and a stick with both."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from converted import Converted
from data_disks import MIB, make_disk
from mounting import copy_sparse

__all__ = ["alone", "put_at", "stick"]


def put_at(wim: Path) -> Callable[[Path], None]:
    """Fill a volume with the WIM at \\wimboot\\store.wim."""
    def fill(root: Path) -> None:
        (root / "wimboot").mkdir()
        shutil.copyfile(wim, root / "wimboot" / "store.wim")
    return fill


@pytest.fixture
def alone(converted: Converted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Converted:
    """A converted volume with nothing beside it and nothing in the current folder; its WIM lies elsewhere."""
    folder, away = tmp_path / "alone", tmp_path / "away"
    folder.mkdir()
    away.mkdir()
    volume, wim = folder / converted.volume.name, away / converted.wim.name
    converted.volume.rename(volume)
    converted.wim.rename(wim)
    monkeypatch.chdir(away / "..")
    return Converted(original=converted.original, volume=volume, wim=wim, before=converted.before,
                     after=converted.after, told=converted.told)


@pytest.fixture
def stick(alone: Converted, tmp_path: Path) -> Path:
    """The usual form of a stick: one partition with the WIM, one with the system."""
    disk = make_disk(tmp_path / "stick.img", "mbr", put_at(alone.wim))
    start, size = disk.stat().st_size // MIB * MIB, alone.volume.stat().st_size
    copy_sparse(alone.volume, disk, target_offset=start)
    subprocess.run(["sfdisk", "-q", "--append", "--no-reread", "--no-tell-kernel", str(disk)], text=True, check=True,
                   input=f"start={start // 512}, size={size // 512}, type=7\n", capture_output=True)
    return disk
