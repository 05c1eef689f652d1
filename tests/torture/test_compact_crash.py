"""`compact` on a Windows in a dynamic VHD, stopped anywhere: what the volume uses is there, in a sound VHD."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from test_vhd_verbs_crash import unwrapped, wrapped
from torture_judge import Whole, look_at
from torture_scenes import DISK, TARGET, WIMS, Bases, Pair, Stage, folders_of, recover_pair
from vhd_judge import judge_vhd
from wimboot.disk import Transaction
from wimboot.disk.unused import FreeMap, unused_runs
from wimboot.errors import Error
from wimboot.events import silent
from wimboot.ntfs import cluster_bitmap, volume_facts
from wimboot.ops import compact as module
from wimboot.ops.compact import CompactOptions, compact
from wimboot.storage import FileDevice, Folder
from wimboot.storage.faults import CrashState, Image, MemoryFile, MemoryFolder, Model, Recorder, states


def littered(volume: bytes) -> bytes:
    """The volume, its free clusters full of what was there once."""
    device, data = FileDevice(MemoryFile(Image(volume))), bytearray(volume)
    facts = volume_facts(device)
    free = FreeMap(start=0, unit_size=facts.cluster_size, bitmap=cluster_bitmap(device), count=facts.total_clusters)
    for start, end in unused_runs([free], 0, free.end):
        data[start:end] = Random(start).randbytes(end - start)
    return bytes(data)


class Run:
    """A recorded run: the volume, the file's size before and after."""

    def __init__(self, bases: Bases, root: Path) -> None:
        self.stage, self.recorder = Stage(root), Recorder()
        inner: Pair = {DISK: MemoryFolder({TARGET: wrapped(littered(bases.second))}), WIMS: MemoryFolder()}
        self.volume = self.look(inner)
        self.old = inner[DISK].images[TARGET].size
        folders: dict[str, Folder] = {label: self.recorder.folder(folder, label) for label, folder in inner.items()}
        folders[DISK].open(TARGET).close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "Transaction", partial(Transaction, batch_pages=4))
            self.told = compact(CompactOptions(target=self.stage.options(folders)), silent)
        self.new = inner[DISK].images[TARGET].size
        assert self.volume.has_volume(unwrapped(inner[DISK].images[TARGET]))

    def look(self, inner: Pair) -> Whole:
        """The volume in the VHD."""
        return look_at(unwrapped(inner[DISK].images[TARGET]), None)

    def judge(self, state: CrashState) -> str | None:
        """Recover; what is wrong, None where nothing is."""
        inner = folders_of(state)
        try:
            recover_pair(self.stage, inner, reading=bool(state.point % 2))
            image = inner[DISK].images[TARGET]
            disk = Image(judge_vhd(image.read(0, image.size), tight=False).disk)
        except (Error, AssertionError) as error:
            return repr(error)
        if sorted(inner[DISK].images) != [TARGET] or image.size not in (self.old, self.new):
            return f"{sorted(inner[DISK].images)}, {image.size} bytes"
        if state.point == self.recorder.point and image.size != self.new:
            return "it had returned, and the file is long"
        return None if self.volume.has_volume(disk) else "the volume is another one"

    def failures(self, found: Iterable[CrashState]) -> list[str]:
        """What is wrong, by the key of the state."""
        judged = ((state.key, self.judge(state)) for state in found)
        return [f"{key}: {wrong}" for key, wrong in judged if wrong]


@pytest.fixture(scope="module")
def run(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Recorded once."""
    return Run(bases, tmp_path_factory.mktemp("compact"))


def test_run_is_worth_stopping(run: Run) -> None:
    """Many blocks go, and some move."""
    assert run.told.dropped is not None
    assert run.told.moved is not None
    assert run.told.dropped > 20
    assert run.told.moved > 5
    assert (run.told.before, run.told.after) == (run.old, run.new)


@pytest.mark.parametrize("model", [Model.KILL, Model.SECTOR, pytest.param(Model.POWER, marks=pytest.mark.heavy),
                                   pytest.param(Model.TORN, marks=pytest.mark.heavy)])
def test_a_crash_leaves_the_same_volume(run: Run, model: Model) -> None:
    """At steps spread over the run, and at the last ones."""
    last = run.recorder.point
    points = sorted({*range(0, last, 1 + last // 25), *range(max(0, last - 6), last + 1)})
    assert not run.failures(states(run.recorder, model, points=points, seeds=[1], block_size=4096))


@pytest.mark.nightly
def test_every_step_in_every_model(run: Run) -> None:
    """All points, and disks of both kinds of sectors."""
    for model in (Model.KILL, Model.TORN, Model.POWER, Model.SECTOR):
        for block_size in (512, 4096):
            assert not run.failures(states(run.recorder, model, seeds=range(2), block_size=block_size))
