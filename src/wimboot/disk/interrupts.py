"""Holding back the signals that ask a program to stop, over steps that must not be torn."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["DECIDED", "STOPPING", "uninterrupted"]

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, the service manager, a closed terminal."""

DECIDED: Final = threading.Event()
"""Set from the moment a verb has committed until the next one opens something: who asks it to stop comes too late."""


@contextlib.contextmanager
def uninterrupted(*, forget: bool = False) -> Iterator[None]:
    """Hold these signals back: until the block is over, or for good where they came too late to mean anything.

    Python delivers signals to the main thread only; in any other this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    previous = {number: signal.getsignal(number) for number in STOPPING}
    for number, handler in previous.items():
        if handler is not None:     # None: installed from C, not ours to replace
            signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in previous.items():
            if handler is not None:
                signal.signal(number, handler)
    if pressed and not forget:
        signal.raise_signal(pressed[0])
