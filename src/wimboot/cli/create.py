"""`wimboot create`."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import click

from wimboot.cli import options, show
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener
from wimboot.cli.sizes import SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.creating.child import MadeChild
    from wimboot.ops.creating.options import ChildOptions, CreateOptions
    from wimboot.ops.creating.shape import DiskForm, MadeDisk

__all__ = ["create"]

_FORMS: Final = ("vhd", "vhdx", "raw", "qcow2", "vmdk", "vdi")
_ENDINGS: Final = {**{f".{form}": form for form in _FORMS}, ".img": "raw", ".dd": "raw", ".bin": "raw"}
_ESP: Final = "100M"
_OF_THE_PARENT: Final = ("fixed", "table", "esp", "msr", "label", "cluster_size", "serial", "disk_id", "boot_code",
                         "tail")


@click.command(short_help="Make a new disk with an empty NTFS volume.")
@click.argument("disk", type=HostPath(dir_okay=False, reading=False), metavar="DISK")
@click.option("--size", type=SIZE, metavar="SIZE", help="Of the disk: 15G, 512M or bytes.")
@click.option("--format", "form", type=click.Choice(_FORMS), help="Default: what the ending of DISK says. All but vhd "
              "and raw need qemu-img.")
@click.option("--fixed", is_flag=True, help="Write the file whole, so that it never grows; VHDX, QCOW2 and VDI disks "
              "have to be fixed where other verbs are to write them.")
@click.option("--table", type=click.Choice(["mbr", "gpt"]), help="Partition table (default mbr; UEFI wants gpt).")
@click.option("--esp", type=SIZE, is_flag=False, flag_value=_ESP, metavar="[=SIZE]",
              help=f"An EFI system partition, FAT32 (default {_ESP}); with --table gpt.")
@click.option("--msr", is_flag=True, help="A Microsoft reserved partition of 16M; with --table gpt.")
@click.option("--label", metavar="TEXT", help="Of the volume, up to 32 characters.")
@click.option("--cluster-size", type=SIZE, metavar="SIZE", help="512 to 64K (default 4K, as Windows has it).")
@click.option("--serial", metavar="HEX", help="Of the volume: 16 digits, or the 8 that Windows shows, 1234-ABCD "
              "(default random).")
@click.option("--disk-id", metavar="ID", help="Signature of an MBR disk, 8 digits, or GUID of a GPT disk "
              "(default random).")
@click.option("--boot-code", multiple=True, metavar="FILE", help="Take boot code from there: the MBR or the first 16 "
              "sectors of the volume of your own Windows, or a disk, image or VHD of it (may be repeated).")
@click.option("--tail", type=SIZE, metavar="SIZE", help="Leave so much of the disk's end to no partition (default 1M).")
@click.option("--parent", type=HostPath(exists=True, dir_okay=False), metavar="VHD",
              help="Make a differencing VHD on this one: it has its contents and keeps what is changed.")
@click.option("--dry-run", is_flag=True, help="Check everything, and make nothing.")
@options.reporting
def create(disk: Path, **chosen: Any) -> None:
    """Make DISK: a partition table, one partition for Windows, active on an MBR disk, and an empty NTFS volume in it.

    A VHD is dynamic unless --fixed says otherwise: it grows by blocks of 2 MiB. DISK appears when it is whole; a
    file that is there is never overwritten. Sizes count in powers of 1024. Boot code is Windows' own: give yours with
    --boot-code, if a BIOS is to start the disk by itself.

    \b
    Examples:
      wimboot create win7.vhd --size 15G --label Windows
      wimboot create win10.vhd --size 60G --table gpt --esp --msr
      wimboot create ram.img --size 5G --boot-code /dev/sda
      wimboot create changes.vhd --parent win7.vhd
    """
    from wimboot.ops.create import create as run
    from wimboot.ops.creating.shape import MadeDisk

    wanted = _wanted(disk, chosen)
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(wanted, listen)
    if chosen["as_json"]:
        fields = _disk_fields(done) if isinstance(done, MadeDisk) else _child_fields(done)
        show.document({**fields, "dry_run": chosen["dry_run"]})
    elif not chosen["quiet"]:
        told = _told_disk(done) if isinstance(done, MadeDisk) else _told_child(done)
        for line in told:
            click.echo(line)
        if chosen["dry_run"]:
            click.echo("Nothing was made; ids that were not given are examples.")


def _wanted(disk: Path, chosen: dict[str, Any]) -> CreateOptions | ChildOptions:
    from wimboot.disk import TableKind
    from wimboot.ops.creating.options import ChildOptions, CreateOptions
    from wimboot.ops.creating.shape import DiskShape

    if chosen["parent"] is not None:
        given = [f"--{name.replace('_', '-')}" for name in _OF_THE_PARENT if chosen[name]]
        if given or chosen["form"] not in (None, "vhd"):
            raise click.UsageError(f"a differencing VHD has what its parent has: leave out "
                                   f"{', '.join(given) or '--format'}.")
        return ChildOptions(path=disk, parent=chosen["parent"], size=chosen["size"], dry_run=chosen["dry_run"])
    if chosen["size"] is None:
        raise click.UsageError("how large is the disk to be? Say --size 15G, for example.")
    table = TableKind(chosen["table"] or "mbr")
    settings = {name: chosen[name] for name in ("label", "cluster_size", "tail") if chosen[name] is not None}
    shape = DiskShape(size=chosen["size"], form=_form(disk, chosen["form"]), fixed=chosen["fixed"], table=table,
                      esp_size=chosen["esp"] or 0, msr=chosen["msr"], serial=_serial(chosen["serial"]),
                      disk_id=_disk_id(chosen["disk_id"], gpt=table is TableKind.GPT), **settings)
    return CreateOptions(path=disk, shape=shape, boot_code=chosen["boot_code"], dry_run=chosen["dry_run"])


def _form(disk: Path, named: str | None) -> DiskForm:
    from wimboot.ops.creating.shape import DiskForm

    found = named or _ENDINGS.get(disk.suffix.lower())
    if found is None:
        raise click.UsageError(f"what is {disk.name} to be? Say --format {', '.join(_FORMS[:-1])} or {_FORMS[-1]}.")
    return DiskForm(found)


def _serial(text: str | None) -> int | None:
    """The number; of 8 digits, the lower half that Windows shows, the rest is random."""
    if text is None:
        return None
    digits = text.replace("-", "")
    if not re.fullmatch(r"[0-9A-Fa-f]{8}([0-9A-Fa-f]{8})?", digits):
        raise click.BadParameter(f"{text!r} is no serial number: 16 hexadecimal digits, or 8.", param_hint="--serial")
    return int(digits, 16) + (secrets.randbits(32) << 32 if len(digits) == 8 else 0)


def _disk_id(text: str | None, *, gpt: bool) -> bytes | None:
    from wimboot.formats.guid import parse_guid

    if text is None:
        return None
    if gpt:
        return parse_guid(text)
    digits = text.lower().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]{8}", digits):
        raise click.BadParameter(f"{text!r} is no signature of an MBR disk: 8 hexadecimal digits.",
                                 param_hint="--disk-id")
    return int(digits, 16).to_bytes(4, "little") + bytes(12)


def _id_text(made: MadeDisk) -> str:
    from wimboot.disk import TableKind
    from wimboot.formats.guid import guid_text

    return f"{made.table.signature:08x}" if made.table.kind is TableKind.MBR else guid_text(made.disk_id)


def _disk_fields(made: MadeDisk) -> dict[str, Any]:
    """As `info` has them, and what else was settled here."""
    from wimboot.disk import TableKind
    from wimboot.formats.guid import guid_text

    is_mbr = made.table.kind is TableKind.MBR
    return {
        "disk": {
            "path": made.path, "bytes": made.table.size, "table": made.table.kind.value, "id": _id_text(made),
            "partitions": [{
                "number": one.number, "kind": one.kind.value, "offset": one.start, "bytes": one.size, "type": one.type,
                "guid": None if one.guid is None else guid_text(one.guid), "active": is_mbr,
            } for one in made.table.partitions],
            "form": made.form.value, "fixed": made.fixed, "file_bytes": made.file_size, "parent": None,
        },
        "volume": {"partition": made.number, "label": made.label, "cluster_bytes": made.cluster_size,
                   "serial": f"{made.serial:016x}"},
        "boot_code": {"mbr": made.boots_mbr, "volume": made.boots_volume},
    }


def _child_fields(made: MadeChild) -> dict[str, Any]:
    return {"disk": {
        "path": made.path, "bytes": made.size, "form": "vhd", "fixed": False, "file_bytes": made.file_size,
        "vhd_id": made.unique_id,
        "parent": {"path": made.parent, "vhd_id": made.parent_id, "found_by": made.relative},
    }}


def _told_disk(made: MadeDisk) -> list[str]:
    kind = f"{'fixed ' if made.fixed else ''}{made.form.value} disk"
    return [
        f"{made.path}: a {kind} of {show.size(made.table.size)}" + (
            f" in a file of {show.size(made.file_size)}." if made.file_size else "."),
        f"  {made.table.kind.value.upper()}, id {_id_text(made)}",
        *(f"  #{one.number}  {one.kind.value:<8} {show.size(one.size):>9} from byte {one.start:,}"
          for one in made.table.partitions),
        f"  NTFS on #{made.number}, {made.label or 'without a label'}, serial {made.serial:016x}",
    ]


def _told_child(made: MadeChild) -> list[str]:
    return [f"{made.path}: a differencing VHD of {show.size(made.size)} on {made.parent}.",
            f"  Windows finds that by {made.relative}; a change of it destroys this one."]
