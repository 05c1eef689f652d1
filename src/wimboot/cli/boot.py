"""`wimboot boot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.formats.bcd import Element
    from wimboot.ops.boot import Booted
    from wimboot.ops.booting.options import BootOptions
    from wimboot.ops.booting.stores import ListedStore
    from wimboot.windows.bcdentries import Firmware

__all__ = ["boot"]

_MAX_TIMEOUT: Final = 0xFFFF_FFFF


@click.command(short_help="Boot files and boot entries for a system: volume, VHD or RAM image.")
@click.argument("target", metavar="[TARGET]", required=False)
@options.searching
@options.log_option
@click.option("--to", metavar="PARTITION", help="The system partition: a FAT or NTFS volume in an image, on a disk "
              "(PATH#N) or a device, or the folder it is mounted at. Of a disk without #N the EFI or the active one.")
@click.option("--title", metavar="TEXT", help="What the menu shows (default: the product's name, Windows 7 Ultimate).")
@click.option("--locale", metavar="TAG", help="Language of the menu, like zh-CN (default: the system's).")
@click.option("--default", "default", is_flag=True, help="Make it what starts when nobody chooses.")
@click.option("--timeout", type=click.IntRange(0, _MAX_TIMEOUT), metavar="SECONDS", help="How long the menu waits.")
@click.option("--firmware", type=click.Choice(["bios", "uefi", "both"]), help="Default: what the partition is for, "
              "BIOS on an MBR disk, UEFI on a GPT disk or an EFI system partition.")
@click.option("--vhd-place", metavar="PLACE", help="Where the VHD of TARGET lies when the machine starts. Default: "
              "where it lies now.")
@click.option("--volume-place", metavar="PLACE", help="Which partition TARGET is when the machine starts. Default: "
              "the one it is now.")
@click.option("--inside", is_flag=True, help="TARGET and PARTITION are one disk that is loaded as a whole, by "
              "grub4dos: the system is where the boot manager is.")
@click.option("--boot-files", type=click.Choice(["newest", "system", "keep"]), default="newest", show_default=True,
              help="Where there are boot files already: keep the newest, take the system's, or keep those there.")
@click.option("--menu", type=click.Choice(["legacy", "standard"]), help="Windows 8 and later: the text menu, in which "
              "F8 works, or the graphical one.")
@click.option("--test-signing", is_flag=True, help="Let drivers with test signatures in (SVBus, FiraDisk, wofadk).")
@click.option("--no-integrity-checks", is_flag=True, help="Let unsigned drivers in; no use with Secure Boot.")
@click.option("--grub4dos", is_flag=True, help="An entry for grub4dos' \\grldr.mbr too (BIOS).")
@click.option("--grub4dos-files", type=options.FOLDER, metavar="DIR", help="Copy grldr.mbr and grldr from there first.")
@click.option("--remove", is_flag=True, help="Take TARGET out of the menu, with its resume object.")
@click.option("--remove-id", "remove_ids", multiple=True, metavar="GUID", help="Take this entry out (may be repeated).")
@click.option("--list", "listing", is_flag=True, help="Print the stores of TARGET, a system partition or a BCD file, "
              "as bcdedit /enum all /v does.")
@options.wim_option(required=False)
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@options.reporting
def boot(target: str | None, log_folder: Path | None, listing: bool, **chosen: Any) -> None:
    """Make the Windows on TARGET start from the system partition PARTITION: boot files from its own \\Windows\\Boot,
    and an entry in the boot menu there. Everything is written, or nothing; a second identical run changes nothing.

    An existing store is extended, and nothing else in it changes; a new one is made from the system's BCD-Template.
    TARGET is known by its disk's signature or GUID. In a VHD it starts natively (vhd=...), unless PARTITION is on
    the same disk.

    \b
    PLACE of a VHD is one of
      mbr:SIGNATURE:OFFSET:\\path              signature of the disk it lies on, first byte of the partition
      gpt:DISK-GUID:PARTITION-GUID:\\path
      boot:\\path                              on the system partition itself
      locate:\\path                            on whichever disk has such a file
    PLACE of a volume is mbr:SIGNATURE:OFFSET, gpt:DISK-GUID:PARTITION-GUID, or boot.

    \b
    Examples:
      wimboot boot disk.img#2 --to disk.img#1 --default --timeout 5
      wimboot boot /mnt/data/x64/win7.vhd --to /dev/sda1 --log /root --title 'Windows 7 (64 位)'
      wimboot boot win7.vhd --to esp.img --vhd-place 'mbr:5cbea03e:1048576:\\x64\\win7.vhd'
      wimboot boot disk.img#2 --to disk.img#1 --remove
      wimboot boot --to disk.img#1 --grub4dos --grub4dos-files grub4dos/
      wimboot boot --list disk.img#1
    """
    if listing:
        _list(target or chosen["to"], log_folder, chosen)
        return
    from wimboot.ops.boot import boot as run

    wanted = _wanted(target, log_folder, chosen)
    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        done = run(wanted, listen)
    if chosen["as_json"]:
        show.document({**_fields(done), "dry_run": chosen["dry_run"], "notes": [note.text for note in listen.notes]})
    elif not chosen["quiet"]:
        _tell(done, dry_run=chosen["dry_run"])


def _wanted(target: str | None, log_folder: Path | None, chosen: dict[str, Any]) -> BootOptions:
    from wimboot.ops.booting.options import BootFiles, BootOptions
    from wimboot.windows.bcdloader import MenuPolicy

    if chosen["to"] is None:
        raise click.UsageError("on which system partition? Say --to PARTITION.")
    if chosen["remove"] and target is None:
        raise click.UsageError("--remove is for a TARGET; --remove-id GUID takes out an entry by its id.")
    if chosen["grub4dos_files"] is not None and not chosen["grub4dos"]:
        raise click.UsageError("--grub4dos-files goes with --grub4dos.")
    where = None if target is None else options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    same = ("to", "wim", "remove", "remove_ids", "title", "locale", "default", "timeout", "vhd_place", "volume_place",
            "inside", "test_signing", "no_integrity_checks", "grub4dos", "grub4dos_files", "dry_run")
    return BootOptions(
        target=where, log_folder=log_folder, firmware=_firmware(chosen["firmware"]),
        boot_files=BootFiles(chosen["boot_files"]), menu=MenuPolicy[chosen["menu"].upper()] if chosen["menu"] else None,
        **{name: chosen[name] for name in same})


def _firmware(word: str | None) -> tuple[Firmware, ...]:
    from wimboot.windows.bcdentries import Firmware

    if word is None:
        return ()
    return tuple(Firmware) if word == "both" else (Firmware(word),)


def _fields(done: Booted) -> dict[str, Any]:
    return {
        "partition": done.where,
        "stores": [{
            "firmware": store.firmware.value, "path": store.path, "outcome": store.outcome,
            "entries": [{"id": entry.id, "title": entry.title, "outcome": entry.outcome.value}
                        for entry in store.entries],
            "removed": list(store.removed), "default": store.default, "timeout": store.timeout,
        } for store in done.stores],
        "boot_files": [{
            "firmware": files.firmware.value, "replaced": files.replaced, "kept": files.kept,
            "version": None if files.version is None else ".".join(map(str, files.version)),
        } for files in done.files],
        "written": [{"path": path, "size": size} for path, size in done.written.items()],
    }


def _tell(done: Booted, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for files in done.files:
        version = "" if files.version is None else f" {'.'.join(map(str, files.version))}"
        what = "replaced" if files.replaced else "kept" if files.kept else "written"
        click.echo(f"Boot manager{version} for {files.firmware.value.upper()}: {would}{what}.")
    for store in done.stores:
        click.echo(f"{store.path} on {done.where}: "
                   + ("as it was" if store.outcome == "same" else f"{would}{store.outcome}") + ".")
        for entry in store.entries:
            mark = ", the default" if store.default == entry.id else ""
            click.echo(f"  {entry.id}  {show.plain(entry.title)}  ({entry.outcome.value}{mark})")
        for removed in store.removed:
            click.echo(f"  {removed}  ({would}removed)")
    size = show.size(sum(done.written.values()))
    show.say(f"{len(done.written):,} files ({size}) {would or 'were '}written." if done.written
             else "Nothing to write.")


def _list(place: str | None, log_folder: Path | None, chosen: dict[str, Any]) -> None:
    from wimboot.ops.booting.stores import list_stores
    from wimboot.windows.bcdlisting import listing

    if place is None:
        raise click.UsageError("which store? Name a system partition or a BCD file.")
    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        stores = list_stores(place, listen, log_folder=log_folder)
    if chosen["as_json"]:
        show.document({"stores": [_store_fields(store) for store in stores]})
        return
    if not stores:
        click.echo(f"{place} has no boot configuration store.")
    for number, store in enumerate(stores):
        if store.firmware is not None:
            click.echo(("\n" if number else "") + f"{store.where} ({store.firmware.value.upper()})\n")
        for line in listing(store.objects):
            click.echo(show.plain(line))


def _store_fields(store: ListedStore) -> dict[str, Any]:
    from wimboot.formats.bcdnames import ALIASES, heading

    return {
        "where": store.where, "firmware": None if store.firmware is None else store.firmware.value,
        "objects": [{
            "id": each.id, "alias": ALIASES.get(each.id), "type": f"{each.type:08x}",
            "heading": heading(each.type, each.id),
            "elements": [_element_fields(each.type, element) for element in each.elements],
        } for each in store.objects],
    }


def _element_fields(object_type: int, element: Element) -> dict[str, Any]:
    from wimboot.formats.bcd import DeviceValue
    from wimboot.formats.bcdnames import element_name
    from wimboot.windows.bcdlisting import element_texts

    name, value = element_name(object_type, element.type), element.value
    texts = element_texts(name, element)
    return {"type": f"{element.type:08x}", "name": name, "text": list(texts),
            "value": texts[0] if isinstance(value, DeviceValue) else value, "data": element.data}
