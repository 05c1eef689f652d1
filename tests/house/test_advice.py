"""What an error says to do can be typed as it stands: the verb, what it must be given, options that it has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from test_error_tree import classes
from wimboot.cli.main import VERBS, cli
from wimboot.errors import Error

ADVICE = sorted({(kind.__name__, span) for kind in classes() for span in re.findall(r"`([^`]+)`", kind.advice)
                 if span.split()[0] in {"wimboot", *VERBS}})


@pytest.mark.parametrize(("name", "command"), ADVICE)
def test_a_command_in_an_advice_can_be_typed(name: str, command: str) -> None:
    """Its facts stand for themselves, words in capitals for what the user knows."""
    program, verb, *words = shlex.split(re.sub(r"\{\w+(:\w+)?\}", "fact", command))
    assert program == "wimboot", name
    context = click.Context(cli)
    found = cli.get_command(context, verb)
    assert found is not None, name
    given, left, _ = found.make_parser(click.Context(found)).parse_args(list(words))
    assert not left, name
    needed = [parameter.name for parameter in found.params if parameter.required]
    assert all(given.get(one) for one in needed if one is not None) or "--help" in words, name
    assert words or verb == "explain", name     # `verify` and others require nothing of Click's, but something


def test_there_are_some() -> None:
    """Nothing would be checked without."""
    assert len(ADVICE) > 20


def test_what_is_typed_is_quoted() -> None:
    """A path with a space is one word of a command, and as it is in a sentence."""
    class Told(Error):
        sentence = "It is so."
        advice = "Look at {where}, or try `wimboot info {where}#{number}` and `wimboot verify {wim}`."

    hint = Told(where=Path("/data/my disk.img"), number=2, wim="it's.wim").hint
    assert hint.startswith("Look at /data/my disk.img, or")
    assert [shlex.split(span) for span in re.findall(r"`([^`]+)`", hint)] == [
        ["wimboot", "info", "/data/my disk.img#2"], ["wimboot", "verify", "it's.wim"]]
    plain = {"where": "disk.img", "number": 2, "wim": "a.wim"}
    assert Told(**plain).hint == Told.advice.format(**plain)
