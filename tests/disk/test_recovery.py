"""Recovery never makes things worse: what it cannot finish it refuses, and it keeps the log."""

from __future__ import annotations

import contextlib
import hashlib
import random
import struct

import pytest

from transaction_rig import (
    DIRTY,
    GUARD,
    LATER,
    LOG,
    MARK,
    PAGE,
    SIZE,
    content,
    make,
    recover_in,
    run,
    start_folder,
    used,
    verdict,
)
from wimboot.disk import LogDamaged, Recovered, TargetChanged, Transaction, recover
from wimboot.disk.errors import LogOfOtherVersion
from wimboot.disk.log import DATA_OFFSET
from wimboot.errors import Error, HostError
from wimboot.storage.faults import (
    CHANGES,
    EVERYTHING,
    CrashState,
    Fault,
    Faulty,
    Image,
    Kind,
    MemoryFolder,
    Model,
    states,
)

SCENE = make(wim=True)
run(SCENE)


def halves() -> list[CrashState]:
    """The states in which a commit is under way."""
    found = []
    for state in states(SCENE.recorder, Model.KILL, points=range(SCENE.committed_at)):
        now = content(state.folder("here"))
        if used(now) != used(SCENE.old) and now != bytes(SCENE.new):
            found.append(state)
    return found


HALVES = halves()


def test_there_are_half_copied_states() -> None:
    """The tests below have something to work on: guard written, some batches written, guard not yet final."""
    assert len(HALVES) > 5


@pytest.mark.parametrize("state", HALVES[::2], ids=lambda state: state.key)
def test_foreign_sector_outside_the_batch_is_refused(state: CrashState) -> None:
    """A sector that is neither old nor new stops recovery before it writes; log and target stay as they are."""
    refused = 0
    for page in (0, 2, 3, 4, 5, 9, 11, 12, 30, 35, 43):
        folder = state.folder("here")
        folder.images["disk.img"].write(page * PAGE + 512, b"written by somebody else")
        before, log = content(folder), folder.images[LOG].read(0, 1 << 20)
        try:
            recover_in(folder)
        except TargetChanged:
            refused += 1
            assert (content(folder), folder.images[LOG].read(0, 1 << 20)) == (before, log)
        else:
            # it lay in the batch that was being copied, or on a page that the transaction does not touch
            assert content(folder)[:page * PAGE] == SCENE.new[:page * PAGE]
    assert refused >= 5


@pytest.mark.parametrize("state", HALVES, ids=lambda state: state.key)
def test_target_put_back_is_completed(state: CrashState) -> None:
    """A copy of the target from before the run is brought to the new state, for every sector of it is old."""
    folder = state.folder("here")
    straight = SCENE.new[20 * PAGE:30 * PAGE]  # went to free pages; the log cannot bring them back
    folder.images["disk.img"].write(0, SCENE.old[:20 * PAGE] + straight + SCENE.old[30 * PAGE:])
    assert recover_in(folder) is Recovered.COMPLETED
    assert content(folder) == bytes(SCENE.new)


@pytest.mark.parametrize("state", HALVES, ids=lambda state: state.key)
def test_target_put_back_without_the_straight_writes_is_refused(state: CrashState) -> None:
    """The log does not hold what went straight to free pages, so a target that lacks it cannot be completed."""
    folder = state.folder("here")
    folder.images["disk.img"].write(0, SCENE.old)
    with pytest.raises(TargetChanged):
        recover_in(folder)
    assert content(folder) == SCENE.old


def test_target_of_another_size_is_refused() -> None:
    """A grown or cut image is not the one that was being written."""
    for size in (SIZE - 512, SIZE + 512):
        folder = HALVES[2].folder("here")
        folder.images["disk.img"].truncate(size)
        with pytest.raises(TargetChanged, match="size"):
            recover_in(folder)
        assert folder.exists(LOG)


def test_every_flip_in_a_log_is_harmless() -> None:
    """One flipped bit anywhere in the log: dropped before the commit, refused or seen through after it - never half."""
    rng = random.Random(11)
    undecided = next(state for state in states(SCENE.recorder, Model.KILL) if LOG in state.folders["here"]
                     and state.folders["here"][LOG].size > DATA_OFFSET + PAGE)
    refused = completed = 0
    for state in (undecided, HALVES[0], HALVES[len(HALVES) // 2], HALVES[-1]):
        size = state.folders["here"][LOG].size
        fields = [*range(160), *(page * PAGE + place for page in (1, 2, 3, 4) for place in range(112))]
        for place in fields[::3] + [rng.randrange(size) for _ in range(150)]:
            folder = state.folder("here")
            log = folder.images[LOG]
            log.write(place, bytes([log.read(place, 1)[0] ^ 1 << rng.randrange(8)]))
            before = content(folder)
            try:
                recover_in(folder)
            except (TargetChanged, LogDamaged):
                refused += 1
                assert content(folder) == before
                assert folder.exists(LOG)
                assert state is not undecided
            else:
                completed += 1
                wrong = verdict(SCENE, state, folder)
                assert wrong is None, (state.key, place, wrong)
    assert refused > 50
    assert completed > 50


@pytest.mark.parametrize("size", [0, 1, 4096, DATA_OFFSET, DATA_OFFSET + 3 * PAGE])
def test_log_cut_off_after_the_commit_is_refused(size: int) -> None:
    """A log whose end is missing is not guessed at, once it said that the copying had begun."""
    folder = HALVES[3].folder("here")
    folder.images[LOG].truncate(size)
    before = content(folder)
    if size > 3 * PAGE:
        with pytest.raises(LogDamaged):
            recover_in(folder)
        assert folder.exists(LOG)
    else:
        assert recover_in(folder) is Recovered.DROPPED
    assert content(folder) == before


@pytest.mark.parametrize("data", [b"", b"x", bytes(PAGE * 6), random.Random(2).randbytes(PAGE * 6)])
def test_anything_under_the_log_name_is_dropped(data: bytes) -> None:
    """A file that is no log decides nothing."""
    folder = MemoryFolder({"disk.img": Image(SCENE.old), LOG: Image(data), "wim": Image(b"old")})
    assert recover_in(folder) is Recovered.DROPPED
    assert list(folder.images) == ["disk.img", "wim"]
    assert content(folder) == SCENE.old


def test_a_log_of_another_version_is_kept() -> None:
    """Its WIM may be the new one, or its pages half written: only who wrote it knows. Without a mark it goes."""
    prepared = next(state for state in states(SCENE.recorder, Model.KILL) if LOG in state.folders["here"]
                    and state.folders["here"][LOG].read(PAGE, 8) == b"WBMARK\r\n"
                    and state.folders["here"]["wim"].read(0, 3) == b"new")
    for state in (prepared, HALVES[0], HALVES[-1]):
        for version in (2, 4):
            folder = state.folder("here")
            log = folder.images[LOG]
            head, before = bytearray(log.read(0, 156)), content(folder)
            head[8:12], head[124:] = version.to_bytes(4, "little"), bytes(32)
            offset, size = struct.unpack_from("<QQ", head, 56)
            log.write(0, head[:124] + hashlib.sha256(head + log.read(offset, size)).digest())
            with pytest.raises(LogOfOtherVersion, match=f"version {version}"):
                recover_in(folder)
            assert folder.exists(LOG)
            assert content(folder) == before
            log.write(PAGE, bytes(4 * PAGE))
            assert recover_in(folder) is Recovered.DROPPED


def test_prepared_log_waits_for_its_wim() -> None:
    """Prepared without a commit: completed when the WIM has the table that was named, dropped when not."""
    for has_wim, expected in ((True, Recovered.COMPLETED), (False, Recovered.DROPPED), (None, Recovered.DROPPED)):
        folder = start_folder(SCENE)
        file = folder.open("disk.img", write=True)
        transaction = Transaction(file, folder, LOG, where="disk.img")
        transaction.device.pwrite(0, b"new")
        transaction.prepare(MARK)
        ask = None if has_wim is None else lambda mark, answer=has_wim: answer and mark == MARK
        copy = MemoryFolder({name: image.copy() for name, image in folder.images.items()})
        assert recover(copy.open("disk.img", write=True), copy, LOG, where="x", store_is=ask) is expected
        assert content(copy)[:3] == (b"new" if has_wim else SCENE.old[:3])
        transaction.abort()


def test_prepared_log_of_a_changed_target_is_dropped() -> None:
    """Nothing was copied yet, so a target that changed meanwhile is left as it is."""
    folder = start_folder(SCENE)
    transaction = Transaction(folder.open("disk.img", write=True), folder, LOG, where="disk.img")
    transaction.device.pwrite(0, b"new")
    transaction.prepare(MARK)
    folder.images["disk.img"].write(*((0, b"by somebody else")))
    copy = MemoryFolder({name: image.copy() for name, image in folder.images.items()})
    found = recover(copy.open("disk.img", write=True), copy, LOG, where="x", store_is=lambda mark: mark == MARK)
    assert found is Recovered.DROPPED
    assert content(copy)[:16] == b"by somebody else"
    transaction.abort()


def test_aborted_log_that_came_back_is_not_completed() -> None:
    """The power fails right after an abort: what was given up stays given up, even where its WIM was written."""
    scene = make(wim=True)
    folder = scene.recorder.folder(start_folder(scene), "here")
    with Transaction(folder.open("disk.img", write=True), folder, LOG, where="disk.img") as transaction:
        transaction.device.pwrite(0, b"new")
        transaction.prepare(MARK)
    for seed in range(10):
        for state in states(scene.recorder, Model.POWER, points=[scene.recorder.point], seeds=[seed]):
            here = state.folder("here")
            assert recover(here.open("disk.img", write=True), here, LOG, where="x",
                           store_is=lambda mark: mark == MARK) is Recovered.NOTHING
            assert content(here) == SCENE.old


@pytest.mark.parametrize("kind", [Kind.IO, Kind.SPACE, Kind.SHORT, Kind.READ_ONLY, Kind.INTERRUPT])
@pytest.mark.parametrize("sticky", [False, True])
def test_errors_in_a_loop_leave_old_or_new(kind: Kind, sticky: bool) -> None:
    """The n-th operation fails, for each n until none does: one clear error, and recovery finds old or new."""
    fired = 0
    for at in range(400):
        scene = make(wim=True)
        folder = start_folder(scene)
        operations = CHANGES if kind is Kind.SPACE else EVERYTHING
        faulty = Faulty(Fault(at=at, kind=kind, sticky=sticky, operations=operations))
        expected: type[BaseException] = KeyboardInterrupt if kind is Kind.INTERRUPT else Error
        ended = False
        with contextlib.suppress(expected):
            run(scene, faulty.folder(folder))
            ended = True
        if not faulty.fired:
            break
        fired += 1
        recover_in(folder)
        _is_whole(folder, ended)
    else:
        pytest.fail("it never came to its end")
    assert fired > 30


def _is_whole(folder: MemoryFolder, ended: bool) -> None:
    """The target is old, or new, or new with the other program's write."""
    now, later = content(folder), bytearray(SCENE.new)
    later[LATER[0]:LATER[0] + len(LATER[1])] = LATER[1]
    short = bytearray(SCENE.new)
    short[LATER[0]:LATER[0] + len(LATER[1]) // 2] = LATER[1][:len(LATER[1]) // 2]
    allowed = (bytes(SCENE.new), bytes(later), bytes(short))
    assert now in allowed or (not ended and used(now) == used(SCENE.old))
    assert not folder.exists(LOG)


@pytest.mark.parametrize("sticky", [False, True])
def test_errors_in_recovery_can_be_tried_again(sticky: bool) -> None:
    """Recovery that fails at its n-th operation, for each n, is started again and ends well."""
    for state in HALVES[::3]:
        for at in range(200):
            folder = state.folder("here")
            faulty = Faulty(Fault(at=at, sticky=sticky, operations=EVERYTHING))
            try:
                recover_in(faulty.folder(folder))
            except HostError:
                assert faulty.fired
            if not faulty.fired:
                break
            recover_in(folder)
            assert verdict(SCENE, state, folder) is None, (state.key, at)


def test_guard_stands_until_recovery_is_done() -> None:
    """While recovery copies, the volume still says that it is dirty."""
    for state in HALVES:
        folder = state.folder("here")
        faulty = Faulty(Fault(at=5, sticky=True))
        with contextlib.suppress(HostError):
            recover_in(faulty.folder(folder))
        now = content(folder)
        assert now == bytes(SCENE.new) or now[GUARD:GUARD + len(DIRTY)] == DIRTY
