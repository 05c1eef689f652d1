"""What `space` finds, as values. All sizes are bytes; those "in the WIM" are compressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.frozen import Frozen
from wimboot.windows.expanding import KEPT_SMALL

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk import TableKind
    from wimboot.ops.finding.locating import WimState
    from wimboot.tree.selection import Rule
    from wimboot.wim.usage import Blobs
    from wimboot.windows.identify import System
    from wimboot.windows.whyreal import WhyReal
    from wimboot.windows.wimplace import WimPlace

__all__ = ["DiskFigures", "ImageFigures", "Other", "RealFiles", "Share", "Start", "VolumeFigures", "WimFigures"]


class RealFiles(Frozen):
    """Files that are real for one reason; None where nothing keeps them real. `largest` is the path of one."""

    reason: WhyReal | None
    rule: Rule | None
    files: int
    seen: int
    occupied: int
    largest: str
    largest_size: int


class Share(Frozen):
    """What the pointers of one data source of a volume need.

    `wim` is None where the WIM was not found; it was but cannot be read where there is a `problem`. What the pointers
    need of it is not known then. `blobs` are those they name, each once, `alone` those that no other volume here names;
    `apart` is what they would take in the WIM had each pointer its own. `missing` counts pointers whose blob the WIM
    does not have.
    """

    data_source_id: int
    guid: bytes
    image: int
    place: WimPlace | None
    state: WimState
    wim: Path | None
    pointers: int
    seen: int
    blobs: Blobs | None = None
    alone: Blobs | None = None
    apart: int | None = None
    missing: int = 0
    looked: tuple[str, ...] = ()
    problem: str = ""


class Start(Frozen):
    """What becomes of a dynamic VHD when this Windows starts from it.

    `value` is VirtualDiskExpandOnMount, None where it is not set, or could not be read (`problem`). `full` is the file
    with all its blocks, `occupied` what it takes now.
    """

    value: int | None
    full: int
    occupied: int
    problem: str = ""

    @property
    def expands(self) -> bool | None:
        """Whether it is made as large as its disk."""
        return None if self.problem else self.value != KEPT_SMALL

    @property
    def takes(self) -> int | None:
        """Bytes of the host that it takes then."""
        expands = self.expands
        return None if expands is None else max(self.full, self.occupied) if expands else self.occupied

    @property
    def claims(self) -> int | None:
        """Bytes that it takes more than now."""
        return None if self.takes is None else self.takes - self.occupied


class VolumeFigures(Frozen):
    """One NTFS volume.

    `seen` is what Windows sees, `occupied` the clusters of its files, `used` all its clusters in use, `size` all of it.
    `unregistered` pointers name no data source that the volume knows. `real` is None where it was not asked for.
    `problem` is what could not be found out.
    """

    where: str
    disk: Path
    partition: int | None
    label: str
    state: str | None
    system: System | None
    files: int
    folders: int
    pointers: int
    compact: int
    seen: int
    occupied: int
    used: int
    size: int
    shares: tuple[Share, ...]
    unregistered: int
    start: Start | None
    real: tuple[RealFiles, ...] | None
    problem: str = ""

    @property
    def in_wim(self) -> int | None:
        """Its share of its WIMs; None where that of one of them is not known."""
        known = [share.blobs.in_wim for share in self.shares if share.blobs is not None]
        used = [share for share in self.shares if share.pointers]
        return sum(known) if all(share.blobs is not None for share in used) and not self.unregistered else None


class DiskFigures(Frozen):
    """A file or device that holds a disk or a volume.

    `form` is "raw", "vhd", ..., or "gzip" and "lz4", which are not looked into: `table` is None then. `kind` of a VHD:
    "fixed", "dynamic" or "differencing". `size` is that of the file, `occupied` what it takes on its host (None for a
    device), `disk_size` that of the disk inside, where that is known, `full` the file's with all blocks of a disk that
    grows. `free` is what its host has left.
    """

    path: Path
    form: str
    kind: str | None
    table: TableKind | None
    partitions: int
    size: int
    occupied: int | None
    disk_size: int | None
    full: int
    free: int | None
    parent: Path | None = None
    damage: str = ""


class ImageFigures(Frozen):
    """An image of a WIM: the blobs it refers to, and those that only it refers to."""

    number: int
    name: str
    blobs: Blobs
    alone: Blobs


class WimFigures(Frozen):
    """A WIM. `occupied` is None for one inside a volume, whose clusters count there.

    `blobs` are all of it, `unused` those that no image refers to, `named` those that the volumes here name together.
    `between_volumes` and `between_images` are what would be there more had each one its own WIM. `problem` says why
    images, or, where `blobs` are None, all of it could not be read. `users` are the volumes; `solid` WIMs cannot say
    what a blob takes. `copy_of` is another WIM here with its GUID, `same_blobs` whether it has as many and as large
    ones as that.
    """

    path: Path
    guid: bytes | None
    size: int
    occupied: int | None
    compression: str = ""
    chunk_size: int = 0
    images: tuple[ImageFigures, ...] = ()
    blobs: Blobs | None = None
    unused: Blobs | None = None
    named: Blobs | None = None
    between_volumes: int | None = None
    between_images: int | None = None
    solid: bool = False
    not_backable: str | None = None
    users: tuple[str, ...] = ()
    copy_of: Path | None = None
    same_blobs: bool = False
    problem: str = ""


class Other(Frozen):
    """Something below a folder that is a disk, a volume or a WIM and was not measured: what it is, and why not."""

    path: Path | str
    what: str
    why: str
