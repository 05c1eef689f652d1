"""Turn a volume into a WIMBoot system, in place: capture, check what was written, point every eligible file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.events import Emit, Phase
from wimboot.ops.driver import check_driver
from wimboot.ops.imaging import Image, begin_append, read_back, write_image
from wimboot.ops.opening import open_volume
from wimboot.ops.placing import find_place, register
from wimboot.ops.pointing import point_files
from wimboot.ops.snapshot import capture_plan, take_snapshot
from wimboot.ops.storing import commit
from wimboot.plan.pointing import plan_pointing
from wimboot.plan.space import check_log_space, check_wim_space

if TYPE_CHECKING:
    from wimboot.ops.options import ConvertOptions
    from wimboot.windows.lists import WhyReal

__all__ = ["Converted", "convert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What a conversion did, or with `image` None would do. Sizes are bytes; `freed` on the volume."""

    image: Image | None
    files: int
    pointed: int
    real: Counter[WhyReal]
    freed: int
    read_size: int
    data_source_id: int | None


def convert(options: ConvertOptions, emit: Emit) -> Converted:
    """Convert the target in place.

    1. Everything the WIM lacks is captured behind its end, and the new image; synced, not yet visible.
    2. Every blob that a pointer will need is read back from the disk and its SHA-1 compared.
    3. Files become pointers inside the volume's transaction.
    4. WIM and volume commit together (`storing.commit`).

    An interruption anywhere before the commit leaves both as they were.

    Raises:
        Refused: no Windows, no driver for it, no place for the WIM, no space, hibernated, mounted, ...
        Damaged: the volume, the WIM, or what was read back.
    """
    capturing = options.capture
    write = not capturing.target.dry_run
    with begin_append(capturing) as append, open_volume(capturing.target, emit, write=write) as opened:
        stores = [append.store] if append.store is not None else []
        snapshot = take_snapshot(opened, stores, capturing.config, capturing.wim, emit)
        check_driver(snapshot.system, options.driver, where=opened.where, emit=emit)
        place = find_place(options.wim_place, capturing.wim, emit)
        plan = capture_plan(snapshot, emit)
        check_wim_space(plan.read_size, append.folder.free_size(), where=str(capturing.wim.absolute().parent))
        check_log_space(sum(plan.included), opened.target.folder.free_size(), where=str(opened.target.path.parent))
        if opened.transaction is None:
            return _preview(snapshot.tree.node_count, plan.read_size, plan.included)
        image = write_image(append, snapshot, plan, capturing, emit)
        pending = append.pending()
        pointing = plan_pointing(
            snapshot.tree, included=plan.included, ruled_by=snapshot.selection.real_by, places=pending.pointer_places
        )
        read_back(pending, pointing.blobs, capturing, emit)
        free_before = opened.volume.free_clusters
        phase = Phase(name="point", total=len(pointing.rows))
        emit(phase)
        source = register(opened.volume, pending.guid, image.number, place)
        point_files(opened.volume, snapshot.tree, pointing, pending, source, phase.counter)
        freed = (opened.volume.free_clusters - free_before) * opened.facts.cluster_size
        opened.volume.close()
        commit(opened.transaction, append, capturing.wim)
        return Converted(
            image=image,
            files=sum(plan.included),
            pointed=len(pointing.rows),
            real=pointing.real,
            freed=freed,
            read_size=plan.read_size,
            data_source_id=source,
        )


def _preview(files: int, read_size: int, included: bytearray) -> Converted:
    return Converted(
        image=None,
        files=sum(included),
        pointed=files,
        real=Counter(),
        freed=0,
        read_size=read_size,
        data_source_id=None,
    )
