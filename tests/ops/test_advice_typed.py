"""The commands that a check advises run when they are pasted, whatever the paths are called."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from repair_rig import EXPLORER, Pair, problem_of
from running import done, unchanged
from wimboot.formats.blobtable import ROW_SIZE
from wimboot.ops.checking.advising import spare_options, written_anew
from wimboot.wim import open_store


@pytest.fixture
def spaced(pair: Pair, tmp_path: Path) -> Pair:
    """In a folder, and with names, that have blanks in them."""
    folder = tmp_path / "s p"
    folder.mkdir()
    return replace(pair, volume=pair.volume.rename(folder / "d 1.img"), wim=pair.wim.rename(folder / "store.wim"),
                   spare=pair.spare.rename(pair.spare.with_name("copy of.wim")))


def _typed(advice: str) -> list[str]:
    program, *words = shlex.split(advice.split("`")[1])
    assert program == "wimboot"
    return words


def test_a_repair_from_a_copy_that_was_named(spaced: Pair) -> None:
    """Of the volume, and of the WIM by itself; the copy is one word."""
    spaced.damage(EXPLORER)
    volume, wim, spare = map(str, (spaced.volume, spaced.wim, spaced.spare))
    with unchanged(spaced.volume, spaced.wim, spaced.spare):
        named = problem_of(spaced.repair("--spare", spare, "--dry-run")[1])["advice"]
        assert _typed(named) == ["verify", volume, "--wim", wim, "--repair", "--spare", spare]
        assert _typed(problem_of(spaced.verify()[1])["advice"])[-2:] == ["--spare", "COPY"]
        alone = spaced.alone("--repair", "--spare", spare, "--dry-run")
        assert _typed(problem_of(alone)["advice"]) == ["verify", "--wim", wim, "--repair", "--spare", spare]
    done(*_typed(named))
    spaced.assert_whole()


def test_data_that_is_missing(spaced: Pair) -> None:
    """The causes that are told of the pointers say it as well."""
    spaced.lose(EXPLORER)
    named = problem_of(spaced.repair("--quick", "--spare", spaced.spare, "--dry-run")[1])["advice"]
    done(*_typed(named))
    spaced.assert_whole()


def test_a_wim_that_is_written_anew(spaced: Pair) -> None:
    """One whose table is damaged in the row of a list of files, and one that was cut short."""
    with open_store(spaced.wim) as store:
        table = store.parts[0].table
        place = store.header.blob_table.offset + ROW_SIZE * table.metadata[0] + 16
    with spaced.wim.open("r+b") as file:
        os.pwrite(file.fileno(), bytes([os.pread(file.fileno(), 1, place)[0] ^ 1]), place)
    document = spaced.repair("--spare", spaced.spare)[1]
    (refused,) = document["repair"]["refused"]
    assert _typed(refused["advice"]) == ["sync", str(spaced.spare), str(spaced.wim), "--full"]
    done(*_typed(refused["advice"]))
    spaced.assert_whole()
    os.truncate(spaced.wim, spaced.wim.stat().st_size - 5000)
    done(*_typed(problem_of(spaced.repair("--spare", spaced.spare)[1])["advice"]))
    spaced.assert_whole()


def test_what_makes_a_wim_anew_is_a_command_only_where_sync_writes_it() -> None:
    """Not inside a volume; where no copy is known the user names one."""
    inside, copy = Path("d 1.img#2:/wim/store.wim"), Path("copy of.wim")
    assert written_anew(inside, copy) == f"Put a copy of {copy} in the place of {inside}."
    assert written_anew(inside, None) == f"Put a sound copy in the place of {inside}."
    assert _typed(written_anew(Path("a b.wim"), copy, "--force")) == ["sync", str(copy), "a b.wim", "--force"]
    told = "`wimboot sync COPY a.wim --full` writes a.wim anew, as a sound copy is."
    assert written_anew(Path("a.wim"), None) == told
    assert spare_options((copy, Path("b"))) == ("--spare", "copy of.wim", "--spare", "b")
    assert spare_options((), "NEWER") == ("--spare", "NEWER")
