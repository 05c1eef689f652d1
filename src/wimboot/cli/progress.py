"""Listening to an operation: bars on a terminal, JSON lines for programs, or silence. All of it on standard error.

An operation sends phases with counters (`wimboot.events`); nothing here slows it down, for the display reads the
counters when it likes, ten times a second.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

import click

from wimboot.cli.english import singular
from wimboot.events import Event, Note, Phase, Problem

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

__all__ = ["Listener", "listener"]

INTERVAL_S = 0.5
"""Between two JSON progress lines."""

PATHS = 20
"""Of the files that a problem concerns, so many are named; with -v all."""


class Listener:
    """Prints notes and problems as they come; the base of the others."""

    def __init__(self, *, quiet: bool, paths: int | None = PATHS) -> None:
        self.quiet = quiet
        self.paths = paths
        self.notes: list[Note] = []
        self.problems: list[Problem] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Note):
            self.notes.append(event)
            self.show_note(event)
        elif isinstance(event, Problem):
            self.problems.append(event)
            self.show_problem(event)
        else:
            self.begin(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def begin(self, phase: Phase) -> None:
        """A phase begins, and so the one before has ended."""

    def end(self) -> None:
        """The operation is over."""

    def show_note(self, note: Note) -> None:
        if not self.quiet:
            click.echo(("warning: " if note.warning else "") + singular(note.text), err=True)

    def show_problem(self, problem: Problem) -> None:
        click.echo(f"problem: {problem.where}: {singular(problem.text)}", err=True)
        shown = problem.paths[:self.paths]
        for path in shown:
            click.echo(f"    {path}", err=True)
        if len(problem.paths) > len(shown):
            click.echo(f"    and {len(problem.paths) - len(shown):,} more (-v names them all)", err=True)
        if problem.advice:
            click.echo(f"    {singular(problem.advice)}", err=True)


class JsonListener(Listener):
    """One JSON event a line: phase, progress, phase-end, note, problem. Keys are only ever added."""

    def __init__(self) -> None:
        super().__init__(quiet=False)
        self._phase: Phase | None = None
        self._began = 0.0
        self._wake = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()

    def begin(self, phase: Phase) -> None:
        self._finish_phase()
        self._phase, self._began = phase, time.monotonic()
        self._line(event="phase", name=phase.name, total=phase.total, unit=phase.unit)

    def end(self) -> None:
        self._wake.set()
        self._ticker.join()
        self._finish_phase()

    def show_note(self, note: Note) -> None:
        self._line(event="note", id=note.id, warning=note.warning, text=note.text)

    def show_problem(self, problem: Problem) -> None:
        self._line(event="problem", id=problem.id, where=problem.where, text=problem.text, advice=problem.advice,
                   files=len(problem.paths))

    def _finish_phase(self) -> None:
        phase, self._phase = self._phase, None
        if phase is not None:
            self._line(
                event="phase-end",
                name=phase.name,
                done=phase.counter.done,
                unit=phase.unit,
                seconds=round(time.monotonic() - self._began, 4),
            )

    def _tick(self) -> None:
        while not self._wake.wait(INTERVAL_S):
            phase = self._phase
            if phase is not None:
                self._line(
                    event="progress", name=phase.name, done=phase.counter.done, total=phase.total, unit=phase.unit
                )

    def _line(self, **fields: object) -> None:
        sys.stderr.write(json.dumps(fields, ensure_ascii=False) + "\n")
        sys.stderr.flush()


class BarListener(Listener):
    """One bar a phase, with rate and time left."""

    def __init__(self, *, quiet: bool, paths: int | None = PATHS) -> None:
        super().__init__(quiet=quiet, paths=paths)
        from rich.console import Console

        self._console = Console(stderr=True)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._phase: Phase | None = None
        self._stop = threading.Event()
        self._reader: threading.Thread | None = None

    def begin(self, phase: Phase) -> None:
        self._close_bar()
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = [DownloadColumn(), TransferSpeedColumn()] if phase.unit == "bytes" else [MofNCompleteColumn()]
        self._progress = Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            *columns,
            TimeRemainingColumn(),
            console=self._console,
            auto_refresh=False,
        )
        self._progress.start()
        self._task = self._progress.add_task(phase.name, total=phase.total or None)
        self._phase = phase
        self._stop.clear()
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def end(self) -> None:
        self._close_bar()

    def show_note(self, note: Note) -> None:
        if not self.quiet:
            self._console.print(
                ("[yellow]warning:[/yellow] " if note.warning else ""),
                singular(note.text),
                sep="",
                highlight=False,
                soft_wrap=True,
            )

    def _follow(self) -> None:
        while not self._stop.wait(0.1):
            self._refresh()

    def _refresh(self) -> None:
        if self._progress is not None and self._task is not None and self._phase is not None:
            self._progress.update(self._task, completed=self._phase.counter.done, refresh=True)

    def _close_bar(self) -> None:
        if self._reader is not None:
            self._stop.set()
            self._reader.join()
            self._reader = None
        if self._progress is not None:
            self._refresh()
            self._progress.stop()
            self._progress = None


def listener(progress: str, *, quiet: bool, verbose: bool = False) -> Listener:
    """The listener for --progress, -q and -v: bars only where standard error is a terminal."""
    paths = None if verbose else PATHS
    if progress == "json":
        return JsonListener()
    if progress == "auto" and not quiet and sys.stderr.isatty():
        return BarListener(quiet=quiet, paths=paths)
    return Listener(quiet=quiet, paths=paths)
