"""What a disk may hold after a crash, made from a recorder's list.

Models, for a crash just before step `point` (point = number of steps: after the last):

    KILL    the program was killed: every step before the point is there
    POWER   the power failed: what was synced is there; of what was written since, each block holds any
    version between the synced one and the newest, or a prefix of the steps is there; so too for names until
    their folder is synced, and for a file's size
    SECTOR  as POWER, and blocks on their way may hold garbage, as may the part by which a file grew
    TORN    as KILL, with the write at the point carried out in part: cut at a block, from either side, or
    with garbage

A state is fixed by (point, model, seed, block size), which `CrashState.key` spells, so a failure can be
repeated.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from wimboot.frozen import Frozen
from wimboot.storage.memory import MemoryFolder
from wimboot.storage.recorder import StepKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wimboot.storage.memory import Image
    from wimboot.storage.recorder import Recorder, Step

__all__ = ["CrashState", "Model", "states"]

Folders: TypeAlias = "dict[str, dict[str, Image]]"


class Model(Enum):
    """How the machine stopped."""

    KILL = "kill"
    POWER = "power"
    SECTOR = "sector"
    TORN = "torn"


class CrashState(Frozen):
    """One possible content of all recorded folders."""

    point: int
    model: Model
    seed: int
    block_size: int
    folders: Folders

    @property
    def key(self) -> str:
        """Names the state, for a report or to make it again."""
        return f"{self.model.value}:{self.point}:{self.seed}:{self.block_size}"

    def folder(self, label: str) -> MemoryFolder:
        """A copy of one folder, to run a recovery in."""
        return MemoryFolder({name: image.copy() for name, image in self.folders[label].items()})

    def save(self, label: str, path: Path) -> None:
        """Write one folder's files into the host folder `path`, for programs that need it."""
        for name, image in self.folders[label].items():
            image.save(path / name)


def states(recorder: Recorder, model: Model, *, points: Iterable[int] | None = None,
           seeds: Iterable[int] = (0,), block_size: int = 512) -> Iterator[CrashState]:
    """The states for each of `points` (default: all, 0 to the number of steps) and each of `seeds`, points
    rising.

    KILL needs no seed and gives one state a point. `block_size`: 512 or 4096, what a disk writes in one go.
    """
    wanted = sorted(range(recorder.point + 1) if points is None else points)
    chosen = list(seeds)[:1] if model is Model.KILL else list(seeds)
    disk = _Disk(recorder)
    for point in wanted:
        disk.advance(point)
        for seed in chosen:
            rng = random.Random(f"{model.value}:{point}:{seed}:{block_size}")  # noqa: S311 - repeatable, not secret
            if model in (Model.KILL, Model.TORN):
                folders = disk.now()
                if model is Model.TORN and point < recorder.point:
                    disk.tear(recorder.steps[point], folders, rng, block_size)
            else:
                folders = disk.after_power_cut(rng, block_size, garbage=model is Model.SECTOR)
            yield CrashState(point=point, model=model, seed=seed, block_size=block_size, folders=folders)


class _Disk:
    """All files and folders as far as the steps were played: what is durable, what is newest, and the steps
    between.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._point = 0
        self._newest = [recorder.image(number) for number in range(len(recorder.grounds))]
        self._durable = [image.copy() for image in self._newest]
        self._pending: list[list[tuple[int, Step]]] = [[] for _ in self._newest]
        self._names = {label: dict(names) for label, names in recorder.start.items()}
        self._durable_names = {label: dict(names) for label, names in recorder.start.items()}
        self._pending_names: dict[str, list[tuple[int, Step]]] = {label: [] for label in recorder.start}

    def advance(self, point: int) -> None:
        for number in range(self._point, point):
            step = self._recorder.steps[number]
            if step.kind in (StepKind.WRITE, StepKind.TRUNCATE):
                _apply(step, self._newest[step.file])
                self._pending[step.file].append((number, step))
            elif step.kind is StepKind.SYNC:
                for _, write in self._pending[step.file]:
                    _apply(write, self._durable[step.file])
                self._pending[step.file].clear()
            elif step.kind is StepKind.FOLDER_SYNC:
                self._durable_names[step.folder] = dict(self._names[step.folder])
                self._pending_names[step.folder].clear()
            else:
                _rename(step, self._names[step.folder])
                self._pending_names[step.folder].append((number, step))
        self._point = point

    def now(self) -> Folders:
        used = {number for folder in self._names.values() for number in folder.values()}
        return _shape(self._names, {number: self._newest[number].copy() for number in used})

    def tear(self, step: Step, folders: Folders, rng: random.Random, block_size: int) -> None:
        """Carry out a write in part."""
        names = self._names.get(step.folder, {})
        name = next((name for name, number in names.items() if number == step.file), None)
        if step.kind is not StepKind.WRITE or name is None or not step.data:
            return
        image = folders[step.folder][name]
        end = step.offset + len(step.data)
        cut = rng.randrange(step.offset // block_size, -(-end // block_size) + 1) * block_size
        cut = min(max(cut, step.offset), end)
        start, stop = (step.offset, cut) if rng.random() < 0.5 else (cut, end)
        image.write(start, step.data[start - step.offset:stop - step.offset])
        if rng.random() < 0.5 and step.offset <= cut < end:
            image.write(cut, rng.randbytes(min(block_size - cut % block_size, end - cut)))

    def after_power_cut(self, rng: random.Random, block_size: int, *, garbage: bool) -> Folders:
        ordered = rng.random() < 0.25
        cut = rng.randint(0, self._point)
        chance = rng.choice((0.1, 0.5, 0.9))
        names = {label: dict(folder) for label, folder in self._durable_names.items()}
        for label, steps in self._pending_names.items():
            limit = rng.randint(0, len(steps))
            subset = rng.random() < 0.5
            for place, (number, step) in enumerate(steps):
                if number < cut if ordered else (rng.random() < chance if subset else place < limit):
                    _rename(step, names[label])
        images = {}
        for number in sorted({number for folder in names.values() for number in folder.values()}):
            image = self._durable[number].copy()
            if ordered:
                for place, step in self._pending[number]:
                    if place < cut:
                        _apply(step, image)
            else:
                _scatter(image, [step for _, step in self._pending[number]], rng, chance, block_size, garbage)
            images[number] = image
        return _shape(names, images)


def _shape(names: dict[str, dict[str, int]], images: dict[int, Image]) -> Folders:
    return {label: {name: images[number] for name, number in folder.items()}
            for label, folder in names.items()}


def _apply(step: Step, image: Image) -> None:
    if step.kind is StepKind.WRITE:
        image.write(step.offset, step.data)
    else:
        image.truncate(step.size)


def _rename(step: Step, names: dict[str, int]) -> None:
    """A change of names, as far as it still makes sense where changes before it are missing."""
    if step.kind is StepKind.CREATE:
        names[step.name] = step.file
    elif step.kind is StepKind.REMOVE:
        if names.get(step.name) == step.file:
            del names[step.name]
    elif names.get(step.name) == step.file:
        names[step.new_name] = names.pop(step.name)


def _scatter(image: Image, steps: list[Step], rng: random.Random, chance: float, block_size: int,
             garbage: bool) -> None:
    """Bring each block of `image` to some version between what it holds and what `steps` make of it."""
    last = max((place for place, step in enumerate(steps) if step.kind is StepKind.TRUNCATE), default=-1)
    if last >= 0:
        kept = rng.randint(0, last + 1)
        for step in steps[:kept]:
            _apply(step, image)
        if kept <= last:
            return
        steps = steps[last + 1:]
    old_size = image.size
    sizes = [old_size]
    versions: dict[int, list[Step]] = {}
    for step in steps:
        if not step.data:
            continue
        sizes.append(max(sizes[-1], step.offset + len(step.data)))
        for block in range(step.offset // block_size, -(-(step.offset + len(step.data)) // block_size)):
            versions.setdefault(block, []).append(step)
    for block, writes in versions.items():
        start, end = block * block_size, (block + 1) * block_size
        if garbage and rng.random() < 0.1:
            first = max(start, min(step.offset for step in writes))
            final = min(end, max(step.offset + len(step.data) for step in writes))
            image.write(first, rng.randbytes(final - first))
        elif rng.random() < chance:
            for step in writes if rng.random() < 0.7 else writes[:rng.randint(0, len(writes))]:
                first, final = max(start, step.offset), min(end, step.offset + len(step.data))
                image.write(first, step.data[first - step.offset:final - step.offset])
    size = rng.choice((sizes[-1], sizes[-1], rng.choice(sizes)))
    grown = image.size
    image.truncate(size)
    if garbage and size > grown and rng.random() < 0.5:
        image.write(grown, rng.randbytes(min(size - grown, 1 << 20)))
