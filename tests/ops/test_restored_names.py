"""Restoring names that files of one folder have changed with each other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converted import Converted
from judges import sound_volume
from mounting import mounted
from running import done
from snapshots import differences, seen_through, snapshot

DOS_NAME = "system.ntfs_dos_name"


def rotate(folder: Path, names: list[str]) -> None:
    """Each of these files, pointers which the driver shows as links, gets the DOS name of the next."""
    shorts = [os.getxattr(folder / name, DOS_NAME, follow_symlinks=False) for name in names]
    for name in names:
        os.removexattr(folder / name, DOS_NAME, follow_symlinks=False)
    for name, short in zip(names, shorts[1:] + shorts[:1], strict=True):
        os.setxattr(folder / name, DOS_NAME, short, follow_symlinks=False)


@pytest.mark.parametrize("count", [2, 3])
def test_dos_names_that_files_have_swapped_come_back(converted: Converted, count: int) -> None:
    """In whatever order: none takes the DOS name that another one still has."""
    folder = "Users/Public/Documents"
    with mounted(converted.volume, write=True) as root:
        names = [path.name for path in sorted((root / folder).iterdir())
                 if converted.after[f"{folder}/{path.name}"].short_name not in ("", path.name.upper())][:count]
        assert len(names) == count
        rotate(root / folder, names)
    edited = snapshot(converted.volume)
    assert edited[f"{folder}/{names[0]}"].short_name == converted.after[f"{folder}/{names[1]}"].short_name
    done("restore", converted.volume, "--wim", converted.wim)
    sound_volume(converted.volume)
    now = snapshot(converted.volume)
    assert not differences(seen_through(converted.after), seen_through(now), attribute_mask=0x280)
    assert [now[f"{folder}/{name}"].short_name for name in names] == [
        converted.after[f"{folder}/{name}"].short_name for name in names]
