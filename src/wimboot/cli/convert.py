"""`wimboot capture` and `wimboot convert`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.asking import ask
from wimboot.cli.progress import listener
from wimboot.formats.guid import guid_text

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.convert import Converted

__all__ = ["capture", "convert"]


@click.command(short_help="Capture a volume into an image of a WIM.")
@options.targeting
@options.wim_option(required=True)
@options.capturing
@options.writing
@options.reporting
def capture(target: str, log_folder: Path | None, wim: Path, **chosen: Any) -> None:
    """Append an image of TARGET to a WIM, which is made where there is none. The volume is only read.

    Data that the WIM already holds is not stored again. Pointers and Compact OS files are captured as what they
    contain.

    \b
    Examples:
      wimboot capture win7.img --wim store.wim
      wimboot capture disk.vhd.raw#2 --wim store.wim --name before-updates --compress lzx
    """
    from wimboot.ops.capture import capture as run

    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(options.capture_options(where, wim, chosen), listen)
    image = done.image
    if chosen["as_json"]:
        show.document(
            {
                "files": done.files,
                "excluded": done.excluded,
                "read_bytes": done.read_size,
                "encrypted_left_out": list(done.encrypted),
                "dry_run": chosen["dry_run"],
                "image": None if image is None else _image(image),
            }
        )
    elif not chosen["quiet"]:
        if image is None:
            click.echo(
                f"Would capture {done.files:,} files and folders, reading {show.size(done.read_size)}; "
                f"{done.excluded:,} names are left out by the list. Nothing was written."
            )
        else:
            click.echo(
                f"Captured {done.files:,} files and folders as image {image.number}, {image.name}: the WIM grew by "
                f"{show.size(image.growth)}."
            )


@click.command(short_help="Turn an installed Windows into a WIMBoot system, in place.")
@options.targeting
@options.wim_option(required=True)
@options.capturing
@options.placing
@click.option(
    "--format",
    "rebuild",
    is_flag=True,
    help="Rebuild the volume from the captured image instead of pointing "
    "its files in place: what the list excludes is gone then.",
)
@options.writing
@options.reporting
def convert(target: str, log_folder: Path | None, wim: Path, **chosen: Any) -> None:
    """Capture TARGET into a WIM, check what was written, and make every eligible file a pointer into it.

    Files that Windows' boot loader reads stay real, as do those on the list, resident and encrypted ones; `wimboot
    explain` tells which rule. No file gives up its data before its copy was read back from the WIM and compared. All
    of it happens, or nothing: after an interruption the volume and the WIM are as they were.

    \b
    Examples:
      wimboot convert win10.img --wim /mnt/data/wimboot/store.wim
      wimboot convert disk.img#2 --wim store.wim --wim-place 'mbr:5cbea03e:1048576:\\wimboot\\store.wim'
      wimboot convert win7.img --wim store.wim --wim-place later --driver none
    """
    from wimboot.ops.convert import convert as run
    from wimboot.ops.options import ConvertOptions

    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    if chosen["rebuild"] and not (chosen["dry_run"] or chosen["yes"]):
        question = f"Rebuild the volume of {target}? Files that the list excludes will be gone."
        ask(question, as_json=chosen["as_json"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(
            ConvertOptions(
                capture=options.capture_options(where, wim, chosen),
                wim_place=chosen["wim_place"],
                driver=chosen["driver"],
                no_expand=chosen["no_expand"],
                rebuild=chosen["rebuild"],
            ),
            listen,
        )
    image = done.image
    if chosen["as_json"]:
        show.document(
            {
                "files": done.files,
                "pointed": done.pointed,
                "freed_bytes": done.freed,
                "read_bytes": done.read_size,
                "real": {reason.value: count for reason, count in sorted(done.real.items(), key=str)},
                "data_source_id": done.data_source_id,
                "already_converted": done.already,
                "dry_run": chosen["dry_run"],
                "image": None if image is None else _image(image),
            }
        )
    elif not chosen["quiet"]:
        click.echo(_told(done, target))


def _told(done: Converted, target: str) -> str:
    image = done.image
    if done.already:
        return (f"{show.plain(target)} is converted already, and no file of it would become a pointer: nothing to do. "
                "`wimboot update` adds an image of what has changed since.")
    if image is None:
        return (f"Would capture {done.files:,} files, reading {show.size(done.read_size)}, and point "
                f"about {done.pointed:,} of them. Nothing was written.")
    freed = f"; {show.size(done.freed)} are free again" if done.freed > 0 else ""
    return (f"Image {image.number}, {image.name}: the WIM grew by {show.size(image.growth)}. "
            f"{done.pointed:,} of {done.files:,} files became pointers{freed}.")


def _image(image: Any) -> dict[str, Any]:
    return {"index": image.number, "name": image.name, "wim_guid": guid_text(image.guid), "grown_bytes": image.growth}
