"""Formatting a volume anew inside its transaction. The old one is there until the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import FormatError, Refused
from wimboot.formats.ntfsboot import BootSector
from wimboot.ntfs import bad_clusters, copy_formatted, format_volume, scan, volume_facts
from wimboot.ntfs.bootcode import BOOT_AREA_SIZE, put_boot_code
from wimboot.ops.deploying.overwriting import refuse_other_contents
from wimboot.ops.finding.ownwims import refuse_formatting_wim
from wimboot.storage import FileDevice

if TYPE_CHECKING:
    from wimboot.ntfs.format import Formatted
    from wimboot.ops.opening.volume import Opened
    from wimboot.tree import Tree

__all__ = ["BadClusters", "check_rebuildable", "preview", "rebuild"]

_GPT_MARK = b"EFI PART"


class BadClusters(Refused):
    """Formatting would forget which parts of the disk cannot be trusted."""

    id = "bad-clusters"
    sentence = "{where} has {count} bad clusters, and a volume that is formatted anew would put files there"
    advice = "Replace the disk, or copy it to a sound one and let chkdsk /b look again; or leave out --format."


def check_rebuildable(opened: Opened) -> None:
    """Raises BadClusters, TargetIsWim, WimOnVolume, HoldsOther."""
    refuse_formatting_wim(opened)
    refuse_other_contents(opened)
    if opened.mounted:
        count = bad_clusters(opened.device)
        if count:
            raise BadClusters(where=opened.where, count=count)


def rebuild(opened: Opened) -> None:
    """Make the opened volume a freshly formatted, empty one; boot code, label, cluster and sector size stay.

    Raises:
        HostError: mkntfs is missing or failed.
        Refused: the volume has bad clusters, or a form that mkntfs does not make; or it is something else.
    """
    check_rebuildable(opened)
    boot = opened.device.pread(0, BOOT_AREA_SIZE)
    sector_size = _sector_size(opened, boot)
    with _formatted(opened, sector_size) as fresh:
        if opened.mounted:
            opened.close(discard=True)
        copy_formatted(fresh, opened.device)
    _keep_boot_code(opened, boot, sector_size)
    opened.mount()


def preview(opened: Opened) -> tuple[Tree, int]:
    """What `rebuild` would leave: the files of the new volume, and the bytes free on it. Raises what it raises."""
    check_rebuildable(opened)
    with _formatted(opened, _sector_size(opened, opened.device.pread(0, BOOT_AREA_SIZE))) as fresh:
        device = FileDevice(fresh.file)
        facts = volume_facts(device)
        return scan(device), facts.free_clusters * facts.cluster_size


def _formatted(opened: Opened, sector_size: int) -> Formatted:
    """An empty volume of the same size, label, clusters and place."""
    label, cluster_size = "", 4096
    if opened.mounted:
        label, cluster_size = opened.facts.label, opened.facts.cluster_size
    return format_volume(
        opened.device.size(),
        cluster_size=cluster_size,
        label=label,
        sector_size=sector_size,
        hidden_sectors=opened.start // sector_size,
    )


def _sector_size(opened: Opened, boot: bytes) -> int:
    """Of the disk: as the old volume says, the device, or the place of the image's partition table."""
    try:
        return BootSector.parse(boot).sector_size
    except FormatError:
        pass
    if opened.target.sector_size is not None:
        return opened.target.sector_size
    marks = [size for size in (512, 4096) if opened.target.disk.pread(size, len(_GPT_MARK)) == _GPT_MARK]
    return marks[0] if marks and opened.start else 512


def _keep_boot_code(opened: Opened, boot: bytes, sector_size: int) -> None:
    """Windows' boot code is not ours to give away, so what the volume had is put back around the new description."""
    try:
        BootSector.parse(boot[:512])
    except FormatError:
        return
    put_boot_code(opened.device, boot, sector_size)
