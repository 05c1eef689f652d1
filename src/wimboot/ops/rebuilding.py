"""Formatting a volume anew inside its transaction. The old one is there until the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import FormatError
from wimboot.formats.ntfsboot import BootSector
from wimboot.ntfs import copy_formatted, format_volume

if TYPE_CHECKING:
    from wimboot.ops.opening import Opened

__all__ = ["rebuild"]

_BOOT_AREA = 16 * 512
"""$Boot: the boot sector and the boot code behind it."""

_BPB = slice(0x0B, 0x54)
"""What of the boot sector describes the volume; around it lies code."""


def rebuild(opened: Opened) -> None:
    """Make the opened volume a freshly formatted, empty one; its boot code, label and cluster size stay.

    Raises:
        HostError: mkntfs is missing or failed.
    """
    boot = opened.device.pread(0, _BOOT_AREA)
    label, cluster_size = "", 4096
    if opened.mounted:
        label, cluster_size = opened.facts.label, opened.facts.cluster_size
        opened.close(discard=True)
    with format_volume(
        opened.device.size(), cluster_size=cluster_size, label=label, hidden_sectors=opened.start // 512
    ) as fresh:
        copy_formatted(fresh, opened.device)
    _keep_boot_code(opened, boot)
    opened.mount()


def _keep_boot_code(opened: Opened, boot: bytes) -> None:
    """Windows' boot code is not ours to give away, so what the volume had is put back around the new description."""
    try:
        BootSector.parse(boot[:512])
    except FormatError:
        return
    device = opened.device
    fresh = bytearray(device.pread(0, _BOOT_AREA))
    kept = bytearray(boot)
    kept[_BPB] = fresh[_BPB]
    device.pwrite(0, bytes(kept))
    device.pwrite(device.size() - 512, bytes(kept[:512]))
