"""Finish or undo an interrupted run on a target and on its WIMs, and say what was found."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from wimboot.disk import Place, Recovered, TableKind, open_target, parse_place, waiting_logs
from wimboot.disk.inside import parse_inside
from wimboot.errors import Busy, Damaged, Error, Refused, Unsupported, UsageError
from wimboot.events import Problem, silent
from wimboot.frozen import Frozen
from wimboot.ops.finding.locating import copies
from wimboot.ops.opening.disks import finish_interrupted
from wimboot.ops.opening.inside import wim_exists
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.pointing.placing import volume_sources
from wimboot.storage.durable import LEFTOVER_SUFFIX
from wimboot.wim import Outcome, real_path, record_name
from wimboot.wim import recover as recover_wim
from wimboot.wim.errors import WimMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.opening.wimfiles import WimFile
    from wimboot.ops.options import TargetOptions
    from wimboot.wim import Recovered as RecoveredBefore

__all__ = ["RecoverDone", "RecoveredWim", "recover"]

_TARGET = {
    Recovered.DROPPED: "A run had been interrupted before its commit: the volume is as it was before that run.",
    Recovered.COMPLETED: "A run had been interrupted after its commit: it has been finished.",
}

_WIM = {
    Outcome.COMPLETED: "A run had been interrupted after {} was whole: it has been finished.",
    Outcome.UNDONE: "A run had been interrupted while {} grew: it is as it was before that run.",
}

_OUTCOMES = {
    Recovered.NOTHING: Outcome.NOTHING, Recovered.DROPPED: Outcome.UNDONE, Recovered.COMPLETED: Outcome.COMPLETED,
}


class RecoveredWim(Frozen):
    """What was found on a WIM; `removed` lay beside it."""

    path: Path
    outcome: Outcome
    removed: tuple[str, ...] = ()


class RecoverDone(Frozen):
    """What was found: on the target, on its WIMs or the one given, and all of it in words.

    `problems` are WIMs that were not found; `waiting` files of other runs in the folders of these: logs, each
    with its target, records, unfinished WIMs.
    """

    target: Recovered
    wims: tuple[RecoveredWim, ...]
    problems: tuple[Problem, ...]
    waiting: tuple[str, ...]
    told: str


def recover(options: TargetOptions, wim: Path | None, emit: Emit) -> RecoverDone:
    """Bring a target, and a WIM, to one whole state; without `wim`, or where that is not there, those that the target's
    volumes stand on, as far as they are found.

    Raises Refused where they are not what the run left; where there was nothing to do NotADisk, NoPartition, and
    WimMissing where neither the WIM is there nor all those of the volumes.
    """
    wims = _Wims(options, emit)
    if wim is not None:
        wims.recover(wim)
    found = finish_interrupted(options, emit, before=wims.recover_if_possible)
    files, problems = _look(options, lenient=found is not Recovered.NOTHING)
    missing = wim is not None and not wim_exists(wim, options.folders)
    if wim is None or missing:
        for file in files:
            wims.recover(file.path, file.recovered)
    done = wims.conclude(found)
    if missing:
        done = tuple(one for one in done if one.path != wim or _was_left(one))
        if problems and found is Recovered.NOTHING and not any(map(_was_left, done)):
            raise WimMissing(where=str(wim))
        problems.insert(0, Problem(id=WimMissing.id, where=str(wim), text="there is no such WIM"))
    elif wim is not None:
        problems = []
    waiting = {folder: left for folder in _folders(options, done) if (left := _left(folder))}
    return RecoverDone(target=found, wims=done, problems=tuple(problems), waiting=tuple(chain(*waiting.values())),
                       told=" ".join([*_tell(found, done), *map(_told, problems), *_tell_waiting(waiting)]))


def _was_left(one: RecoveredWim) -> bool:
    return one.outcome is not Outcome.NOTHING or bool(one.removed)


def _tell(target: Recovered, wims: Sequence[RecoveredWim]) -> list[str]:
    """What was found; where that is nothing, on what."""
    told = [] if target is Recovered.NOTHING else [_TARGET[target]]
    for one in wims:
        told += [] if one.outcome is Outcome.NOTHING else [_WIM[one.outcome].format(one.path)]
        told += [f"{name}, which an unfinished run left beside the WIM, was removed." for name in one.removed]
    places = ", ".join(["on the target", *(f"on {one.path}" for one in wims)])
    return told or [f"No interrupted run was found {places}."]


def _told(problem: Problem) -> str:
    return f"{problem.where}: {problem.text}. {problem.advice}".rstrip()


def _tell_waiting(waiting: dict[Path, list[str]]) -> list[str]:
    return [f"Files of other runs lie in {folder}: {', '.join(left)}. Where those were interrupted, `wimboot recover "
            "TARGET --wim WIM` of each target and WIM finishes them or takes them back."
            for folder, left in waiting.items()]


class _Wims:
    """WIMs that are recovered, each once."""

    def __init__(self, options: TargetOptions, emit: Emit) -> None:
        self._options, self._emit = options, emit
        self._disk = parse_place(options.place).path.absolute()
        self._done: dict[Path, RecoveredWim | None] = {}

    def recover(self, path: Path, already: RecoveredBefore | None = None) -> None:
        """By the WIM's own record, or inside a volume by that volume's log; on the target's own disk that is to come.

        `already` is what was done when it was found. Raises Refused, WimBusy, HostError.
        """
        real = real_path(path)
        if real in self._done:
            return
        inside = parse_inside(real)
        if inside is None:
            done = already or recover_wim(self._options.folders(real.parent), real.name, where=str(path))
            self._done[real] = RecoveredWim(path=path, outcome=done.outcome, removed=done.removed)
        elif inside.volume.path.resolve() == self._disk.resolve():
            self._done[real] = None
        else:
            outcome = _OUTCOMES[finish_interrupted(replace(self._options, place=str(inside.volume)), self._emit)]
            self._done[real] = RecoveredWim(path=path, outcome=outcome)

    def recover_if_possible(self, path: Path) -> None:
        """The same for a WIM that a log names: whether it is the one that is meant is judged afterwards.

        Raises WimBusy.
        """
        try:
            self.recover(path)
        except Busy:
            raise
        except Error:
            return

    def conclude(self, target: Recovered) -> tuple[RecoveredWim, ...]:
        """All of them, when the target's own disk is recovered."""
        return tuple(one or RecoveredWim(path=path, outcome=_OUTCOMES[target]) for path, one in self._done.items())


def _look(options: TargetOptions, *, lenient: bool) -> tuple[list[WimFile], list[Problem]]:
    """The WIMs of the volumes that are meant, and which were not found.

    Raises NotADisk, NoPartition and the like, but not where `lenient`: what was recovered may be no disk yet.
    """
    try:
        places = _places(options)
    except (Damaged, Refused, Unsupported, UsageError):
        if lenient:
            return [], []
        raise
    files: list[WimFile] = []
    problems: list[Problem] = []
    for place in places:
        try:
            with open_volume(replace(options, place=str(place)), silent, write=False, windows=False,
                             inspect=True) as opened:
                for source, found in copies(opened, volume_sources(opened.volume)).items():
                    files += found
                    if not found:
                        problems.append(Problem(
                            id="wim-not-found", where=opened.where, advice="Name it with --wim.",
                            text=f"the WIM of data source {source} was not found",
                            facts={"data_source": source, "wim": None}))
        except (Damaged, Refused, Unsupported, UsageError) as error:
            problems.append(Problem(id=error.id, where=str(place), advice=error.hint,
                                    text=f"which WIM it stands on cannot be told: {error}"))
    return files, problems


def _places(options: TargetOptions) -> list[Place]:
    """The NTFS volumes of a target. Raises what finding them does."""
    named = parse_place(options.place)
    with open_target(named, write=False, log_folder=options.log_folder, opener=options.folders) as target:
        if named.partition is not None:
            target.slice(named.partition)
            return [named] if any(one.ntfs for one in target.partitions if one.number == named.partition) else []
        if target.table.kind is TableKind.NONE:
            return [named]
        return [Place(named.path, partition.number) for partition in target.partitions if partition.ntfs]


def _folders(options: TargetOptions, wims: Iterable[RecoveredWim]) -> list[Path]:
    """Where files of runs on these lie, each once."""
    path = parse_place(options.place).path.resolve()
    beside = [] if path.is_block_device() else [path.parent]
    beside += [] if options.log_folder is None else [options.log_folder.resolve()]
    beside += [one.path.resolve().parent for one in wims if parse_inside(one.path) is None]
    return list(dict.fromkeys(beside))


def _left(folder: Path) -> list[str]:
    ends = (record_name(""), LEFTOVER_SUFFIX)
    names: list[str] = []
    with suppress(OSError):
        names = sorted(path.name for path in folder.iterdir() if path.name.endswith(ends))
    return [*waiting_logs(folder), *names]
