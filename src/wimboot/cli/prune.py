"""`wimboot prune`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.asking import ask
from wimboot.cli.progress import listener
from wimboot.formats.filetime import PER_SECOND

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.prune import Pruned

__all__ = ["prune"]

_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


def _age(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """90d, 12w, 36h, 2y: in 100 ns."""
    if text is None:
        return None
    found = re.fullmatch("([0-9]{1,6})([hdwy])", text.strip().lower(), re.ASCII)
    if found is None:
        raise click.BadParameter(f"{text!r} is no age: say 36h, 90d, 12w or 2y.")
    return int(found[1]) * _SECONDS[found[2]] * PER_SECOND


@click.command(short_help="Drop images of a WIM, and the data that only they use.")
@click.argument("wim", type=options.WIM, metavar="WIM")
@click.option("--keep", multiple=True, metavar="IMAGE", help="An image that stays, number or name (may be repeated). "
              "Without --keep-last and --older-than all others go.")
@click.option("--drop", multiple=True, metavar="IMAGE", help="An image that goes (may be repeated). All others stay.")
@click.option("--keep-last", type=click.IntRange(1), metavar="N", help="Drop what is not among the last N images of "
              "its system: of the same Windows version, edition and architecture.")
@click.option("--older-than", callback=_age, metavar="AGE", help="Drop what is older: 36h, 90d, 12w, 2y. The last "
              "image of a system stays. With --keep-last an image goes only where both say so.")
@click.option("--target", "targets", multiple=True, metavar="TARGET",
              help="A volume that uses the WIM, and whose pointers follow (may be repeated).")
@options.plan_option
@options.log_option
@click.option("--search", multiple=True, type=options.FOLDER, metavar="DIR",
              help="Look there too for volumes that use the WIM (may be repeated).")
@click.option("--force", is_flag=True, help="Go on though a volume that uses the WIM was not given, or stands on an "
              "image that goes and all its data stays.")
@options.threads_option("Reading")
@options.writing
@options.reporting
def prune(wim: Path, **chosen: Any) -> None:
    """Drop images of WIM and write it anew without the data that only they use. Blobs get other places, so every
    volume that uses the WIM has to be given with --target: its pointers, and the number of the image that it stands on,
    follow in the same step. All of it happens, or nothing.

    Volumes that use the WIM are looked for beside it and in folders below, on attached disks, and where --search says;
    one that was not given is a refusal (exit 4). Images that such a volume stands on are never dropped by --keep-last
    or --older-than. Systems of the same version, edition and architecture in one WIM count as one system: where two
    computers are alike, drop by name.

    The new WIM is written beside the old one, so there must be room for both; it is read back and hashed before the
    old one goes.

    \b
    Examples:
      wimboot prune store.wim --keep-last 3 --target win7.img --target win10.img
      wimboot prune store.wim --drop before-updates --target disk.img#2 --dry-run
      wimboot prune store.wim --older-than 90d --keep first --target disk.img --yes
    """
    from wimboot.ops.options import PruneOptions, processors
    from wimboot.ops.prune import prune as run

    where = options.target_options("", chosen["log_folder"], dry_run=chosen["dry_run"])
    wanted = PruneOptions(
        target=where, wim=wim, keep=chosen["keep"], drop=chosen["drop"], keep_last=chosen["keep_last"],
        older_than=chosen["older_than"], targets=options.further(chosen["targets"]), search=chosen["search"],
        force=chosen["force"], threads=chosen["threads"] or processors())
    if not (chosen["dry_run"] or chosen["yes"]):
        with listener("none", quiet=True) as listen:
            ahead = run(replace(wanted, target=replace(where, dry_run=True)), listen)
        if ahead.dropped:
            question = f"Drop {_names(ahead)} from {wim}? This cannot be undone."
            ask(question, as_json=chosen["as_json"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(wanted, listen)
    if chosen["as_json"]:
        show.document({**_document(done), "dry_run": chosen["dry_run"]})
    elif not chosen["quiet"]:
        _tell(done, dry_run=chosen["dry_run"])


def _names(done: Pruned) -> str:
    named = [f"{image.number} ({image.name})" for image in done.dropped]
    return ("image " if len(named) == 1 else "images ") + ", ".join(named)


def _document(done: Pruned) -> dict[str, Any]:
    return {
        "images": [{"index": image.number, "index_after": image.after, "name": image.name,
                    "dropped": image.after is None, "held": image.number in done.held} for image in done.images],
        "dropped": len(done.dropped),
        "dropped_blobs": done.dropped_blobs,
        "bytes_before": done.size_before,
        "bytes_after": done.size_after,
        "volumes": [{"where": volume.where, "image_before": volume.before, "image": volume.after,
                     "refreshed": volume.refreshed} for volume in done.volumes],
        "left_behind": list(done.left_behind),
    }


def _tell(done: Pruned, *, dry_run: bool) -> None:
    if not done.dropped:
        stays = "the only image stays" if len(done.images) == 1 else f"all {len(done.images):,} images stay"
        show.say(f"Nothing to drop: {stays}.")
        return
    stay = len(done.images) - len(done.dropped)
    sizes = f"from {show.size(done.size_before)} to {show.size(done.size_after)}"
    if dry_run:
        show.say(f"Would drop {_names(done)}, leaving {stay:,} images; the WIM would shrink {sizes}. Nothing was "
                 "written.")
    else:
        show.say(f"Dropped {_names(done)}; {stay:,} images stay. The WIM shrank {sizes}.")
    for volume in done.volumes:
        moved = f"image {volume.before}" if volume.before == volume.after else (
            f"image {volume.after}, which was {volume.before}")
        pointers = "" if dry_run else f"; {volume.refreshed:,} pointers follow"
        show.say(f"{volume.where} stands on {moved}{pointers}.")
