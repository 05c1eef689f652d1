"""Help that is worth a manual page, and what is said to somebody who mistyped."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from running import done, wimboot
from wimboot.cli.main import SECTIONS, VERBS, cli
from wimboot.cli.manual import similar

ROOT = Path(__file__).parents[2]
CODES = {"0", "1", "2", "4", "130", "141"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_tells_its_exit_codes(verb: str) -> None:
    """Those of the contract; 3 where the verb can find something wrong or different, and nowhere else."""
    text = done(verb, "--help").out
    block = re.search(r"Exit codes:\n((?:  +\d+ .*\n)+)", text)
    assert block is not None
    codes = {line.split()[0] for line in block[1].splitlines()}
    assert codes == CODES | ({"3"} if verb == "verify" or "--exit-code" in text else set())
    assert ("not confirmed" in block[1]) == ("--yes" in text)
    assert "NO_COLOR" in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("verb", VERBS)
def test_a_backslash_in_an_example_is_quoted(verb: str) -> None:
    """A shell would take it away: what is typed as it stands has to reach the program as it stands."""
    for line in re.findall(r"^ +(wimboot .*\\.*)$", done(verb, "--help").out, re.MULTILINE):
        assert "\\" in "".join(shlex.split(line)), line
        assert "\\" not in re.sub(r"'[^']*'", "", line), line


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")], ids=lambda path: path.name)
def test_a_backslash_in_a_documents_command_is_quoted(path: Path) -> None:
    """In code blocks; what stands behind a # is no part of the command."""
    for line in re.findall(r"^ {4}(wimboot .*\\.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        assert "\\" not in re.sub(r"'[^']*'| # .*", "", line), line


def test_the_help_lists_every_verb_once_below_its_heading() -> None:
    """In the order in which somebody who reads it would need them."""
    listed = done("--help").out.partition("Options:")[2]
    assert re.findall(r"^(\S.*):$", listed, re.MULTILINE) == list(SECTIONS)
    assert re.findall(r"^  (\w+)  ", listed, re.MULTILINE) == [verb for verbs in SECTIONS.values() for verb in verbs]
    assert sum(map(len, SECTIONS.values())) == len(VERBS)


def test_an_option_is_described_the_same_wherever_it_means_the_same() -> None:
    """Whoever knows one verb knows this of all others."""
    context = click.Context(cli)
    told: dict[str, set[tuple[str | None, ...]]] = {}
    for verb in VERBS:
        command = cli.get_command(context, verb)
        assert command is not None
        for option in command.params:
            if isinstance(option, click.Option):
                told.setdefault(option.opts[-1], set()).add((option.help, option.metavar, *option.opts))
    assert {len(told[name]) for name in ("--json", "--progress", "--quiet", "--verbose", "--log", "--yes", "--fast",
                                         "--name", "--driver", "--rehash")} == {1}
    assert len({metavar for _, metavar, *_ in told["--search"] | told["--log"]}) == 1


@pytest.mark.parametrize(("verb", "files"), [
    ("convert", ["TARGET.wimboot-log", "WIM.wimboot-undo", "WIM.wimboot-new", "WimBootCompress.ini", "WimOverlay.dat"]),
    ("relocate", ["TARGET.wimboot-log", "WIM.wimboot-undo", "WimOverlay.dat"]), ("images", ["WIM.wimboot-undo"]),
    ("prune", ["TARGET.wimboot-log", "WIM.wimboot-undo", "WIM.wimboot-new"]), ("demo", []),
    ("compact", ["DISK.wimboot-log"]), ("space", ["TARGET.wimboot-log", "WimBootCompress.ini"]),
    ("deploy", ["TARGET.wimboot-log"]), ("ram", ["TARGET.wimboot-log", "WIM.wimboot-undo", "WimBootCompress.ini"]),
])
def test_files_and_environment_are_those_of_the_verb(verb: str, files: list[str]) -> None:
    """What a verb does not use is not told of."""
    text = done(verb, "--help").out
    told = re.findall(r"^    ?((?:TARGET|DISK|WIM)\.\S+|\S+\.ini|\S+\.dat)  ", text, re.MULTILINE)
    assert told == files
    assert ("WIMBOOT_WIMPATH  " in text) == (verb not in ("images", "prune", "demo", "compact"))


@pytest.mark.parametrize(("word", "meant"), [("verfy", "verify"), ("convret", "convert"), ("RESTORE", "restore"),
                                             ("relocat", "relocate"), ("xyzzy", "")])
def test_a_mistyped_verb_is_answered_with_the_likeliest(word: str, meant: str) -> None:
    """For people and for programs; nothing is guessed for a word that is like none."""
    run = wimboot(word, "x.img")
    assert run.code == 2
    assert ("Did you mean" in run.err, meant in run.err) == (bool(meant), True)
    told = wimboot(word, "x.img", "--json").json["error"]
    assert (told["id"], meant in told["message"]) == ("usage", True)


def test_the_likeliest_comes_first() -> None:
    """Case does not count; at most three are offered."""
    assert similar("Restor", VERBS)[0] == "restore"
    assert len(similar("e", ["ea", "eb", "ec", "ed", "ee"])) <= 3


def test_the_option_of_2015_stands_anywhere() -> None:
    """Before the verb, in whatever case: it is no verb and no argument."""
    for option in ("-WIMPATH:\\WIMBOOT", "-wimpath:x", "-WimPath:"):
        assert done(option, "--version").out == done("--version").out
        assert wimboot(option, "info", "/nothing").err == wimboot("info", "/nothing").err
