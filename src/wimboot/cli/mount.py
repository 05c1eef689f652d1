"""`wimboot mount`: a volume as a folder."""

from __future__ import annotations

import os
import syslog
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.background import detach_when_ready
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.options import MountOptions

__all__ = ["mount"]


@click.command(short_help="Show a volume as a folder, read-only, through its pointers.")
@options.targeting
@click.argument("folder", metavar="DIR", type=HostPath(reading=False))
@options.wim_option(required=False)
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C unmounts.")
@click.option("--allow-other", is_flag=True, help="Let other users in as well, not only the one who mounts.")
@click.option("--ignore-case", is_flag=True, help="Find names in whatever case, as Windows does.")
@options.reporting
def mount(target: str, log_folder: Path | None, folder: Path, wim: Path | None, **chosen: Any) -> None:
    """Show the volume on TARGET as the folder DIR, for reading. Pointers give what the WIM holds, Compact OS files what
    they contain; what cannot be read is an error, never zeros. Unmount it with: fusermount3 -u DIR, or umount DIR.

    While it is mounted, no other run of wimboot writes to TARGET. Named streams are extended attributes
    (getfattr -n user.NAME); links lead to where they do under Windows, as long as that is on the same volume.

    \b
    Examples:
      wimboot mount disk.img /mnt
      wimboot mount disk.img#2 /mnt --wim store.wim
      wimboot mount disk.img /mnt -f --allow-other
    """
    from wimboot.ops.options import MountOptions

    _prefer_libfuse_3()
    chosen_options = MountOptions(
        target=options.target_options(target, log_folder), folder=folder.absolute(), wim=wim,
        allow_other=chosen["allow_other"], ignore_case=chosen["ignore_case"])
    _serve(chosen_options, chosen)


def _serve(chosen_options: MountOptions, chosen: dict[str, Any]) -> None:
    foreground = chosen["foreground"]
    detach = None if foreground else detach_when_ready()
    from wimboot.ops.mount import opened_files, serve

    def tell(line: str) -> None:
        if foreground:
            click.echo(f"problem: {line}", err=True)
        else:
            syslog.syslog(syslog.LOG_ERR, line.encode("utf-8", "backslashreplace").decode())

    def ready() -> None:
        _say(chosen_options, chosen)
        if detach is not None:
            syslog.openlog("wimboot")
            detach()

    with ExitStack() as stack:
        with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
            serving = stack.enter_context(opened_files(chosen_options, listen, tell))
        chosen["notes"] = [note.text for note in listen.notes]
        serve(serving, chosen_options, ready)


def _say(chosen_options: MountOptions, chosen: dict[str, Any]) -> None:
    folder = str(chosen_options.folder)
    if chosen["as_json"]:
        show.document({"mounted": folder, "target": chosen_options.target.place, "process": os.getpid(),
                       "notes": chosen["notes"]})
    elif not chosen["quiet"]:
        click.echo(f"{chosen_options.target.place} is shown in {folder}, read-only. "
                   f"Unmount it with: fusermount3 -u {folder}")


def _prefer_libfuse_3() -> None:
    """The binding takes libfuse 2 where it finds both, and only its environment can tell it otherwise."""
    from ctypes.util import find_library

    if "FUSE_LIBRARY_PATH" not in os.environ and find_library("fuse3"):
        os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")
