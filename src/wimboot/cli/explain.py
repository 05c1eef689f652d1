"""`wimboot explain`: a file, or an error code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wimboot.cli import options, show
from wimboot.cli.progress import listener

if TYPE_CHECKING:
    from wimboot.errors import Error
    from wimboot.ops.explain import Explained
    from wimboot.tree.selection import Rule
    from wimboot.windows.codes import Code

__all__ = ["explain", "rule_fields"]


@click.command(short_help="Why a file is real or a pointer; what an error code means.")
@click.argument("target", metavar="[TARGET|CODE]", required=False)
@click.argument("path", required=False)
@options.wim_option(required=False)
@options.searching
@click.option("--config", type=options.CONFIG, metavar="INI", help="The list that a conversion would use.")
@options.log_option
@options.reporting
def explain(target: str | None, path: str | None, log_folder: Path | None, **chosen: Any) -> None:
    """Explain the file at PATH on TARGET: whether it is real or a pointer, which rule made it so, where its bytes lie.
    With one argument, explain an error code of Windows, of wimlib or of this program; without any, list those known.

    \b
    Examples:
      wimboot explain win10.img '\\Windows\\System32\\ntoskrnl.exe'
      wimboot explain c000046e
      wimboot explain
    """
    if target is None:
        _list_codes(as_json=chosen["as_json"])
        return
    if path is None:
        if Path(target.partition("#")[0]).exists():
            raise click.UsageError("PATH is missing: which file of it?")
        _explain_code(target, as_json=chosen["as_json"])
        return
    from wimboot.ops.explain import explain as run
    from wimboot.ops.options import ExplainOptions

    with listener(chosen["progress"], quiet=chosen["quiet"] or chosen["as_json"]) as listen:
        found = run(ExplainOptions(
            target=options.target_options(target, log_folder), path=path, wim=chosen["wim"], config=chosen["config"],
            driver=os.environ.get(options.DRIVER_VARIABLE) or None), listen)
    if chosen["as_json"]:
        show.document({**_fields(found), "warnings": [note.text for note in listen.notes if note.warning]})
    else:
        _tell(found)


def _explain_code(text: str, *, as_json: bool) -> None:
    from wimboot.windows.codes import explain_code

    codes = explain_code(text)
    if as_json:
        show.document({"codes": [_code(code) for code in codes]})
        return
    for number, code in enumerate(codes):
        click.echo(("\n" if number else "") + f"{code.text}  {code.name}  ({code.family.value})")
        click.echo(f"  {code.when}\n  {code.advice}")


def _list_codes(*, as_json: bool) -> None:
    from wimboot.windows.codes import known_codes

    codes = known_codes()
    if as_json:
        show.document({"codes": [_code(code) for code in codes]})
    else:
        show.table([("Code", "left"), ("Name", "left"), ("Whose", "left")],
                   [(code.text, code.name, code.family.value) for code in codes])


def _code(code: Code) -> dict[str, Any]:
    return {"family": code.family.name.lower(), "code": code.text, "name": code.name, "when": code.when,
            "advice": code.advice}


def _form(found: Explained) -> str:
    if found.pointer is not None:
        return "pointer"
    return "compact" if found.compact is not None else "real"


def rule_fields(rule: Rule | None) -> dict[str, Any] | None:
    """A rule of a list, for JSON."""
    if rule is None:
        return None
    return {"pattern": rule.pattern.normal, "origin": rule.origin, "line": rule.line, "detail": rule.detail or None}


def _fields(found: Explained) -> dict[str, Any]:
    pointer = found.pointer
    return {
        "path": found.path,
        "names": list(found.names),
        "bytes": found.size,
        "form": _form(found),
        "reason": None if found.reason is None else found.reason.value,
        "rule": rule_fields(found.rule),
        "refusal": None if found.refusal is None else _refusal(found.refusal),
        "pointer": None
        if pointer is None
        else {
            "data_source_id": pointer.data_source_id,
            "sha1": pointer.hash,
            "table_sha1": pointer.table_hash,
            "offset": pointer.offset,
            "bytes_in_wim": pointer.size_in_wim,
            "place": found.place,
            "wim": found.wim,
        },
        "resident": found.resident,
        "fragments": found.fragments,
        "runs": [{"offset": None if offset < 0 else offset, "bytes": size} for offset, size in found.runs],
    }


def _refusal(error: Error) -> dict[str, Any]:
    return {"id": error.id, "message": str(error), "hint": error.hint}


def _tell(found: Explained) -> None:
    show.lines([("path", found.path), ("size", show.size(found.size)), ("form", _form(found))])
    for name in found.names:
        if name != found.path:
            click.echo(f"      also {name}")
    if found.pointer is not None:
        from wimboot.windows.wimplace import told_place

        pointer = found.pointer
        click.echo(
            f"Its data is the blob {pointer.hash.hex()}: {show.size(pointer.size_in_wim)} at byte {pointer.offset:,} "
            f"of the WIM of data source {pointer.data_source_id}\n({told_place(found.place, 'at')})."
        )
        held = "No WIM at hand holds it." if found.wim is None else f"On this machine {found.wim} holds it."
        click.echo(held)
        return
    if found.refusal is not None:
        show.say("Nothing about the file keeps it real, but a conversion or an update of the volume is refused: "
                 f"{found.refusal.told}")
    elif found.reason is None:
        click.echo("Nothing keeps it real: the next conversion or update makes it a pointer.")
    else:
        click.echo(found.reason.explain(found.rule))
    if found.resident:
        click.echo("Its data lies in its MFT record.")
    for offset, size in found.runs[:8]:
        click.echo(f"  {show.size(size)} " + ("sparse" if offset < 0 else f"at byte {offset:,} of the volume"))
    if found.fragments > 8:
        click.echo(f"  ... {found.fragments} fragments in all")
