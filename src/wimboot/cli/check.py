"""`wimboot verify` and `wimboot recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener
from wimboot.errors import ChecksFailed

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["recover", "verify"]


@click.command(short_help="Check every pointer, every blob, every record.")
@click.argument("target", metavar="[TARGET]", required=False)
@click.option("--log", "log_folder", type=options.FOLDER, metavar="DIR", help="Folder of a device's transaction log.")
@options.searching
@options.wim_option(required=False)
@click.option("--quick", is_flag=True, help="Leave the data unread: pointers and records only.")
@click.option("--threads", type=click.IntRange(1, 64), metavar="N", help="Reading threads (default: cores).")
@options.reporting
def verify(target: str | None, log_folder: Path | None, wim: Path | None, **chosen: Any) -> None:
    """Check that every pointer of TARGET leads to bytes of the right SHA-1, that each WIM it uses is registered, found
    and the one it should be; with --wim alone, check that WIM. Exit code 3 when something is wrong.

    \b
    Examples:
      wimboot verify win10.img
      wimboot verify disk.img#2 --wim store.wim --quick
      wimboot verify --wim store.wim
    """
    from wimboot.ops.options import VerifyOptions
    from wimboot.ops.verify import verify as run

    threads = {} if chosen["threads"] is None else {"threads": chosen["threads"]}
    where = None if target is None else options.target_options(target, log_folder)
    listen = listener(
        "none" if chosen["as_json"] and chosen["progress"] == "auto" else chosen["progress"],
        quiet=chosen["quiet"] or chosen["as_json"],
    )
    with listen:
        done = run(VerifyOptions(target=where, wim=wim, quick=chosen["quick"], **threads), listen)
    if chosen["as_json"]:
        show.document(
            {
                "sound": not done.problems,
                "pointers": done.pointers,
                "blobs": done.blobs,
                "data_bytes": done.data_size,
                "wim": done.wim,
                "behind": done.behind,
                "problem_count": done.problems,
                "problems": [
                    {"id": problem.id, "where": problem.where, "text": problem.text} for problem in listen.problems
                ],
            }
        )
        if done.problems:
            raise click.exceptions.Exit(ChecksFailed.exit_code)
        return
    if done.problems:
        raise ChecksFailed(count=f"{done.problems:,}", where=target or wim)
    if target and not done.pointers and not chosen["quiet"]:
        click.echo(f"No pointers: the files of {target} are ordinary ones, and there was nothing to verify.")
    elif not chosen["quiet"]:
        data = (
            ""
            if chosen["quick"]
            else f", {done.blobs:,} blobs with {show.size(done.data_size)} of data read and hashed"
        )
        click.echo(f"Sound: {done.pointers:,} pointers{data}." if target else f"Sound{data.replace(', ', ': ', 1)}.")


@click.command(short_help="Finish or undo an interrupted run.")
@options.targeting
@options.wim_option(required=False)
@options.reporting
def recover(target: str, log_folder: Path | None, wim: Path | None, **chosen: Any) -> None:
    """Finish or undo what an interrupted run left on TARGET, and on the WIM given. Every verb does this by itself.

    \b
    Example:
      wimboot recover disk.img
    """
    from wimboot.ops.recover import recover as run

    with listener(chosen["progress"], quiet=True) as listen:
        done = run(options.target_options(target, log_folder), wim, listen)
    if chosen["as_json"]:
        show.document({"target": done.target.name.lower(), "removed": list(done.removed),
                       "wim": None if done.wim is None else done.wim.name.lower()})
    elif not chosen["quiet"]:
        click.echo(done.told)
