"""Make a volume equal to an image, touching only what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import UsageError
from wimboot.ops.opening.volume import open_volume

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.deploying.restoring import Restored
    from wimboot.ops.options import RestoreOptions

__all__ = ["KeepAndFormat", "restore"]


class KeepAndFormat(UsageError):
    """Two options that exclude each other."""

    id = "keep-and-format"
    sentence = "--keep leaves files on the volume, --format gives up all of them"
    advice = "Leave one of the two out: without --format only what differs is changed."


def restore(options: RestoreOptions, emit: Emit) -> Restored:
    """Change the target into the image. Raises NotWimBoot, WimNotFound, OtherWim, NoImage and what opening raises."""
    if options.rebuild and options.keep:
        raise KeepAndFormat
    with open_volume(options.target, emit, write=not options.target.dry_run, windows=False) as opened:
        opened.scan_ahead()
        from wimboot.ops.deploying.restoring import restore_opened  # while the volume is scanned: it takes as long

        return restore_opened(opened, options, emit)
