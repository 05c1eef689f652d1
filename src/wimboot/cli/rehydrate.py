"""`wimboot rehydrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.rehydrate import Rehydration

__all__ = ["rehydrate"]

_SHOWN = 20
"""Files that a dry run lists; -v and --json have all of them."""


@click.command(short_help="Make pointers ordinary files again, all or some.")
@options.targeting
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@options.wim_option(required=False)
@click.option("--dry-run", is_flag=True, help="List the files and the space that they need, and change nothing. "
              "The data is read, and its hashes compared, only by the run itself.")
@options.reporting
def rehydrate(target: str, log_folder: Path | None, paths: tuple[str, ...], wim: Path | None, **chosen: Any) -> None:
    """Write the data of TARGET's pointers where they stand: every file, or those at each PATH and below.

    A PATH begins at the root ('\\Users\\Ann', '/Users/Ann') or matches the end of a path ('*.dll'); * stands for
    anything, ? for one character. Names, times, security, streams and links stay. Once no pointer is left the volume
    needs its WIM no more, and is not in WIMBoot form any more. Compact OS files stay as they are.

    \b
    Examples:
      wimboot rehydrate disk.img --dry-run
      wimboot rehydrate disk.img '\\Program Files\\Games' '*.mp4'
    """
    from wimboot.ops.options import RehydrateOptions
    from wimboot.ops.rehydrate import rehydrate as run

    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(RehydrateOptions(target=where, paths=paths, wim=wim), listen)
    if chosen["as_json"]:
        show.document(
            {
                "files": done.files,
                "bytes": done.size,
                "on_volume_bytes": done.written,
                "free_bytes": done.free,
                "pointers_left": done.left,
                "sources_unregistered": done.unregistered,
                "wims": list(done.wims),
                "paths": list(done.paths),
                "not_pointers": list(done.ordinary),
                "dry_run": chosen["dry_run"],
            }
        )
    elif not chosen["quiet"]:
        _tell(target, done, dry_run=chosen["dry_run"], verbose=bool(chosen["verbose"]))


def _tell(target: str, done: Rehydration, *, dry_run: bool, verbose: bool) -> None:
    shown = done.paths if verbose else done.paths[:_SHOWN] if dry_run else ()
    for path in shown:
        click.echo(path)
    if shown and len(done.paths) > len(shown):
        click.echo(f"... and {len(done.paths) - len(shown):,} more (-v shows all)")
    for path in done.ordinary:
        click.echo(f"{path}: there is no pointer there, its files are ordinary already.")
    would = "would be" if dry_run else "were"
    if done.files:
        show.say(f"{done.files:,} pointers of {target} {would} made ordinary files, {show.size(done.size)}"
                 + (f"; {done.left:,} pointers stay." if done.left else "."))
        if dry_run:
            click.echo(f"They take {show.size(done.written)} of the {show.size(done.free)} that are free there.")
    elif not done.ordinary:
        click.echo(f"{target} has no pointers: nothing to do.")
    if done.unregistered:
        click.echo("No pointer is left: the volume needs no WIM any more"
                   + (", and its records of one would go." if dry_run else ", and its records of one are gone."))
