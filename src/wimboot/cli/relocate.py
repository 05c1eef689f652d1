"""`wimboot relocate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["relocate"]


@click.command(short_help="Tell a volume where its WIM lies now, and that it has grown.")
@options.targeting
@options.wim_option(required=True)
@click.option("--as", "place", metavar="PLACE", help="Where it will be when Windows runs: mbr:SIGNATURE:OFFSET:\\path, "
              "gpt:DISK-GUID:PARTITION-GUID:\\path, or later. Default: where it is now; "
              "the place registered, where Windows could not read it there.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@options.reporting
def relocate(target: str, log_folder: Path | None, wim: Path, place: str | None, **chosen: Any) -> None:
    """Rewrite the place of WIM in TARGET's WimOverlay.dat: the WIM was moved, or was to be placed later. Windows
    finds the WIM by this record.

    Pointers carry a hash of the WIM's table. Where the WIM has grown since, by a capture or by another system's
    conversion, Windows may refuse them: they are brought up to date too. Nothing else of the volume changes.

    \b
    Examples:
      wimboot relocate disk.img --wim store.wim
      wimboot relocate disk.img --wim store.wim --as 'mbr:5cbea03e:1048576:\\wimboot\\store.wim'
    """
    from wimboot.ops.relocate import relocate as run

    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(where, wim, place, listen)
    if chosen["as_json"]:
        show.document({"data_source_id": done.data_source_id, "before": done.before, "after": done.after,
                       "refreshed": done.refreshed, "dry_run": chosen["dry_run"]})
    elif not chosen["quiet"]:
        was, were = ("would be", "would be") if chosen["dry_run"] else ("was", "were")
        moved = f"{was} moved from {done.before} to {done.after}"
        if done.before == done.after:
            moved = f"is at {done.after}"
        click.echo(f"Data source {done.data_source_id} {moved}; {done.refreshed:,} pointers {were} brought up to date.")
