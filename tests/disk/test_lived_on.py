"""A log does not go over a target that lived on: one put back from a backup, or written to by another system."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from wimboot.disk import Recovered, TargetChanged, Transaction, recover
from wimboot.disk.log import DATA_OFFSET, Header, Index
from wimboot.disk.witness import MOST_BYSTANDERS, bystanders
from wimboot.storage.faults import CrashState, Image, MemoryFolder, Model, Recorder, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.storage import Folder

PAGE = 4096
PAGES = 90
OLD = random.Random(21).randbytes(PAGES * PAGE)
GUARDS = (8, 40)
CHANGED = (4, 5, 20, 21, 22, 60, 61)


def run(recorder: Recorder, *, batch_pages: int | None = None) -> bytes:
    """A transaction with two guards, recorded; the new content."""
    folder = recorder.folder(MemoryFolder({"disk.img": Image(OLD)}), "here")
    file = folder.open("disk.img", write=True)
    with Transaction(file, folder, "log", where="disk.img", batch_pages=batch_pages) as transaction:
        for page in GUARDS:
            transaction.guard(page * PAGE + 22, b"!")
        for page in (*CHANGED, *GUARDS):
            transaction.device.pwrite(page * PAGE, random.Random(page).randbytes(PAGE - 5))
        transaction.commit()
    new = file.pread(0, PAGES * PAGE)
    file.close()
    return new


RECORDER = Recorder()
NEW = run(RECORDER)


def recovered(folder: Folder) -> tuple[Recovered, bytes]:
    """What recovery says, and leaves."""
    file = folder.open("disk.img", write=True)
    try:
        return recover(file, folder, "log", where="disk.img"), file.pread(0, PAGES * PAGE)
    finally:
        file.close()


def pages_of(data: bytes, pages: tuple[int, ...]) -> list[bytes]:
    return [data[page * PAGE:(page + 1) * PAGE] for page in pages]


def committed() -> Iterator[tuple[CrashState, bytes]]:
    """The states after a kill in which the commit is durable and a page is not yet new, with the target's content."""
    for state in states(RECORDER, Model.KILL):
        folder = state.folder("here")
        if not folder.exists("log"):
            continue
        now = folder.images["disk.img"].read(0, len(OLD))
        if recovered(folder)[0] is Recovered.COMPLETED and now != NEW:
            yield state, now


COMMITTED = list(committed())


def refused(state: CrashState, target: bytes) -> bool:
    """Whether recovery refuses this target and leaves it and the log as they are."""
    folder = state.folder("here")
    folder.images["disk.img"].write(0, target)
    log = folder.images["log"].read(0, 1 << 22)
    try:
        recovered(folder)
    except TargetChanged:
        assert folder.images["disk.img"].read(0, len(OLD)) == target
        assert folder.images["log"].read(0, 1 << 22) == log
        return True
    return False


def with_page(target: bytes, page: int) -> bytes:
    """The target with one page that another system wrote."""
    return target[:page * PAGE] + random.Random(page + 1000).randbytes(PAGE) + target[(page + 1) * PAGE:]


def test_commit_has_states_with_and_without_guards() -> None:
    """The tests below see the commit before, between and after its guards."""
    standing = {sum(now[page * PAGE + 22] == ord("!") for page in GUARDS) for _, now in COMMITTED}
    assert standing >= {0, 1, 2}


def test_backup_put_back_is_not_written_over() -> None:
    """One whose pages differ from those at the beginning of the run is refused, whichever pages they are."""
    for state, _ in COMMITTED:
        for page in CHANGED:
            assert refused(state, with_page(OLD, page)), (state.key, page)


def test_foreign_page_is_refused_where_no_page_was_written_yet() -> None:
    """While a guard is missing nothing but guards was written, so nothing else may be torn."""
    seen = 0
    for state, now in COMMITTED:
        missing = any(now[page * PAGE + 22] != ord("!") for page in GUARDS)
        if missing and pages_of(now, CHANGED) == pages_of(OLD, CHANGED):
            seen += 1
            assert all(refused(state, with_page(now, page)) for page in CHANGED), state.key
    assert seen >= 2


def test_two_foreign_guarded_pages_are_refused() -> None:
    """They are written one by one, so a power cut tears one of them at most."""
    for state, now in COMMITTED:
        assert refused(state, with_page(with_page(now, GUARDS[0]), GUARDS[1])), state.key


def test_write_beside_the_changed_pages_is_seen() -> None:
    """Even while the batch in flight is the whole log: pages that the run did not touch tell of it."""
    for state, now in COMMITTED:
        for page in (GUARDS[0] + 1, GUARDS[1] - 1, CHANGED[0] - 1, CHANGED[-1] + 1):
            assert refused(state, with_page(now, page)), (state.key, page)


def test_crash_anywhere_with_two_guards_leaves_old_or_new() -> None:
    """Also where a guarded page is torn, and where its recovery is cut off and tears one."""
    for first in (*states(RECORDER, Model.SECTOR, seeds=range(3)), *states(RECORDER, Model.TORN, seeds=range(3))):
        recorder = Recorder()
        folder = recorder.folder(first.folder("here"), "here")
        for name in first.folders["here"]:
            folder.open(name).close()
        _, now = recovered(folder)
        assert now in (OLD, NEW), first.key
        for model in (Model.SECTOR, Model.TORN):
            for second in states(recorder, model, seeds=[first.seed]) if recorder.point else ():
                assert recovered(second.folder("here"))[1] == now, (first.key, second.key)


@pytest.mark.parametrize(("pages", "batch"), [(3, 16), (600, 37), (9000, 562), (40_000, 2048)])
def test_batch_is_small_against_its_log(pages: int, batch: int) -> None:
    """What recovery cannot judge is a sixteenth of a small log, and never more than 8 MiB."""
    folder = MemoryFolder({"disk.img": Image(bytes((pages + 9) * PAGE))})
    with Transaction(folder.open("disk.img", write=True), folder, "log", where="x") as transaction:
        transaction.device.pwrite(0, b"x" * pages * PAGE)
        transaction.prepare()
        header = Header.parse(folder.images["log"].read(0, PAGE))
        assert header.batch_pages == batch
        index = Index.parse(folder.images["log"].read(header.index_offset, header.index_size), header)
        assert [page for page, _ in index.witnesses] == [pages]
        assert header.index_offset == DATA_OFFSET + pages * PAGE


def test_bystanders_are_beside_and_bounded() -> None:
    """Guards' neighbours first, then some of all others; none of them changed, none past the end."""
    changed = range(1, 4000, 4)
    records = b"".join(page.to_bytes(8, "little") + bytes(80) for page in changed)
    found = bystanders(records, [1001], 3998 * PAGE)
    assert len(found) == MOST_BYSTANDERS
    assert {1000, 1002} <= set(found)
    assert not set(found) & set(changed)
    assert max(found) - min(found) > 3800
    assert bystanders(b"".join(page.to_bytes(8, "little") + bytes(80) for page in range(3)), [], 3 * PAGE) == []
