"""A transaction reads like a disk, writes all or nothing, and keeps its log small."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.disk import CommitUnfinished, LogWaits, Recovered, StoreMark, Transaction, peek, recover
from wimboot.errors import HostError, Internal
from wimboot.events import Counter
from wimboot.storage import HostFile, HostFolder, OutOfSpace
from wimboot.storage.faults import Fault, Faulty, Image, Kind, MemoryFolder, Recorder, StepKind

if TYPE_CHECKING:
    from wimboot.storage import Folder

PAGE = 4096
CONTENT = random.Random(3).randbytes(10 * PAGE + 1234)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A host folder with a target in it."""
    (tmp_path / "disk.img").write_bytes(CONTENT)
    return tmp_path


def begin(folder: Path) -> Transaction:
    """A transaction on the host's target."""
    return Transaction(HostFile.open(folder / "disk.img", write=True), HostFolder(folder), "log", where="disk.img")


def in_memory(size: int = len(CONTENT)) -> tuple[MemoryFolder, Image]:
    """A folder with a target in memory."""
    image = Image(CONTENT[:size])
    return MemoryFolder({"disk.img": image}), image


Operations = st.lists(
    st.tuples(st.sampled_from("rwf"), st.integers(0, len(CONTENT)), st.integers(0, 3 * PAGE), st.binary(max_size=5)),
    max_size=40)


@settings(deadline=None, max_examples=60)
@given(size=st.integers(1, len(CONTENT)), operations=Operations, unit=st.sampled_from([512, 1024, 4096, 8192]),
       start=st.sampled_from([0, 512, 4096]), seed=st.integers(0, 9), host=st.booleans(), ends=st.booleans())
def test_reads_and_writes_are_those_of_a_disk(
        tmp_path_factory: pytest.TempPathFactory, size: int, operations: list[tuple[str, int, int, bytes]], unit: int,
        start: int, seed: int, host: bool, ends: bool) -> None:
    """Every read gives what was last written; commit makes it so, abort leaves all that was not free as it was."""
    path = tmp_path_factory.mktemp("model")
    (path / "disk.img").write_bytes(CONTENT[:size])
    folder = HostFolder(path) if host else MemoryFolder({"disk.img": Image(CONTENT[:size])})
    file = folder.open("disk.img", write=True)
    model = bytearray(CONTENT[:size])
    count = max(0, size - start) // unit
    bits = random.Random(seed).randbytes((count + 7) // 8)
    free, told = bytearray(size), False
    with Transaction(file, folder, "log", where="x", batch_pages=3) as transaction:
        for kind, offset, length, data in operations:
            offset = min(offset, size)
            if kind == "r":
                assert transaction.device.pread(offset, length) == model[offset:offset + length]
            elif kind == "w":
                data = (data * (length // max(1, len(data)) + 1))[:size - offset]
                transaction.device.pwrite(offset, data)
                model[offset:offset + len(data)] = data
            elif not told and start <= size:
                told = True
                transaction.set_free(start, unit, bits, count)
                for number in range(count):
                    if not bits[number >> 3] >> (number & 7) & 1:
                        free[start + number * unit:start + number * unit + unit] = b"\1" * unit
        assert transaction.device.pread(0, size) == model
        if ends:
            transaction.commit()
            assert transaction.device.pread(0, size) == model
    now = file.pread(0, size + 1)
    file.close()
    assert not folder.exists("log")
    if ends:
        assert now == model
    else:
        assert all(one == two for one, two, loose in zip(now, CONTENT, free, strict=False) if not loose)


def test_only_pages_in_use_are_logged(here: Path) -> None:
    """A write to pages that were free costs no log, one that shares a page with used clusters does."""
    with begin(here) as transaction:
        transaction.set_free(0, 1024, b"\xff\x00\xf0\xff\xff", 40)  # clusters 8 to 19 free: pages 2 to 4
        transaction.device.pwrite(2 * PAGE, b"a" * 3 * PAGE)
        assert (transaction.logged_bytes, transaction.straight_bytes) == (0, 3 * PAGE)
        transaction.device.pwrite(5 * PAGE - 1, b"bb")
        assert transaction.logged_bytes == PAGE
        assert (here / "disk.img").read_bytes()[2 * PAGE:5 * PAGE] == b"a" * (3 * PAGE - 1) + b"b"
        assert (here / "disk.img").read_bytes()[5 * PAGE:] == CONTENT[5 * PAGE:]


def test_page_logged_before_the_map_stays_in_the_log(here: Path) -> None:
    """Learning that a page was free does not split its content over two places."""
    with begin(here) as transaction:
        transaction.device.pwrite(PAGE, b"first")
        transaction.set_free(0, PAGE, b"\0\0", 10)
        transaction.device.pwrite(PAGE + 5, b"second")
        assert transaction.device.pread(PAGE, 11) == b"firstsecond"
        assert (here / "disk.img").read_bytes() == CONTENT


def test_log_larger_than_its_tail_reads_back(here: Path) -> None:
    """Pages that left memory are read and changed in the log file."""
    os.truncate(here / "disk.img", 1500 * PAGE)
    with begin(here) as transaction:
        for page in range(1500):
            transaction.device.pwrite(page * PAGE + 7, page.to_bytes(2, "little"))
        for page in range(0, 1500, 7):
            transaction.device.pwrite(page * PAGE + 9, b"again")
        assert transaction.device.pread(700 * PAGE + 7, 7) == (700).to_bytes(2, "little") + b"again"
        whole = transaction.device.pread(0, 1500 * PAGE)
        counter = Counter()
        transaction.commit(counter)
    assert (here / "disk.img").read_bytes() == whole
    assert counter.done == 1500 * PAGE


def test_nothing_but_the_target_is_left(here: Path) -> None:
    """Neither commit nor abort leaves a file behind."""
    for done in (True, False):
        with begin(here) as transaction:
            transaction.device.pwrite(0, b"x")
            assert {path.name for path in here.iterdir()} == {"disk.img", "log"}
            if done:
                transaction.commit()
        assert [path.name for path in here.iterdir()] == ["disk.img"]


def test_second_transaction_is_refused_while_a_log_waits(here: Path) -> None:
    """A log is never overwritten: whoever left it must be recovered first."""
    first = begin(here)
    assert peek(HostFolder(here), "log")
    with pytest.raises(LogWaits) as caught:
        begin(here)
    assert caught.value.exit_code == 4
    first.abort()


def test_after_a_failed_write_nothing_can_be_committed() -> None:
    """A library that ignores a failed write cannot commit half of its work: the failure sticks."""
    folder, image = in_memory()
    faulty = Faulty(Fault(at=2, kind=Kind.SPACE, operations=frozenset({"pwrite"})))
    target = faulty.file(folder.open("disk.img", write=True))
    with Transaction(target, faulty.folder(folder), "log", where="x") as transaction:
        transaction.set_free(0, PAGE, b"\0\0", 10)
        transaction.device.pwrite(0, b"s" * PAGE)
        with pytest.raises(OutOfSpace):
            transaction.device.pwrite(PAGE, b"s" * PAGE)
        with pytest.raises(HostError):
            transaction.device.pwrite(2 * PAGE, b"later")
        with pytest.raises(HostError):
            transaction.commit()
    assert not folder.exists("log")
    assert image.read(2 * PAGE, 9 * PAGE) == CONTENT[2 * PAGE:11 * PAGE]


def test_full_disk_is_named_as_the_one_that_is_full(tmp_path: Path) -> None:
    """When the log's disk is full the message names the log; a target on another disk is not to blame."""
    small, large = tmp_path / "small", tmp_path / "large"
    for folder in (small, large):
        folder.mkdir()
    (large / "disk.img").write_bytes(bytes(9 << 20))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True,
                             check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        file = HostFile.open(large / "disk.img", write=True)
        with Transaction(file, HostFolder(small), "log", where="disk.img") as transaction:
            with pytest.raises(OutOfSpace, match="the log of the change"):
                transaction.device.pwrite(0, b"x" * 2000 * PAGE)
            with pytest.raises(OutOfSpace, match="the log of the change"):
                transaction.commit()
        file.close()
        assert not list(small.iterdir())
        assert (large / "disk.img").read_bytes() == bytes(9 << 20)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_transaction_is_sealed_by_prepare(here: Path) -> None:
    """What is prepared is what gets committed: later writes fail."""
    with begin(here) as transaction:
        transaction.device.pwrite(0, b"in")
        transaction.prepare()
        with pytest.raises(Internal):
            transaction.device.pwrite(0, b"too late")
        with pytest.raises(Internal):
            transaction.prepare()
        transaction.commit()
        with pytest.raises(Internal):
            transaction.commit()
    assert (here / "disk.img").read_bytes()[:4] == b"in" + CONTENT[2:4]


def test_log_is_not_sparse(here: Path) -> None:
    """The log's pages stand one after the other, for FAT has no holes; far pages do not make it long."""
    os.truncate(here / "disk.img", 1 << 40)
    with begin(here) as transaction:
        transaction.device.pwrite((1 << 40) - 10, b"the end")
        transaction.device.pwrite(1 << 39, b"middle")
        transaction.prepare()
        assert (here / "log").stat().st_size < 20 * PAGE
        assert (here / "log").stat().st_blocks * 512 >= (here / "log").stat().st_size // PAGE * PAGE


class Pressing:
    """A folder, or a file of it, that gets Ctrl-C at its `at`-th operation."""

    def __init__(self, inner: object, presses: list[int]) -> None:
        self._inner = inner
        self._presses = presses

    def __getattr__(self, name: str) -> object:
        inner = getattr(self._inner, name)

        def call(*arguments: object, **options: object) -> object:
            result = inner(*arguments, **options)
            self._presses[0] -= 1
            if self._presses[0] == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return Pressing(result, self._presses) if name in ("open", "create") else result

        if name == "fileno":
            raise AttributeError(name)
        return call


def test_ctrl_c_anywhere_leaves_old_or_new() -> None:
    """Ctrl-C at any operation gives KeyboardInterrupt and the old state, or comes too late and gives the new one."""
    before = signal.getsignal(signal.SIGINT)
    outcomes = []
    for at in range(1, 60):
        folder, image = in_memory()
        presses = [at]
        wrapped: Folder = Pressing(folder, presses)  # type: ignore[assignment]  # by __getattr__
        try:
            with Transaction(wrapped.open("disk.img"), wrapped, "log", where="x", batch_pages=1) as transaction:
                for page in (1, 3, 5):
                    transaction.device.pwrite(page * PAGE, b"new")
                transaction.guard(0, b"dirty")
                transaction.commit()
            outcomes.append("new")
        except KeyboardInterrupt:
            outcomes.append("old")
            assert image.read(0, len(CONTENT)) == CONTENT
        else:
            assert image.read(3 * PAGE, 3) == b"new"
        assert list(folder.images) == ["disk.img"], at
        assert signal.getsignal(signal.SIGINT) is before
        if presses[0] > 0:
            break
    assert set(outcomes) == {"old", "new"}
    assert outcomes == sorted(outcomes, reverse=True)
    assert presses[0] > 0


def test_failing_copy_keeps_the_log_and_says_so() -> None:
    """After the commit mark an error is no failure of the change: recovery finishes it."""
    folder, image = in_memory()
    target = folder.open("disk.img", write=True)
    faulty = Faulty(Fault(at=1, operations=frozenset({"sync"})))
    transaction = Transaction(faulty.file(target), folder, "log", where="disk.img")
    transaction.device.pwrite(100, b"change")
    with pytest.raises(CommitUnfinished) as caught:
        transaction.commit()
    assert "wimboot recover disk.img" in caught.value.hint
    transaction.abort()
    assert recover(target, folder, "log", where="disk.img") is Recovered.COMPLETED
    assert image.read(100, 6) == b"change"
    assert recover(target, folder, "log", where="disk.img") is Recovered.NOTHING


def test_failing_mark_leaves_the_old_state() -> None:
    """A commit mark that could not be synced is taken back."""
    folder, image = in_memory()
    target = folder.open("disk.img", write=True)
    faulty = Faulty(Fault(at=1, operations=frozenset({"sync"})))
    with Transaction(target, faulty.folder(folder), "log", where="x") as transaction:
        transaction.device.pwrite(100, b"change")
        with pytest.raises(HostError):
            transaction.commit()
    assert not folder.exists("log")
    assert image.read(0, len(CONTENT)) == CONTENT


def test_long_runs_reach_the_target_as_one_write() -> None:
    """Pages that lie together are read, logged and written together."""
    folder, _ = in_memory()
    recorder = Recorder()
    wrapped = recorder.folder(folder, "here")
    target = wrapped.open("disk.img", write=True)
    with Transaction(target, wrapped, "log", where="x") as transaction:
        for page in (4, 3, 2, 1):
            transaction.device.pwrite(page * PAGE, bytes(PAGE))
        transaction.set_free(6 * PAGE, PAGE, b"\0", 3)
        transaction.device.pwrite(6 * PAGE, b"s" * 3 * PAGE)
        transaction.commit()
    writes = [(step.offset, len(step.data)) for step in recorder.steps
              if step.kind is StepKind.WRITE and step.name == "disk.img"]
    assert writes == [(6 * PAGE, 3 * PAGE), (PAGE, 4 * PAGE)]


def test_guard_is_written_though_nothing_else_touches_its_page() -> None:
    """The dirty flag stands while pages are copied, and is gone afterwards."""
    folder, image = in_memory()
    recorder = Recorder()
    wrapped = recorder.folder(folder, "here")
    with Transaction(wrapped.open("disk.img", write=True), wrapped, "log", where="x") as transaction:
        transaction.guard(5 * PAGE + 4094, b"DIRTY")
        transaction.device.pwrite(0, b"new")
        transaction.commit()
    seen = [step.data for step in recorder.steps if step.kind is StepKind.WRITE and step.name == "disk.img"]
    assert b"".join(seen[:2])[4094:4099] == b"DIRTY"
    assert image.read(0, len(CONTENT)) == b"new" + CONTENT[3:]


@pytest.mark.parametrize("bad", [(-1, 512, b"\0", 1), (0, 0, b"\0", 1), (0, 512, b"\0", 9), (0, 4096, bytes(99), 700),
                                 (1 << 40, 512, b"", 0)])
def test_impossible_free_map_is_refused(here: Path, bad: tuple[int, int, bytes, int]) -> None:
    """A map that does not fit its target is a bug of the caller, found at once."""
    with begin(here) as transaction, pytest.raises(Internal):
        transaction.set_free(*bad)


@pytest.mark.parametrize(("offset", "size"), [(len(CONTENT), 1), (len(CONTENT) - 1, 2), (1 << 62, 1)])
def test_write_past_the_end_fails(here: Path, offset: int, size: int) -> None:
    """A target does not grow."""
    with begin(here) as transaction, pytest.raises(HostError):
        transaction.device.pwrite(offset, bytes(size))


def test_store_mark_reaches_recovery() -> None:
    """Recovery is asked about the very WIM that was named, with its place."""
    folder, _ = in_memory()
    mark = StoreMark(guid=bytes(range(16)), table_hash=bytes(range(20)), place="/somewhere/späce.wim")
    transaction = Transaction(folder.open("disk.img", write=True), folder, "log", where="disk.img")
    transaction.device.pwrite(0, b"x")
    transaction.prepare(mark)
    seen: list[StoreMark] = []
    copy = MemoryFolder({name: image.copy() for name, image in folder.images.items()})

    def ask(found: StoreMark) -> bool:
        seen.append(found)
        return False

    assert recover(copy.open("disk.img"), copy, "log", where="x", store_is=ask) is Recovered.DROPPED
    assert seen == [mark]
    assert recover(folder.open("disk.img"), folder, "log", where="x") is Recovered.DROPPED
