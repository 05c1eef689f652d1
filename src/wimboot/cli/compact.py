"""`wimboot compact`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from wimboot.ops.compact import Compacted

__all__ = ["compact"]


@click.command(short_help="Give back the room in a disk that its volumes do not use.")
@click.argument("target", metavar="DISK")
@click.option("--dry-run", is_flag=True, help="Say what would be given back, and change nothing.")
@options.reporting
def compact(target: str, **chosen: Any) -> None:
    """Make the file of a disk smaller. What the volumes on it use stays as it is, byte for byte.

    Of a dynamic or differencing VHD the blocks go that hold nothing but clusters which the NTFS volumes do not use, or
    zeros (in a differencing one: what its parent has there, too). The last blocks move into the holes, and the file is
    cut. An interruption leaves the disk as it was; what was not cut yet is cut by the next run.

    Into a raw image holes are made where the volumes use nothing; its size stays, the room that it takes does not.

    \b
    Examples:
      wimboot compact system.vhd --dry-run
      wimboot compact system.vhd
      wimboot compact disk.img
    """
    from wimboot.ops.compact import CompactOptions
    from wimboot.ops.compact import compact as run

    where = options.target_options(target, None, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(CompactOptions(target=where), listen)
    if chosen["as_json"]:
        show.document({"before_bytes": done.before, "after_bytes": done.after, "blocks": done.blocks,
                       "dropped": done.dropped, "moved": done.moved, "dry_run": chosen["dry_run"]})
    elif not chosen["quiet"]:
        click.echo(_told(target, done, dry_run=chosen["dry_run"]))


def _told(target: str, done: Compacted, *, dry_run: bool) -> str:
    if done.after >= done.before:
        return f"{target} takes {show.size(done.before)}, and nothing of it can be given back."
    given = "would be given back" if dry_run else "were given back"
    told = f"{target}: {show.size(done.before - done.after)} {given}; {show.size(done.after)} of "
    told += f"{show.size(done.before)} {'would stay' if dry_run else 'stay'}."
    if done.blocks is not None:
        told += f" {done.dropped:,} of {done.blocks:,} blocks {'would go' if dry_run else 'went'}, {done.moved:,} "
        told += "would move." if dry_run else "moved."
    return told
