"""`wimboot info` and `wimboot images`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.hostpath import HostPath
from wimboot.cli.located import located_fields, located_lines
from wimboot.cli.progress import listener
from wimboot.formats.filetime import iso_utc
from wimboot.formats.guid import guid_text
from wimboot.windows.wimplace import told_place

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk import Table
    from wimboot.formats.wimxml import ImageXml
    from wimboot.ops.images import Images
    from wimboot.ops.info import Info, SourceInfo, VolumeInfo

__all__ = ["images", "info"]

_STATES = {
    "hibernated": "Windows is hibernated or was shut down by Fast Startup; shut it down fully (shutdown /s /f /t 0)",
    "log-not-clean": "the volume was not closed by the Windows that used it last; let Windows check it (chkdsk /f)",
    "volume-dirty": "the volume is marked for a check; let Windows check it (chkdsk /f)",
}
"""Why nothing but `info` works on a volume."""

_HOLDS = {"ntfs": "NTFS", "fat12": "FAT12", "fat16": "FAT16", "fat32": "FAT32", "exfat": "exFAT",
          "bitlocker": "BitLocker"}
"""What a partition holds, as people write it."""

_ARCHITECTURES = {0: "x86", 5: "arm", 6: "ia64", 9: "x64", 12: "arm64"}
"""The numbers of WINDOWS/ARCH in a WIM's XML."""


@click.command(short_help="What a disk, a volume and its Windows are.")
@options.targeting
@options.reporting
def info(target: str, log_folder: Path | None, **chosen: Any) -> None:
    """Show the disk, its partitions, and on a Windows volume the system, its WIMs, its files and sizes.

    \b
    Examples:
      wimboot info disk.img
      wimboot info /dev/sdb#2 --json
    """
    from wimboot.ops.info import info as run

    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        found = run(options.target_options(target, log_folder), listen)
    if chosen["as_json"]:
        show.document({**_info(found), "warnings": [note.text for note in listen.notes if note.warning]})
    else:
        _tell_info(found)


@click.command(short_help="The images of a WIM.")
@click.argument("wim", type=HostPath(dir_okay=False), metavar="WIM")
@click.option(
    "--hash", "checksums", is_flag=True, help="Size, MD5 and SHA-1 of the whole file, as such WIMs are published."
)
@options.reporting
def images(wim: Path, *, checksums: bool, **chosen: Any) -> None:
    """List the images of WIM: number, name, time, Windows, files, bytes, and the bytes that only it holds.

    \b
    Example:
      wimboot images store.wim --hash
    """
    from wimboot.ops.images import images as run

    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        found = run(wim, listen, checksums=checksums)
    if chosen["as_json"]:
        show.document(_images(found))
    else:
        _tell_images(found)


def _info(found: Info) -> dict[str, Any]:
    disk = found.disk
    return {
        "disk": {
            "path": disk.path,
            "bytes": disk.size,
            "table": disk.table.kind.value,
            "identity": _identity(disk.table),
            "partitions": [
                {
                    "number": part.number,
                    "offset": part.start,
                    "bytes": part.size,
                    "type": part.type,
                    "ntfs": part.ntfs,
                    "file_system": part.file_system or None,
                    "guid": None if part.guid is None else guid_text(part.guid),
                    "name": part.name,
                    "active": part.active,
                }
                for part in disk.table.partitions
            ],
            "form": disk.form,
            "file_bytes": disk.file_size,
            "vhd": None if disk.vhd is None else {
                "kind": disk.vhd.kind.name.lower(),
                "file_bytes": disk.vhd.size,
                "unique_id": disk.vhd.unique_id.hex(),
                "parent": disk.vhd.parent,
                "problem": disk.vhd.problem or None,
            },
        },
        "volume": None if found.volume is None else _volume(found.volume),
        "no_volume": None if found.why_no_volume is None else str(found.why_no_volume),
    }


def _identity(table: Table) -> str | None:
    """The signature or GUID that --wim-place takes."""
    if table.disk_guid is not None:
        return guid_text(table.disk_guid)
    return None if table.signature is None else f"signature {table.signature:08x}"


def _volume(volume: VolumeInfo) -> dict[str, Any]:
    system = volume.system
    return {
        "where": volume.where,
        "label": volume.facts.label,
        "serial": f"{volume.facts.serial:016x}",
        "cluster_bytes": volume.facts.cluster_size,
        "dirty": volume.facts.dirty,
        "free_bytes": volume.facts.free_clusters * volume.facts.cluster_size,
        "windows": None
        if system is None
        else {
            "product": system.product,
            "version": system.version,
            "build": system.build,
            "edition": system.edition,
            "release": system.release or None,
            "service_pack": system.service_pack,
            "installed": None if system.installed is None else iso_utc(system.installed),
            "architecture": None if system.architecture is None else system.architecture.value,
            "languages": list(system.languages),
            "overlay_driver": system.overlay.value,
        },
        "windows_unknown": volume.unknown,
        "state": volume.state,
        "next_image_name": volume.next_name,
        "wimboot": bool(volume.pointers),
        "files": volume.files,
        "folders": volume.folders,
        "pointers": volume.pointers,
        "full": volume.full,
        "compact": volume.compact,
        "resident": volume.resident,
        "prepopulated": volume.prepopulated,
        "virtual_bytes": volume.virtual,
        "occupied_bytes": volume.occupied,
        "sources": [_source(source) for source in volume.sources],
    }


def _source(found: SourceInfo) -> dict[str, Any]:
    return {
        "id": found.source.data_source_id,
        "guid": guid_text(found.source.wim_guid),
        "image": found.source.wim_index,
        "place": None if found.place is None else str(found.place),
        "wim": found.wim,
        "pointers": found.pointers,
        "bytes_in_wim": found.in_wim,
        "behind": found.behind,
        **located_fields(found.located),
    }


def _tell_info(found: Info) -> None:
    disk = found.disk
    kind = {"none": "one volume", "mbr": "an MBR disk", "gpt": "a GPT disk"}[disk.table.kind.value]
    identity = _identity(disk.table)
    held = "" if disk.form == "raw" else f", in a {disk.form.upper()} of {show.size(disk.file_size)}"
    if disk.vhd is not None:
        below = "" if disk.vhd.parent is None else f" on {disk.vhd.parent}"
        held = f", in a {disk.vhd.kind.name.lower()} VHD of {show.size(disk.vhd.size)}{below}"
    click.echo(f"{disk.path}: {show.size(disk.size)}, {kind}" + (f", {identity}" if identity else "") + held)
    if disk.table.partitions:
        show.table(
            [("#", "right"), ("offset", "right"), ("size", "right"), ("type", "left"), ("holds", "left")],
            [
                (part.number, part.start, show.size(part.size), part.name or part.type,
                 _HOLDS.get(part.file_system, ""))
                for part in disk.table.partitions
            ],
        )
    if found.volume is None:
        click.echo(str(found.why_no_volume))
        if found.advice:
            click.echo(found.advice)
        return
    _tell_volume(found.volume)


def _form(volume: VolumeInfo) -> str:
    if volume.pointers:
        return "WIMBoot" if volume.sources else "WIMBoot, but it names no WIM for its pointers"
    return "ordinary files" + ("; `update` and `restore` go by an image of a WIM" if volume.sources else "")


def _tell_volume(volume: VolumeInfo) -> None:
    system = volume.system
    free = volume.facts.free_clusters * volume.facts.cluster_size
    rows: list[tuple[str, object]] = [
        (
            "volume",
            (f"{volume.where}, {volume.facts.label or 'no label'}, "
            f"serial {volume.facts.serial:016x}, {show.size(free)} free"),
        )
    ]
    if system is None:
        rows.append(("Windows", "one whose version cannot be read" if volume.unknown else "none found"))
    else:
        rows += [
            (
                "Windows",
                system.name + (f" {system.release}" if system.release else "")
                + (f", Service Pack {system.service_pack}" if system.service_pack else "")
                + f" ({system.version}.{system.build}"
                + (f", {system.architecture.value}" if system.architecture else "")
                + ")",
            ),
            ("edition", system.edition or None),
            ("installed", None if system.installed is None else iso_utc(system.installed)[:10]),
            ("languages", ", ".join(system.languages) or None),
            ("overlay driver", system.overlay.value),
            ("next image", volume.next_name),
        ]
    rows += [
        ("in the way", _STATES.get(volume.state or "")),
        ("form", _form(volume)),
        (
            "files",
            f"{volume.files:,} in {volume.folders:,} folders: {volume.pointers:,} pointers, {volume.full:,} full, "
            f"{volume.resident:,} small or empty" + (f", {volume.compact:,} Compact OS" if volume.compact else ""),
        ),
        ("kept real", f"{volume.prepopulated:,} by the lists"),
        ("size", f"{show.size(volume.virtual)} as Windows sees it, {show.size(volume.occupied)} of clusters here"),
    ]
    show.lines(rows)
    for found in volume.sources:
        fields = _source(found)
        later = found.place is not None and found.place.is_later
        click.echo(f"data source {fields['id']}: image {fields['image']} of {{{fields['guid']}}}{',' * later} "
                   f"{told_place(found.place, 'at')}")
        state = "" if found.in_wim is None else f"; {show.size(found.in_wim)} in the WIM"
        behind = "; BEHIND: they know another table than the WIM has" if found.behind else ""
        show.say(f"  {found.pointers:,} pointers{state}{behind}")
        for line in located_lines(found.located, needed=bool(found.pointers)):
            click.echo(f"  {line}")


def _images(found: Images) -> dict[str, Any]:
    return {
        "guid": guid_text(found.guid),
        "bytes": found.size,
        "compression": found.compression,
        "chunk_bytes": found.chunk_size,
        "not_backable": found.not_backable,
        "md5": found.md5,
        "sha1": found.sha1,
        "images": [
            {
                "index": image.number,
                "name": image.xml.name,
                "created": iso_utc(image.xml.creation_time),
                "version": _version(image.xml),
                "architecture": _architecture(image.xml),
                "folders": image.xml.directory_count,
                "files": image.xml.file_count,
                "bytes": image.xml.total_bytes,
                "only_here_bytes": image.only_here,
                "only_here_bytes_in_wim": image.only_here_in_wim,
            }
            for image in found.images
        ],
    }


def _version(image: ImageXml) -> str | None:
    windows = image.windows
    return None if windows is None or windows.major is None else f"{windows.major}.{windows.minor}.{windows.build}"


def _architecture(image: ImageXml) -> str | None:
    windows = image.windows
    return None if windows is None or windows.architecture is None else _ARCHITECTURES.get(windows.architecture)


def _tell_images(found: Images) -> None:
    fields = _images(found)
    click.echo(
        f"{{{fields['guid']}}}: {show.size(found.size)}, {found.compression} in chunks of {found.chunk_size:,} bytes"
        + ("" if found.not_backable is None else f"; not for pointers: {found.not_backable}")
    )
    show.table(
        [
            ("#", "right"),
            ("name", "left"),
            ("created (UTC)", "left"),
            ("Windows", "left"),
            ("files", "right"),
            ("size", "right"),
            ("only here", "right"),
            ("in the WIM", "right"),
        ],
        [
            (
                image["index"],
                image["name"],
                image["created"][:16].replace("T", " "),
                f"{image['version'] or ''} {image['architecture'] or ''}".strip(),
                f"{image['files']:,}",
                show.size(image["bytes"]),
                show.size(image["only_here_bytes"]),
                show.size(image["only_here_bytes_in_wim"]),
            )
            for image in fields["images"]
        ],
    )
    if found.sha1 is not None:
        show.lines([("size", f"{found.size:,} bytes"), ("MD5", found.md5), ("SHA-1", found.sha1)])
