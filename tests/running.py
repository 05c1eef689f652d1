"""The command line run in this process, and watched: what it printed, how it ended, what it must leave alone."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wimboot.cli.main import main

__all__ = ["NO_PLACE", "Noted", "Run", "done", "notes", "refused", "unchanged", "wimboot"]

NO_PLACE = ("--wim-place", "later", "--driver", "none")
"""What lets a Windows 7 on a host that Windows cannot read be converted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One command line that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which is one JSON document and nothing else."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


def wimboot(*arguments: object) -> Run:
    """Run a command line, whatever comes of it; a traceback never does."""
    out, err, person = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO()  # nobody is there to be asked
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
    finally:
        sys.stdin = person
    run = Run(code=code, out=out.getvalue(), err=err.getvalue())
    assert "Traceback" not in run.out + run.err, run.out + run.err
    assert "a bug in wimboot" not in run.err, run.err
    return run


def done(*arguments: object) -> Run:
    """Run a command line that must succeed."""
    run = wimboot(*arguments)
    assert run.code == 0, f"exit {run.code}:\n{run.out[-2000:]}\n{run.err[-2000:]}"
    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A note of a run."""

    text: str
    warning: bool


def notes(*arguments: object, code: int = 0) -> dict[str, Noted]:
    """The notes of a run by their ids, as a front-end gets them: one event a line on standard error."""
    run = wimboot(*arguments, "--progress", "json")
    assert run.code == code, run.err
    events = [json.loads(line) for line in run.err.splitlines() if line.startswith("{")]
    return {event["id"]: Noted(text=event["text"], warning=event["warning"]) for event in events
            if event["event"] == "note"}


def refused(error: str, code: int, *arguments: object, watching: tuple[Path, ...] = (),
            volumes: tuple[Path, ...] = ()) -> Run:
    """Run a command line that must refuse, once for people and once for programs, and change nothing.

    `error` is the id, `code` the exit code of the contract. Returns the run for people.
    """
    with unchanged(*watching, times=False, volumes=volumes):
        told = wimboot(*arguments)
        document = wimboot(*arguments, "--json").json
    assert (document["error"]["id"], document["exit"], document["schema"]) == (error, code, 1), document
    assert told.code == code, told.err
    messages = [line for line in told.err.splitlines() if line.startswith("wimboot: ")]
    assert len(messages) == 1, told.err
    assert document["error"]["message"].splitlines()[0] in messages[0]
    assert not told.out
    return told


@contextmanager
def unchanged(*paths: Path, times: bool = True, volumes: tuple[Path, ...] = ()) -> Iterator[None]:
    """These files keep their bytes and `times`, those missing stay missing, and their folders get no new files.

    Of bare `volumes` what is in use stays: a run that is given up may have written to free clusters.
    """
    before = {path: _state(path, times) for path in paths}
    used = {path: _in_use(path) for path in volumes}
    names = {path.parent: sorted(path.parent.iterdir()) for path in (*paths, *volumes) if path.parent.is_dir()}
    yield
    for path, digest in used.items():
        assert _in_use(path) == digest, f"what is in use of {path.name} was changed"
    for path, state in before.items():
        assert _state(path, times) == state, f"{path.name} was changed"
    for folder, there in names.items():
        assert sorted(folder.iterdir()) == there, f"files came or went in {folder}"


def _in_use(volume: Path) -> str:
    """The SHA-1 of the clusters in use, as ntfsclone saves them."""
    saved = subprocess.run(["ntfsclone", "-q", "-s", "-O", "-", str(volume)], check=True, capture_output=True).stdout
    return hashlib.sha1(saved, usedforsecurity=False).hexdigest()


def _state(path: Path, times: bool) -> tuple[int, int, str] | None:
    if not path.exists():
        return None
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
        size = file.tell()
    mtime = 0 if path.is_block_device() or not times else path.stat().st_mtime_ns
    return size, mtime, digest.hexdigest()
