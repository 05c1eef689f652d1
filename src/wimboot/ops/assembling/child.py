"""The side of a process that works on one thing for another process, and tells it of it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from wimboot.disk import DECIDED
from wimboot.errors import Error, HostError
from wimboot.events import Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from types import FrameType

    from wimboot.events import Counter, Emit, Event

__all__ = ["COUNTED", "pack_error", "serve", "unpack_error"]

COUNTED: Final = "done"
_EVERY_S: Final = 0.2
_COUNTED_PHASE: Final = "change"
"""The phase of apply and restore that takes long: what it counts is how far a job is."""
J = TypeVar("J")
_PLAIN: Final = (str, int, float, bytes, Path, type(None))


def serve(connection: Connection, work: Callable[[J, Emit], object], job: J) -> None:
    """Do the work, telling of it, and its end: ("result", it), ("error", packed), ("bug", text); nothing if stopped."""
    signal.signal(signal.SIGTERM, _stop)
    teller = _Teller(connection)
    try:
        answer: tuple[str, object] = ("result", work(job, teller.emit))
    except Error as error:
        answer = ("error", pack_error(error))
    except KeyboardInterrupt:
        return
    except Exception as error:  # noqa: BLE001 - the door of this process
        answer = ("bug", f"{type(error).__name__}: {error}")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        teller.end()
    teller.send(answer)


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Give up, unless it is committed already."""
    if not DECIDED.is_set():
        raise KeyboardInterrupt


class _Teller:
    """Sends events as they come, and progress from a thread of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._counter: Counter | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """For the work to call."""
        if isinstance(event, Phase):
            if event.name == _COUNTED_PHASE:
                self._counter = event.counter
            return
        self.send(("event", event))

    def send(self, message: tuple[str, object]) -> None:
        """Tell it, if somebody is left to listen."""
        try:
            with self._lock:
                self._connection.send(message)
        except (BrokenPipeError, ConnectionError):
            self._over.set()
            os.kill(os.getpid(), signal.SIGTERM)

    def end(self) -> None:
        """No more progress."""
        self._over.set()
        self._thread.join()

    def _tick(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.send((COUNTED, 0 if self._counter is None else self._counter.done))


def pack_error(error: Error) -> tuple[type[Error], dict[str, object]]:
    """What `unpack_error` makes the same error of; facts that cannot travel go as their text."""
    return type(error), {name: value if isinstance(value, _PLAIN) else str(value) for name, value in
                         error.facts.items()}


def unpack_error(kind: type[Error], facts: dict[str, object]) -> Error:
    """The error that was packed; one of a class whose constructor wants something else becomes a HostError."""
    try:
        return kind(**facts)
    except (TypeError, KeyError, ValueError):
        return HostError(what="working on", where=facts.get("where", "it"), why=f"{kind.id}: {facts}")
