"""The same work on several things at once, each in a process of its own: the libraries below serve one thread each.

A child tells its notes and problems as they come, and five times a second how far it is. It is stopped by SIGTERM, and
by itself where nobody listens any more: what it had under way is then given up, as on Ctrl-C.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Generic, TypeVar

from wimboot.disk import DECIDED
from wimboot.errors import Error, HostError, Internal
from wimboot.frozen import Frozen
from wimboot.ops.assembling.child import COUNTED, serve, unpack_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wimboot.events import Counter, Emit

__all__ = ["ChildEnded", "Outcome", "side_by_side"]

J = TypeVar("J")
R = TypeVar("R")


class ChildEnded(HostError):
    """A process ended without an answer."""

    id = "child-ended"
    sentence = "the process that worked on {where} ended without an answer (code {code})"
    advice = "Perhaps there was too little memory: with --threads 1 one is worked on after the other."


class Outcome(Frozen, Generic[R]):
    """What came of a job: its result, or why there is none."""

    result: R | None = None
    error: Error | None = None


def side_by_side(work: Callable[[J, Emit], R], jobs: Sequence[tuple[str, J]], processes: int, counter: Counter,
                 emit: Emit, *, finished: Callable[[int, Outcome[R]], None]) -> None:
    """Call `work` for each job, and `finished` with its number and outcome, in the order in which they end.

    A job that fails stops no other; an interruption stops all that are under way, and is raised again. With one process
    the work is done in this one; else `work` and the jobs have to be picklable. The texts name the jobs for messages.
    """
    if processes <= 1 or len(jobs) <= 1:
        _one_by_one(work, jobs, counter, emit, finished)
        return
    waiting = list(enumerate(jobs))[::-1]
    running: list[_Child[J, R]] = []
    before = 0
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                number, (name, job) = waiting.pop()
                running.append(_Child(number, name, work, job))
            for child in _listen(running, emit):
                running.remove(child)
                before += child.done
                finished(child.number, child.outcome())
            counter.done = before + sum(child.done for child in running)
    except BaseException:
        _stop_all(running, emit, finished)
        raise


def _one_by_one(work: Callable[[J, Emit], R], jobs: Sequence[tuple[str, J]], counter: Counter, emit: Emit,
                finished: Callable[[int, Outcome[R]], None]) -> None:
    """In this process. What was committed is finished before an interruption that came meanwhile stops the rest."""
    del counter     # each job tells its own phases
    for number, (_, job) in enumerate(jobs):
        try:
            outcome = Outcome(result=work(job, emit))
        except Error as error:
            outcome = Outcome(error=error)
        finished(number, outcome)
        DECIDED.clear()


class _Child(Generic[J, R]):
    """A job in a process of its own; `done` is how far it is."""

    def __init__(self, number: int, name: str, work: Callable[[J, Emit], R], job: J) -> None:
        context = get_context("spawn")      # a fork would take the threads of this process for its own
        self.number, self.done = number, 0
        self._name = name
        self._outcome: Outcome[R] | None = None
        self.connection, theirs = context.Pipe(duplex=False)
        self.process = context.Process(target=serve, args=(theirs, work, job), daemon=True)
        with _signals_blocked():
            self.process.start()
        theirs.close()

    def hear(self, emit: Emit) -> bool:
        """Take one message; False where there will be none any more."""
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return False
        if kind == COUNTED:
            self.done = value
        elif kind == "event":
            emit(value)
        elif kind == "result":
            self._outcome = Outcome(result=value)
        elif kind == "error":
            self._outcome = Outcome(error=unpack_error(*value))
        else:
            self._outcome = Outcome(error=Internal(what=value))
        return True

    def outcome(self) -> Outcome[R]:
        """What came of it."""
        return self._outcome or Outcome(error=ChildEnded(where=self._name, code=self.process.exitcode))

    @property
    def succeeded(self) -> bool:
        """Whether there is a result."""
        return self._outcome is not None and self._outcome.error is None


def _listen(running: Sequence[_Child[J, R]], emit: Emit) -> list[_Child[J, R]]:
    """Take what was told meanwhile; those that have ended."""
    by_connection = {child.connection: child for child in running}
    ready = [by_connection[connection] for connection in wait(list(by_connection)) if connection in by_connection]
    return [child for child in ready if not child.hear(emit)]


def _stop_all(running: Sequence[_Child[J, R]], emit: Emit, finished: Callable[[int, Outcome[R]], None]) -> None:
    """Stop what is under way and wait for it; one that had committed already is finished all the same."""
    for child in running:
        child.process.terminate()
    for child in running:
        while child.hear(emit):
            pass
        if child.succeeded:
            finished(child.number, child.outcome())


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A child begins deaf to what a terminal tells all its programs: who started it decides."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
