"""`wimboot ram`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from wimboot.cli import options, show
from wimboot.cli.asking import ask
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener
from wimboot.cli.sizes import SIZE

if TYPE_CHECKING:
    from wimboot.ops.ram import MadeRam
    from wimboot.ops.ramming.options import RamOptions

__all__ = ["ram"]

_FORMS: Final = ("lz4", "gzip", "vhd", "vhd-fixed")
_ENDINGS: Final = {".gz": "gzip", ".vhd": "vhd"}
_MOST_PLACES: Final = 2


@click.command(short_help="Make a disk image that grub4dos loads into memory.")
@click.argument("places", nargs=-1, metavar="[TARGET] OUT")
@options.searching
@options.log_option
@options.wim_option(required=False)
@click.option("--image", metavar="IMAGE", help="Number or name (default: the one that TARGET stands on).")
@click.option("--size", type=SIZE, default="5G", show_default=True, metavar="SIZE",
              help="Of the disk; the machine needs as much memory for it, and 2 GB or more for Windows.")
@click.option("--form", type=click.Choice(_FORMS), help="What OUT is (default: by its ending .gz or .vhd, else lz4). "
              "gzip is for less than 4 GiB, vhd grows, vhd-fixed has all bytes.")
@click.option("--firmware", type=click.Choice(["bios", "uefi"]), default="bios", show_default=True,
              help="For grub4dos, or for grub4dos for UEFI.")
@click.option("--label", default="", metavar="TEXT", help="Of the volume.")
@options.config_option
@options.placing_at_once
@click.option("--title", metavar="TEXT", help="In grub4dos' menu and in that of Windows.")
@click.option("--menu", type=HostPath(dir_okay=False), metavar="FILE",
              help="A menu.lst that gets the entry, once however often.")
@click.option("--menu-path", metavar="PATH", help="Where OUT will lie, from the root of its partition: "
              "/wimboot/win7.ram (default: where it lies).")
@click.option("--test-signing", is_flag=True, help="Let Windows start with drivers that are signed for tests.")
@click.option("--no-integrity-checks", is_flag=True, help="Let Windows start with drivers that are not signed.")
@click.option("--thorough", is_flag=True, help="Pack about a tenth smaller, in several times the time.")
@click.option("--whole", is_flag=True, help="With the free end of the disk too, for loaders that do not know "
              "grub4dos' --mem=-N; larger, and slower to load.")
@options.threads_option("Compressing")
@options.writing
@options.reporting
def ram(places: tuple[str, ...], log_folder: Path | None, **chosen: Any) -> None:
    """Make OUT, a disk that grub4dos loads into memory, with the system of TARGET on it as pointers into its WIM.

    The WIM stays on the machine's disk, so OUT is small; what Windows writes is gone when the power is. The system
    needs a driver that finds the disk in memory: SVBus, FiraDisk or WinVBlock (`wimboot driver`). The entry for
    menu.lst is printed, or put into --menu.

    \b
    Examples:
      wimboot ram x86/win7.vhd x86/win7.ram --size 5G --menu menu.lst
      wimboot ram win7.vhd win7.ram --menu-path /wimboot/x86/win7.ram
      wimboot ram --wim win.wim --image 2 small.gz --size 3G --wim-place 'mbr:5cbea03e:1048576:\\wimboot\\win.wim'
    """
    from wimboot.events import silent
    from wimboot.ops.ram import make_ram
    from wimboot.ops.ramming.source import find_source

    if not 1 <= len(places) <= _MOST_PLACES:
        raise click.UsageError("say what to make: [TARGET] OUT.")
    out = Path(places[-1])
    wanted = _wanted(places[0] if len(places) > 1 else None, out, log_folder, chosen)
    if out.exists() and not (chosen["yes"] or chosen["dry_run"]):
        find_source(wanted, silent)     # what cannot be done is said before anything is asked
        ask(f"Replace {out}?", as_json=chosen["as_json"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = make_ram(wanted, listen)
    if chosen["as_json"]:
        show.document({**_fields(done, wanted), "notes": [note.text for note in listen.notes]})
    elif not chosen["quiet"]:
        _show(done, wanted)


def _wanted(target: str | None, out: Path, log_folder: Path | None, chosen: dict[str, Any]) -> RamOptions:
    from wimboot.disk.packing import Packing
    from wimboot.ops.ramming.options import RamOptions
    from wimboot.windows.bcdentries import Firmware

    form = chosen["form"] or _ENDINGS.get(out.suffix.lower(), "lz4")
    names = ("wim", "image", "size", "label", "config", "wim_place", "driver", "title", "menu", "menu_path",
             "test_signing", "no_integrity_checks", "thorough", "whole", "dry_run")
    settings = {name: chosen[name] for name in names}
    if chosen["threads"] is not None:
        settings["threads"] = chosen["threads"]
    return RamOptions(
        out=out, target=None if target is None else options.target_options(target, log_folder),
        packing=Packing(form), firmware=Firmware(chosen["firmware"]),
        replace=chosen["yes"] or out.exists(), **settings)


def _fields(done: MadeRam, wanted: RamOptions) -> dict[str, Any]:
    applied = done.applied
    return {
        "disk": {"path": done.path, "form": done.packing.value, "bytes": done.size, "packed_bytes": done.packed_size,
                 "file_bytes": done.file_size, "id": f"{done.signature:08x}"},
        "firmware": done.firmware.value, "wim": done.wim, "wim_place": done.wim_place,
        "image": {"index": applied.number, "name": applied.name}, "files": applied.files, "pointed": applied.pointed,
        "full_bytes": applied.full_size,
        "real": {why.value: count for why, count in sorted(applied.real.items(), key=str)},
        "drivers": list(done.drivers),
        "menu": {"file": wanted.menu, "changed": done.menu_changed, "entry": list(done.entry)},
        "dry_run": wanted.dry_run,
    }


def _show(done: MadeRam, wanted: RamOptions) -> None:
    applied = done.applied
    verb = "Would make" if wanted.dry_run else "Made"
    size = "" if wanted.dry_run else f", {show.size(done.file_size)} in all"
    click.echo(f"{verb} {done.path} of image {applied.number}, {applied.name}: a disk of {show.size(done.size)} with "
               f"{applied.files:,} files and folders, {applied.pointed:,} of them pointers{size}.")
    if wanted.dry_run and done.path.exists():
        click.echo(f"{done.path} is there already: the new one would take its place.")
    if wanted.menu is not None:
        told = "has its entry already" if not done.menu_changed else (
            "would get its entry:" if wanted.dry_run else "got its entry:")
        click.echo(f"{wanted.menu} {told}")
    else:
        click.echo("For menu.lst:")
    if wanted.menu is None or done.menu_changed:
        for line in done.entry:
            click.echo(f"  {line}")
