"""A prepared log that is left behind on purpose: whether its change counts is for recovery to say, by the WIM."""

from __future__ import annotations

import pytest

from transaction_rig import LOG, MARK, SIZE, Scene, changes, content, recover_in, start_folder
from wimboot.disk import CommitUnfinished, Recovered, StoreMark, Transaction
from wimboot.errors import HostError
from wimboot.storage import Folder, durable
from wimboot.storage.faults import CHANGES, Fault, Faulty, Kind, Recorder


def _prepared(scene: Scene, folder: Folder, mark: StoreMark | None = MARK) -> Transaction:
    transaction = Transaction(folder.open("disk.img", write=True), folder, LOG, where="disk.img")
    for offset, data in changes(scene, 1):
        transaction.device.pwrite(offset, data)
    transaction.prepare(mark)
    return transaction


def _scene() -> Scene:
    old = b"old".ljust(SIZE, b"\x11")
    return Scene(old=old, new=bytearray(old), wim=True, recorder=Recorder())


@pytest.mark.parametrize("replaced", [True, False])
def test_a_log_that_was_left_is_judged_by_the_wim(replaced: bool) -> None:
    """With the new WIM there the change is made, with the old one it is dropped."""
    scene = _scene()
    folder = start_folder(scene)
    with _prepared(scene, folder) as transaction:
        if replaced:
            durable.replace(folder, "wim", b"new")
        transaction.leave()
        transaction.leave()
    assert folder.exists(LOG)
    assert content(folder) == scene.old
    assert recover_in(folder) is (Recovered.COMPLETED if replaced else Recovered.DROPPED)
    assert content(folder) == (bytes(scene.new) if replaced else scene.old)
    assert not folder.exists(LOG)


def test_only_a_prepared_log_is_left() -> None:
    """One that is open is dropped as ever: it says nothing yet."""
    scene = _scene()
    folder = start_folder(scene)
    with Transaction(folder.open("disk.img", write=True), folder, LOG, where="disk.img") as transaction:
        transaction.leave()
    assert not folder.exists(LOG)


@pytest.mark.parametrize("mark", [MARK, None])
def test_a_commit_that_cannot_be_marked(mark: StoreMark | None) -> None:
    """With a WIM, which is the new one by then, recovery finishes it; without one it is given up: the old stands."""
    outcomes = set()
    for number in range(30):
        scene = _scene()
        inner, faulty = start_folder(scene), Faulty(Fault(at=1 << 40, kind=Kind.IO, operations=CHANGES))
        folder = faulty.folder(inner)
        with _prepared(scene, folder, mark) as transaction:
            durable.replace(inner, "wim", b"new")
            faulty.fault = Fault(at=faulty.count + number, kind=Kind.IO, operations=CHANGES)
            try:
                transaction.commit()
            except HostError as error:
                unfinished = isinstance(error, CommitUnfinished)
            else:
                break
        if inner.exists(LOG):   # but for the last step, the syncing of its removal
            assert unfinished
            assert recover_in(inner) is Recovered.COMPLETED
        outcomes.add((number < 3, unfinished))
        assert content(inner) == (bytes(scene.new) if unfinished else scene.old)
    assert outcomes == {(True, mark is not None), (False, True)}
