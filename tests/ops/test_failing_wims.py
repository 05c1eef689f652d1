"""A WIM that is missing, replaced, older, cut short or damaged, under every verb that uses it: an id, a code, a word.

`verify` has its own tests; what `info` says is in test_which_wim.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from mounting import copy_sparse
from repair_rig import EXPLORER, KERNEL32, Pair
from running import NO_PLACE, done, refused, unchanged, wimboot

Command = tuple[object, ...]
NEW = "Windows/new library.dll"


def _found(pair: Pair) -> list[Command]:
    """Verbs that look for the WIM themselves."""
    return [(verb, pair.volume) for verb in ("status", "update", "restore", "rehydrate")]


def _named(pair: Pair) -> list[Command]:
    """Verbs of a volume that are told the WIM."""
    told = [(verb, pair.volume, "--wim", pair.wim) for verb in ("status", "update", "restore", "rehydrate")]
    return [*told, ("relocate", pair.volume, "--wim", pair.wim, "--as", "later"),
            ("prune", pair.wim, "--keep-last", "1", "--target", pair.volume, "--yes")]


def _by_itself(pair: Pair) -> list[Command]:
    """Verbs of a WIM alone."""
    return [("images", pair.wim), ("diff", pair.wim, 1, 1), ("sync", pair.wim, pair.wim.with_name("new.wim")),
            ("prune", pair.wim, "--keep-last", "1")]


def _all(pair: Pair) -> list[Command]:
    return [*_found(pair), *_named(pair), *_by_itself(pair)]


def _away(pair: Pair) -> None:
    pair.wim.unlink()


def _replace(pair: Pair) -> None:
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), uuid.uuid4().bytes, 0x18)


def _older(pair: Pair) -> None:
    with pair.edited() as root:
        (root / NEW).write_bytes(os.urandom(50_000))
    done("update", pair.volume, "--name", "second")
    pair.wim.unlink()
    copy_sparse(pair.spare, pair.wim)


def _cut(pair: Pair) -> None:
    os.truncate(pair.wim, pair.wim.stat().st_size - 5000)


def _no_header(pair: Pair) -> None:
    with pair.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes(208), 0)


def _bad_table(pair: Pair) -> None:
    with pair.wim.open("r+b") as file:
        place = int.from_bytes(os.pread(file.fileno(), 8, 0x38), "little")
        os.pwrite(file.fileno(), b"\xff" * 30, place)


Expected = list[tuple[Callable[[Pair], list[Command]], str, int, str]]

STATES: dict[str, tuple[Callable[[Pair], None], Expected]] = {
    "missing": (_away, [(_found, "wim-not-found", 4, "--search"), (_named, "wim-missing", 2, "store.wim"),
                        (_by_itself, "wim-missing", 2, "store.wim")]),
    "replaced": (_replace, [(_found, "wim-not-found", 4, "c000046e"), (_named, "other-wim", 4, "GUID")]),
    "cut short": (_cut, [(_all, "wim-truncated", 1, "cut short")]),
    "without its header": (_no_header, [(_found, "wim-not-found", 4, "looked at"),
                                        (_named, "not-a-wim", 1, "is not a WIM"),
                                        (_by_itself, "not-a-wim", 1, "backup")]),
    "with a damaged table": (_bad_table, [(_all, "wim-damaged", 1, "backup or a spare copy")]),
}


@pytest.fixture
def failing(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """A pair whose spare is not in sight, in an empty current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return pair


@pytest.mark.parametrize("state", STATES)
def test_every_verb_names_what_is_wrong_with_the_wim(state: str, failing: Pair) -> None:
    """With the id and the exit code of that failure, and nothing is changed, volume and WIM."""
    spoil, expected = STATES[state]
    spoil(failing)
    for commands, error, code, word in expected:
        for command in commands(failing):
            told = refused(error, code, *command, watching=(failing.volume, failing.wim))
            assert word in told.err, command


def test_an_older_copy_is_built_upon_by_no_verb(failing: Pair) -> None:
    """Named by what compares with the image; what it lacks is named by what needs the data; the rest can be read."""
    _older(failing)
    watching = (failing.volume, failing.wim)
    for verb in ("status", "update", "restore"):
        for command in ((verb, failing.volume), (verb, failing.volume, "--wim", failing.wim)):
            assert "image 2" in refused("wim-older", 4, *command, watching=watching).err
    for verb, options in (("capture", ()), ("convert", NO_PLACE)):
        told = refused("blob-missing", 1, verb, failing.volume, "--wim", failing.wim, *options, watching=watching)
        assert f"wimboot verify {failing.volume}" in told.err
    assert "new library.dll" in refused("pointers-unbacked", 1, "rehydrate", failing.volume, watching=watching).err
    out = failing.wim.with_name("out")
    refused("blob-missing", 1, "extract", failing.volume, "\\" + NEW.replace("/", "\\"), out)
    assert not out.exists()
    done("extract", failing.volume, "\\" + EXPLORER.replace("/", "\\"), out)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry run"])
def test_a_pointer_whose_data_is_lost_is_met_by_a_dry_run_too(dry: tuple[str, ...], failing: Pair) -> None:
    """Before anything is read; so is a name that the WIM has already. An update goes by no table that its pointers do
    not know: the repair that it names tells what is lost.
    """
    with failing.edited() as root:
        (root / NEW).write_bytes(os.urandom(50_000))
    commands = (("update", failing.volume), ("capture", failing.volume, "--wim", failing.wim),
                ("convert", failing.volume, "--wim", failing.wim, *NO_PLACE))
    watching = (failing.volume, failing.wim)
    name = done("images", failing.wim, "--json").json["images"][0]["name"]
    for command in commands:
        refused("image-name-taken", 2, *command, "--name", name, *dry, watching=watching)
    failing.lose(KERNEL32)
    told = refused("image-moved", 4, *commands[0], *dry, watching=watching)
    assert "--repair" in told.err
    for command in commands[1:]:
        told = refused("blob-missing", 1, *command, *dry, watching=watching)
        assert "kernel32.dll" in told.err, command


@pytest.mark.parametrize("state", ["missing", "replaced", "without its header"])
def test_pointers_without_their_wim_are_never_read_as_anything_else(state: str, failing: Pair) -> None:
    """A capture into a new WIM fails and leaves none; an extraction fails and leaves no file."""
    with failing.edited() as root:
        (root / NEW).write_bytes(os.urandom(50_000))
    STATES[state][0](failing)
    new, out = failing.wim.with_name("new.wim"), failing.wim.with_name("out")
    for command in (("capture", failing.volume, "--wim", new), ("convert", failing.volume, "--wim", new, *NO_PLACE),
                    ("extract", failing.volume, "\\" + KERNEL32.replace("/", "\\"), out)):
        told = refused("blob-missing", 1, *command, watching=(failing.volume, failing.wim, new, out))
        assert f"kernel32.dll of {failing.volume} is a pointer" in told.err
        assert "--search" in told.err
        assert "--wim" not in told.err.splitlines()[-1]


@pytest.mark.parametrize(("state", "error", "code"), [
    ("replaced", "copy-of-another-wim", 4), ("cut short", "copy-damaged", 4), ("without its header", "copy-unknown", 4),
    ("with a damaged table", "copy-damaged", 4)])
def test_a_spare_copy_in_no_state_to_be_grown_is_left_alone(state: str, error: str, code: int, failing: Pair) -> None:
    """The copy is what is wrong here, and stays for whoever wants to look into it."""
    STATES[state][0](failing)
    refused(error, code, "sync", failing.spare, failing.wim, watching=(failing.spare, failing.wim))


def test_damaged_data_reaches_neither_a_copy_nor_a_file(failing: Pair) -> None:
    """What reads it says so; a status and a diff do not need it."""
    failing.damage(EXPLORER)
    watching, new, out = (failing.volume, failing.wim), failing.wim.with_name("new.wim"), failing.wim.with_name("out")
    refused("sync-source-damaged", 1, "sync", failing.wim, new, watching=(*watching, new))
    refused("blob-damaged", 1, "extract", failing.volume, "\\" + EXPLORER.replace("/", "\\"), out,
            watching=(*watching, out))
    with unchanged(*watching):
        done("status", failing.volume)
        assert wimboot("verify", failing.volume).code == 3
