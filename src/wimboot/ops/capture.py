"""Capture a volume into an image of a WIM, leaving the volume as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.disk import uninterrupted
from wimboot.ops.imaging import Image, begin_append, existing_store, write_image
from wimboot.ops.opening import Opened, open_volume
from wimboot.ops.snapshot import Snapshot, capture_plan, take_snapshot
from wimboot.plan.space import check_wim_space

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.options import CaptureOptions
    from wimboot.plan.capture import CapturePlan
    from wimboot.wim import Store

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
    if options.target.dry_run:
        with existing_store(options) as store, open_volume(options.target, emit, write=False) as opened:
            _, plan = _look(options, opened, store, emit)
            return _told(plan, None)
    with begin_append(options) as append, open_volume(options.target, emit, write=False) as opened:
        snapshot, plan = _look(options, opened, append.store, emit)
        image = write_image(append, snapshot, plan, options, emit)
        with uninterrupted(forget=True):
            append.finish()
        return _told(plan, image)


def _look(options: CaptureOptions, opened: Opened, store: Store | None, emit: Emit) -> tuple[Snapshot, CapturePlan]:
    snapshot = take_snapshot(opened, [] if store is None else [store], options.config, options.wim, emit)
    plan = capture_plan(snapshot, emit)
    folder = options.wim.absolute().parent
    check_wim_space(plan.read_size, options.target.folders(folder).free_size(), where=str(folder))
    return snapshot, plan


def _told(plan: CapturePlan, image: Image | None) -> Captured:
    return Captured(
        image=image,
        files=sum(plan.included),
        excluded=sum(map(bool, plan.excluded)),
        read_size=plan.read_size,
        encrypted=tuple(plan.encrypted),
    )
