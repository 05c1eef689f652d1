"""`wimboot space`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.space import SpaceOptions

__all__ = ["space"]


@click.command(short_help="What systems take: seen, on disk, in the WIM, shared.")
@click.argument("places", nargs=-1, required=True, metavar="DIR|TARGET...")
@click.option("--explain", is_flag=True, help="Group the real files of each volume by why they are real.")
@click.option("--svg", "picture", type=HostPath(dir_okay=False, reading=False), metavar="FILE",
              help="Draw it into this file, for reports.")
@click.option("--config", type=options.CONFIG, metavar="INI", help="The list that --explain goes by.")
@options.searching
@options.log_option
@options.reporting
def space(places: tuple[str, ...], *, explain: bool, picture: Path | None, config: Path | None,
          log_folder: Path | None, **chosen: Any) -> None:
    """Show what systems take: as Windows sees them, on their volumes, on the host, and of the WIMs behind them; what
    sharing a WIM saves; and how large a dynamic VHD becomes when Windows starts from it.

    DIR is a folder: the disk images, VHDs and WIMs in it and in the folders below are found (symbolic links and other
    file systems are left alone). A WIM may be named too. Nothing is written but the picture.

    \b
    Examples:
      wimboot space /srv/windows
      wimboot space x64.vhd x86.vhd --explain
      wimboot space /srv/windows --json --svg report.svg
    """
    from wimboot.ops.measuring.picturefile import check_picture, write_picture
    from wimboot.ops.space import measure

    if picture is not None:
        check_picture(picture)
    wanted = _options(places, config, log_folder, explain=explain)
    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        found = measure(wanted, listen)
    if picture is not None:
        from wimboot.cli.picture import draw

        write_picture(picture, draw(found), found.files)
    if chosen["as_json"]:
        from wimboot.cli.spacedocument import fields

        warnings = [note.text for note in listen.notes if note.warning]
        show.document({**fields(found), "picture": picture, "warnings": warnings})
    elif not chosen["quiet"]:
        from wimboot.cli.spacetable import tell

        tell(found)
        if picture is not None:
            click.echo(f"drawn into {show.plain(picture)}")


def _options(places: tuple[str, ...], config: Path | None, log_folder: Path | None, *, explain: bool) -> SpaceOptions:
    from wimboot.ops.space import SpaceOptions

    target = options.target_options("", log_folder)
    return SpaceOptions(places=places, explain=explain, config=config, search=target.search,
                        wim_folder=target.wim_folder, log_folder=log_folder)
