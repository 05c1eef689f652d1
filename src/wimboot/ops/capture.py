"""Capture a volume into an image of a WIM, leaving the volume as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.disk import uninterrupted
from wimboot.ops.imaging import Image, begin_append, write_image
from wimboot.ops.opening import open_volume
from wimboot.ops.snapshot import capture_plan, take_snapshot
from wimboot.plan.space import check_wim_space

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.options import CaptureOptions

__all__ = ["Captured", "capture"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What a capture did, or with `image` None would do."""

    image: Image | None
    files: int
    excluded: int
    read_size: int
    encrypted: tuple[str, ...]


def capture(options: CaptureOptions, emit: Emit) -> Captured:
    """Append one image of the target to the WIM; a new WIM is made where there is none.

    Raises:
        Refused: see `open_volume`; too little space; a WIM that cannot be appended to.
        Damaged: the volume or the WIM.
    """
    with begin_append(options) as append, open_volume(options.target, emit, write=False) as opened:
        stores = [append.store] if append.store is not None else []
        snapshot = take_snapshot(opened, stores, options.config, options.wim, emit)
        plan = capture_plan(snapshot, emit)
        check_wim_space(plan.read_size, append.folder.free_size(), where=str(options.wim.absolute().parent))
        image = None
        if not options.target.dry_run:
            image = write_image(append, snapshot, plan, options, emit)
            with uninterrupted(forget=True):
                append.finish()
        return Captured(
            image=image,
            files=sum(plan.included),
            excluded=sum(map(bool, plan.excluded)),
            read_size=plan.read_size,
            encrypted=tuple(plan.encrypted),
        )
