"""Blocks of a VHD given back: what is in use reads as before, whatever happens meanwhile, and the file is shorter."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transaction_rig import recover_in
from vhd_judge import JudgedVhd, judge_vhd
from vhd_making import fixed_vhd, sparse_vhd
from wimboot.disk import Recovered, Transaction
from wimboot.disk.unused import FreeMap, used_runs
from wimboot.disk.vhd import Vhd
from wimboot.disk.vhdcompact import Compaction, free_pages, idle_blocks, plan_compaction, write_compaction
from wimboot.disk.vhdlayout import Layout, read_layout
from wimboot.errors import Error, Internal
from wimboot.formats.vhdfooter import DiskType
from wimboot.formats.vhdsparse import UNUSED
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
    states,
)

NAME, LOG = "disk.vhd", "disk.vhd.log"
BLOCK, COUNT, CLUSTER = 16384, 12, 4096
SIZE = COUNT * BLOCK
PARENT = random.Random(8).randbytes(5 * BLOCK) + bytes(SIZE - 5 * BLOCK)
KINDS = [DiskType.DYNAMIC, DiskType.DIFFERENCING]


class _Parent:
    """A parent's disk, in memory."""

    def __init__(self) -> None:
        self.disk = FileDevice(MemoryFile(Image(PARENT)))


def below(kind: DiskType) -> JudgedVhd | None:
    """The disk below, as the judge takes it."""
    return None if kind is DiskType.DYNAMIC else judge_vhd(fixed_vhd(PARENT, unique_id=b"p" * 16))


def vhd_of(layout: Layout) -> Vhd:
    """The VHD on that parent."""
    return Vhd(layout, _Parent() if layout.kind is DiskType.DIFFERENCING else None)  # type: ignore[arg-type]  # the disk


def written(kind: DiskType, writes: Iterable[tuple[int, bytes]], block: int = BLOCK) -> bytes:
    """A VHD to whose disk this was written."""
    folder = MemoryFolder({NAME: Image(sparse_vhd(SIZE, block, parent="" if kind is DiskType.DYNAMIC else ".\\p.vhd"))})
    file = folder.open(NAME, write=True)
    layout = read_layout(file, NAME)
    with Transaction(file, folder, LOG, where=NAME, disk=vhd_of(layout).over) as transaction:
        for offset, data in writes:
            transaction.device.pwrite(offset, data)
        transaction.commit()
    return whole(folder)


def whole(folder: MemoryFolder) -> bytes:
    """The file."""
    image = folder.images[NAME]
    return image.read(0, image.size)


def compacted(folder: Folder, maps: list[FreeMap]) -> Compaction:
    """What `wimboot compact` does to a VHD."""
    file = folder.open(NAME, write=True)
    try:
        layout = read_layout(file, NAME)
        vhd = vhd_of(layout)
        disk = vhd.over(FileDevice(file))
        parent = None if vhd.parent is None else vhd.parent.disk
        plan = plan_compaction(layout, idle_blocks(layout, disk, parent, maps))
        with Transaction(file, folder, LOG, where=NAME, batch_pages=2) as transaction:
            bitmap, pages = free_pages(disk, maps)
            transaction.set_free(0, 4096, bitmap, pages)
            write_compaction(plan, layout, transaction)
            transaction.commit()
        file.truncate(plan.file_size)
        file.sync()
        return plan
    finally:
        file.close()


def used(disk: bytes, maps: list[FreeMap]) -> bytes:
    """What the volumes use of it."""
    return b"".join(disk[start:end] for start, end in used_runs(maps, 0, len(disk)))


def cluster_map(free: Iterable[int], *, start: int = 0, count: int = SIZE // CLUSTER) -> FreeMap:
    """A volume on which these clusters are free."""
    bits = bytearray(b"\xff" * ((count + 7) // 8))
    for cluster in free:
        bits[cluster >> 3] &= ~(1 << (cluster & 7))
    return FreeMap(start=start, unit_size=CLUSTER, bitmap=bytes(bits), count=count)


def clusters(*blocks: int) -> list[int]:
    """Those of whole blocks."""
    return [4 * block + number for block in blocks for number in range(4)]


# -- what goes, and where the rest comes to lie ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Made:
    """A VHD, and what a volume on it does not use; shown without its bytes."""

    kind: DiskType
    data: bytes
    maps: list[FreeMap]

    def __repr__(self) -> str:
        return f"a {self.kind.name} VHD, {self.maps}"


@st.composite
def disks(draw: st.DrawFn) -> Made:
    """A VHD with blocks in any order, some of them as below, and what a volume on it does not use."""
    kind = draw(st.sampled_from(KINDS))
    order = draw(st.lists(st.integers(0, COUNT - 1), unique=True))
    same = draw(st.sets(st.sampled_from(range(COUNT))))
    chance = random.Random(draw(st.integers(0, 99)))
    fill = PARENT if kind is DiskType.DIFFERENCING else bytes(SIZE)
    writes = []
    for block in order:
        writes.append((block * BLOCK, chance.randbytes(BLOCK)))
        if block in same:
            writes.append((block * BLOCK, fill[block * BLOCK:(block + 1) * BLOCK]))
    start = draw(st.sampled_from([0, 512, 8192]))
    free = draw(st.sets(st.integers(0, 40))) | set(clusters(*draw(st.sets(st.integers(0, 9)))))
    return Made(kind=kind, data=written(kind, writes), maps=[cluster_map(free, start=start, count=42)])


@given(disks())
@settings(max_examples=60)
def test_what_is_in_use_reads_as_before(made: Made) -> None:
    """In a sound VHD whose footer follows its last block, and that has nothing left to give back."""
    kind, data, maps = made.kind, made.data, made.maps
    before = judge_vhd(data, below(kind))
    folder = MemoryFolder({NAME: Image(data)})
    plan = compacted(folder, maps)
    after = judge_vhd(whole(folder), below(kind))
    assert used(after.disk, maps) == used(before.disk, maps)
    assert (after.unique_id, after.blocks) == (before.unique_id, before.blocks - len(plan.dropped))
    assert len(whole(folder)) == len(written(kind, [(block * BLOCK, b"x") for block in range(after.blocks)]))
    assert len(plan.moves) <= len(plan.dropped)
    again = compacted(folder, maps)
    assert (again.dropped, again.moves) == ((), ())


def test_blocks_of_zeros_and_of_the_parents_bytes_go() -> None:
    """What is in use counts by what it reads as: zeros, or in a differencing disk what its parent has there."""
    zeros = [(2 * BLOCK, b"x" * BLOCK), (2 * BLOCK, bytes(BLOCK)), (7 * BLOCK, b"y")]
    layout, disk = _opened(written(DiskType.DYNAMIC, zeros))
    assert idle_blocks(layout, disk, None, []) == [2]
    like_parent = [(BLOCK, b"z"), (BLOCK, PARENT[BLOCK:2 * BLOCK]), (6 * BLOCK, b"x"), (6 * BLOCK, bytes(4096)),
                   (7 * BLOCK + 5000, b"y")]
    layout, disk = _opened(written(DiskType.DIFFERENCING, like_parent))
    assert idle_blocks(layout, disk, _Parent().disk, []) == [1, 6]
    assert idle_blocks(layout, disk, _Parent().disk, [cluster_map([4 * 7 + 1])]) == [1, 6, 7]


def _opened(data: bytes) -> tuple[Layout, Device]:
    file = MemoryFile(Image(data))
    layout = read_layout(file, NAME)
    return layout, vhd_of(layout).over(FileDevice(file))


def test_block_at_the_disks_end_may_be_cut_off_by_it() -> None:
    """Its last bytes lie past the disk, and count for nothing."""
    size = 3 * BLOCK + 1024
    folder = MemoryFolder({NAME: Image(sparse_vhd(size, BLOCK))})
    file = folder.open(NAME, write=True)
    layout = read_layout(file, NAME)
    with Transaction(file, folder, LOG, where=NAME, disk=Vhd(layout).over) as transaction:
        transaction.device.pwrite(0, b"used")
        transaction.device.pwrite(3 * BLOCK, b"free")
        transaction.commit()
    plan = compacted(folder, [FreeMap(start=3 * BLOCK, unit_size=512, bitmap=b"\xfc", count=2)])
    assert plan.dropped == (3,)
    assert judge_vhd(whole(folder)).disk.rstrip(b"\0") == b"used"


def test_blocks_of_other_programs_need_not_be_aligned() -> None:
    """They lie one behind the other, with room for nothing between: the hole of one takes another as it is."""
    bits, step = 512, 512 + BLOCK
    data = bytearray(sparse_vhd(SIZE, BLOCK)[:-512])
    footer, first = bytes(data[:512]), len(data)
    for number, block in enumerate((3, 0, 9, 5)):
        at = 1536 + 4 * block
        data[at:at + 4] = ((first + number * step) // 512).to_bytes(4, "big")
        data += b"\xff" * bits + bytes([block + 1]) * BLOCK
    before = judge_vhd(bytes(data + footer), aligned=False)
    folder, maps = MemoryFolder({NAME: Image(bytes(data + footer))}), [cluster_map(clusters(0, 3))]
    plan = compacted(folder, maps)
    after = judge_vhd(whole(folder), aligned=False)
    assert used(after.disk, maps) == used(before.disk, maps)
    assert (len(plan.dropped), len(plan.moves), len(whole(folder))) == (2, 2, len(data) + 512 - 2 * step)


def test_slack_is_given_back_and_a_broken_footer_mended() -> None:
    """A file that an interruption left longer than it has to be; one of its footers may be broken."""
    data = written(DiskType.DYNAMIC, [(0, b"a"), (BLOCK, b"b")])
    for head, tail in ((b"broken!!", data[-512:]), (data[:8], b"broken!!" + data[-504:]), (data[:8], bytes(512))):
        folder = MemoryFolder({NAME: Image(head + data[8:-512] + bytes(3 * BLOCK) + tail)})
        assert compacted(folder, []).moves == ()
        assert whole(folder) == data


def test_plans_for_what_is_not_there_are_bugs() -> None:
    """A fixed disk, and a block that the file does not hold."""
    fixed = read_layout(MemoryFile(Image(fixed_vhd(bytes(SIZE)))), NAME)
    assert idle_blocks(fixed, FileDevice(MemoryFile(Image())), None, []) == []
    with pytest.raises(Internal):
        plan_compaction(fixed, [])
    layout, _ = _opened(written(DiskType.DYNAMIC, [(0, b"a")]))
    assert layout.table is not None
    assert layout.table == array("I", [layout.table[0]]) + array("I", [UNUSED]) * (COUNT - 1)
    with pytest.raises(Internal):
        plan_compaction(layout, [1])


# -- stopped anywhere -----------------------------------------------------------------------------------------------

MAPS = [cluster_map([*clusters(1, 4, 9), 4 * 7 + 2, 4 * 7 + 3])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The recorded run, the file before and after it."""

    kind: DiskType
    recorder: Recorder
    old: bytes
    new: bytes


@cache
def scene_of(kind: DiskType) -> Scene:
    """Ten blocks; three are free, one reads as what lies below, in an order that lets several move."""
    chance = random.Random(3)
    fill = PARENT if kind is DiskType.DIFFERENCING else bytes(SIZE)
    writes = [(block * BLOCK, chance.randbytes(BLOCK)) for block in (4, 6, 1, 2, 9, 0, 7, 3, 5, 11)]
    old = written(kind, [*writes, (6 * BLOCK, fill[6 * BLOCK:7 * BLOCK])])
    recorder, folder = Recorder(), MemoryFolder({NAME: Image(old)})
    compacted(recorder.folder(folder, "here"), MAPS)
    return Scene(kind=kind, recorder=recorder, old=old, new=whole(folder))


@pytest.fixture(params=KINDS, ids=["dynamic", "differencing"])
def scene(request: pytest.FixtureRequest) -> Scene:
    """Each kind in turn."""
    return scene_of(request.param)


def judge(scene: Scene, folder: MemoryFolder, *, finished: bool = False) -> str | None:
    """Recover; what is wrong with the result, None where nothing is."""
    try:
        recover_in(folder, NAME)
        if recover_in(folder, NAME) is not Recovered.NOTHING:
            return "a second recovery found something"
        now = whole(folder)
        disk = judge_vhd(now, below(scene.kind), tight=False).disk
    except (Error, AssertionError) as error:
        return repr(error)
    if sorted(folder.images) != [NAME]:
        return "something is left behind"
    if len(now) not in (len(scene.old), len(scene.new)) or (finished and now != scene.new):
        return f"{len(now)} bytes"
    if used(disk, MAPS) != used(judge_vhd(scene.old, below(scene.kind)).disk, MAPS):
        return "it does not read as before"
    compacted(folder, MAPS)
    return None if len(whole(folder)) == len(scene.new) else "it cannot be compacted afterwards"


def failures(scene: Scene, found: Iterable[CrashState]) -> list[str]:
    """What is wrong, by the key of the state."""
    last = scene.recorder.point
    judged = ((state.key, judge(scene, state.folder("here"), finished=state.point >= last)) for state in found)
    return [f"{key}: {wrong}" for key, wrong in judged if wrong]


def test_scene_is_worth_judging(scene: Scene) -> None:
    """Blocks go and blocks move, into holes that are free and into one that is not."""
    assert len(scene.old) - len(scene.new) == 4 * (BLOCK + 4096)
    before, after = (judge_vhd(data, below(scene.kind)) for data in (scene.old, scene.new))
    assert (before.blocks, after.blocks) == (10, 6)
    assert used(before.disk, MAPS) == used(after.disk, MAPS)


def test_kill_at_every_step_leaves_the_same_disk(scene: Scene) -> None:
    """A kill before any step, and at the end the file is short."""
    assert not failures(scene, states(scene.recorder, Model.KILL))


@pytest.mark.parametrize("model", [Model.POWER, Model.SECTOR, Model.TORN])
def test_power_cut_at_every_step_leaves_the_same_disk(scene: Scene, model: Model) -> None:
    """So does a power cut, whatever of the last writes is there."""
    for block_size in (512, 4096):
        assert not failures(scene, states(scene.recorder, model, seeds=range(2), block_size=block_size))


def test_crash_in_recovery_leaves_the_same_disk(scene: Scene) -> None:
    """Recovery, stopped anywhere, is recovered."""
    judged = 0
    for first in states(scene.recorder, Model.SECTOR, seeds=[5]):
        recorder = Recorder()
        folder = recorder.folder(first.folder("here"), "here")
        for name in first.folders["here"]:
            folder.open(name).close()
        recover_in(folder, NAME)
        for second in states(recorder, Model.SECTOR, points=range(0, recorder.point + 1, 5), seeds=[1]):
            assert judge(scene, second.folder("here")) is None, (first.key, second.key)
            judged += 1
    assert judged > 30


def test_file_is_no_vhd_while_its_blocks_are_on_the_move(scene: Scene) -> None:
    """Whoever attaches it without recovering finds the old disk, the new one, or none that could be attached."""
    between = 0
    for state in states(scene.recorder, Model.KILL):
        now = whole(state.folder("here"))
        try:
            disk = judge_vhd(now, below(scene.kind), tight=False).disk
        except AssertionError:
            assert b"conectix" not in (now[:8], now[-512:-504]) or now[:8] != now[-512:-504], state.key
            between += 1
            continue
        assert used(disk, MAPS) == used(judge_vhd(scene.old, below(scene.kind)).disk, MAPS), state.key
    assert between > 3


@pytest.mark.heavy
def test_every_sync_is_needed() -> None:
    """Leaving out any one sync is found by this judge, but for two: that between the footers that are put out of use,
    which differ from what was there in one sector each, and that of the cut, which may be done again.
    """
    scene, survivors, drop, total = scene_of(DiskType.DYNAMIC), [], 0, 99
    while drop < total:
        recorder, lossy = Recorder(), Faulty(Fault(at=drop, kind=Kind.LOST, operations=SYNCS))
        compacted(lossy.folder(recorder.folder(MemoryFolder({NAME: Image(scene.old)}), "here")), MAPS)
        total = lossy.count
        weaker = Scene(kind=scene.kind, recorder=recorder, old=scene.old, new=scene.new)
        if not any(judge(weaker, state.folder("here")) for seed in range(0, 15, 5)
                   for model in (Model.SECTOR, Model.POWER)
                   for state in states(recorder, model, seeds=range(seed, seed + 5))):
            survivors.append(drop)
        drop += 1
    assert total > 8
    assert survivors == [4, total - 1]


@pytest.mark.parametrize("how", [Kind.IO, Kind.SPACE, Kind.SHORT])
def test_failing_operation_leaves_the_same_disk(how: Kind) -> None:
    """The n-th operation fails, for every n until the run succeeds: one error, and a whole disk."""
    scene, at = scene_of(DiskType.DIFFERENCING), 0
    while True:
        folder, failed = MemoryFolder({NAME: Image(scene.old)}), False
        faulty = Faulty(Fault(at=at, kind=how, sticky=False, operations=CHANGES))
        try:
            compacted(faulty.folder(folder), MAPS)
        except Error:
            failed = True
        wrong = judge(scene, folder, finished=not failed)
        assert wrong is None, (at, wrong)
        if not failed:
            break
        at += 1
    assert at > 20
