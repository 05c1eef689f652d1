"""`boot`, stopped anywhere, onto a FAT or an NTFS system partition: the old menu with its files, or the new one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

import build
from registry_samples import store
from wimboot.errors import Error
from wimboot.events import silent
from wimboot.ops.boot import boot
from wimboot.ops.booting.options import BootFiles, BootOptions
from wimboot.ops.booting.systempartition import SystemPartition, open_system_partition
from wimboot.ops.opening.volume import finish_interrupted
from wimboot.ops.options import TargetOptions
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
from wimboot.windows.bcd import Store
from wimboot.windows.bcdentries import Firmware

LABEL, NAME = "esp", "esp.img"
SIZE = 6 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A recorded run: what was on the partition before and after, and the step at which it returned."""

    root: Path
    system: Path
    start: bytes
    recorder: Recorder
    old: dict[str, bytes]
    new: dict[str, bytes]
    returned_at: int


def opener(root: Path, folder: Folder) -> Mapping[Path, Folder]:
    return {root / LABEL: folder}


def options(root: Path, folder: Folder) -> TargetOptions:
    """The system partition, in that folder whatever the host has there."""
    inner = opener(root, folder)
    return TargetOptions(place=str(root / LABEL / NAME), folders=lambda path: inner.get(path) or HostFolder(path))


def contents(root: Path, folder: Folder) -> dict[str, bytes]:
    """Every file of the partition, as any command reads it."""
    where = options(root, folder)
    with open_system_partition(where.place, silent, write=False, folders=where.folders) as partition:
        return dict(_walk(partition))


def _walk(partition: SystemPartition) -> Iterable[tuple[str, bytes]]:
    waiting = [""]
    while waiting:
        above = waiting.pop()
        for entry in partition.list(above):
            path = f"{above}\\{entry.name}"
            if entry.is_folder:
                waiting.append(path)
            else:
                yield path, partition.read(path) or b""


def _made(kind: str, path: Path) -> None:
    """A small volume with a boot manager and a store of an older system."""
    if kind == "fat":
        path.write_bytes(bytes(SIZE))
        subprocess.run(["mkfs.fat", "-F", "12", str(path)], check=True, capture_output=True)
    else:
        build.make_volume(path, size=SIZE)
    with open_system_partition(str(path), silent, write=True) as partition:
        partition.write("\\bootmgr", b"an older one" * 500)
        partition.write("\\Boot\\BCD", store("ntloader_bcdwin"))
        partition.write("\\Boot\\BCD.LOG1", b"left over" * 300)
        partition.commit()


def run_boot(root: Path, folder: Folder, system: Path) -> None:
    """Replace the boot files by the system's, and extend the store."""
    where = options(root, folder)
    boot(BootOptions(to=where.place, target=TargetOptions(place=str(system)), volume_place="mbr:1:512",
                     firmware=(Firmware.BIOS,), boot_files=BootFiles.SYSTEM, folders=where.folders), silent)


@pytest.fixture(scope="module", params=["fat", "ntfs"])
def recorded(request: pytest.FixtureRequest, bootable_volume: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that replaces boot files, extends the store and removes its log."""
    root = tmp_path_factory.mktemp(f"crash-{request.param}").resolve()
    (root / LABEL).mkdir()
    start = root / "start.img"
    _made(request.param, start)
    (root / LABEL / NAME).touch()
    inner = MemoryFolder({NAME: Image(start.read_bytes())})
    old = contents(root, inner)
    recorder = Recorder()
    wrapped = recorder.folder(inner, LABEL)
    wrapped.open(NAME).close()
    run_boot(root, wrapped, bootable_volume)
    new = contents(root, inner)
    assert set(old) - set(new) == {"\\Boot\\BCD.LOG1"}
    assert len(new) > len(old)
    return Run(root=root, system=bootable_volume, start=start.read_bytes(), recorder=recorder, old=old, new=new,
               returned_at=recorder.point)


def wrong(run: Run, state: CrashState) -> str | None:
    """What is wrong with a state after recovery, None where nothing is."""
    folder = state.folder(LABEL)
    finish_interrupted(options(run.root, folder), silent)
    if set(folder.images) != {NAME}:
        return f"{state.key}: left behind: {sorted(folder.images)}"
    found = contents(run.root, folder)
    wanted = [run.new] if state.point >= run.returned_at else [run.old, run.new]
    return None if found in wanted else f"{state.key}: neither the old files nor the new ones"


def some_points(run: Run, count: int) -> list[int]:
    """Those around every step that is no write, and others by chance."""
    points = {run.returned_at, run.returned_at - 1, 0}
    for number, step in enumerate(run.recorder.steps):
        if step.kind is not StepKind.WRITE:
            points |= {number, number + 1}
    if len(points) > count:
        points = {run.returned_at, *Random(1).sample(sorted(points), count)}
    return sorted(points)


@pytest.mark.parametrize(("model", "block_size"), [(Model.KILL, 4096), (Model.POWER, 4096), (Model.SECTOR, 512)])
def test_crash_of_boot_leaves_the_old_menu_or_the_new(recorded: Run, model: Model, block_size: int) -> None:
    """Every file of the partition, boot files and store together, is of one of both states."""
    found = states(recorded.recorder, model, points=some_points(recorded, 24), seeds=[1], block_size=block_size)
    judged = [wrong(recorded, state) for state in found]
    assert len(judged) > 12
    assert not [each for each in judged if each]


@pytest.mark.heavy
def test_kill_of_boot_at_every_step(recorded: Run) -> None:
    """Any one step may be the last."""
    assert not [each for state in states(recorded.recorder, Model.KILL) if (each := wrong(recorded, state))]


def is_new(run: Run, found: Mapping[str, bytes]) -> bool:
    """Whether these are the files of a run that succeeded; its entry has another random id each time."""
    stores = [each["\\Boot\\BCD"] for each in (found, run.new)]
    counts = []
    for data in stores:
        with Store(data, where="the store") as there:
            counts.append(len(there.objects()))
    others = [{path: data for path, data in each.items() if path != "\\Boot\\BCD"} for each in (found, run.new)]
    return others[0] == others[1] and counts[0] == counts[1]


@pytest.mark.parametrize(("kind", "sticky"), [(Kind.IO, False), (Kind.SPACE, True), (Kind.INTERRUPT, False)])
def test_failing_write_of_boot_leaves_the_old_menu_or_the_new(recorded: Run, kind: Kind, sticky: bool) -> None:
    """The n-th change fails, for every fifth n: one error, one whole state after recovery, and nothing left behind."""
    for at in range(0, 1000, 5):
        faulty = Faulty(Fault(at=at, kind=kind, sticky=sticky))
        inner = MemoryFolder({NAME: Image(recorded.start)})
        try:
            run_boot(recorded.root, faulty.folder(inner), recorded.system)
        except (Error, KeyboardInterrupt):
            assert faulty.fired
        else:
            assert is_new(recorded, contents(recorded.root, inner)), at
            if not faulty.fired:
                assert at > 12
                return
        finish_interrupted(options(recorded.root, inner), silent)
        assert set(inner.images) == {NAME}, at
        found = contents(recorded.root, inner)
        assert found == recorded.old or is_new(recorded, found), at
    raise AssertionError("the run never got past its faults")
