"""`wimboot demo`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import click

from wimboot.cli import options, show
from wimboot.cli.english import singular
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener

__all__ = ["demo"]


@click.command(short_help="Build a sample system and take it through convert, update, restore, verify.")
@click.argument("folder", metavar="[DIR]", required=False, type=HostPath(file_okay=False, reading=False))
@options.reporting
def demo(folder: Path | None, **chosen: Any) -> None:
    """Build a disk image with a Windows-like system of real program files and every NTFS feature in DIR (default:
    ./wimboot-demo), convert it, verify it, update it, damage it, restore it. Needs no Windows and no root.

    \b
    Example:
      wimboot demo /tmp/demo
    """
    from wimboot.ops.demo import demo as run

    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        done = run(folder or Path("wimboot-demo"), listen)
    if chosen["as_json"]:
        show.document({"disk": done.disk, "wim": done.wim, "stages": [
            {"name": stage.name, "files": stage.files, "pointers": stage.pointers, "virtual_bytes": stage.virtual,
             "occupied_bytes": stage.occupied, "wim_bytes": stage.wim_size, "seconds": round(stage.seconds, 3),
             "told": stage.told} for stage in done.stages]})
        return
    if chosen["quiet"]:
        return
    show.table([("step", "left"), ("files", "right"), ("pointers", "right"), ("size as seen", "right"),
                ("on disk", "right"), ("WIM", "right"), ("time", "right"), ("", "left")],
               [(stage.name, f"{stage.files:,}", f"{stage.pointers:,}", show.size(stage.virtual),
                 show.size(stage.occupied), show.size(stage.wim_size) if stage.wim_size else "",
                 f"{stage.seconds:.2f} s", singular(stage.told))
                for stage in done.stages])
    click.echo(f"\nThe disk is {done.disk}, the WIM {done.wim}. No place for Windows to find it is set. Try:")
    disk, wim = quote(str(done.disk)), quote(str(done.wim))
    for words in (f"info {disk}", f"images {wim}", f"diff {wim} 1 2",
                  f"explain {disk} '\\Windows\\System32\\ntoskrnl.exe'",
                  f"explain {disk} '\\Windows\\System32\\shell32.dll'"):
        click.echo(f"    {_called()} {words}")


def _called() -> str:
    """What to type: in a virtual environment that is not active, the path by which this run was called."""
    own = Path(sys.argv[0])
    return str(own) if own.name == "wimboot" and shutil.which("wimboot") is None else "wimboot"
