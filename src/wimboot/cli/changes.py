"""`wimboot update`, `wimboot status` and `wimboot diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener
from wimboot.errors import ChecksFailed, advice
from wimboot.formats.guid import guid_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wimboot.ops.updating.appending import Updated
    from wimboot.plan.report import Change

__all__ = ["diff", "status", "update"]

_SHOWN = 200
"""Names that are listed without -v; --json has all of them."""


@click.command(short_help="Append an image of what changed since, and point it.")
@options.targeting
@options.wim_option(required=False)
@options.config_option
@options.imaging
@click.option("--rehash", is_flag=True, help="Read every real file, also those whose times and size are unchanged.")
@options.writing
@options.reporting
def update(target: str, log_folder: Path | None, **chosen: Any) -> None:
    """Append an image of TARGET to the WIM that it stands on, and make new and changed files pointers into it.

    Pointers and files whose times and size are unchanged are not read; hives and other files that Windows writes
    through memory always are. The images before stay as they are: `restore --image` goes back to any of them. Where
    nothing has changed, no image is added.

    A WIM that grows has a new table, whose hash every pointer carries: all pointers of TARGET learn it, and those of
    the volumes given with --target. Others on the same WIM fall behind until `relocate` or `update` is run there.

    \b
    Examples:
      wimboot update win10.img
      wimboot update x64.img --wim store.wim --target x86.img --name after-updates
    """
    from wimboot.ops.options import UpdateOptions
    from wimboot.ops.update import update as run

    threads = {} if chosen["threads"] is None else {"threads": chosen["threads"]}
    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(
            UpdateOptions(target=where, wim=chosen["wim"], config=chosen["config"],
                          others=options.further(chosen["others"], target), fast=chosen["fast"],
                          name=chosen["name"], rehash=chosen["rehash"], **threads),
            listen,
        )
    if chosen["as_json"]:
        show.document(_updated(done, dry_run=chosen["dry_run"]))
    elif not chosen["quiet"]:
        show.say(_told(target, done, dry_run=chosen["dry_run"]))


def _updated(done: Updated, *, dry_run: bool) -> dict[str, Any]:
    image = done.image
    return {
        "wim": done.wim,
        "stands_on": {"index": done.number, "name": done.name},
        "image": None if image is None else {"index": image.number, "name": image.name,
                                             "wim_guid": guid_text(image.guid), "grown_bytes": image.growth},
        "changes": {kind.value: count for kind, count in done.counts.items()},
        "read_bytes": done.read_size,
        "pointed": done.pointed,
        "refreshed": done.refreshed,
        "refreshed_elsewhere": done.others,
        "freed_bytes": done.freed,
        "dry_run": dry_run,
    }


def _told(target: str, done: Updated, *, dry_run: bool) -> str:
    counts = ", ".join(f"{count:,} {kind.value}" for kind, count in done.counts.items() if count)
    if dry_run:
        what = f"Would add an image: {counts}" if counts else f"Nothing has changed since image {done.number}"
        count = done.refreshed + done.others
        behind = f", {count:,} are behind the WIM" if count else ""
        return (f"{what}. {show.size(done.read_size)} were read or would be, {done.pointed:,} files would become "
                f"pointers{behind}. Nothing was written.")
    refreshed = f" {done.refreshed:,} pointers were brought up to the WIM." if done.refreshed else ""
    if done.others:
        refreshed += f" So were {done.others:,} of the other volumes."
    if done.image is None:
        pointed = f" {done.pointed:,} files became pointers." if done.pointed else ""
        return f"{target} equals image {done.number}, {done.name}: no image was added.{pointed}{refreshed}"
    pointed = f"; {done.pointed:,} files became pointers" if done.pointed else ""
    freed = f"; {show.size(done.freed)} are free again" if done.freed > 0 else ""
    return (f"Image {done.number}, {done.name}: {counts or 'the list of what is captured changed'}. The WIM grew by "
            f"{show.size(done.image.growth)}{pointed}{freed}.{refreshed}")


@click.command(short_help="What changed on a volume since the image it stands on.")
@options.targeting
@options.wim_option(required=False)
@options.config_option
@click.option("--rehash", is_flag=True, help="Read every real file, also those whose times and size are unchanged.")
@click.option("--exit-code", is_flag=True, help="Exit with 3 where anything has changed.")
@options.reporting
def status(target: str, log_folder: Path | None, **chosen: Any) -> None:
    """List what was added, modified, removed, moved or got other properties on TARGET since its image.

    What a new folder holds, and what moved with one, is told only with -v; so are folders whose times alone changed.
    Moves are recognised by content, else by the time of creation.

    \b
    Examples:
      wimboot status win10.img
      wimboot status disk.img#2 --exit-code --json
    """
    from wimboot.ops.options import StatusOptions
    from wimboot.ops.status import status as run

    where = options.target_options(target, log_folder)
    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        done = run(StatusOptions(target=where, wim=chosen["wim"], config=chosen["config"], rehash=chosen["rehash"]),
                   listen)
    if chosen["as_json"]:
        show.document({
            "wim": done.wim, "image": {"index": done.number, "name": done.name}, "behind": done.behind,
            "rewritten": done.rewritten, "strays": done.strays, "counts": _counts(done.changes),
            "changes": [_change(one) for one in done.changes],
        })
    elif not chosen["quiet"]:
        click.echo(f"{target} stands on image {done.number}, {done.name}, of {done.wim}.")
        _list(done.changes, chosen["verbose"])
        if done.rewritten:
            show.say(advice("{count:,} pointers know a WIM that this one did not grow from: it was rewritten, or is "
                            "damaged. `wimboot verify {target} --wim {wim} --repair` tells which, and relinks them.",
                            count=done.behind, target=target, wim=done.wim))
        elif done.behind:
            show.say(advice("{count:,} pointers are behind the WIM, which has grown since: `wimboot update {target}` "
                            "or `wimboot relocate {target} --wim {wim}` brings them up to it.",
                            count=done.behind, target=target, wim=done.wim))
    if done.changes and chosen["exit_code"]:
        raise click.exceptions.Exit(ChecksFailed.exit_code)


@click.command(short_help="What differs between two images of a WIM.")
@click.argument("wim", type=options.WIM, metavar="WIM")
@click.argument("older", metavar="A")
@click.argument("newer", metavar="B")
@click.option("--exit-code", is_flag=True, help="Exit with 3 where they differ.")
@options.reporting
def diff(wim: Path, older: str, newer: str, **chosen: Any) -> None:
    """List what happened from image A to image B of WIM; each is a number or a name.

    \b
    Examples:
      wimboot diff store.wim 1 2
      wimboot diff store.wim before-updates after-updates --json
    """
    from wimboot.ops.status import difference

    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        done = difference(wim, older, newer, listen)
    if chosen["as_json"]:
        show.document({
            "wim": wim, "older": dict(zip(("index", "name"), done.older, strict=True)),
            "newer": dict(zip(("index", "name"), done.newer, strict=True)),
            "counts": _counts(done.changes), "changes": [_change(one) for one in done.changes],
        })
    elif not chosen["quiet"]:
        click.echo(f"From image {done.older[0]}, {done.older[1]}, to image {done.newer[0]}, {done.newer[1]}:")
        _list(done.changes, chosen["verbose"])
    if done.changes and chosen["exit_code"]:
        raise click.exceptions.Exit(ChecksFailed.exit_code)


def _counts(changes: Sequence[Change]) -> dict[str, int]:
    from wimboot.plan.report import totals

    return {kind.value: count for kind, count in totals(list(changes)).items()}


def _change(change: Change) -> dict[str, Any]:
    fields = {"change": change.kind.value, "path": change.path, "folder": change.folder}
    more = {"was": change.was, "bytes": change.size, "old_bytes": change.old_size,
            "properties": list(change.properties) or None}
    return fields | {key: value for key, value in more.items() if value is not None}


def _list(changes: Sequence[Change], verbose: int) -> None:
    shown = [one for one in changes if verbose or not (one.within or _is_noise(one))]
    for change in shown[: None if verbose else _SHOWN]:
        click.echo(f"  {change.kind.value:9} {_line(change)}")
    more = 0 if verbose else len(changes) - min(len(shown), _SHOWN)
    if more:
        click.echo(f"  ... and {more:,} more (-v shows all)")
    counts = ", ".join(f"{count:,} {kind}" for kind, count in _counts(changes).items() if count)
    click.echo(f"{counts}." if counts else "Nothing has changed.")


def _is_noise(change: Change) -> bool:
    """A folder whose times alone moved: whatever happened in it is told by itself."""
    return change.folder and change.properties == ("times",)


def _name(path: str, change: Change) -> str:
    return path.rstrip("\\") + "\\" if change.folder else path


def _line(change: Change) -> str:
    name = _name(change.path, change)
    if change.was is not None:
        return f"{_name(change.was, change)} -> {name}"
    if change.properties and change.size == change.old_size:
        return f"{name}  ({', '.join(change.properties)})"
    if change.size is None or change.old_size is None:
        size = change.size if change.old_size is None else change.old_size
        return name if size is None else f"{name}  ({show.size(size)})"
    return f"{name}  ({show.size(change.old_size)} -> {show.size(change.size)})"
