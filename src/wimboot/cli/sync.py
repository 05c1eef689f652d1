"""`wimboot sync`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.asking import ask
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.options import SyncOptions
    from wimboot.ops.sync import Synced

__all__ = ["sync"]


@click.command(short_help="Bring the spare copy of a WIM up to date.")
@click.argument("wim", type=options.WIM, metavar="WIM")
@click.argument("copy", type=HostPath(), metavar="COPY")
@click.option("--full", is_flag=True, help="Compare the whole copy with the WIM, not only what is written now; "
              "write it anew where it differs.")
@click.option("--force", is_flag=True, help="Give up images that only the copy holds; write a damaged copy anew.")
@options.writing
@options.threads_option("Hashing")
@options.reporting
def sync(wim: Path, copy: Path, **chosen: Any) -> None:
    """Make COPY the same as WIM, byte for byte: pointers lead into the one as into the other. COPY is a file, or the
    folder that it lies in.

    Only what the WIM has grown by is written, behind the end of the copy. A copy that is missing is made; one whose WIM
    was rewritten (by prune, or another program) is written anew, unless it holds images that the WIM does not. What was
    written is read back from the disk and hashed before it counts. An interruption leaves the old copy or the new one.
    A file that does not even begin as a WIM does is written over with --force only, and after a question.

    \b
    Examples:
      wimboot sync store.wim /mnt/backup/store.wim
      wimboot sync store.wim /mnt/backup --full
    """
    from wimboot.ops.options import SyncOptions, processors
    from wimboot.ops.sync import CopyUnknown

    wanted = SyncOptions(wim=wim, copy=copy, full=chosen["full"], force=chosen["force"], dry_run=chosen["dry_run"],
                         over=chosen["yes"] or chosen["dry_run"], threads=chosen["threads"] or processors())
    try:
        done = _run(wanted, chosen)
    except CopyUnknown as error:
        if not wanted.force:
            raise
        ask(f"{error.facts['copy']} does not begin as a WIM does. Write the WIM over it?", as_json=chosen["as_json"])
        done = _run(replace(wanted, over=True), chosen)
    if chosen["as_json"]:
        show.document({"copy": done.copy, "was": done.before.value, "rewritten": done.rewritten,
                       "written_bytes": done.written, "compared_bytes": done.compared, "bytes": done.size,
                       "dry_run": chosen["dry_run"]})
    elif not chosen["quiet"]:
        click.echo(_told(done, dry_run=chosen["dry_run"]))


def _run(wanted: SyncOptions, chosen: dict[str, Any]) -> Synced:
    from wimboot.ops.sync import sync as run

    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        return run(wanted, listen)


def _told(done: Synced, *, dry_run: bool) -> str:
    compared = f"; {show.size(done.compared)} compared" if done.compared else ""
    if not done.written and done.before.value == "same":
        return f"{done.copy} is up to date{compared}. Nothing was written."
    size = show.size(done.written)
    if dry_run:
        how = "write it anew" if done.rewritten else "make it" if done.before.value == "missing" else "append"
        return f"Would bring {done.copy} up to date ({how}: {size}{compared}). Nothing was written."
    how = "written anew" if done.rewritten else "made" if done.before.value == "missing" else "brought up to date"
    return f"{done.copy} was {how}: {size} written, read back and hashed{compared}."
