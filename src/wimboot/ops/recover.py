"""Finish or undo an interrupted run, and say what was found."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.disk import Recovered
from wimboot.disk.inside import parse_inside
from wimboot.frozen import Frozen
from wimboot.ops.opening.volume import finish_interrupted
from wimboot.wim import Outcome, real_path
from wimboot.wim import recover as recover_wim

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.options import TargetOptions

__all__ = ["RecoverDone", "recover"]

_TARGET = {
    Recovered.NOTHING: "No interrupted run was found on the target.",
    Recovered.DROPPED: "A run had been interrupted before its commit: the volume is as it was before that run.",
    Recovered.COMPLETED: "A run had been interrupted after its commit: it has been finished.",
}

_WIM = {
    Outcome.NOTHING: "No interrupted run was found on the WIM.",
    Outcome.COMPLETED: "A run had been interrupted after the WIM was whole: it has been finished.",
    Outcome.UNDONE: "A run had been interrupted while the WIM grew: the WIM is as it was before that run.",
}


class RecoverDone(Frozen):
    """What was found: on the target, on the WIM if one was given, and both in words; `removed` lay beside the WIM."""

    target: Recovered
    wim: Outcome | None
    told: str
    removed: tuple[str, ...] = ()


_OUTCOMES = {
    Recovered.NOTHING: Outcome.NOTHING, Recovered.DROPPED: Outcome.UNDONE, Recovered.COMPLETED: Outcome.COMPLETED,
}


def _recover_wim(options: TargetOptions, wim: Path, emit: Emit) -> tuple[Outcome, tuple[str, ...]]:
    """What was done for a WIM by its own record, or inside a volume by that volume's log."""
    real = real_path(wim)
    inside = parse_inside(real)
    if inside is not None:
        return _OUTCOMES[finish_interrupted(replace(options, place=str(inside.volume)), emit)], ()
    done = recover_wim(options.folders(real.parent), real.name, where=str(wim))
    return done.outcome, done.removed


def recover(options: TargetOptions, wim: Path | None, emit: Emit) -> RecoverDone:
    """Bring a target, and a WIM, to one whole state. Raises Refused where they are not what the run left."""
    outcome: Outcome | None = None
    removed: tuple[str, ...] = ()
    told = []
    if wim is not None:
        outcome, removed = _recover_wim(options, wim, emit)
        told.append(_WIM[outcome])
        told += [f"{name}, which an unfinished run left beside the WIM, was removed." for name in removed]
    found = finish_interrupted(options, emit)
    told.insert(0, _TARGET[found])
    return RecoverDone(target=found, wim=outcome, told=" ".join(told), removed=removed)
