"""The test that the torture can fail: with any one sync left out of any verb, some power cut is not survived."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from torture_scenes import VERBS, WIM, Scene, judge
from wimboot.storage.faults import Model, Step, StepKind, states

SYNCS = (StepKind.SYNC, StepKind.FOLDER_SYNC)
NAMES = (StepKind.CREATE, StepKind.REPLACE, StepKind.REMOVE, StepKind.FOLDER_SYNC)
TEMPORARY = f"{WIM}.wimboot-new"
"""A new WIM is synced before it is read back, and again before it gets its name; that is enough for power cuts."""
SEEDS = 60
"""A missing sync shows after 1 to 20 or so; so many are tried before it counts as not missed."""


def places_of_syncs(scene: Scene) -> list[int]:
    """The steps that make something durable which was not; but for the one that the WIM's reading back needs."""
    places, waiting = [], set[tuple[str, int]]()
    for place, step in enumerate(scene.recorder.steps):
        what = (step.folder, -1 if step.kind in NAMES else step.file)
        if step.kind not in SYNCS:
            waiting.add(what)
        elif what in waiting:
            waiting.remove(what)
            places.append(place)
    if scene.old.wim is None:
        places.remove(next(place for place in places if scene.recorder.steps[place].name == TEMPORARY))
    return places


@contextmanager
def without(scene: Scene, place: int) -> Iterator[tuple[Scene, Step]]:
    """The scene as if the sync at `place` were not in the program."""
    steps = scene.recorder.steps
    step = steps.pop(place)
    try:
        yield replace(scene, returned_at=scene.returned_at - 1), step
    finally:
        steps.insert(place, step)


def first_failure(scene: Scene, place: int, seeds: range) -> str | None:
    """The first power cut after `place` that is not survived."""
    near = range(place, scene.returned_at + 1)
    for seed in seeds:
        for model, block_size in ((Model.POWER, 4096), (Model.SECTOR, 512)):
            for state in states(scene.recorder, model, points=near, seeds=[seed], block_size=block_size):
                wrong = judge(scene, state)
                if wrong is not None:
                    return f"{state.key}: {wrong}"
    return None


@pytest.mark.heavy     # ten seconds or a hundred, by the order in which the threads happened to write
@pytest.mark.parametrize("name", ["convert", "convert-onto", "apply-full", "restore"])
def test_every_sync_is_missed(name: str, recorded: Callable[..., Scene]) -> None:
    """Each sync of target, log, WIM, undo record and of their folders: without it a power cut loses something."""
    scene = recorded(name, 8192)
    places = places_of_syncs(scene)
    assert len(places) >= (16 if name == "convert-onto" else 10)
    assert first_failure(scene, 0, range(3)) is None
    for place in places:
        with without(scene, place) as (lossy, step):
            assert first_failure(lossy, place, range(SEEDS)), f"nobody missed step {place} of {name}, {step}"


@pytest.mark.nightly
@pytest.mark.parametrize("batch_pages", [4, 8192])
@pytest.mark.parametrize("name", VERBS)
def test_every_sync_of_every_verb_is_missed(name: str, batch_pages: int, recorded: Callable[..., Scene]) -> None:
    """The same for the verbs that format, and for commits of many batches."""
    scene = recorded(name, batch_pages if not name.endswith("-format") else max(64, batch_pages))
    for place in places_of_syncs(scene):
        with without(scene, place) as (lossy, step):
            assert first_failure(lossy, place, range(4 * SEEDS)), f"nobody missed step {place} of {name}, {step}"
