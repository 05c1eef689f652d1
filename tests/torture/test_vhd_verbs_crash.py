"""Verbs on a volume in a dynamic VHD, stopped anywhere: the old disk or the new one, the VHD's structures sound.

The VHD grows while the verb runs: the blocks in which its volume was free are absent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from test_verbs_crash import some_points
from torture_judge import Whole, look_at
from torture_scenes import (
    DISK,
    TARGET,
    VERBS,
    WIM,
    WIMS,
    Bases,
    Pair,
    Scene,
    Stage,
    folders_of,
    recover_pair,
    start,
    verdict,
)
from vhd_judge import judge_vhd
from vhd_making import sparse_vhd
from wimboot.disk import Transaction
from wimboot.disk.vhd import Vhd
from wimboot.disk.vhdlayout import read_layout
from wimboot.errors import Error
from wimboot.ops.opening import disks
from wimboot.storage import Folder
from wimboot.storage.faults import CrashState, Image, MemoryFolder, Model, Recorder, StepKind, states

BLOCK = 32 << 10
SOME = ("convert", "apply-full", "restore-format")


def wrapped(volume: bytes) -> Image:
    """A volume in a dynamic VHD."""
    image = Image(sparse_vhd(len(volume), BLOCK))
    folder = MemoryFolder({"v": image})
    file = folder.open("v", write=True)
    layout = read_layout(file, "v")
    with Transaction(file, folder, "log", where="v", disk=Vhd(layout).over) as transaction:
        transaction.device.pwrite(0, volume)
        transaction.commit()
    return image


def unwrapped(image: Image) -> Image:
    """The disk in it, by our judge of VHDs. Raises AssertionError where a structure is not sound."""
    return Image(judge_vhd(image.read(0, image.size)).disk)


def record(name: str, bases: Bases, root: Path) -> tuple[Scene, set[int]]:
    """Run a verb and write down what it does; and how long the file was before and after."""
    stage, inner, recorder = Stage(root), start(name, bases), Recorder()
    volume = inner[DISK].images[TARGET]
    inner[DISK].images[TARGET] = wrapped(volume.read(0, volume.size))
    folders: dict[str, Folder] = {label: recorder.folder(folder, label) for label, folder in inner.items()}
    for label, folder in inner.items():
        for file in list(folder.images):
            folders[label].open(file).close()
    old, size = _whole(inner), inner[DISK].images[TARGET].size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disks, "Transaction", partial(Transaction, batch_pages=4))
        VERBS[name].run(stage, folders)
    new = _whole(inner)
    scene = Scene(name=name, stage=stage, recorder=recorder, old=old, new=new, returned_at=recorder.point)
    return scene, {size, inner[DISK].images[TARGET].size}


def _whole(inner: Pair) -> Whole:
    return look_at(unwrapped(inner[DISK].images[TARGET]), inner[WIMS].images.get(WIM))


@pytest.fixture(scope="module")
def vhd_scenes(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Scene, set[int]]]:
    """The recordings, each made once."""
    made: dict[str, tuple[Scene, set[int]]] = {}

    def recording(name: str) -> tuple[Scene, set[int]]:
        if name not in made:
            made[name] = record(name, bases, tmp_path_factory.mktemp(f"vhd-{name}"))
        return made[name]

    return recording


def judge(scene: Scene, sizes: set[int], state: CrashState) -> str | None:
    """Recover a state; what is wrong with the outcome, None where nothing is."""
    inner = folders_of(state)
    try:
        recover_pair(scene.stage, inner, reading=bool(state.point % 2))
        image = inner[DISK].images[TARGET]
        inner[DISK].images[TARGET] = unwrapped(image)
    except (Error, AssertionError) as error:
        return repr(error)
    if image.size not in sizes:
        return f"the file has {image.size} bytes"
    return verdict(scene, inner, only_new=state.point >= scene.returned_at)


@pytest.mark.parametrize("name", SOME)
def test_verbs_let_the_vhd_grow(name: str, vhd_scenes: Callable[[str], tuple[Scene, set[int]]]) -> None:
    """The runs are worth stopping: one makes the file longer, the others find all their blocks there."""
    scene, sizes = vhd_scenes(name)
    assert (len(sizes) == 2) == (name == "apply-full"), sizes
    assert any(step.kind is StepKind.SYNC for step in scene.recorder.steps)


@pytest.mark.parametrize("model", [pytest.param(Model.KILL, marks=pytest.mark.heavy), Model.SECTOR,
                                   pytest.param(Model.POWER, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("name", [*SOME[:2], pytest.param(SOME[2], marks=pytest.mark.heavy)])
def test_a_crash_leaves_old_or_new(name: str, model: Model,
                                   vhd_scenes: Callable[[str], tuple[Scene, set[int]]]) -> None:
    """In any model, at points of every kind."""
    scene, sizes = vhd_scenes(name)
    points = some_points(scene.recorder, 25, 3)
    found = states(scene.recorder, model, points=points, seeds=[1], block_size=4096)
    wrong = [f"{state.key}: {problem}" for state in found if (problem := judge(scene, sizes, state))]
    assert not wrong


@pytest.mark.nightly
@pytest.mark.parametrize("name", [name for name in VERBS if name != "capture-new"])
def test_every_step_in_every_model(name: str, vhd_scenes: Callable[[str], tuple[Scene, set[int]]]) -> None:
    """All points of all verbs."""
    scene, sizes = vhd_scenes(name)
    for model in (Model.KILL, Model.TORN, Model.POWER, Model.SECTOR):
        for block_size in (512, 4096):
            for state in states(scene.recorder, model, seeds=range(2), block_size=block_size):
                assert judge(scene, sizes, state) is None, state.key
