"""A crash at any point of a transaction, of its recovery, and of that one's, leaves the old or the new state."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from transaction_rig import DIRTY, GUARD, LATER, LOG, content, make, recover_in, run, start_folder, used, verdict
from wimboot.disk import Recovered
from wimboot.errors import Error
from wimboot.storage.faults import SYNCS, CrashState, Fault, Faulty, Kind, Model, Recorder, StepKind, states

if TYPE_CHECKING:
    from collections.abc import Iterable

    from transaction_rig import Scene
    from wimboot.storage import Folder


def judge(scene: Scene, state: CrashState) -> str | None:
    """Recover a state and say what is wrong with the result; a second recovery has to find nothing."""
    folder = state.folder("here")
    try:
        recover_in(folder)
        if recover_in(folder) is not Recovered.NOTHING:
            return "a second recovery found something"
    except Error as error:
        return f"recovery refused: {error}"
    return verdict(scene, state, folder)


def failures(scene: Scene, found: Iterable[CrashState]) -> list[str]:
    """What is wrong, by the key of the state."""
    judged = ((state.key, judge(scene, state)) for state in found)
    return [f"{key}: {wrong}" for key, wrong in judged if wrong]


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "with a WIM"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """A transaction, recorded."""
    scene = make(wim=request.param)
    run(scene)
    return scene


def test_recording_has_every_kind_of_step(scene: Scene) -> None:
    """The scene is worth judging: straight writes, logged ones, batches, notes and syncs all occur."""
    kinds = [step.kind for step in scene.recorder.steps]
    assert kinds.count(StepKind.SYNC) > 8
    assert kinds.count(StepKind.WRITE) > 20
    assert {StepKind.CREATE, StepKind.REMOVE, StepKind.FOLDER_SYNC} <= set(kinds)
    assert len({step.offset for step in scene.recorder.steps if step.name == LOG}) > 5


def test_kill_at_every_point_leaves_old_or_new(scene: Scene) -> None:
    """A kill before any step is recovered to one whole state, new once the commit returned."""
    assert not failures(scene, states(scene.recorder, Model.KILL))


@pytest.mark.parametrize("model", [Model.POWER, Model.SECTOR, Model.TORN])
@pytest.mark.parametrize("block_size", [512, 4096])
def test_power_cut_at_every_point_leaves_old_or_new(scene: Scene, model: Model, block_size: int) -> None:
    """So is a power cut, whatever of the unsynced writes reached the disk, whole or as garbage."""
    assert not failures(scene, states(scene.recorder, model, seeds=range(4), block_size=block_size))


def test_half_written_volume_says_that_it_is_dirty(scene: Scene) -> None:
    """Whoever looks without recovering sees old, new, or the guard's bytes."""
    for state in states(scene.recorder, Model.KILL, points=range(scene.committed_at)):
        now = content(state.folder("here"))
        if used(now) != used(scene.old) and now != bytes(scene.new):
            assert now[GUARD:GUARD + len(DIRTY)] == DIRTY, state.key


def test_crash_in_recovery_leaves_old_or_new(scene: Scene) -> None:
    """Recovery, cut off anywhere in any way, and its recovery cut off again, still end in one whole state."""
    first = itertools.chain(states(scene.recorder, Model.KILL, points=range(0, scene.committed_at, 3)),
                            states(scene.recorder, Model.SECTOR, points=range(scene.committed_at), seeds=[5]))
    judged = 0
    for state in first:
        recording = _recovery_of(state)
        if recording is None:
            continue
        for second in _sample(recording, Model.SECTOR, 1, 2):
            wrong = judge(scene, _at_point_of(state, second))
            assert wrong is None, (state.key, second.key, wrong)
            third_recording = _recovery_of(second)
            for third in _sample(third_recording, Model.POWER, 2, 5) if third_recording else ():
                wrong = judge(scene, _at_point_of(state, third))
                assert wrong is None, (state.key, second.key, third.key, wrong)
                judged += 1
    assert judged > 50


def _sample(recorder: Recorder, model: Model, seed: int, step: int) -> Iterable[CrashState]:
    return states(recorder, model, points=range(0, recorder.point + 1, step), seeds=[seed])


def _recovery_of(state: CrashState) -> Recorder | None:
    """The recording of a recovery; None where it changed nothing."""
    recorder = Recorder()
    folder: Folder = recorder.folder(state.folder("here"), "here")
    for name in state.folders["here"]:
        folder.open(name).close()
    recover_in(folder)
    return recorder if recorder.point else None


def _at_point_of(state: CrashState, later: CrashState) -> CrashState:
    """The later state, judged by what may be expected at the first crash."""
    return CrashState(point=state.point, model=later.model, seed=later.seed, block_size=later.block_size,
                      folders=later.folders)


def _without(drop: int) -> tuple[Scene, int]:
    """The scene with its `drop`-th sync left out, and how many there were."""
    scene = make(wim=True)
    lossy = Faulty(Fault(at=drop, kind=Kind.LOST, operations=SYNCS))
    run(scene, lossy.folder(scene.recorder.folder(start_folder(scene), "here")))
    return scene, lossy.count


def _is_red(scene: Scene, most_seeds: int = 60) -> bool:
    for seed in range(0, most_seeds, 6):
        for model in (Model.SECTOR, Model.POWER):
            for state in states(scene.recorder, model, seeds=range(seed, seed + 6)):
                if judge(scene, state):
                    return True
    return False


def test_every_sync_is_needed() -> None:
    """Leaving out any one sync is found by the judge, so none is there in vain and none can be lost unnoticed."""
    _, total = _without(-1)
    assert total > 10
    # the last one is the other program's
    survivors = [drop for drop in range(total - 1) if not _is_red(_without(drop)[0])]
    assert not survivors


def test_judge_passes_the_whole_set_of_syncs() -> None:
    """The same search finds nothing when no sync is missing."""
    assert not _is_red(_without(-1)[0], 18)


def _recovered_without(drop: int) -> tuple[list[tuple[Scene, CrashState, Recorder]], int]:
    """Recoveries of half-copied states in which the `drop`-th sync is left out; the most syncs that one had."""
    scene = make(wim=True)
    run(scene)
    found, most = [], 0
    points = range(scene.committed_at)
    for state in itertools.chain(states(scene.recorder, Model.KILL, points=points),
                                 states(scene.recorder, Model.SECTOR, points=points, seeds=[3])):
        recorder = Recorder()
        folder = recorder.folder(state.folder("here"), "here")
        for name in state.folders["here"]:
            folder.open(name).close()
        lossy = Faulty(Fault(at=drop, kind=Kind.LOST, operations=SYNCS))
        recover_in(lossy.folder(folder))
        # another program, once recovery is done
        file = folder.open("disk.img", write=True)
        point = recorder.point
        file.pwrite(*LATER)
        file.sync()
        most = max(most, lossy.count)
        if lossy.count > max(drop, 1) and point:
            found.append((scene, state, recorder))
    return found, most


def test_every_sync_of_recovery_is_needed() -> None:
    """The same for the syncs of a recovery, which may itself be cut off."""
    _, most = _recovered_without(-1)
    assert most > 8
    assert not _red_recovery(_recovered_without(-1)[0])
    survivors = [drop for drop in range(most) if not _red_recovery(_recovered_without(drop)[0])]
    assert not survivors


def _red_recovery(found: list[tuple[Scene, CrashState, Recorder]]) -> bool:
    """Whether some crash of these recoveries, or after them, ends badly."""
    for scene, first, recorder in found:
        for state in states(recorder, Model.SECTOR, seeds=range(3)):
            folder = state.folder("here")
            try:
                recover_in(folder)
            except Error:
                return True
            if state.point == recorder.point:
                # the other program's write, which was synced, stays on top of old or new
                if content(folder)[LATER[0]:LATER[0] + len(LATER[1])] != LATER[1]:
                    return True
            elif state.point < recorder.point - 1 and verdict(scene, _at_point_of(first, state), folder):
                return True
    return False
