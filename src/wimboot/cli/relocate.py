"""`wimboot relocate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.relocate import Relocated

__all__ = ["relocate"]


@click.command(short_help="Tell a volume where its WIM lies now, and that it has grown.")
@options.targeting
@options.wim_option(required=True)
@click.option("--as", "place", metavar="PLACE", help="Where it will be when Windows runs. Default: where it is now; "
              "the place registered, where Windows could not read it there.")
@click.option("--id", "data_source_id", type=click.IntRange(min=0), metavar="N", help="Which data source of the volume "
              "is meant, where several are of this WIM; `wimboot info` shows their numbers.")
@click.option("--drop-unused", is_flag=True, help="Give up the data sources that no pointer names any more; their "
              "numbers are never used again.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@options.reporting
def relocate(target: str, log_folder: Path | None, wim: Path, place: str | None, **chosen: Any) -> None:
    """Rewrite the place of WIM in TARGET's WimOverlay.dat: the WIM was moved, or was to be placed later. Windows
    finds the WIM by this record.

    Pointers carry a hash of the WIM's table. Where the WIM has grown since, by a capture or by another system's
    conversion, Windows may refuse them: they are brought up to date too. Nothing else of the volume changes.

    \b
    PLACE is one of
      mbr:SIGNATURE:OFFSET:\\path              disk signature in hexadecimal, first byte of the partition
      gpt:DISK-GUID:PARTITION-GUID:\\path
      PLACE inside PLACE                      in a VHD: by the VHD's own signature or GUID, inside the place of
                                              the VHD file. Not for the VHD that TARGET itself is in: there it
                                              is the place in the VHD alone
      later                                   not known yet: the system does not start before it is told

    \b
    Examples:
      wimboot relocate disk.img --wim store.wim
      wimboot relocate disk.img#2 --wim disk.img#1:/wimboot/store.wim
      wimboot relocate disk.img --wim store.wim --as 'mbr:5cbea03e:1048576:\\wimboot\\store.wim'
      wimboot relocate disk.img --wim store.wim --id 2 --as later
    """
    from wimboot.ops.options import RelocateOptions
    from wimboot.ops.relocate import relocate as run

    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(RelocateOptions(target=where, wim=wim, place=place, data_source_id=chosen["data_source_id"],
                                   drop_unused=chosen["drop_unused"]), listen)
    if chosen["as_json"]:
        show.document({"data_source_id": done.data_source_id, "before": done.before, "after": done.after,
                       "refreshed": done.refreshed, "dropped": list(done.dropped), "left_over": done.left_over,
                       "dry_run": chosen["dry_run"]})
    elif not chosen["quiet"]:
        _tell(done, dry_run=chosen["dry_run"])


def _tell(done: Relocated, *, dry_run: bool) -> None:
    was, were = ("would be", "would be") if dry_run else ("was", "were")
    followed = f"; {done.refreshed:,} pointers {were} brought up to date" if done.refreshed else ""
    show.say(f"Data source {done.data_source_id} {_moved(done, was)}{followed}.")
    if done.dropped:
        click.echo(f"Data sources that no pointer names {were} given up: {', '.join(map(str, done.dropped))}.")
    if done.left_over is not None:
        click.echo(f"WimOverlay.new, left over from an interrupted change, {was} {done.left_over}.")


def _moved(done: Relocated, was: str) -> str:
    before, after = done.before, done.after
    if before == after:
        return "has no place yet" if after.is_later else f"stays registered at {after}"
    if before is not None and before.is_later:
        return f"{was} registered at {after}; it had no place yet"
    left = "a place of unknown form" if before is None else before
    return f"{was} taken from {left}, its place to be decided later" if after.is_later else (
        f"{was} moved from {left} to {after}")
