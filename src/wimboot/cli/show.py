"""What people see on standard output: figures, tables and documents. Rich is loaded only for tables."""

from __future__ import annotations

import json
import sys
import unicodedata
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from wimboot.cli.english import singular
from wimboot.figures import told_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["document", "lines", "plain", "say", "size", "table"]

_SCHEMA = 1
_PIPED_WIDTH = 160
size = told_size


def say(text: str) -> None:
    """A sentence for people; written for many, where it may be about one."""
    click.echo(singular(text))


def plain(text: object) -> str:
    """A name of the host for a terminal, which control characters in it must not reach."""
    return "".join(letter if letter.isprintable() or unicodedata.category(letter) == "Zs"
                   else letter.encode("unicode_escape").decode("ascii") for letter in str(text))


def document(fields: dict[str, Any], *, indent: int | None = 2) -> None:
    """One JSON document on standard output; without `indent` it is one line."""
    click.echo(json.dumps({"schema": _SCHEMA, **fields}, ensure_ascii=False, default=_plain, indent=indent))


def lines(rows: Iterable[tuple[str, object]]) -> None:
    """Label and value, one a line, in two columns; rows whose value is None are left out."""
    kept = [(label, value) for label, value in rows if value is not None]
    width = max((len(label) for label, _ in kept), default=0)
    for label, value in kept:
        say(f"{label:<{width}}  {value}")


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> None:
    """A table; each column is (heading, "left" or "right")."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    out = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading, side in columns:
        out.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        out.add_row(*("" if cell is None else str(cell) for cell in row))
    wide = None if sys.stdout.isatty() else _PIPED_WIDTH
    Console(highlight=False, markup=False, soft_wrap=False, emoji=False, width=wide).print(out)


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.name.lower()
    return str(value)
