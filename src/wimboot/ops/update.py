"""Bring a WIM up to what its volume holds now: an image of what changed, and pointers to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.ops.opening.volume import open_volume

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.options import UpdateOptions
    from wimboot.ops.updating.appending import Updated

__all__ = ["update"]


def update(options: UpdateOptions, emit: Emit) -> Updated:
    """Append an image of what changed since the one that the volume stands on, and point it.

    1. Pointers carry their hashes; files with the times and size that the image has, and that stay real, are taken
       over unread.
    2. What is left is read, and what the WIM lacks captured behind its end, then the new image.
    3. In the transaction new and changed files become pointers; all others, and those of further volumes, learn the
       WIM's new table.
    4. Every blob that was read or is pointed to is read back from the disk and its SHA-1 compared, beside the image's
       making and step 3.
    5. When that is over, WIM and volumes commit together (`storing.commit_all`).

    Raises NotWimBoot, WimNotFound, OtherWim, WimOlder, and what capturing raises.
    """
    with open_volume(options.target, emit, write=not options.target.dry_run, windows=False) as opened:
        opened.scan_ahead()
        from wimboot.ops.updating.beginning import begin_update  # while the volume is scanned

        with begin_update(opened, options, emit) as begun:
            from wimboot.ops.updating.appending import append_changes  # while the image's list is read, too

            return append_changes(begun, options, emit)
