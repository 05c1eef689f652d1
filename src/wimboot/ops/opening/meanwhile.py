"""Work in a thread of its own while the caller goes on with something else."""

from __future__ import annotations

import contextlib
import os
from threading import Thread, get_native_id
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from wimboot.events import Counter

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Meanwhile", "StoppableCounter"]

T = TypeVar("T")

_BEHIND = 10
"""Added to the niceness of a thread that gives way: a tenth of the caller's share of a processor that both want."""


class Meanwhile(Generic[T]):
    """`work`, begun at once; with `apart` False when its result is first asked for, in the caller's thread.

    With `giving_way` the thread, and those that it starts, leave the processors to the caller where there are too few:
    for what may be over as late as the caller's own work. A context manager: leaving it waits for the thread, by an
    exception after calling `stop`. What the work raised is raised to whoever asks for its result, and to nobody else.
    """

    def __init__(self, work: Callable[[], T], *, apart: bool = True, giving_way: bool = False,
                 stop: Callable[[], None] | None = None) -> None:
        self._work = work
        self._giving_way = giving_way
        self._stop = stop
        self._results: list[T] = []
        self._error: BaseException | None = None
        self._thread: Thread | None = None
        if apart:
            self._thread = Thread(target=self._run_apart, daemon=True)
            self._thread.start()

    def result(self) -> T:
        """What the work returned, when it is over. Raises what it raised."""
        self.wait()
        if not self._results and self._error is None:
            self._run()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run_apart(self) -> None:
        if self._giving_way:
            with contextlib.suppress(OSError):      # a sandbox may forbid it; then both have the same share
                niceness = os.getpriority(os.PRIO_PROCESS, 0)
                os.setpriority(os.PRIO_PROCESS, get_native_id(), niceness + _BEHIND)    # of this thread alone
        self._run()

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - for whoever asks
            self._error = error

    def wait(self) -> None:
        """Until the thread is over, whatever came of it."""
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None and self._stop is not None:
            self._stop()
        self.wait()


class StoppableCounter(Counter):
    """Counts until it is stopped; then it stops who counts."""

    __slots__ = ("_stopped",)

    def __init__(self) -> None:
        super().__init__()
        self._stopped = False

    def stop(self) -> None:
        """From now on whoever counts is stopped, by Cancelled."""
        self._stopped = True

    def add(self, amount: int) -> None:
        if self._stopped:
            from wimboot.wim.errors import Cancelled

            raise Cancelled
        super().add(amount)
