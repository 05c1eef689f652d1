"""What an operation tells while it runs. `ops/` sends these to one callable; a terminal, a window or a test listens.

Progress is pulled: a `Phase` carries a `Counter` that the work bumps and the listener reads as often as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field

from wimboot.frozen import Frozen

__all__ = ["Counter", "Emit", "Event", "Note", "Phase", "Problem", "silent"]


class Counter:
    """Work done so far in a phase's unit. One thread adds, any thread reads."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = 0

    def add(self, amount: int) -> None:
        self.done += amount


class Phase(Frozen):
    """A stretch of work begins. `unit` is "bytes" or "files"; `total` 0 means not known."""

    name: str
    total: int = 0
    unit: str = "files"
    counter: Counter = field(default_factory=Counter)


class Note(Frozen):
    """Something the user should know; the run goes on. `warning` marks what needs attention."""

    id: str
    text: str
    warning: bool = False


class Problem(Frozen):
    """One thing that is not as it should be, found by a check or met in a batch.

    `advice` says what to do, `paths` which files it concerns, `facts` what programs may want to know besides.
    """

    id: str
    where: str
    text: str
    advice: str = ""
    paths: tuple[str, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


Event = Phase | Note | Problem
Emit = Callable[[Event], None]


def silent(event: Event) -> None:
    """Listens to nothing."""
