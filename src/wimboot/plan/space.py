"""Whether what a verb will write has room. Pure arithmetic on sizes; refusals carry the figures."""

from __future__ import annotations

from wimboot.errors import Refused

__all__ = [
    "NotEnoughSpace", "check_log_space", "check_pointing_space", "check_rewrite_space", "check_room",
    "check_volume_space", "check_wim_space", "log_size", "wim_growth",
]

_LEAST_RATIO = 0.15
"""Of Windows' own files XPRESS leaves 40 to 45 %; below this share of what is read nothing real was ever stored."""

_LOG_PER_FILE = 1664
"""Bytes of metadata a pointer touches: measured 1,664 a file on a fresh volume (MFT record, index entry, $Reparse)."""

_LOG_BASE = 4 << 20

_POINTING_CLUSTERS = 16
"""For the file table, a folder and a registry hive that grow, and for WimOverlay.dat with its backup: they come before
the first file gives up its clusters."""


class NotEnoughSpace(Refused):
    """The WIM or the transaction's log would not fit."""

    id = "not-enough-space"
    sentence = "{what} needs about {needed:size} more in {where}, where {free:size} are free"
    advice = "Free some space there, or name another place. Nothing was changed."


def wim_growth(read_size: int) -> int:
    """Bytes by which a WIM grows at the very least when `read_size` new bytes are captured."""
    return int(read_size * _LEAST_RATIO)


def log_size(files: int) -> int:
    """Bytes that the log of pointing so many files takes."""
    return _LOG_BASE + files * _LOG_PER_FILE


def check_wim_space(read_size: int, free: int, *, where: str) -> None:
    """Raises NotEnoughSpace where the capture cannot fit, so that the user need not wait for the disk to fill."""
    if wim_growth(read_size) > free:
        raise NotEnoughSpace(what="the WIM", needed=wim_growth(read_size), where=where, free=free)


def check_log_space(files: int, free: int, *, where: str) -> None:
    """Raises NotEnoughSpace where the transaction's log cannot fit."""
    if log_size(files) > free:
        raise NotEnoughSpace(what="the transaction's log", needed=log_size(files), where=where, free=free)


def check_pointing_space(free: int, cluster_size: int, file_size: int, *, where: str) -> None:
    """Raises NotEnoughSpace where a volume cannot take what comes before its files are given up: files of `file_size`
    bytes, and what names them.
    """
    needed = _POINTING_CLUSTERS * cluster_size + file_size
    if needed > free:
        raise NotEnoughSpace(what="making pointers", needed=needed, where=where, free=free)


def check_volume_space(free: int, files: int, full_size: int, *, where: str) -> None:
    """Raises NotEnoughSpace where a volume cannot take so many files and so much data."""
    needed = files * _LOG_PER_FILE + full_size
    if needed > free:
        raise NotEnoughSpace(what="the image", needed=needed, where=where, free=free)


def check_room(needed: int, free: int, *, where: str) -> None:
    """Raises NotEnoughSpace where a volume has not so many bytes in free clusters."""
    if needed > free:
        raise NotEnoughSpace(what="the data", needed=needed, where=where, free=free)


def check_rewrite_space(size: int, free: int, *, where: str) -> None:
    """Raises NotEnoughSpace where a WIM of `size` bytes cannot lie beside the one that it replaces."""
    if size > free:
        raise NotEnoughSpace(what="the new WIM, which is written beside the old one,", needed=size, where=where,
                             free=free)
