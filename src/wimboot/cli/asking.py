"""Asking before something that cannot be undone; a program that reads documents is refused instead."""

from __future__ import annotations

import click

from wimboot.errors import Refused

__all__ = ["ConfirmationNeeded", "ask"]


class ConfirmationNeeded(Refused):
    """With --json nobody is asked."""

    id = "confirmation-needed"
    sentence = "this is asked before it is done, and with --json nobody is asked: {question}"
    advice = "Say yes beforehand: --yes."


def ask(question: str, *, as_json: bool) -> None:
    """Go on where the answer is yes. Raises ConfirmationNeeded, click.Abort."""
    if as_json:
        raise ConfirmationNeeded(question=question)
    click.confirm(question, abort=True, err=True)
