"""What unfinished runs left beside a WIM goes with the next run, but never what a live one is making."""

from __future__ import annotations

from pathlib import Path

import pytest

from wim_making import add_image
from wimboot.storage import HostFolder
from wimboot.wim import Append, CreateOptions, Outcome, Recovered, recover

NAME, NEW, RECORD = "s.wim", "s.wim.wimboot-new", "s.wim.wimboot-undo.wimboot-new"


def _grow(folder: Path, image: str) -> None:
    with Append(HostFolder(folder), NAME, create=CreateOptions(guid=bytes(16)), where=NAME) as append:
        add_image(append, {image: image.encode() * 100}, image, threads=1)
        append.finish()


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    """A WIM and a record that never got their names."""
    _grow(tmp_path, "one")
    for name in (NEW, RECORD):
        (tmp_path / name).write_bytes(b"half")
    found = recover(HostFolder(tmp_path), NAME, where=NAME)
    assert (found.outcome, found.removed) == (Outcome.NOTHING, (NEW, RECORD))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_record_that_is_being_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run that looks at the WIM in that moment takes nothing away, and the append goes on."""
    _grow(tmp_path, "one")
    replace = HostFolder.replace
    seen: list[Recovered] = []

    def looked_at(self: HostFolder, old: str, new: str) -> None:
        if old == RECORD and not seen:
            seen.append(recover(HostFolder(tmp_path), NAME, where=NAME))
        replace(self, old, new)

    monkeypatch.setattr(HostFolder, "replace", looked_at)
    _grow(tmp_path, "two")
    assert [(found.outcome, found.removed) for found in seen] == [(Outcome.NOTHING, ())]
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
