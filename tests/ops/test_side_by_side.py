"""Working on several things at once: results, failures, interruptions, processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wimboot.disk import DECIDED, NotADisk
from wimboot.errors import Error, FormatError, HostError, Internal
from wimboot.events import Counter, Emit, Event, Note, Phase, silent
from wimboot.ops.assembling.child import pack_error, unpack_error
from wimboot.ops.assembling.planned import FolderBusy
from wimboot.ops.assembling.sidebyside import Outcome, side_by_side
from wimboot.plan.tomltable import PlanInvalid
from wimboot.storage import HostFolder

PATIENCE_S = 30


def work(job: str, emit: Emit) -> str:
    """What a job asks for, by its first word."""
    word, _, rest = job.partition(" ")
    if word == "say":
        emit(Note(id="said", text=rest))
    elif word == "count":
        phase = Phase(name="change", total=int(rest))
        emit(phase)
        phase.counter.add(int(rest))
        time.sleep(0.5)
    elif word == "refuse":
        raise NotADisk(where=Path(rest), why=ValueError("a reason"))
    elif word == "break":
        raise ZeroDivisionError(rest)
    elif word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word in ("stay", "commit"):
        if word == "commit":
            DECIDED.set()
        Path(rest).touch()
        time.sleep(1 if word == "commit" else PATIENCE_S)
    return f"{job} in {os.getpid()}"


def run(jobs: list[str], processes: int, emit: Emit = silent, counter: Counter | None = None) -> list[Outcome[str]]:
    """The outcomes, in the order of the jobs."""
    found: dict[int, Outcome[str]] = {}
    side_by_side(work, [(f"job {job}", job) for job in jobs], processes, counter or Counter(), emit,
                 finished=found.__setitem__)
    return [found[number] for number in range(len(jobs))]


@pytest.mark.parametrize("processes", [1, 2])
def test_each_job_is_done_once_and_tells(processes: int) -> None:
    """In processes of their own where there may be several; what they say arrives, a failure stops no other."""
    told: list[Event] = []
    outcomes = run(["say one", "refuse it", "say two"], processes, told.append)
    assert {event.text for event in told if isinstance(event, Note)} == {"one", "two"}
    assert [outcome.error is None for outcome in outcomes] == [True, False, True]
    assert isinstance(outcomes[1].error, NotADisk)
    assert str(outcomes[1].error) == str(NotADisk(where=Path("it"), why="a reason"))
    own = [str(outcome.result).endswith(f" in {os.getpid()}") for outcome in outcomes if outcome.error is None]
    assert own == [processes == 1] * 2


def test_progress_of_all_is_one_sum() -> None:
    """What the jobs count, added up."""
    counter = Counter()
    run(["count 3", "count 4", "count 5"], 3, counter=counter)
    assert counter.done == 12


def test_process_that_dies_or_has_a_bug_is_told() -> None:
    """Neither is taken for success, and the others go on."""
    died, broke, fine = run(["die", "break it", "say fine"], 2)
    assert died.error is not None
    assert died.error.id == "child-ended"
    assert "job die" in str(died.error)
    assert isinstance(broke.error, Internal)
    assert "ZeroDivisionError: it" in str(broke.error)
    assert fine.error is None


def test_interruption_stops_all_but_what_is_decided(tmp_path: Path) -> None:
    """Ctrl-C here: a job under way gives up at once, one that has committed is waited for and counts as finished."""
    stay, commit, found = tmp_path / "stay", tmp_path / "commit", dict[int, Outcome[str]]()

    def press() -> None:
        while not (stay.exists() and commit.exists()):
            time.sleep(0.05)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    began = time.monotonic()
    jobs = [("stay", f"stay {stay}"), ("commit", f"commit {commit}"), ("never", "say never")]
    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, jobs, 2, Counter(), silent, finished=found.__setitem__)
    assert time.monotonic() - began < PATIENCE_S
    assert list(found) == [1]
    assert found[1].error is None


def test_children_end_when_who_started_them_is_killed(tmp_path: Path) -> None:
    """Nobody is left that would listen, so they give up what they do."""
    script = ("import sys; sys.path.insert(0, sys.argv[1]); from test_side_by_side import run\n"
              "if __name__ == '__main__': run([f'stay {path}' for path in sys.argv[2:]], 2)\n")
    (tmp_path / "start.py").write_text(script)
    marks = [tmp_path / "one", tmp_path / "two"]
    paths = [*sys.path, str(Path(__file__).parent)]
    process = subprocess.Popen([sys.executable, tmp_path / "start.py", Path(__file__).parent, *marks],
                               env={"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"]})
    until = time.monotonic() + PATIENCE_S
    while not all(mark.exists() for mark in marks):
        assert time.monotonic() < until
        time.sleep(0.05)
    children = _children(process.pid)
    assert len(children) >= 2
    process.kill()
    process.wait()
    while any(Path(f"/proc/{child}").exists() and "defunct" not in _state(child) for child in children):
        assert time.monotonic() < until, "they go on alone"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _state(pid: int) -> str:
    try:
        return "defunct" if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z" else ""
    except OSError:
        return "defunct"


def _raised() -> list[Error]:
    made: list[Error] = [FormatError("a header", 4, "it is torn"), FolderBusy(folder=Path("x")), HostError(
        what="reading", where="x", why=OSError(5, "no"), errno=5), Internal(what="a promise")]
    with pytest.raises(HostError) as caught:
        HostFolder(Path("/nowhere")).sync()
    return [*made, caught.value]


@pytest.mark.parametrize("error", _raised(), ids=lambda error: type(error).__name__)
def test_errors_arrive_as_they_were(error: Error) -> None:
    """Of the same class, with the same message and advice."""
    kind, facts = pack_error(error)
    there = unpack_error(kind, facts)
    assert (type(there), str(there), there.hint) == (type(error), str(error), error.hint)


def test_error_of_another_making_arrives_as_one_of_the_host() -> None:
    """One whose class wants other facts than it tells."""
    there = unpack_error(*pack_error(PlanInvalid(plan="p", line=3, key="k", why="it is wrong")))
    assert isinstance(there, HostError)
    assert "plan-invalid" in str(there)
