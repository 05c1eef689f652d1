"""A VHD that grows, stopped anywhere: the old disk in a file as long as it was, or the new one, its structures sound.

The scene: a differencing disk of some blocks, changed within them, in free clusters, and by three new blocks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from transaction_rig import recover_in
from vhd_judge import JudgedVhd, judge_vhd, libvhdi_reads
from vhd_making import fixed_vhd, sparse_vhd
from wimboot.disk import Recovered, TargetChanged, Transaction
from wimboot.disk.growth import Growth
from wimboot.disk.log import GROWTH
from wimboot.disk.vhd import Vhd
from wimboot.disk.vhdlayout import read_layout
from wimboot.errors import Error, FormatError
from wimboot.formats.vhdfooter import DiskType
from wimboot.storage import Device, FileDevice, Folder
from wimboot.storage.faults import (
    CHANGES,
    SYNCS,
    CrashState,
    Fault,
    Faulty,
    Image,
    Kind,
    MemoryFile,
    MemoryFolder,
    Model,
    Recorder,
    StepKind,
    states,
)

NAME, LOG = "disk.vhd", "disk.vhd.log"
BLOCK = 16384
DIRTY = b"dirty!"
SIZE = 12 * BLOCK
KINDS = [DiskType.DYNAMIC, DiskType.DIFFERENCING]


class _Parent:
    """A parent's disk, in memory."""

    def __init__(self, content: bytes) -> None:
        self.disk = FileDevice(MemoryFile(Image(content)))


def parent_of(kind: DiskType) -> JudgedVhd | None:
    """The disk below."""
    if kind is DiskType.DYNAMIC:
        return None
    return judge_vhd(fixed_vhd(random.Random(8).randbytes(SIZE), unique_id=b"p" * 16))


def disk_over(content: bytes, kind: DiskType, base: Device) -> Device:
    """The disk in the file whose bytes are `content`, seen through `base`."""
    parent = parent_of(kind)
    below = None if parent is None else _Parent(parent.disk)
    return Vhd(read_layout(MemoryFile(Image(content)), NAME), below).over(base)  # type: ignore[arg-type]  # has a disk


@dataclass(kw_only=True)
class Scene:
    """A recorded run: the file before it and after, the disks in them, where the commit returned."""

    kind: DiskType
    recorder: Recorder
    old: bytes
    new: bytes
    committed_at: int

    @property
    def old_disk(self) -> bytes:
        return judge_vhd(self.old, parent_of(self.kind)).disk


@cache
def start(kind: DiskType) -> bytes:
    """A VHD of three blocks."""
    data = sparse_vhd(SIZE, BLOCK, parent="" if kind is DiskType.DYNAMIC else ".\\base.vhd")
    folder = MemoryFolder({NAME: Image(data)})
    file = folder.open(NAME, write=True)
    with Transaction(file, folder, LOG, where=NAME, disk=lambda base: disk_over(data, kind, base)) as transaction:
        for block in (1, 5, 7):
            transaction.device.pwrite(block * BLOCK + 3000, random.Random(block).randbytes(9000))
        transaction.commit()
    image = folder.images[NAME]
    return image.read(0, image.size)


def work(device: Device) -> None:
    """Changes in blocks that are there, in one that is free, and growth."""
    chance = random.Random(2)
    for offset, size in ((BLOCK + 100, 700), (7 * BLOCK + 5000, 6000), (5 * BLOCK + 4096, 8192), (9 * BLOCK, 3000),
                         (2 * BLOCK - 600, 1200), (9 * BLOCK + 9000, 512), (11 * BLOCK + 1000, BLOCK - 1000)):
        device.pwrite(offset, chance.randbytes(size))


def run(kind: DiskType, folder: Folder, *, give_up: bool = False) -> None:
    """The transaction. Clusters of 4 KiB, free: those of block 5 from its second on."""
    bits = bytearray(b"\xff" * 6)
    for cluster in range(5 * 4 + 1, 6 * 4):
        bits[cluster >> 3] &= ~(1 << (cluster & 7))
    file = folder.open(NAME, write=True)
    try:
        with Transaction(file, folder, LOG, where=NAME, batch_pages=2,
                         disk=lambda base: disk_over(start(kind), kind, base)) as transaction:
            transaction.set_free(0, 4096, bytes(bits), SIZE // 4096)
            transaction.guard(5 * BLOCK + 3100, DIRTY)
            work(transaction.device)
            if not give_up:
                transaction.commit()
    finally:
        file.close()


@cache
def scene_of(kind: DiskType) -> Scene:
    """The run, recorded."""
    recorder = Recorder()
    folder = MemoryFolder({NAME: Image(start(kind))})
    run(kind, recorder.folder(folder, "here"))
    image = folder.images[NAME]
    return Scene(kind=kind, recorder=recorder, old=start(kind), new=image.read(0, image.size),
                 committed_at=recorder.point)


@pytest.fixture(params=KINDS, ids=["dynamic", "differencing"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Each kind in turn."""
    return scene_of(request.param)


def judge(scene: Scene, state: CrashState) -> str | None:
    """Recover a state and say what is wrong with the result; None where nothing is."""
    folder = state.folder("here")
    try:
        recover_in(folder, NAME)
        if recover_in(folder, NAME) is not Recovered.NOTHING:
            return "a second recovery found something"
    except Error as error:
        return f"recovery refused: {error}"
    if sorted(folder.images) != [NAME]:
        return "something is left behind"
    image = folder.images[NAME]
    now = image.read(0, image.size)
    if now == scene.new:
        return None
    if state.point >= scene.committed_at:
        return "what was committed is lost"
    if len(now) != len(scene.old):
        return f"{len(now)} bytes are neither the old nor the new length"
    try:
        disk = judge_vhd(now, parent_of(scene.kind)).disk
    except AssertionError as error:
        return f"the structures are not sound: {error}"
    return None if _used(disk) == _used(scene.old_disk) else "neither old nor new"


def _used(disk: bytes) -> bytes:
    """Without the clusters that were free."""
    return disk[:5 * BLOCK + 4096] + disk[6 * BLOCK:]


def failures(scene: Scene, found: Iterable[CrashState]) -> list[str]:
    """What is wrong, by the key of the state."""
    judged = ((state.key, judge(scene, state)) for state in found)
    return [f"{key}: {wrong}" for key, wrong in judged if wrong]


def test_scene_is_worth_judging(scene: Scene) -> None:
    """It grows by three blocks and writes straight, logged and past the old end; both ends are sound."""
    before, after = judge_vhd(scene.old, parent_of(scene.kind)), judge_vhd(scene.new, parent_of(scene.kind))
    assert after.blocks == before.blocks + 3
    writes = [step for step in scene.recorder.steps if step.kind is StepKind.WRITE and step.name == NAME]
    assert any(step.offset >= len(scene.old) for step in writes)
    assert any(step.offset + len(step.data) <= len(scene.old) for step in writes[:3])
    work(model := FileDevice(MemoryFile(Image(before.disk))))
    assert after.disk == model.pread(0, SIZE)


def test_kill_at_every_step_leaves_old_or_new(scene: Scene) -> None:
    """A kill before any step is recovered to one whole state."""
    assert not failures(scene, states(scene.recorder, Model.KILL))


@pytest.mark.parametrize("model", [Model.POWER, Model.SECTOR, Model.TORN])
@pytest.mark.parametrize("block_size", [512, 4096])
def test_power_cut_at_every_step_leaves_old_or_new(scene: Scene, model: Model, block_size: int) -> None:
    """So is a power cut: what was written past the old end may be there in part, as garbage, or only as length."""
    assert not failures(scene, states(scene.recorder, model, seeds=range(3), block_size=block_size))


def test_killed_growth_looks_like_a_vhd_before_recovery(scene: Scene) -> None:
    """Whoever attaches the file without recovering finds a footer at its end and, before the commit, the old disk."""
    looked = 0
    for state in states(scene.recorder, Model.KILL):
        image = state.folders["here"][NAME]
        now = image.read(0, image.size)
        if len(now) > len(scene.old) and now[:4096] == scene.old[:4096]:
            disk = judge_vhd(now, parent_of(scene.kind), tight=False).disk
            if DIRTY in disk:
                break
            assert _used(disk) == _used(scene.old_disk), state.key
            looked += 1
    assert looked > 5


@pytest.mark.parametrize("kind", KINDS)
def test_crash_while_giving_up_leaves_the_old_length(kind: DiskType) -> None:
    """A run that fails cuts off what it added, and recovery does where that was cut off itself."""
    recorder = Recorder()
    folder = MemoryFolder({NAME: Image(start(kind))})
    run(kind, recorder.folder(folder, "here"), give_up=True)
    image = folder.images[NAME]
    assert image.size == len(start(kind))
    given_up = Scene(kind=kind, recorder=recorder, old=start(kind), new=start(kind), committed_at=1 << 60)
    for model in (Model.KILL, Model.SECTOR):
        assert not failures(given_up, states(recorder, model, seeds=range(2)))


def test_crash_in_recovery_leaves_old_or_new(scene: Scene) -> None:
    """Recovery, stopped anywhere, is recovered."""
    judged = 0
    for first in states(scene.recorder, Model.SECTOR, seeds=[5]):
        recorder = Recorder()
        folder = recorder.folder(first.folder("here"), "here")
        for name in first.folders["here"]:
            folder.open(name).close()
        recover_in(folder, NAME)
        for second in states(recorder, Model.SECTOR, points=range(0, recorder.point + 1, 2), seeds=[1]):
            later = CrashState(point=first.point, model=second.model, seed=second.seed, block_size=second.block_size,
                               folders=second.folders)
            assert judge(scene, later) is None, (first.key, second.key, judge(scene, later))
            judged += 1
    assert judged > 50


def test_every_sync_is_needed() -> None:
    """Leaving out any one sync is found by this judge, those before the growth among them."""
    survivors = []
    kind, total = DiskType.DYNAMIC, 99
    drop = 0
    while drop < total:
        recorder, lossy = Recorder(), Faulty(Fault(at=drop, kind=Kind.LOST, operations=SYNCS))
        run(kind, lossy.folder(recorder.folder(MemoryFolder({NAME: Image(start(kind))}), "here")))
        total = lossy.count
        weaker = Scene(kind=kind, recorder=recorder, old=start(kind), new=scene_of(kind).new,
                       committed_at=recorder.point)
        if not any(judge(weaker, state) for seed in range(0, 30, 5) for model in (Model.SECTOR, Model.POWER)
                   for state in states(recorder, model, seeds=range(seed, seed + 5))):
            survivors.append(drop)
        drop += 1
    assert total > 8
    # the last one takes the log's name away: should it come back, it only says once more what has been done
    assert survivors == [total - 1]


def test_file_without_the_guarded_bytes_is_no_vhd_meanwhile() -> None:
    """Where the dirty flag would have to stand in the parent nobody can attach a file that is half written."""
    kind = DiskType.DIFFERENCING
    recorder, folder = Recorder(), MemoryFolder({NAME: Image(start(kind))})
    file = recorder.folder(folder, "here").open(NAME, write=True)
    with Transaction(file, recorder.folder(folder, "here"), LOG, where=NAME, batch_pages=1,
                     disk=lambda base: disk_over(start(kind), kind, base)) as transaction:
        transaction.guard(3 * BLOCK, DIRTY)
        work(transaction.device)
        transaction.commit()
    new = folder.images[NAME].read(0, folder.images[NAME].size)
    judge_vhd(new, parent_of(kind))
    found = Scene(kind=kind, recorder=recorder, old=start(kind), new=new, committed_at=recorder.point)
    assert not failures(found, states(recorder, Model.KILL))
    between = 0
    for state in states(recorder, Model.KILL):
        image = state.folders["here"][NAME]
        now = image.read(0, image.size)
        if now[:len(found.old)] != found.old and now != new and now[:4096] != found.old[:4096]:
            assert b"conectix" not in (now[:8], now[-512:-504]) or now[:8] != now[-512:-504], state.key
            between += 1
    assert between > 3


@pytest.mark.parametrize("how", [Kind.IO, Kind.SPACE, Kind.SHORT])
@pytest.mark.parametrize("sticky", [False, True])
def test_failing_operation_leaves_old_or_new(how: Kind, sticky: bool) -> None:
    """The n-th operation fails, for every n until the run succeeds: one error, and after recovery a whole state."""
    kind, at, outcomes = DiskType.DIFFERENCING, 0, set()
    scene = scene_of(kind)
    while True:
        folder = MemoryFolder({NAME: Image(start(kind))})
        faulty = Faulty(Fault(at=at, kind=how, sticky=sticky, operations=CHANGES))
        failed = False
        try:
            run(kind, faulty.folder(folder))
        except Error:
            failed = True
        recover_in(folder, NAME)
        image = folder.images[NAME]
        now = image.read(0, image.size)
        assert sorted(folder.images) == [NAME], at
        if now != scene.new:
            assert failed, at
            assert len(now) == len(scene.old), at
            assert _used(judge_vhd(now, parent_of(kind)).disk) == _used(scene.old_disk), at
        outcomes.add(now == scene.new)
        if not failed:
            break
        at += 1
    assert at > 20
    assert outcomes == {True, False}


# -- whoever else changed the file ---------------------------------------------------------------------------------


def grown(kind: DiskType) -> MemoryFolder:
    """The folder as a kill in the middle of the growth left it."""
    scene = scene_of(kind)
    sizes = {state.point: state.folders["here"][NAME].size for state in states(scene.recorder, Model.KILL)}
    point = next(point for point, size in sizes.items() if size > len(scene.old))
    (state,) = states(scene.recorder, Model.KILL, points=[point])
    return state.folder("here")


@pytest.mark.parametrize("place", [1536, 600, 512 * 20])
def test_growth_of_another_program_is_not_cut_off(place: int) -> None:
    """Where the table or the end is not what this run left, somebody else used the file: refused, the log kept."""
    folder = grown(DiskType.DYNAMIC)
    image = folder.images[NAME]
    image.write(place if place < 4096 else len(start(DiskType.DYNAMIC)) - 100, b"other")
    before = image.read(0, image.size)
    with pytest.raises(TargetChanged):
        recover_in(folder, NAME)
    assert image.read(0, image.size) == before
    assert folder.exists(LOG)


def test_file_put_back_is_left_alone() -> None:
    """A file that has its old length, or is shorter, has nothing to be cut off."""
    for size in (len(start(DiskType.DYNAMIC)), 100):
        folder = grown(DiskType.DYNAMIC)
        folder.images[NAME] = Image(start(DiskType.DYNAMIC)[:size])
        assert recover_in(folder, NAME) is Recovered.DROPPED
        assert folder.images[NAME].size == size


def test_record_of_growth_comes_back_and_tells_damage() -> None:
    """A torn record is none."""
    record = Growth(size=12345, head_size=2000, digest=b"d" * 32)
    data = record.pack()
    assert Growth.parse(data) == record
    for place in (0, 9, 30, 70):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(FormatError):
            Growth.parse(bytes(damaged))
    with pytest.raises(FormatError):
        Growth.parse(Growth(size=100, head_size=101, digest=bytes(32)).pack())
    assert GROWTH % 4096 == 0


@pytest.mark.parametrize("model", [Model.KILL, Model.SECTOR, Model.TORN, Model.POWER])
def test_libvhdi_opens_every_recovered_chain(scene: Scene, model: Model, tmp_path: Path) -> None:
    """Whatever block the crash hit: footer, header and table are sound, and old or new is what libvhdi reads."""
    parent = None if scene.kind is DiskType.DYNAMIC else tmp_path / "base.vhd"
    if parent is not None:
        parent.write_bytes(fixed_vhd(random.Random(8).randbytes(SIZE), unique_id=b"p" * 16))
    new = judge_vhd(scene.new, parent_of(scene.kind)).disk
    read: dict[bytes, str] = {}
    for state in states(scene.recorder, model, seeds=range(2)):
        folder = state.folder("here")
        recover_in(folder, NAME)
        now = folder.images[NAME].read(0, folder.images[NAME].size)
        if now in read:
            continue
        read[now] = state.key
        (tmp_path / NAME).write_bytes(now)
        disk = libvhdi_reads(tmp_path / NAME, parent)
        assert disk == judge_vhd(now, parent_of(scene.kind)).disk, state.key
        assert disk == new or _used(disk) == _used(scene.old_disk), state.key
        assert state.point < scene.committed_at or disk == new, state.key
    assert scene.new in read
    assert len(read) > 2
