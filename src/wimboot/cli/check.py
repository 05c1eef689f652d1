"""`wimboot verify` and `wimboot recover`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener
from wimboot.errors import ChecksFailed
from wimboot.formats.guid import guid_text

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Problem
    from wimboot.ops.checking.findings import Diagnosed, Verified
    from wimboot.ops.mending.outcome import Repaired
    from wimboot.ops.options import VerifyOptions

__all__ = ["recover", "verify"]


@click.command(short_help="Check every pointer and every blob; repair what can be.")
@click.argument("target", metavar="[TARGET]", required=False)
@options.searching
@options.log_option
@options.wim_option(required=False)
@click.option("--quick", is_flag=True, help="Leave the data unread: pointers and records only.")
@click.option("--repair", is_flag=True, help="Put right what can be, and check again.")
@click.option("--spare", "spares", type=options.WIM, multiple=True, metavar="COPY",
              help="With --repair: a WIM that may have data which is lost or damaged (may be repeated). Copies of the "
              "WIM beside it are found.")
@click.option("--target", "others", multiple=True, metavar="TARGET", help="With --repair: a further volume that stands "
              "on the WIM; where that has to grow, its pointers are brought up in the same step (may be repeated).")
@click.option("--wim-place", metavar="PLACE", help="With --repair: where the WIM will lie when Windows runs, for a "
              "WimOverlay.dat that has to be made anew.")
@click.option("--dry-run", is_flag=True, help="With --repair: say what would be put right, and change nothing.")
@options.threads_option("Reading")
@options.reporting
def verify(target: str | None, log_folder: Path | None, wim: Path | None, **chosen: Any) -> None:
    """Check that every pointer of TARGET leads to bytes of the right SHA-1, that each WIM it uses is registered, found
    and the one it should be; with --wim alone, check that WIM. Each problem is told with its cause and what to do.
    Exit code 3 when something is wrong.

    --repair relinks pointers by their SHA-1, takes data that is missing or damaged from copies of the WIM, or from
    real files of the volume with the same contents, and mends WimOverlay.dat. It writes nothing where nothing would
    get better; what is wrong still is told, with exit code 3.

    \b
    Examples:
      wimboot verify win10.img
      wimboot verify disk.img#2 --wim store.wim --quick
      wimboot verify --wim store.wim
      wimboot verify disk.img --wim store.wim --repair --spare backup.wim
    """
    from wimboot.ops.options import RepairOptions, VerifyOptions

    if not chosen["repair"]:
        _refuse_alone(chosen)
    threads = {} if chosen["threads"] is None else {"threads": chosen["threads"]}
    where = None if target is None else options.target_options(target, log_folder, dry_run=chosen["dry_run"])
    check = VerifyOptions(target=where, wim=wim, quick=chosen["quick"], **threads)
    if chosen["repair"]:
        _repair(RepairOptions(check=check, spares=chosen["spares"], others=chosen["others"], log_folder=log_folder,
                              wim_place=chosen["wim_place"], dry_run=chosen["dry_run"]), target or str(wim), chosen)
    else:
        _check(check, target, wim, chosen)


def _refuse_alone(chosen: dict[str, Any]) -> None:
    for option, given in (("--spare", chosen["spares"]), ("--target", chosen["others"]),
                          ("--wim-place", chosen["wim_place"]), ("--dry-run", chosen["dry_run"])):
        if given:
            raise click.UsageError(f"{option} says how to repair; add --repair.")


def _listener(chosen: dict[str, Any]) -> Any:
    return listener(
        "none" if chosen["as_json"] and chosen["progress"] == "auto" else chosen["progress"],
        quiet=chosen["quiet"] or chosen["as_json"], verbose=bool(chosen["verbose"]),
    )


def _check(check: VerifyOptions, target: str | None, wim: Path | None, chosen: dict[str, Any]) -> None:
    from wimboot.ops.verify import verify as run

    with _listener(chosen) as listen:
        done = run(check, listen)
    if chosen["as_json"]:
        show.document(_document(done))
        if done.problems:
            raise click.exceptions.Exit(ChecksFailed.exit_code)
        return
    if done.problems:
        raise ChecksFailed(count=done.problems, where=target or wim)
    if target and not done.pointers and not chosen["quiet"]:
        click.echo(f"No pointers: the files of {target} are ordinary ones, and there was nothing to verify.")
    elif not chosen["quiet"]:
        _say_sound(done, volume=target is not None, quick=chosen["quick"])


def _say_sound(done: Verified, *, volume: bool, quick: bool) -> None:
    from wimboot.ops.checking.diagnosis import counted

    data = "" if quick else f", {counted(done.blobs, 'blob')} with {show.size(done.data_size)} of data read and hashed"
    if not volume:
        show.say(f"Sound{data.replace(', ', ': ', 1)}.")
        return
    wims = dict.fromkeys(show.plain(one.wim) for one in done.sources if one.pointers and one.wim is not None)
    click.echo(f"Sound: {counted(done.pointers, 'pointer')} into {' and '.join(wims)}{data}.")


def _repair(repair: Any, where: str, chosen: dict[str, Any]) -> None:
    from wimboot.ops.repair import repair as run

    with _listener(chosen) as listen:
        done = run(repair, listen)
    if chosen["as_json"]:
        show.document({**_document(done.after), "repair": _repaired(done, dry_run=repair.dry_run)})
        if done.after.problems:
            raise click.exceptions.Exit(ChecksFailed.exit_code)
        return
    if not chosen["quiet"]:
        click.echo(_told(done, dry_run=repair.dry_run))
    if done.after.problems:
        raise ChecksFailed(count=done.after.problems, where=where)
    if not chosen["quiet"]:
        _say_sound(done.after, volume=repair.check.target is not None, quick=chosen["quick"])


def _told(done: Repaired, *, dry_run: bool) -> str:
    from wimboot.ops.checking.diagnosis import counted

    if not done.before.problems:
        return "There is nothing to repair."
    lacking = "" if not done.lacking else (
        f" Sound data was found nowhere of {counted(len(done.lacking), 'blob')}: name another copy with --spare.")
    if not done.changed:
        return f"Nothing can be repaired with what is at hand; nothing was written.{lacking}"
    parts = []
    if done.overlay:
        parts.append("WimOverlay.dat and its backup written")
    if done.relinked:
        parts.append(f"{counted(done.relinked, 'pointer')} relinked")
    if done.others:
        parts.append(f"{counted(done.others, 'pointer')} of further volumes brought up")
    if done.brought:
        places = ", ".join(f"{count:,} from {place}" for place, count in done.come_from.items())
        parts.append(f"{counted(done.brought, 'blob')} ({show.size(done.brought_size)}) stored anew, {places}")
    if done.lists:
        parts.append(f"{counted(done.lists, 'list')} of files stored anew")
    verb = "Would be repaired" if dry_run else "Repaired"
    return f"{verb}: {'; '.join(parts)}.{lacking}" + (" Nothing was written." if dry_run else "")


def _repaired(done: Repaired, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run, "changed": done.changed, "relinked": done.relinked, "blobs": done.brought,
        "bytes": done.brought_size, "from": done.come_from, "lists": done.lists, "overlay": done.overlay,
        "relinked_in_others": done.others,
        "refused": [_problem(one) for one in done.refused],
        "lacking": sorted(sha1.hex() for sha1 in done.lacking), "found": [_problem(one) for one in done.before.found],
    }


def _document(done: Verified) -> dict[str, Any]:
    return {
        "sound": not done.problems,
        "pointers": done.pointers,
        "blobs": done.blobs,
        "data_bytes": done.data_size,
        "wim": done.wim,
        "behind": done.behind,
        "sources": [_source(one) for one in done.sources],
        "problem_count": done.problems,
        "problems": [_problem(problem) for problem in done.found],
    }


def _source(one: Diagnosed) -> dict[str, Any]:
    found = one.comparison
    return {
        "id": one.data_source_id, "wim_guid": guid_text(one.guid), "image": one.wim_index, "place": one.place,
        "wim": one.wim, "pointers": one.pointers, "cause": one.causes[0] if one.causes else None, "causes": one.causes,
        "passed_over": [{"wim": path, "why": why} for path, why in one.passed_over],
        **({} if found is None else {
            "moved": len(found.moved), "missing": len(found.missing), "behind": found.behind,
            "wrong": len(found.wrong), "wrong_hash": len(found.wrong_hash), "other_size": len(found.other_size),
            "not_backable": len(found.unbackable),
        }),
        "damaged_blobs": len(one.damaged),
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {"id": problem.id, "where": problem.where, "text": problem.text, "advice": problem.advice,
            "files": len(problem.paths), "paths": list(problem.paths), **problem.facts}


@click.command(short_help="Finish or undo an interrupted run.")
@options.targeting
@options.wim_option(required=False)
@options.reporting
def recover(target: str, log_folder: Path | None, wim: Path | None, **chosen: Any) -> None:
    """Finish or undo what an interrupted run left on TARGET, and on the WIMs that its volumes stand on, or the one
    given. Every verb does this by itself. What other runs left in the same folders is named.

    \b
    Examples:
      wimboot recover disk.img
      wimboot recover disk.img --wim store.wim
    """
    from wimboot.ops.recover import recover as run

    with listener(chosen["progress"], quiet=True) as listen:
        done = run(options.target_options(target, log_folder), wim, listen)
    if chosen["as_json"]:
        wims = [{"wim": one.path, "found": one.outcome.value, "removed": list(one.removed)} for one in done.wims]
        show.document({"target": done.target.value, "removed": [name for one in done.wims for name in one.removed],
                       "wim": done.wims[0].outcome.value if done.wims else None, "wims": wims,
                       "problems": [_problem(one) for one in done.problems], "waiting": list(done.waiting)})
    elif not chosen["quiet"]:
        click.echo(done.told)
