"""What a user can ask for, as values. The command line and the window fill the same ones."""

from __future__ import annotations

import os
from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from wimboot.frozen import Frozen
from wimboot.storage import HostFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wimboot.storage import Folder

__all__ = [
    "ApplyOptions",
    "CaptureOptions",
    "Compression",
    "ConvertOptions",
    "ExplainOptions",
    "ExtractOptions",
    "Folders",
    "Form",
    "MountOptions",
    "PruneOptions",
    "RehydrateOptions",
    "RelocateOptions",
    "RepairOptions",
    "RestoreOptions",
    "StatusOptions",
    "SyncOptions",
    "TargetOptions",
    "UpdateOptions",
    "VerifyOptions",
    "processors",
]

Folders: TypeAlias = "Callable[[Path], Folder]"


def processors() -> int:
    """How many threads can run at once: a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0))


class Compression(Enum):
    """How a new WIM compresses: the forms that Windows' overlay driver reads."""

    XPRESS4K = "xpress4k"
    XPRESS8K = "xpress8k"
    XPRESS16K = "xpress16k"
    XPRESS32K = "xpress32k"
    LZX = "lzx"


class Form(Enum):
    """How files stand on the volume."""

    POINTERS = "pointers"
    FULL = "full"


class TargetOptions(Frozen):
    """The volume: `place` is PATH or PATH#N, `log_folder` where a device's transaction log lies, `wim_folder` another
    folder in which its WIM is looked for, `search` folders that are searched for it with all that is in them.

    `folders` gives the folder of a host path, for the target and for the WIM; a test gives one that records or fails.
    """

    place: str
    log_folder: Path | None = None
    dry_run: bool = False
    wim_folder: Path | None = None
    search: tuple[Path, ...] = ()
    folders: Folders = HostFolder


class CaptureOptions(Frozen):
    """Capturing a volume into `wim`; None leaves the choice to what is found. `others` are further volumes on that WIM,
    to be brought up to it in the same run.
    """

    target: TargetOptions
    wim: Path
    others: tuple[str, ...] = ()
    config: Path | None = None
    compression: Compression | None = None
    fast: bool = False
    threads: int = field(default_factory=processors)
    name: str | None = None


class ConvertOptions(Frozen):
    """Capture, check, point. `wim_place` is where the WIM will lie when Windows runs; None: where it lies now.

    `driver` is a file with the overlay driver, or "none"; `no_expand` tells a system in a VHD that grows to keep it so.
    """

    capture: CaptureOptions
    wim_place: str | None = None
    driver: str | None = None
    no_expand: bool = False
    rebuild: bool = False


class ApplyOptions(Frozen):
    """Deploying image `image` (a number or a name) onto an empty or a freshly formatted volume.

    `export` is a WIM into which the image is brought first, so that Windows can read pointers to it. `in_memory`: the
    volume is on a disk that a boot loader will hold in memory, so all that Windows' loader reads is real.
    """

    target: TargetOptions
    wim: Path
    image: str
    form: Form = Form.POINTERS
    in_memory: bool = False
    export: Path | None = None
    rebuild: bool = False
    config: Path | None = None
    wim_place: str | None = None
    driver: str | None = None
    no_expand: bool = False


class RelocateOptions(Frozen):
    """Telling a volume where `wim` lies. `place` None: where it lies now; `data_source_id` says which of several data
    sources of that WIM is meant; `drop_unused` gives up those that no pointer names.
    """

    target: TargetOptions
    wim: Path
    place: str | None = None
    data_source_id: int | None = None
    drop_unused: bool = False


class RestoreOptions(Frozen):
    """Making a volume equal to an image. `image` None: the one it stands on; `wim` None: the one it uses."""

    target: TargetOptions
    wim: Path | None = None
    image: str | None = None
    keep: tuple[str, ...] = ()
    force: bool = False
    form: Form | None = None
    rebuild: bool = False
    config: Path | None = None
    wim_place: str | None = None
    driver: str | None = None
    no_expand: bool = False


class UpdateOptions(Frozen):
    """Adding an image of what changed. `wim` None: the one that the volume uses; `others` are further volumes on it.

    `rehash` reads files whose times and size have not changed too.
    """

    target: TargetOptions
    wim: Path | None = None
    others: tuple[str, ...] = ()
    config: Path | None = None
    fast: bool = False
    threads: int = field(default_factory=processors)
    name: str | None = None
    rehash: bool = False


class ExplainOptions(Frozen):
    """Explaining the file at `path`. `driver` is the overlay driver that a conversion would be given."""

    target: TargetOptions
    path: str
    config: Path | None = None
    wim: Path | None = None
    driver: str | None = None


class StatusOptions(Frozen):
    """Comparing a volume with the image that it stands on."""

    target: TargetOptions
    wim: Path | None = None
    config: Path | None = None
    rehash: bool = False


class RehydrateOptions(Frozen):
    """Making pointers ordinary files: those at `paths` and below, all where none are given."""

    target: TargetOptions
    paths: tuple[str, ...] = ()
    wim: Path | None = None


class VerifyOptions(Frozen):
    """Checking a volume, a WIM, or a volume against its WIM. `quick` leaves the data unread; `spares` are copies that
    may take the place of a WIM that cannot be read.
    """

    target: TargetOptions | None
    wim: Path | None
    quick: bool = False
    spares: tuple[Path, ...] = ()
    threads: int = field(default_factory=processors)


class RepairOptions(Frozen):
    """Repairing what a check finds. `spares` are WIMs that may have data which is lost; `others` are further volumes on
    a WIM that grows by it, `log_folder` is for them where the check has no target; `wim_place` is where the WIM lies
    when Windows runs, for a WimOverlay.dat that has to be made anew.
    """

    check: VerifyOptions
    spares: tuple[Path, ...] = ()
    others: tuple[str, ...] = ()
    log_folder: Path | None = None
    wim_place: str | None = None
    dry_run: bool = False


class PruneOptions(Frozen):
    """Dropping images of `wim`, those named or by a rule (`plan.pruning.Wish`); `older_than` is an age in 100 ns.

    `targets` are the volumes that follow; `target` gives what is not in their places. `search` are folders in which
    other volumes that use the WIM are looked for, besides its own.
    """

    target: TargetOptions
    wim: Path
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    keep_last: int | None = None
    older_than: int | None = None
    targets: tuple[str, ...] = ()
    search: tuple[Path, ...] = ()
    force: bool = False
    threads: int = field(default_factory=processors)


class ExtractOptions(Frozen):
    """Copying files of a volume to the host. `out` None: to standard output; with `into` the folder to make it in,
    which is made where it is missing; `force` replaces files that are there.
    """

    target: TargetOptions
    path: str
    out: Path | None
    into: bool = False
    wim: Path | None = None
    force: bool = False


class MountOptions(Frozen):
    """Showing a volume as the folder `folder`, for reading."""

    target: TargetOptions
    folder: Path
    wim: Path | None = None
    allow_other: bool = False
    ignore_case: bool = False


class SyncOptions(Frozen):
    """Bringing the spare copy `copy` (a file, or the folder it lies in) up to `wim`. `full` compares all of it; `over`
    says, besides `force`, that `copy` may go even where it does not begin as a WIM does.
    """

    wim: Path
    copy: Path
    full: bool = False
    force: bool = False
    over: bool = False
    dry_run: bool = False
    threads: int = field(default_factory=processors)
    folders: Folders = HostFolder
