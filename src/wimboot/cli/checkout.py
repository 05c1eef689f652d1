"""`wimboot apply` and `wimboot restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.asking import ask
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.ops.deploying.restoring import Restored

__all__ = ["apply", "restore"]

_SHOWN = 20
"""Changed paths that restore lists, those that go first; -v and --json have all of them."""
_DOES = {"removed": "remove", "added": "bring back", "changed": "change"}
"""What restore does about a path; `status` has the other direction, what happened to it since the image."""
_DID = {"removed": "removed", "added": "brought back", "changed": "changed"}


@click.command(short_help="Deploy an image onto an empty volume.")
@click.argument("wim", type=options.WIM, metavar="WIM")
@click.argument("image", metavar="IMAGE")
@options.targeting
@click.option(
    "--export",
    type=options.WIM,
    metavar="STORE",
    help="Bring the image into the WIM STORE first and point there: for solid, LZMS and split WIMs, which Windows "
    "cannot read pointers into.",
)
@click.option("--full", is_flag=True, help="Write all data; no pointers, no WIM needed afterwards.")
@click.option("--format", "rebuild", is_flag=True, help="Format the volume first: all that is on it is given up.")
@click.option("--config", type=options.CONFIG, metavar="INI", help="The list of what stays real.")
@options.placing
@options.writing
@options.reporting
def apply(wim: Path, image: str, target: str, log_folder: Path | None, **chosen: Any) -> None:
    """Deploy IMAGE (its number or name) of WIM onto TARGET, an empty NTFS volume.

    Files become pointers into the WIM, but for those that the boot loader reads, small ones, and those on the list.

    \b
    Examples:
      wimboot apply store.wim 1 fresh.img
      wimboot apply store.wim Win_6.1_201505101200 disk.img#2 --format --full
    """
    from wimboot.ops.apply import apply as run
    from wimboot.ops.options import ApplyOptions, Form

    if chosen["rebuild"] and not (chosen["dry_run"] or chosen["yes"]):
        ask(f"Format {target}? All that is on it is given up.", as_json=chosen["as_json"])
    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(
            ApplyOptions(
                target=where,
                wim=wim,
                image=image,
                form=Form.FULL if chosen["full"] else Form.POINTERS,
                export=chosen["export"],
                rebuild=chosen["rebuild"],
                config=chosen["config"],
                wim_place=chosen["wim_place"],
                driver=chosen["driver"],
                no_expand=chosen["no_expand"],
            ),
            listen,
        )
    if chosen["as_json"]:
        show.document(
            {
                "image": {"index": done.number, "name": done.name},
                "files": done.files,
                "pointed": done.pointed,
                "full_bytes": done.full_size,
                "dry_run": chosen["dry_run"],
                "real": {reason.value: count for reason, count in sorted(done.real.items(), key=str)},
            }
        )
    elif not chosen["quiet"]:
        verb = "Would deploy" if chosen["dry_run"] else "Deployed"
        show.say(
            f"{verb} image {done.number}, {done.name}: {done.files:,} files and folders, {done.pointed:,} of them "
            f"pointers, {show.size(done.full_size)} of data."
        )


@click.command(short_help="Make a volume equal to an image, touching only what differs.")
@options.targeting
@click.option("--image", metavar="IMAGE", help="Number or name (default: the one that the volume stands on).")
@options.wim_option(required=False)
@click.option("--keep", multiple=True, metavar="GLOB", help="Leave these paths as they are (may be repeated).")
@click.option(
    "--pointers/--full", "pointers", default=None,
    help="Make pointers of all files that may be some, or ordinary files of all pointers, those that are left alone "
    "apart. Default: what is written gets the form of the volume, the rest stays.",
)
@click.option("--format", "rebuild", is_flag=True, help="Format the volume and deploy the image anew.")
@click.option(
    "--config", type=options.CONFIG, metavar="INI", help="The list of what is left alone and what stays real."
)
@options.placing
@options.writing
@options.reporting
def restore(target: str, log_folder: Path | None, **chosen: Any) -> None:
    """Bring TARGET back to an image: what was deleted, changed or added since is undone.

    What the list excludes from images (page file, caches, System Volume Information) and encrypted files are left
    alone, and so is what --keep names: '\\Users\\*' or '/Users' from the root, '*.docx' at the end of a path, with all
    in such a folder; what it names and the volume does not have is not made. A registry hive that is replaced takes its
    logs with it, whatever lists and --keep say of them; one that is kept keeps them.

    Only --format asks first. What was added or changed since and is in no image is lost: `wimboot update` puts it into
    one, --keep leaves it where it is. See first with --dry-run what would be done to the volume, and to which names:
    what was added since goes (`would remove`), what was deleted comes back (`would bring back`). It refuses what the
    run would refuse, but does not read back the data that new pointers need.

    \b
    Examples:
      wimboot restore win10.img
      wimboot restore disk.img#2 --wim store.wim --image before-updates --keep '\\Users\\*' --dry-run
    """
    from wimboot.ops.options import Form, RestoreOptions
    from wimboot.ops.restore import restore as run

    form = {None: None, True: Form.POINTERS, False: Form.FULL}[chosen["pointers"]]
    if chosen["rebuild"] and not (chosen["dry_run"] or chosen["yes"]):
        ask(f"Format {target}? What the image does not hold is given up.", as_json=chosen["as_json"])
    where = options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    with listener(chosen["progress"], quiet=chosen["quiet"]) as listen:
        done = run(
            RestoreOptions(
                target=where,
                wim=chosen["wim"],
                image=chosen["image"],
                keep=tuple(chosen["keep"]),
                force=chosen["yes"],
                form=form,
                rebuild=chosen["rebuild"],
                config=chosen["config"],
                wim_place=chosen["wim_place"],
                driver=chosen["driver"],
                no_expand=chosen["no_expand"],
            ),
            listen,
        )
    if chosen["as_json"]:
        show.document(_restored(done, dry_run=chosen["dry_run"]))
        return
    if chosen["quiet"]:
        return
    _list(done, dry_run=chosen["dry_run"], verbose=chosen["verbose"])
    _say(done, target, dry_run=chosen["dry_run"], form="pointers" if chosen["pointers"] else "ordinary files")


_COUNTED = (
    ("remove {} names", "{} names removed"),
    ("bring back {} names", "{} names brought back"),
    ("change the data of {} files", "the data of {} files set back"),
    ("set back the properties of {} files", "the properties of {} files set back"),
)
"""What is told of names removed and added, files changed and of other properties: what would be, and what was done."""


def _say(done: Restored, target: str, *, dry_run: bool, form: str) -> None:
    if done.idle:
        but = ", but for what is kept" if done.kept else ""
        text = f"{target} equals image {done.number}, {done.name}{but}: nothing to do."
    else:
        text = f"{'Would restore' if dry_run else 'Restored'} {target} to image {done.number}, {done.name}"
        counts = (done.removed, done.added, done.changed, done.metadata)
        text += ": " * any(counts) + ", ".join(words[not dry_run].format(f"{count:,}") for count, words
                                               in zip(counts, _COUNTED, strict=True) if count) + "."
    show.say(text + "".join(f" {sentence}" for sentence in _further(done, dry_run=dry_run, form=form)))


def _further(done: Restored, *, dry_run: bool, form: str) -> Iterator[str]:
    """What was done besides, in sentences."""
    from wimboot.windows.wimplace import told_place

    if done.turned:
        yield f"{done.turned:,} files with the right data {'would become' if dry_run else 'became'} {form}."
    if done.refreshed:
        yield f"{done.refreshed:,} pointers {'would be' if dry_run else 'were'} brought up to the WIM."
    if done.registered and done.before is None:
        yield f"The volume {'would be' if dry_run else 'is'} registered with {done.wim}."
    elif done.registered and done.before != done.number:
        yield f"It {'stands' if dry_run else 'stood before'} on image {done.before}."
    if done.place is not None:
        was = "would be" if dry_run else "is"
        yield (f"The place of its WIM {was} left for later." if done.place.is_later else
               f"Its WIM {was} {told_place(done.place, 'registered at')}.")
    if done.kept:
        yield f"It {'would leave' if dry_run else 'left'} {len(done.kept):,} names as they are."


def _list(done: Restored, *, dry_run: bool, verbose: int) -> None:
    words = {change: f"would {word}" for change, word in _DOES.items()} if dry_run else _DID
    width = max(map(len, words.values()))
    for change, path in done.examples[: None if verbose else _SHOWN]:
        click.echo(f"{words[change]:{width}}  {path}")
    if len(done.examples) > _SHOWN and not verbose:
        click.echo(f"... and {len(done.examples) - _SHOWN:,} more (-v shows all)")


def _restored(done: Restored, *, dry_run: bool) -> dict[str, Any]:
    return {
        "wim": done.wim,
        "image": {"index": done.number, "name": done.name},
        "image_before": done.before,
        "registered": done.registered,
        "removed": done.removed,
        "added": done.added,
        "changed": done.changed,
        "metadata": done.metadata,
        "form_changed": done.turned,
        "refreshed": done.refreshed,
        "kept": list(done.kept),
        "paths": [{"change": change, "action": _DOES[change].replace(" ", "-"), "path": path}
                  for change, path in done.examples],
        "dry_run": dry_run,
    }
