"""Asking before something that cannot be undone; a program that reads documents is refused instead."""

from __future__ import annotations

import sys

import click

from wimboot.errors import Refused

__all__ = ["ConfirmationNeeded", "NotConfirmed", "ask"]


class ConfirmationNeeded(Refused):
    """With --json nobody is asked."""

    id = "confirmation-needed"
    sentence = "this is asked before it is done, and with --json nobody is asked: {question}"
    advice = "Say yes beforehand: --yes."


class NotConfirmed(Refused):
    """The answer was no, or nobody was there to give one."""

    id = "not-confirmed"
    sentence = "not confirmed: nothing was changed"
    advice = "--yes says so beforehand."


def ask(question: str, *, as_json: bool) -> None:
    """Go on where the answer is yes. Raises ConfirmationNeeded, NotConfirmed, KeyboardInterrupt."""
    if as_json:
        raise ConfirmationNeeded(question=question)
    try:
        sure = click.confirm(question, err=True)
    except click.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None   # which Click's Abort does not tell from an end of the input
        sure = None
    if not sure:
        if sure is None or not sys.stdin.isatty():
            click.echo(err=True)    # behind the question; an answer that was typed has ended its line
        raise NotConfirmed
