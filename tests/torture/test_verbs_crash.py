"""Every verb that writes, stopped anywhere: by a kill, a power cut, in the middle of a write, in its own recovery.

After recovery the volume and the WIM are both the old ones or both the new ones, and nothing else is left. Before it,
whoever looks at the volume sees the old one, the new one, or one that asks to be checked (unless a page was torn).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

import pytest

import judges
from torture_scenes import (
    DISK,
    TARGET,
    VERBS,
    WIM,
    WIMS,
    Bases,
    Scene,
    folders_of,
    judge,
    record,
    recording_of_recovery,
    recover_pair,
    start,
    verdict,
)
from wimboot.storage.faults import CrashState, Image, MemoryFolder, Model, Recorder, StepKind, states

FORMATTING = tuple(name for name in VERBS if name.endswith("-format"))
FIRST = ("convert", "update", "restore")    # the others recover in the same way, and are heavy
FEW = 30
"""Points that the default suite looks at in a verb that has hundreds: those that differ in kind, and some others."""


def failures(scene: Scene, found: Iterable[CrashState]) -> list[str]:
    """What is wrong, by verb and the key of the state, which makes it again."""
    judged = ((state.key, judge(scene, state)) for state in found)
    return [f"{scene.name} {key}: {wrong}" for key, wrong in judged if wrong]


def some_points(recorder: Recorder, count: int, seed: int) -> list[int]:
    """Points of a recording: the last ones, those around every step that is no write, and others by chance."""
    last = recorder.point
    points = {last, last - 1, 0}
    for number, step in enumerate(recorder.steps):
        if step.kind not in (StepKind.WRITE, StepKind.TRUNCATE):
            points |= {number, number + 1}
    if len(points) > count:
        points = {last, *Random(seed).sample(sorted(points), count)}
    others = sorted(set(range(last + 1)) - points)
    return sorted(points | set(Random(seed).sample(others, min(max(0, count - len(points)), len(others)))))


def test_recording_has_every_kind_of_step(recorded: Callable[..., Scene]) -> None:
    """The runs are worth stopping: log, target, WIM, undo record, temporary files and folders all take part."""
    steps = [step for name in VERBS for step in recorded(name, 4).recorder.steps]
    assert {step.kind for step in steps} >= set(StepKind) - {StepKind.TRUNCATE}
    assert {step.name for step in steps if step.name} == {
        TARGET, f"{TARGET}.wimboot-log", WIM, f"{WIM}.wimboot-new", f"{WIM}.wimboot-undo",
        f"{WIM}.wimboot-undo.wimboot-new"}


@pytest.mark.parametrize("name", VERBS)
def test_what_the_verbs_make_is_sound(name: str, recorded: Callable[..., Scene], tmp_path: Path) -> None:
    """The new state, with which all others are compared, is sound in the eyes of others, and its pointers lead home."""
    scene = recorded(name, 4)
    volume, wim = _saved(scene.new.volume, tmp_path / TARGET), _saved(scene.new.wim or b"", tmp_path / WIM)
    judges.sound_volume(volume)
    judges.sound_wim(wim)
    pointers = judges.every_pointer_leads_home(volume, wim, {})
    assert (pointers > 0) == (name not in {"capture", "capture-new", "apply-full", "rehydrate", "driver"})


def _saved(content: bytes, path: Path) -> Path:
    Image(content).save(path)
    return path


def test_kill_at_every_step_leaves_old_or_new(scene: Scene) -> None:
    """A kill before any one step of the run is recovered to one whole state; after its return, to the new one."""
    points = some_points(scene.recorder, 60, 1) if scene.name in FORMATTING else None
    assert not failures(scene, states(scene.recorder, Model.KILL, points=points))


@pytest.mark.parametrize(("model", "block_size"), [
    (Model.TORN, 512), (Model.POWER, 4096), (Model.SECTOR, 512),
    *(pytest.param(model, size, marks=pytest.mark.heavy)
      for model, size in ((Model.TORN, 4096), (Model.POWER, 512), (Model.SECTOR, 4096)))])
def test_power_cut_leaves_old_or_new(scene: Scene, model: Model, block_size: int) -> None:
    """So is a power cut: any of the writes and names that were not synced may be there, in part or as garbage."""
    points = some_points(scene.recorder, FEW, block_size)
    assert not failures(scene, states(scene.recorder, model, points=points, seeds=[1], block_size=block_size))


def test_after_success_only_the_new_state_is_left(scene: Scene) -> None:
    """Once the verb has returned a power cut takes nothing back, and brings no log or record back."""
    points = [scene.returned_at]
    for model in (Model.POWER, Model.SECTOR):
        assert not failures(scene, states(scene.recorder, model, points=points, seeds=range(12)))


@pytest.mark.parametrize("scene", [name if name in FIRST else pytest.param(name, marks=pytest.mark.heavy)
                                   for name in VERBS], indirect=True)
def test_crash_in_recovery_leaves_old_or_new(scene: Scene) -> None:
    """Recovery, stopped at any of its own steps, is recovered."""
    judged = 0
    for state in states(scene.recorder, Model.SECTOR, points=some_points(scene.recorder, 12, 4), seeds=[7]):
        recovery = recording_of_recovery(scene.stage, state, reading=bool(state.point % 3))
        if recovery.point:
            points = some_points(recovery, 6, 5)
            judged += len(_failures_in_recovery(scene, state, states(recovery, Model.KILL, points=points)))
            judged += len(_failures_in_recovery(scene, state, states(recovery, Model.SECTOR, points=points)))
    assert judged > 12


def _failures_in_recovery(scene: Scene, first: CrashState, found: Iterable[CrashState]) -> list[str]:
    keys = []
    for second in found:
        wrong = judge(scene, second, point=first.point)
        assert wrong is None, f"{scene.name} {first.key} then {second.key}: {wrong}"
        keys.append(second.key)
    return keys


def test_other_programs_find_recovered_states_sound(recorded: Callable[..., Scene], tmp_path: Path) -> None:
    """Free clusters hold what an interrupted run left there; nobody minds."""
    for name in ("convert-onto", "apply-full", "rehydrate"):
        scene = recorded(name, 4)
        ready = scene.returned_at - 12      # everything was written, nothing is decided
        state = next(states(scene.recorder, Model.KILL, points=[ready]))
        assert judge(scene, state) is None
        _judged_by_others(scene, state, tmp_path / name)


def _judged_by_others(scene: Scene, state: CrashState, folder: Path) -> None:
    """What others say of the recovered state."""
    folder.mkdir()
    recovered = _recovered(scene, state)
    recovered[DISK].images[TARGET].save(folder / TARGET)
    judges.sound_volume(folder / TARGET)
    ill = scene.name == "repair" and scene.old.has_wim(recovered[WIMS].images[WIM])
    if WIM in recovered[WIMS].images and not ill:
        recovered[WIMS].images[WIM].save(folder / WIM)
        judges.sound_wim(folder / WIM)
        judges.every_pointer_leads_home(folder / TARGET, folder / WIM, {})


def _recovered(scene: Scene, state: CrashState) -> dict[str, MemoryFolder]:
    inner = folders_of(state)
    recover_pair(scene.stage, inner, reading=False)
    return inner


def test_the_next_verb_recovers_by_itself(recorded: Callable[..., Scene]) -> None:
    """A verb that finds what an interrupted run left finishes or undoes that first, and then does its own work."""
    for name in ("convert", "convert-onto", "capture", "apply", "restore"):
        scene = recorded(name, 4)
        for state in states(scene.recorder, Model.SECTOR, points=some_points(scene.recorder, 4, 6), seeds=[2]):
            inner = folders_of(state)
            if name in {"capture", "convert", "convert-onto"} and _is_new(scene, state):
                continue    # the name of the image is taken
            if name == "apply" and _is_new(scene, state):
                continue    # the volume is not empty any more
            VERBS[name].run(scene.stage, inner)
            assert sorted(inner[DISK].images) == [TARGET], state.key
            assert sorted(inner[WIMS].images) == [WIM], state.key


def _is_new(scene: Scene, state: CrashState) -> bool:
    return verdict(scene, _recovered(scene, state), only_new=True) is None


def test_torn_header_of_a_wim_hides_it_from_no_verb(bases: Bases, recorded: Callable[..., Scene]) -> None:
    """While a header is written for one volume the power fails; a verb on another volume of that WIM puts it right."""
    scene = recorded("convert-onto", 4)
    header = next(number for number, step in enumerate(scene.recorder.steps)
                  if step.name == WIM and step.kind is StepKind.WRITE and step.offset == 0)
    (state,) = states(scene.recorder, Model.KILL, points=[header])
    inner = folders_of(state)
    inner[WIMS].images[WIM].write(0, b"\xa5" * 208)
    inner[DISK] = start("restore", bases)[DISK]
    VERBS["restore"].run(scene.stage, inner)
    assert scene.old.has_wim(inner[WIMS].images[WIM])
    assert sorted(inner[WIMS].images) == [WIM]


# -- everything: minutes to hours --------------------------------------------------------------------------------

@pytest.mark.nightly
@pytest.mark.parametrize("batch_pages", [1, 4, 8192])
@pytest.mark.parametrize("name", VERBS)
def test_every_step_in_every_model(name: str, batch_pages: int, recorded: Callable[..., Scene], tmp_path: Path) -> None:
    """All points, all models, both block sizes; every 20th state is shown to the programs of others."""
    scene = recorded(name, batch_pages)
    assert not failures(scene, states(scene.recorder, Model.KILL))
    for model in (Model.TORN, Model.POWER, Model.SECTOR):
        for block_size in (512, 4096):
            assert not failures(scene, states(scene.recorder, model, seeds=range(3), block_size=block_size))
    for number, state in enumerate(states(scene.recorder, Model.SECTOR, seeds=[99])):
        if number % 20 == 0:
            _judged_by_others(scene, state, tmp_path / str(number))


@pytest.mark.nightly
@pytest.mark.parametrize("name", VERBS)
def test_every_crash_in_every_recovery(name: str, recorded: Callable[..., Scene]) -> None:
    """Recovery stopped at each of its steps, after a crash at each step of the verb."""
    scene = recorded(name, 64 if name in FORMATTING else 4)
    for model in (Model.KILL, Model.SECTOR):
        for state in states(scene.recorder, model, seeds=[11]):
            recovery = recording_of_recovery(scene.stage, state, reading=bool(state.point % 2))
            if recovery.point:
                _failures_in_recovery(scene, state, states(recovery, Model.KILL))
                _failures_in_recovery(scene, state, states(recovery, Model.SECTOR, seeds=[1]))


@pytest.mark.nightly
@pytest.mark.parametrize("name", VERBS)
def test_power_cuts_of_many_seeds(name: str, bases: Bases, tmp_path: Path) -> None:
    """New recordings, so other orders of the threads' writes, each with other power cuts."""
    for seed in range(10):
        root = tmp_path / str(seed)
        root.mkdir()
        scene = record(name, bases, root, batch_pages=64)
        points = some_points(scene.recorder, 60, seed)
        assert not failures(scene, states(scene.recorder, Model.POWER, points=points, seeds=range(seed, seed + 4)))
        assert not failures(scene, states(scene.recorder, Model.SECTOR, points=points, seeds=range(seed, seed + 4)))
