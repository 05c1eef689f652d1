"""The real hives beside the repository, unpacked once a session; their tests are skipped where they are missing."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

import pytest

__all__ = ["BCD_STORES", "log_pair", "sample", "store", "windows_vhd"]

_SAMPLES = Path(__file__).parents[1].parent / "shared" / "samples"
BCD_STORES = ("regipy_BCD", "ntloader_bcdvhd", "ntloader_bcdwim", "ntloader_bcdwin", "nikize_PXEBCD")


@cache
def _read(path: Path) -> bytes | None:
    if not path.exists():
        return None
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def sample(name: str) -> bytes:
    """A real hive, "SYSTEM-win7", or a log of one."""
    return _existing(_SAMPLES / "hives" / f"{name}.xz")


def store(name: str) -> bytes:
    """A real BCD store."""
    return _existing(_SAMPLES / "bcd" / name)


def windows_vhd() -> bytes:
    """A fixed VHD of 10 MiB that Windows made."""
    return _existing(_SAMPLES / "vhd" / "windows-fixed.vhd.xz")


def log_pair() -> dict[str, bytes]:
    """The logs of SYSTEM-win10-dirty."""
    return {suffix: sample(f"SYSTEM-win10-dirty.{suffix}") for suffix in ("LOG1", "LOG2")}


def _existing(path: Path) -> bytes:
    data = _read(path)
    if data is None:
        pytest.skip(f"the sample {path.name} is not here")
    return data
