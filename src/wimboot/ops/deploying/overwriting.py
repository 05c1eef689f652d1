"""What formatting would destroy without being a volume: the WIM itself, archives, disk images, other file systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wimboot.disk import parse_place
from wimboot.disk.table import fat_name
from wimboot.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wimboot.ops.opening.volume import Opened

__all__ = ["HoldsOther", "TargetIsWim", "refuse_other_contents", "refuse_same_file"]

_WIMS: Final = (b"MSWIM\0\0\0", b"WLPWM\0\0\0")
_OTHERS: Final = (
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x1f\x8b\x08", "gzip data"),
    (0, b"\xfd7zXZ\0", "xz data"),
    (0, b"\x28\xb5\x2f\xfd", "zstd data"),
    (257, b"ustar", "a tar archive"),
    (32_769, b"CD001", "an ISO image"),
    (1080, b"\x53\xef", "an ext2, ext3 or ext4 file system"),
    (0, b"XFSB", "an XFS file system"),
    (0x10040, b"_BHRfS_M", "a btrfs file system"),
    (0, b"hsqs", "a squashfs file system"),
    (3, b"EXFAT   ", "an exFAT file system"),
    (0, b"LUKS\xba\xbe", "a LUKS container"),
    (536, b"LVM2 001", "an LVM physical volume"),
)
"""Offset, bytes and what begins so. Disk images that are no raw ones are refused when partitions are looked for."""
_HEAD: Final = 0x10048


class TargetIsWim(Refused):
    """A WIM would be formatted over: a slip of the pen that costs every image in it."""

    id = "target-is-wim"
    sentence = "{where} is a WIM, not a volume: formatting would destroy its images"
    advice = "The WIM comes first, then the disk or volume that the image comes onto: `wimboot apply WIM IMAGE TARGET`."


class HoldsOther(Refused):
    """A whole file or device that holds something that is known, and no NTFS."""

    id = "holds-other"
    sentence = "{where} holds {what}, which formatting would destroy"
    advice = "If it is to be given up, clear its beginning first (wipefs --all), or name a new file."


def refuse_same_file(place: str, wims: Iterable[Path]) -> None:
    """A target must not be one of the WIMs, by whatever name. Raises TargetIsWim."""
    target = parse_place(place).path
    for wim in wims:
        try:
            same = target.samefile(wim)
        except OSError:     # one of them is not there, which opening it tells better
            continue
        if same:
            raise TargetIsWim(where=place)


def refuse_other_contents(opened: Opened) -> None:
    """Look at what is about to be formatted and is no NTFS volume. Raises TargetIsWim, HoldsOther.

    A partition that was named by its number may hold any other file system: that is what was meant to go.
    """
    if opened.mounted:
        return
    head = opened.device.pread(0, min(_HEAD, opened.device.size()))
    if head.startswith(_WIMS):
        raise TargetIsWim(where=opened.where)
    if opened.target.partition is None and fat_name(head, opened.device.size()):
        raise HoldsOther(where=opened.where, what="a FAT file system")
    for offset, mark, what in _OTHERS if opened.target.partition is None else ():
        if head[offset:offset + len(mark)] == mark:
            raise HoldsOther(where=opened.where, what=what)
