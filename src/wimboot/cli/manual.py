"""The end of every verb's help: exit codes, environment, files. Built here once from what the verb takes."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click

__all__ = ["Rows", "epilog", "similar"]

Rows = list[tuple[str, str]]

_CHECKS = {"verify": "problems were found; each was named"}
_MAKING = frozenset({"compress", "keep_last", "export", "copy"})
"""Parameters of verbs that make a WIM."""
_FINDING = frozenset({"space", "deploy", "ram"})
"""Verbs without one TARGET that look for the WIMs of volumes all the same."""
_WITHOUT_WIM = frozenset({"compact"})
"""Verbs with a TARGET that look for no WIM."""
_INTERRUPTED = "interrupted: everything is as it was before, or done to its end"


def _exit_codes(verb: str, names: set[str]) -> Rows:
    """What a verb's exit codes mean; `names` are those of its parameters."""
    rows = [("0", "done"), ("1", "the operation failed, as the message says"), ("2", "wrong usage")]
    checked = "there are differences (with --exit-code)" if "exit_code" in names else _CHECKS.get(verb)
    if checked is not None:
        rows.append(("3", checked))
    unsure = ", not confirmed" if "yes" in names else ""
    return [*rows, ("4", f"refused for safety: in use, hibernated, dirty, no space, not the WIM it was{unsure}"),
            ("130", _INTERRUPTED), ("141", "what read the output ended before all of it was written")]


def epilog(verb: str, command: click.Command) -> str:
    """Exit codes, environment and files of a verb, as Click prints them at the end of its help."""
    names = {parameter.name or "" for parameter in command.params}
    parts = [("Exit codes", _exit_codes(verb, names)), ("Environment", list(_environment(verb, names))),
             ("Files", list(_files(verb, names)))]
    return "\n\n".join(_block(heading, rows) for heading, rows in parts if rows)


def _environment(verb: str, names: set[str]) -> Iterator[tuple[str, str]]:
    if verb in _FINDING or _finds(verb, names):
        yield "WIMBOOT_WIMPATH", "a folder in which WIMs are looked for; -WIMPATH:FOLDER before the verb says the same"
    if "no_expand" in names:
        yield "WIMBOOT_WOFADK", "the file wofadk.sys, where --driver names none"
    yield "NO_COLOR", "no colours; nor are there any where the output is no terminal"


def _finds(verb: str, names: set[str]) -> bool:
    return "target" in names and verb not in _WITHOUT_WIM


def _files(verb: str, names: set[str]) -> Iterator[tuple[str, str]]:
    if verb in _WITHOUT_WIM:
        yield "DISK.wimboot-log", "the log of a change, beside the disk. It is"
    elif "log_folder" in names:
        yield "TARGET.wimboot-log", "the log of a change, beside an image; a device's in the folder of --log. It is"
    if verb in _WITHOUT_WIM or "log_folder" in names:
        yield "", "there while a run goes on, or was interrupted: the next one finishes or undoes it"
    if "wim" in names:
        yield "WIM.wimboot-undo", "beside a WIM that grows: if that is interrupted, the next to open it brings it back"
    if names & _MAKING:
        yield "WIM.wimboot-new", "beside a WIM that is being made, until it is whole"
    if "config" in names:
        yield "WimBootCompress.ini", "beside the WIM, in the current folder, or inside the system: what is captured,"
        yield "", "and what stays real"
    if "no_expand" in names:
        yield "wofadk.sys", "beside the WIM: the overlay driver for a Windows that has none, where none is named"
    if _finds(verb, names):
        yield "WimOverlay.dat", "in \\System Volume Information of the volume: which WIMs it uses, and where they lie"


def _block(heading: str, rows: Rows) -> str:
    """A heading and its rows, which Click leaves as they are for the \\b before them."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(["\b", f"{heading}:", *(f"  {name:<{width}}  {text}" for name, text in rows)])


def similar(word: str, known: Iterable[str]) -> list[str]:
    """What somebody may have meant, the likeliest first."""
    return get_close_matches(word.lower(), list(known), n=3, cutoff=0.6)
