"""A WIM inside a volume: the run is stopped at every step, and both volumes are the old ones or the new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

import judges
from mounting import mounted
from test_verbs_crash import some_points
from torture_judge import Whole, is_dirty, look_at
from torture_scenes import Bases, Pair, recorded
from wimboot.disk import Transaction
from wimboot.disk.log import PAGE
from wimboot.errors import Error
from wimboot.events import silent
from wimboot.ops.capture import capture
from wimboot.ops.convert import convert
from wimboot.ops.opening import disks
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.options import CaptureOptions, ConvertOptions, TargetOptions, UpdateOptions
from wimboot.ops.recover import recover
from wimboot.ops.update import update
from wimboot.storage import Folder, HostFolder
from wimboot.storage.faults import (
    CrashState,
    Fault,
    Faulty,
    Image,
    Kind,
    MemoryFolder,
    Model,
    Recorder,
    StepKind,
    states,
)
from wimboot.wim.errors import WimMissing

SYSTEM, HOME = "system", "home"
IMAGE = "volume.img"
WIM = "/WIMBOOT/store.wim"


class Stage:
    """One disk, or two, in folders on the host where there are only empty files; what a test names is opened."""

    def __init__(self, root: Path, home: str) -> None:
        self.root = root.resolve()
        for label in (SYSTEM, HOME):
            (self.root / label).mkdir(exist_ok=True)
            (self.root / label / IMAGE).touch()
        self.target = self.root / SYSTEM / IMAGE
        self.wim = Path(f"{self.root / home / IMAGE}:{WIM}")

    def options(self, inner: Mapping[str, Folder], label: str = SYSTEM) -> TargetOptions:
        """A disk, opened in these folders."""
        def opener(path: Path) -> Folder:
            return inner[path.name] if path.parent == self.root and path.name in inner else HostFolder(path)

        return TargetOptions(place=str(self.root / label / IMAGE), folders=opener)


Verb = Callable[[Stage, Mapping[str, Folder]], object]


def _capturing(stage: Stage, inner: Mapping[str, Folder], name: str) -> CaptureOptions:
    return CaptureOptions(target=stage.options(inner), wim=stage.wim, name=name, threads=2, fast=True)


def _convert(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return convert(ConvertOptions(capture=_capturing(stage, inner, "second"), wim_place="later", driver="none"), silent)


def _capture(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return capture(_capturing(stage, inner, "third"), silent)


def _update(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return update(UpdateOptions(target=stage.options(inner), wim=stage.wim, name="third", threads=2, fast=True), silent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A verb, where the WIM lies, and what is there before."""

    run: Verb
    home: str
    start: Callable[[Bases, Path, str], Pair]


def _plain(bases: Bases, _: Path, home: str) -> Pair:
    """A system, and no WIM yet."""
    other = {} if home == SYSTEM else {HOME: MemoryFolder({IMAGE: Image(bases.empty)})}
    return {SYSTEM: MemoryFolder({IMAGE: Image(bases.second)}), **other}


def _edited(bases: Bases, root: Path, home: str) -> Pair:
    """A converted system with its WIM, changed since."""
    inner = _plain(bases, root, home)
    _convert(Stage(root, home), inner)
    path = root / "edited.img"
    inner[SYSTEM].images[IMAGE].save(path)
    with mounted(path, write=True) as mount:
        (mount / "Users/added.txt").write_bytes(b"added since " * 2000)
        (mount / "Users/away.txt").unlink()
    inner[SYSTEM].images[IMAGE] = Image(path.read_bytes())
    return inner


PLAYS = {
    "convert-same": Play(run=_convert, home=SYSTEM, start=_plain),
    "convert-other": Play(run=_convert, home=HOME, start=_plain),
    "capture-same": Play(run=_capture, home=SYSTEM, start=_edited),
    "capture-other": Play(run=_capture, home=HOME, start=_edited),
    "update-same": Play(run=_update, home=SYSTEM, start=_edited),
    "update-other": Play(run=_update, home=HOME, start=_edited),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A run that was recorded."""

    name: str
    stage: Stage
    recorder: Recorder
    old: dict[str, Whole]
    new: dict[str, Whole]
    returned_at: int


def _wholes(inner: Pair) -> dict[str, Whole]:
    return {label: look_at(folder.images[IMAGE], None) for label, folder in inner.items()}


def record(name: str, bases: Bases, root: Path) -> Scene:
    """Run a verb and write down what it does, its commits cut into small batches."""
    play = PLAYS[name]
    inner = play.start(bases, root, play.home)
    stage, recorder = Stage(root, play.home), Recorder()
    old = _wholes(inner)
    wrapped = recorded(recorder, inner)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disks, "Transaction", partial(Transaction, batch_pages=8))
        play.run(stage, wrapped)
    return Scene(name=name, stage=stage, recorder=recorder, old=old, new=_wholes(inner), returned_at=recorder.point)


@pytest.fixture(scope="session")
def inside(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scene]:
    """The recording of each, made once."""
    made: dict[str, Scene] = {}

    def recording(name: str) -> Scene:
        if name not in made:
            made[name] = record(name, bases, tmp_path_factory.mktemp(name))
        return made[name]

    return recording


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.heavy) if name.startswith("capture") else name
                        for name in PLAYS])
def scene(request: pytest.FixtureRequest, inside: Callable[[str], Scene]) -> Scene:
    """Each in turn; by default those whose commits have all the steps of a capture, and more."""
    return inside(request.param)


def _recover(scene: Scene, inner: Mapping[str, Folder], way: int) -> None:
    """What recovers: the verb for it, or any that reads the target, or the WIM."""
    stage = scene.stage
    if way == 0:
        with suppress(WimMissing):      # said afterwards, where there was nothing to do and there never was one
            recover(stage.options(inner), stage.wim, silent)
    elif way == 1:
        with open_volume(stage.options(inner), silent, write=False, windows=False):
            pass
        if HOME in inner:
            disks.finish_interrupted(stage.options(inner, HOME), silent)
    else:
        with suppress(Error), opened_store(stage.wim, stage.options(inner).folders):  # or there is none
            pass
        recover(stage.options(inner), None, silent)


def judge(scene: Scene, state: CrashState) -> str | None:
    """Recover a state; what is wrong with the outcome."""
    inner = {label: state.folder(label) for label in scene.old}
    whole_pages = state.model is Model.KILL or (state.model is Model.POWER and state.block_size == PAGE)
    for label, folder in inner.items() if whole_pages else ():
        image = folder.images[IMAGE]
        if not (scene.old[label].has_volume(image) or scene.new[label].has_volume(image) or is_dirty(image)):
            return f"before recovery {label} is half written, and does not say that it is dirty"
    try:
        _recover(scene, inner, state.point % 3)
        again = Recorder()
        _recover(scene, recorded(again, inner), 0)
    except Error as error:
        return f"recovery refused: {error!r}"
    if again.point:
        return f"a second recovery did something: {again.steps[0]}"
    left = [name for folder in inner.values() for name in folder.images if name != IMAGE]
    if left:
        return f"there is {left} left behind"
    found = [{"old"} & ({"old"} if scene.old[label].has_volume(folder.images[IMAGE]) else set())
             | ({"new"} if scene.new[label].has_volume(folder.images[IMAGE]) else set())
             for label, folder in inner.items()]
    fits = set.intersection(*found)
    if state.point >= scene.returned_at:
        fits &= {"new"}
    return None if fits else f"they do not fit: {dict(zip(inner, found, strict=True))}"


def _wrong(scene: Scene, found: Iterator[CrashState]) -> list[str]:
    judged = ((state.key, judge(scene, state)) for state in found)
    return [f"{scene.name} {key}: {wrong}" for key, wrong in judged if wrong]


def test_new_states_are_sound(scene: Scene, tmp_path: Path) -> None:
    """The state that all others are compared with satisfies the judges, and the WIM in it satisfies wimlib."""
    for label, whole in scene.new.items():
        path = tmp_path / f"{label}.img"
        path.write_bytes(whole.volume)
        judges.sound_volume(path)
        if label == PLAYS[scene.name].home:
            with mounted(path) as root:
                judges.sound_wim(root / WIM[1:])
    assert scene.old != scene.new


def test_kill_at_any_step_leaves_both_old_or_both_new(scene: Scene) -> None:
    """A process that is killed between any two writes."""
    assert not _wrong(scene, states(scene.recorder, Model.KILL, points=some_points(scene.recorder, 8, 3)))


def test_power_cut_leaves_both_old_or_both_new(scene: Scene) -> None:
    """Writes and names that were not synced may be there, in part, or not."""
    for model, block_size in ((Model.TORN, 4096), (Model.POWER, 4096), (Model.SECTOR, 512)):
        points = some_points(scene.recorder, 2, block_size)
        assert not _wrong(scene, states(scene.recorder, model, points=points, seeds=[1], block_size=block_size))


@pytest.mark.heavy
def test_more_kills_and_power_cuts(scene: Scene) -> None:
    """Many of them."""
    assert not _wrong(scene, states(scene.recorder, Model.KILL, points=some_points(scene.recorder, 70, 3)))
    points = some_points(scene.recorder, 24, 5)
    for model in (Model.TORN, Model.POWER, Model.SECTOR):
        for block_size in (512, 4096):
            assert not _wrong(scene, states(scene.recorder, model, points=points, seeds=[1], block_size=block_size))


@pytest.mark.nightly
def test_every_step_in_every_model(scene: Scene) -> None:
    """All points, more seeds."""
    assert not _wrong(scene, states(scene.recorder, Model.KILL))
    for model in (Model.TORN, Model.POWER, Model.SECTOR):
        for block_size in (512, 4096):
            assert not _wrong(scene, states(scene.recorder, model, seeds=range(3), block_size=block_size))


@pytest.mark.parametrize("name", ["convert-same", "update-other"])
def test_an_operation_that_fails_leaves_old_or_new(name: str, inside: Callable[[str], Scene], bases: Bases,
                                                   tmp_path: Path) -> None:
    """The disk is full, breaks or is interrupted: nothing stays open, and recovery finds both old or both new."""
    scene, play = inside(name), PLAYS[name]
    begin = play.start(bases, tmp_path, play.home)
    for at, kind in zip(range(0, 400, 13), cycle((Kind.IO, Kind.SPACE, Kind.SHORT, Kind.INTERRUPT)), strict=False):
        inner = {label: MemoryFolder({IMAGE: Image(_bytes(folder.images[IMAGE]))}) for label, folder in begin.items()}
        faulty = Faulty(Fault(at=at, kind=kind, sticky=bool(at % 2)))
        with suppress(Error, KeyboardInterrupt):
            play.run(scene.stage, {label: faulty.folder(folder) for label, folder in inner.items()})
        if not faulty.fired:
            break
        assert disks.find_disk(str(scene.stage.target)) is None
        _recover(scene, inner, at % 3)
        fits = [{_names(folder) for folder in inner.values()}]
        assert fits == [{(IMAGE,)}], f"{name} {at} {kind}"
        states_now = {label: look_at(folder.images[IMAGE], None) for label, folder in inner.items()}
        changed = {label: not scene_is(begin[label].images[IMAGE], states_now[label]) for label in inner}
        assert len(set(changed.values())) == 1, f"{name} {at} {kind}: {changed}"


def _names(folder: MemoryFolder) -> tuple[str, ...]:
    return tuple(sorted(folder.images))


def _bytes(image: Image) -> bytes:
    return image.read(0, image.size)


def scene_is(image: Image, whole: Whole) -> bool:
    """Whether a volume is still what it was."""
    return look_at(image, None).used == whole.used


def test_the_other_volume_commits_first(inside: Callable[[str], Scene]) -> None:
    """From the home volume's mark on the target goes forward; up to it both are old."""
    scene = inside("convert-other")
    outcomes = []
    points = [number for number, step in enumerate(scene.recorder.steps) if step.kind is not StepKind.WRITE]
    for state in states(scene.recorder, Model.KILL, points=points):
        inner = {label: state.folder(label) for label in scene.old}
        _recover(scene, inner, 0)
        outcomes.append(scene.new[HOME].has_volume(inner[HOME].images[IMAGE]))
        assert outcomes[-1] == scene.new[SYSTEM].has_volume(inner[SYSTEM].images[IMAGE])
    assert outcomes == sorted(outcomes)
    assert len(set(outcomes)) == 2
