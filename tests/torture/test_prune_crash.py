"""A prune of a WIM that two volumes stand on, stopped anywhere: all three are the old ones, or all the new ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

import judges
from mounting import mounted
from test_verbs_crash import some_points
from torture_judge import Whole, fitting, look_at, names_in
from torture_scenes import DISK, WIM, WIMS, Bases, Pair, recorded
from volume_edits import rewrite
from wimboot.disk import Host, Transaction
from wimboot.errors import Error
from wimboot.events import silent
from wimboot.ops import prune as prune_module
from wimboot.ops.capture import capture
from wimboot.ops.convert import convert
from wimboot.ops.opening import disks
from wimboot.ops.options import CaptureOptions, ConvertOptions, PruneOptions, TargetOptions
from wimboot.ops.recover import recover
from wimboot.ops.sharing.users import users_of
from wimboot.storage import Folder, HostFolder
from wimboot.storage.faults import (
    CHANGES,
    CrashState,
    Fault,
    Faulty,
    Image,
    Kind,
    MemoryFolder,
    Model,
    Recorder,
    states,
)

VOLUMES = ("one.img", "two.img")


class Stage:
    """Host paths that lead into whatever folders a test names; on the host the volumes are empty, and there to lock."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        for label in (DISK, WIMS):
            (self.root / label).mkdir()
        for name in VOLUMES:
            (self.root / DISK / name).touch()
        self.wim = self.root / WIMS / WIM

    def options(self, inner: Mapping[str, Folder], name: str = "") -> TargetOptions:
        """A volume, or none in particular."""
        def opener(path: Path) -> Folder:
            return inner[path.name] if path.parent == self.root and path.name in inner else HostFolder(path)

        return TargetOptions(place=self.place(name) if name else "", folders=opener)

    def place(self, name: str) -> str:
        return str(self.root / DISK / name)

    def prune(self, inner: Mapping[str, Folder]) -> None:
        """Drop the first image."""
        places = tuple(map(self.place, VOLUMES))
        prune_module.prune(PruneOptions(target=self.options(inner), wim=self.wim, drop=("gone",), targets=places,
                                        threads=2), silent)

    def recover(self, inner: Mapping[str, Folder], *, backwards: bool = False) -> None:
        """What a user does afterwards, with one volume or the other first."""
        for name in VOLUMES[::-1] if backwards else VOLUMES:
            recover(self.options(inner, name), self.wim, silent)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The three files before, and the recording of a run."""

    stage: Stage
    volumes: dict[str, bytes]
    wim: bytes
    recorder: Recorder
    old: tuple[Whole, ...]
    new: tuple[Whole, ...]

    def start(self) -> Pair:
        return {DISK: MemoryFolder({name: Image(data) for name, data in self.volumes.items()}),
                WIMS: MemoryFolder({WIM: Image(self.wim)})}

    def verdict(self, inner: Pair) -> str:
        """ "old" or "new"; fails where it is neither, or where anything else lies about."""
        assert set(inner[DISK].images) == set(VOLUMES)
        assert set(inner[WIMS].images) == {WIM}
        wim = inner[WIMS].images[WIM]
        for name, wholes in (("old", self.old), ("new", self.new)):
            volumes = [whole.has_volume(inner[DISK].images[volume])
                       for whole, volume in zip(wholes, VOLUMES, strict=True)]
            if wholes[0].has_wim(wim):
                assert all(volumes), f"the WIM is {name}, of the volumes {volumes}"
                return name
        raise AssertionError("the WIM is neither old nor new")


def _look(inner: Pair) -> tuple[Whole, ...]:
    return tuple(look_at(inner[DISK].images[name], inner[WIMS].images[WIM]) for name in VOLUMES)


@pytest.fixture(scope="module", autouse=True)
def nothing_attached(tmp_path_factory: pytest.TempPathFactory) -> Iterable[None]:
    """Volumes that other tests mount or attach are no users of the WIM."""
    host = Host(proc=tmp_path_factory.mktemp("proc"), sys=tmp_path_factory.mktemp("sys"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prune_module, "users_of", partial(users_of, host=host))
        yield


@pytest.fixture(scope="module")
def scene(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Image 1 is of neither volume; both stand on the images behind it, and one is behind the WIM."""
    root = tmp_path_factory.mktemp("prune")
    stage = Stage(root)
    other = root / "other.img"
    other.write_bytes(bases.second)
    with mounted(other, write=True) as folder:
        rewrite(folder / "Windows/noise.jpg", b"something else" * 2000)
    contents = {"gone": bases.first, VOLUMES[0]: bases.second, VOLUMES[1]: other.read_bytes()}
    inner: Pair = {DISK: MemoryFolder({VOLUMES[0]: Image(contents["gone"])}), WIMS: MemoryFolder()}
    capture(_capturing(stage, inner, VOLUMES[0], "gone"), silent)
    for name in VOLUMES:
        inner[DISK].images[name] = Image(contents[name])
        convert(ConvertOptions(capture=_capturing(stage, inner, name, name), wim_place="later", driver="none"), silent)
    volumes = {name: _bytes(inner[DISK].images[name]) for name in VOLUMES}
    wim = _bytes(inner[WIMS].images[WIM])
    old, recorder = _look(inner), Recorder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disks, "Transaction", partial(Transaction, batch_pages=4))
        stage.prune(recorded(recorder, inner))
    return Scene(stage=stage, volumes=volumes, wim=wim, recorder=recorder, old=old, new=_look(inner))


def _capturing(stage: Stage, inner: Pair, volume: str, image: str) -> CaptureOptions:
    return CaptureOptions(target=stage.options(inner, volume), wim=stage.wim, name=image, threads=2, fast=True)


def _bytes(image: Image) -> bytes:
    return image.read(0, image.size)


def _folders(state: CrashState) -> Pair:
    return {label: state.folder(label) for label in (DISK, WIMS)}


def _judged(scene: Scene, found: Iterable[CrashState]) -> set[str]:
    """Recover each state; the outcomes."""
    outcomes = set()
    for state in found:
        inner = _folders(state)
        try:
            scene.stage.recover(inner, backwards=bool(state.point % 2))
            outcomes.add(scene.verdict(inner))
            again = Recorder()
            scene.stage.recover(recorded(again, inner))
            assert not again.point, "a second recovery did something"
        except (AssertionError, Error) as error:
            raise AssertionError(f"{state.key}: {error}") from error
    return outcomes


def test_the_new_state_is_sound(scene: Scene, tmp_path: Path) -> None:
    """What all others are compared with passes the programs of others, and its pointers lead home."""
    inner = scene.start()
    scene.stage.prune(inner)
    inner[WIMS].images[WIM].save(tmp_path / WIM)
    judges.sound_wim(tmp_path / WIM)
    assert names_in(inner[WIMS].images[WIM]) == VOLUMES
    for name in VOLUMES:
        inner[DISK].images[name].save(tmp_path / name)
        judges.sound_volume(tmp_path / name)
        assert judges.every_pointer_leads_home(tmp_path / name, tmp_path / WIM, {}) > 5


def test_kill_leaves_all_old_or_all_new(scene: Scene) -> None:
    """Around every sync, renaming and removal, between the WIM's replacement and the second volume's commit, too."""
    points = some_points(scene.recorder, 60, 1)
    assert _judged(scene, states(scene.recorder, Model.KILL, points=points)) == {"old", "new"}


@pytest.mark.heavy
def test_kill_at_every_step_leaves_all_old_or_all_new(scene: Scene) -> None:
    """At any one step of the run."""
    assert _judged(scene, states(scene.recorder, Model.KILL)) == {"old", "new"}


@pytest.mark.parametrize(("model", "block_size"), [(Model.POWER, 4096), (Model.SECTOR, 512)])
def test_power_cut_leaves_all_old_or_all_new(scene: Scene, model: Model, block_size: int) -> None:
    """Whatever was not synced may be there, in part or as garbage; after the return nothing is taken back."""
    points = some_points(scene.recorder, 12, block_size)
    found = states(scene.recorder, model, points=points, seeds=[1], block_size=block_size)
    assert _judged(scene, found) >= {"new"}
    last = states(scene.recorder, model, points=[scene.recorder.point], seeds=range(6), block_size=block_size)
    assert _judged(scene, last) == {"new"}


@pytest.mark.heavy
@pytest.mark.parametrize("model", [Model.TORN, Model.POWER, Model.SECTOR])
@pytest.mark.parametrize("block_size", [512, 4096])
def test_many_power_cuts_leave_all_old_or_all_new(scene: Scene, model: Model, block_size: int) -> None:
    """The same at more points, with more of what a power cut can do."""
    points = some_points(scene.recorder, 100, block_size)
    found = states(scene.recorder, model, points=points, seeds=[1, 2], block_size=block_size)
    assert _judged(scene, found) == {"old", "new"}


@pytest.mark.heavy
def test_a_recovery_that_is_cut_off_is_recovered(scene: Scene) -> None:
    """A kill, recovery begun, and then a power cut: what the first left in the host's cache only may be gone."""
    for state in states(scene.recorder, Model.KILL, points=some_points(scene.recorder, 30, 3)):
        again = Recorder()
        scene.stage.recover(recorded(again, _folders(state)))
        if again.point:
            _judged(scene, states(again, Model.SECTOR, points=some_points(again, 5, 7), seeds=[3]))


def test_the_wim_is_durable_before_a_killed_run_is_finished(scene: Scene) -> None:
    """Killed after the WIM's renaming, before its folder was synced: recovery does that before it changes a volume."""
    steps = scene.recorder.steps
    renamed = max(number for number, step in enumerate(steps) if step.kind.name == "REPLACE" and step.folder == WIMS)
    (state,) = states(scene.recorder, Model.KILL, points=[renamed + 1])
    recorder = Recorder()
    scene.stage.recover(recorded(recorder, _folders(state)))
    synced = next(number for number, step in enumerate(recorder.steps)
                  if step.kind.name == "FOLDER_SYNC" and step.folder == WIMS)
    written = next(number for number, step in enumerate(recorder.steps) if step.name in VOLUMES and step.data)
    assert synced < written


def _fail_at(scene: Scene, places: Iterable[int]) -> set[str]:
    """Let the n-th change fail, for each of these places until the prune is over before; the outcomes."""
    kinds, outcomes = cycle([Kind.IO, Kind.SPACE, Kind.INTERRUPT, Kind.SHORT]), set()
    for at in places:
        inner, faulty = scene.start(), Faulty(Fault(at=at, kind=next(kinds), operations=CHANGES))
        try:
            scene.stage.prune({label: faulty.folder(folder) for label, folder in inner.items()})
        except (Error, KeyboardInterrupt):
            scene.stage.recover(inner, backwards=bool(at % 2))
            outcomes.add(_fitting(scene, inner))
        else:
            if not faulty.fired:
                return outcomes
    raise AssertionError("the prune never got past its faults")


def test_failing_changes_leave_all_old_or_all_new(scene: Scene) -> None:
    """Every seventh write, sync, rename or removal fails: what is told is an error, and all three fit."""
    assert _fail_at(scene, range(0, 10_000, 7)) == {"old", "new"}


@pytest.mark.heavy
def test_every_failing_change_leaves_all_old_or_all_new(scene: Scene) -> None:
    """The n-th, for every n."""
    assert _fail_at(scene, range(10_000)) == {"old", "new"}


def _fitting(scene: Scene, inner: Pair) -> str:
    """Another run writes other times, so the new state is told by what it holds."""
    assert set(inner[DISK].images) == set(VOLUMES)
    assert set(inner[WIMS].images) == {WIM}
    if scene.old[0].has_wim(inner[WIMS].images[WIM]):
        assert all(whole.has_volume(inner[DISK].images[name])
                   for whole, name in zip(scene.old, VOLUMES, strict=True))
        return "old"
    assert names_in(inner[WIMS].images[WIM]) == VOLUMES
    wrong = [fitting(inner[DISK].images[name], inner[WIMS].images[WIM]) for name in VOLUMES]
    assert wrong == [None, None]
    return "new"


def test_the_volumes_are_two(scene: Scene) -> None:
    """The scene tortures what it says: two different volumes, one of them behind, each with a log of its own."""
    assert scene.volumes[VOLUMES[0]] != scene.volumes[VOLUMES[1]]
    logs = {step.name for step in scene.recorder.steps if step.name.endswith(".wimboot-log")}
    assert logs == {f"{name}.wimboot-log" for name in VOLUMES}
    assert "knows another table" in (fitting(Image(scene.volumes[VOLUMES[0]]), Image(scene.wim)) or "")
