"""`wimboot deploy`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.asking import ask
from wimboot.cli.hostpath import HostPath
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.cli.progress import Listener
    from wimboot.ops.assembling.jobs import DeployOptions
    from wimboot.ops.deploy import Deployed, RamDone, SystemDone

__all__ = ["deploy"]

_DOING = {"build": "build", "apply": "fill the empty volume", "restore": "restore in place", "refresh": "refresh",
          "keep": "nothing"}
_DONE = {"build": "built", "apply": "filled", "restore": "restored", "refresh": "refreshed", "keep": "as it was"}


@click.command(short_help="Build or update a folder of several systems from one plan.")
@click.argument("plan", type=HostPath(), metavar="PLAN.toml")
@options.searching
@options.log_option
@options.driver_option
@click.option("--threads", type=click.IntRange(1), metavar="N",
              help="Systems built at once, and threads reading (default: as many as there are processors).")
@options.writing
@options.reporting
def deploy(plan: Path, log_folder: Path | None, **chosen: Any) -> None:
    """Build the folder that PLAN.toml declares, or bring it up to a plan that has changed: one WIM, several systems on
    it, each a VHD in the folder or a partition that is there.

    Only what differs is done. A system that stands on its image is left alone, whatever was changed on it since; one
    for which the plan names another image is restored in place, which asks first; one that is behind the WIM is
    refreshed; what is not there is built. What the plan does not name is never touched. Each system is built whole or
    not at all; after an interruption the next run goes on.

    \b
    A plan:
      folder = "disk"                  what it is for, where it is mounted; counts from the plan's folder
      [place]                          where the folder lies when Windows runs
      disk = "5cbea03e"                the disk's signature, or GUID
      partition = 1048576              the partition's first byte, or GUID
      directory = '\\'                  the folder's path there; or only: later = true
      [store]
      wim = "wimboot/wimboot.wim"      also: spare, compress
      [[store.image]]                  what it has to hold; none where it is complete
      name = "x64"
      from = "install.wim"             with image; or: capture = "disk.img#2"
      image = 4
      [[system]]
      name = "x64"
      image = "x64"                    name or number in the store
      file = "wimboot/x64/win7.vhd"    with size, and perhaps fixed, table, label; or: partition = "/dev/sdb#2"
      size = "15 GB"                   also: architecture, driver, no_expand, test_signing,
                                       no_integrity_checks
      title = "Windows 7"              in the boot menu
      [system.ram]                     the same system for grub4dos, loaded into memory
      file = "wimboot/x64/win7.ram"    with size; also: form (lz4, vhd, vhd-fixed; not gzip), menu, title
      [boot]
      to = "disk"                      system partition, PATH#N or the folder where it is mounted
      default = "x64"                  also: timeout, firmware, locale, grub4dos (folder of its files)

    \b
    Examples:
      wimboot deploy plan.toml --dry-run
      wimboot deploy plan.toml
      wimboot deploy plan.toml --yes --json
    """
    from wimboot.ops.assembling.jobs import DeployOptions
    from wimboot.ops.options import processors

    looking = options.target_options("", log_folder)
    wanted = DeployOptions(plan=plan, dry_run=chosen["dry_run"], undo=chosen["yes"], driver=chosen["driver"],
                           log_folder=log_folder, threads=chosen["threads"] or processors(),
                           search=looking.search, wim_folder=looking.wim_folder)
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = _run(wanted, listen, as_json=chosen["as_json"])
    if chosen["as_json"]:
        show.document(_document(done, dry_run=chosen["dry_run"]))
    elif not chosen["quiet"]:
        _tell(done, dry_run=chosen["dry_run"])


def _run(wanted: DeployOptions, listen: Listener, *, as_json: bool) -> Deployed:
    """Ask where systems would go back to another image; an interruption leaves what is finished, and says so."""
    from wimboot.ops.deploy import WouldUndo
    from wimboot.ops.deploy import deploy as run

    try:
        try:
            return run(wanted, listen)
        except WouldUndo as error:
            if as_json:
                raise
            listen.end()
            ask(f"Restore {error.facts['systems']} in place? What changed on them since is undone.", as_json=False)
            return run(replace(wanted, undo=True), listen)
    except KeyboardInterrupt:
        click.echo("\nInterrupted: what is finished stays, and the next run goes on from there.", err=True)
        raise click.exceptions.Exit(130) from None


def _document(done: Deployed, *, dry_run: bool) -> dict[str, Any]:
    return {
        "folder": done.planned.folder, "wim": done.planned.wim, "images_added": list(done.brought),
        "spare_written_bytes": done.spare_written, "dry_run": dry_run,
        "systems": [_system(one) for one in done.systems],
        "ram_images": [_ram(one) for one in done.rams],
        "boot_entries": [{"system": one.name, "title": one.title, "written_bytes": one.size} for one in done.boots],
    }


def _ram(one: RamDone) -> dict[str, Any]:
    step = one.step
    return {"system": step.wish.name, "where": one.where, "action": step.action.value, "why": step.why or None,
            "image": {"index": step.number, "name": step.image.name},
            "bytes": None if step.wish.ram is None else step.wish.ram.size}


def _system(one: SystemDone) -> dict[str, Any]:
    step, built = one.step, one.built
    fields: dict[str, Any] = {
        "name": step.wish.name, "where": one.where, "action": step.action.value, "why": step.why or None,
        "image": {"index": step.number, "name": step.image.name}, "image_before": step.before or None,
        "bytes": step.wish.size or None,
    }
    if built is not None:
        fields |= {"files": built.files, "pointed": built.pointed, "full_bytes": built.full_size,
                   "refreshed": built.refreshed, "changed": built.changed}
    return fields


def _tell(done: Deployed, *, dry_run: bool) -> None:
    for name in done.brought:
        click.echo(f"{done.planned.wim} {'would get' if dry_run else 'got'} the image {name}.")
    show.table([("System", "left"), ("Image", "left"), ("Volume", "left"), ("Size", "right"),
                ("To do" if dry_run else "Done", "left")], _rows(done, dry_run=dry_run))
    if dry_run:
        from wimboot.cli.foldertree import folder_tree

        click.echo("\n".join(folder_tree(done)))
    for entry in done.boots:
        click.echo(f"Boot menu, {entry.title}: {_entry(entry.size, dry_run=dry_run)}.")
    if done.spare_written:
        click.echo(f"The spare copy {'would get' if dry_run else 'got'} {show.size(done.spare_written)}.")
    if not dry_run and _is_idle(done):
        click.echo("Everything stands as declared: nothing was changed.")


def _is_idle(done: Deployed) -> bool:
    built = any(one.built for one in done.systems) or any(one.built for one in done.rams)
    return not (built or done.brought or done.spare_written or any(one.size for one in done.boots))


def _entry(size: int | None, *, dry_run: bool) -> str:
    if size is None:
        return "to come with its system"
    if not size:
        return "as it was"
    return f"{show.size(size)} of files and entries {'would be ' if dry_run else ''}written"


def _rows(done: Deployed, *, dry_run: bool) -> list[tuple[str, ...]]:
    """The table: systems, then RAM images."""
    words = _DOING if dry_run else _DONE
    rows: list[tuple[str, ...]] = []
    for one in done.systems:
        step = one.step
        size = show.size(step.wish.size) if step.wish.size else ""
        rows.append((step.wish.name, f"{step.number} {step.image.name}", _volume(one), size,
                     _why(words[step.action.value], step.why if dry_run else "")))
    for ram in done.rams:
        wish = ram.step.wish.ram
        if wish is not None:
            rows.append((f"{ram.step.wish.name} in memory", f"{ram.step.number} {ram.step.image.name}",
                         "/".join(wish.file), show.size(wish.size),
                         _why(words[ram.step.action.value], ram.step.why if dry_run else "")))
    return rows


def _volume(one: SystemDone) -> str:
    wish = one.step.wish
    return "/".join(wish.file) if wish.file is not None else one.where


def _why(word: str, why: str) -> str:
    return f"{word}: {why}" if why else word
