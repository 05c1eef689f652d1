"""`wimboot extract`: files of a volume, copied out."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    import os

__all__ = ["extract"]

INTERRUPTED = 130


class _Out(HostPath):
    """Where to; a slash at its end says that it is the folder to make it in."""

    def convert(  # type: ignore[override]  # what it was besides
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Path, bool]:
        return super().convert(value, param, ctx), str(value).endswith("/")


@click.command(short_help="Copy files out of a volume, through its pointers.")
@options.targeting
@click.argument("path")
@click.argument("out", required=False, type=_Out(reading=False, allow_dash=True))
@options.wim_option(required=False)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@options.reporting
def extract(
    target: str, log_folder: Path | None, path: str, out: tuple[Path, bool] | None, wim: Path | None, force: bool,
    **chosen: Any,
) -> None:
    """Copy PATH from the volume on TARGET to OUT: a file, a named stream of one (PATH:STREAM), or a folder with all
    that is in it. OUT is the new file or folder; where it is a folder that is there already, or ends with / (which is
    made where it is missing), PATH is made in it under its own name. - is standard output; default: here, under its
    own name. Case does not matter in PATH.

    What a pointer gives is compared with its SHA-1 before the file gets its name. Files that are there are not
    overwritten, links are never followed.

    \b
    Examples:
      wimboot extract disk.img '\\Windows\\System32\\ntoskrnl.exe'
      wimboot extract disk.img /Windows/win.ini -
      wimboot extract disk.img '\\Users\\Public' backup/
    """
    from wimboot.ops.extract import extract as run
    from wimboot.ops.options import ExtractOptions

    place, into = out or (Path(), False)
    to_output = str(place) == "-"
    if to_output and chosen["as_json"]:
        raise click.UsageError("standard output cannot have both the file and --json")
    if to_output and sys.__stdout__ is None:    # `cli.main` lets it lead nowhere, for what is only told
        raise click.UsageError("standard output is closed: the file would go nowhere")
    asked = ExtractOptions(target=options.target_options(target, log_folder), path=path, wim=wim, force=force,
                           out=None if to_output else place, into=into)
    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        try:
            done = run(asked, listen, _write)
        except KeyboardInterrupt as error:
            click.echo("\nInterrupted: the files that were extracted are whole and stay.", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from error
    if to_output:
        sys.stdout.buffer.flush()
    elif chosen["as_json"]:
        show.document({"files": done.files, "folders": done.folders, "links": done.links, "bytes": done.byte_count,
                       "streams_left_out": done.streams, "names_changed": done.escaped,
                       "notes": [note.text for note in listen.notes]})
    elif not chosen["quiet"]:
        show.say(f"{done.files:,} files ({show.size(done.byte_count)})"
                 + (f", {done.folders:,} folders" if done.folders else "")
                 + (f", {done.links:,} links" if done.links else "") + " extracted.")


def _write(piece: bytes | memoryview) -> None:
    """All of it: with PYTHONUNBUFFERED standard output takes what fits, and says how much that was."""
    left = memoryview(piece)
    while left:
        written = sys.stdout.buffer.write(left)
        if not written:     # None as well: it would block, for which a buffer raises the same
            raise BlockingIOError(errno.EAGAIN, "standard output takes nothing more at the moment")
        left = left[written:]
