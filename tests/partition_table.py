"""Partition tables by sfdisk, in which none of our code takes part."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mounting import UTF_8

__all__ = ["partition"]


def partition(disk: Path, script: str, *, size: int | None = None) -> None:
    """Give a disk image the table that a script of sfdisk's describes; with `size` the image is made first."""
    if size is not None:
        with disk.open("wb") as file:
            file.truncate(size)
    subprocess.run(["sfdisk", "-q", "--no-reread", "--no-tell-kernel", str(disk)], input=script, text=True, check=True,
                   capture_output=True, env=UTF_8)
