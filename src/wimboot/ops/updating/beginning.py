"""What an update begins with, while the volume is scanned: its WIM, and the list of the image that it stands on.

Little is imported here: what comes later is imported while that list is read.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.frozen import Frozen
from wimboot.ops.capturing.growing import begin_append
from wimboot.ops.finding.backing import require_wim
from wimboot.ops.finding.standing import Standing
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.options import CaptureOptions
from wimboot.ops.pointing.placing import volume_sources
from wimboot.wim import real_path
from wimboot.wim.errors import WimMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.events import Emit
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import UpdateOptions
    from wimboot.wim import Append, Store
    from wimboot.windows.sources import Sources

__all__ = ["Begun", "begin_update"]


class Begun(Frozen):
    """A volume that may be being scanned, what its WimOverlay.dat says, and its WIM; `append` is None for a dry run."""

    opened: Opened
    sources: Sources
    standing: Standing
    capturing: CaptureOptions
    store: Store
    append: Append | None


@contextmanager
def begin_update(opened: Opened, options: UpdateOptions, emit: Emit) -> Iterator[Begun]:
    """Find and open the WIM, to grow unless this is a dry run, and begin to read its list of the image's files.

    Raises NotWimBoot, WimNotFound, OtherWim, WimOlder, and what opening the WIM raises.
    """
    sources = volume_sources(opened.volume)
    source, wim = require_wim(opened, sources, options.wim, emit=emit)
    capturing = CaptureOptions(target=options.target, wim=wim, config=options.config, fast=options.fast,
                               threads=options.threads, name=options.name)
    with ExitStack() as stack:
        append = None
        if opened.transaction is None:
            store = stack.enter_context(opened_store(wim, options.target.folders))
        else:
            if parse_inside(real_path(wim)) is not None:
                opened.wait_for_scan()      # the WIM may lie on this very disk, and is about to be written
            append = stack.enter_context(begin_append(capturing, check_images=False))
            if append.store is None:
                raise WimMissing(where=str(wim))
            store = append.store
        standing = stack.enter_context(Standing(source, wim, store, where=opened.where))
        yield Begun(opened=opened, sources=sources, standing=standing, capturing=capturing, store=store, append=append)
