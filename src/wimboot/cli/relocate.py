"""`wimboot relocate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["relocate"]


@click.command(short_help="Tell a volume where its WIM lies now.")
@options.targeting
@options.wim_option(required=True)
@click.option("--as", "place", metavar="PLACE", help="Where it will be when Windows runs: mbr:SIGNATURE:OFFSET:\\path, "
              "gpt:DISK-GUID:PARTITION-GUID:\\path, or later. Default: where it is now.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@options.reporting
def relocate(target: str, log_folder: Path | None, wim: Path, place: str | None, **chosen: Any) -> None:
    """Rewrite the place of WIM in TARGET's WimOverlay.dat: the WIM was moved, or was to be placed later. Its pointers
    stay as they are; Windows finds the WIM by this record.

    \b
    Example:
      wimboot relocate disk.img --wim store.wim --as 'mbr:5cbea03e:1048576:\\wimboot\\store.wim'
    """
    from wimboot.ops.relocate import relocate as run

    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(where, wim, place, listen)
    if chosen["as_json"]:
        show.document({"data_source_id": done.data_source_id, "before": done.before, "after": done.after,
                       "dry_run": chosen["dry_run"]})
    elif not chosen["quiet"]:
        verb = "would move" if chosen["dry_run"] else "moved"
        click.echo(f"Data source {done.data_source_id} {verb} from {done.before} to {done.after}.")
