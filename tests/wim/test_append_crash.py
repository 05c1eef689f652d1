"""Appending and power cuts: after recovery a WIM is the old one, byte for byte, or the new one, whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from wim_making import add_image, make_tree, wimlib
from wimboot.errors import Error
from wimboot.events import Counter
from wimboot.formats.wimxml import ImageXml
from wimboot.storage import Folder
from wimboot.storage.crash import CrashState, Model, states
from wimboot.storage.faults import Fault, Faulty, Image, Kind, MemoryFolder
from wimboot.storage.recorder import Recorder, StepKind
from wimboot.wim import Append, CreateOptions, Outcome, Store, recover
from wimboot.wim.errors import NotTheWimItWas, UndoRecordDamaged

RANDOM = random.Random(1)
OLD = {"a": RANDOM.randbytes(5000), "b": b"b" * 20_000, "c": RANDOM.randbytes(9000)}
NEW = {"d": RANDOM.randbytes(6000), "b": b"b" * 20_000, "e": b"e" * 30_000, "f": RANDOM.randbytes(3)}
NAME, HERE = "s.wim", "here"


def _grow(folder: Folder, files: dict[str, bytes], image: str) -> None:
    with Append(folder, NAME, create=CreateOptions(guid=bytes(16)), where=NAME) as append:
        add_image(append, files, image, threads=1)
        append.finish()


@cache
def _bytes(*names: str) -> bytes:
    folder = MemoryFolder()
    for name in names:
        _grow(folder, {"old": OLD, "new": NEW, "tiny": {}}[name], name)
    return _content(folder)


def _content(folder: MemoryFolder) -> bytes:
    return folder.images[NAME].read(0, 1 << 30)


def _recorded(start: bytes | None) -> Recorder:
    recorder = Recorder()
    inner = MemoryFolder({} if start is None else {NAME: Image(start)})
    _grow(recorder.folder(inner, HERE), NEW, "new")
    return recorder


def _check(state: CrashState, old: bytes | None, new: bytes) -> Outcome:
    folder = state.folder(HERE)
    outcome = recover(folder, NAME, where=NAME).outcome
    images = set(folder.images)
    found = _content(folder) if NAME in images else None
    assert found in (old, new), f"{state}: neither old nor new"
    assert images <= {NAME}, f"{state}: {images} left behind"
    assert recover(folder, NAME, where=NAME).outcome is Outcome.NOTHING
    return outcome


def _all_states(recorder: Recorder, seeds: range) -> Iterator[CrashState]:
    for model in Model:
        yield from states(recorder, model, seeds=seeds)


@pytest.mark.parametrize("start", [("old",), ("old", "new"), ("tiny",)])
def test_every_crash_leaves_old_or_new(start: tuple[str, ...]) -> None:
    """Kills at every write, torn writes, dropped writes, garbage in sectors: the old bytes or the new WIM."""
    old, new = _bytes(*start), _bytes(*start, "new")
    outcomes = {_check(state, old, new) for state in _all_states(_recorded(old), range(40))}
    assert outcomes == set(Outcome)


def test_a_crash_while_a_wim_is_made_leaves_none_or_all() -> None:
    """A new WIM has its name only when it is whole; nothing else stays beside it."""
    new = _bytes("new")
    for state in _all_states(_recorded(None), range(40)):
        _check(state, None, new)


def test_the_new_wim_passes_wimlib(tmp_path: Path) -> None:
    """What the states above compare with is sound in the eyes of an independent program."""
    path = tmp_path / NAME
    path.write_bytes(_bytes("old", "new"))
    assert wimlib("verify", path).returncode == 0
    path.write_bytes(_bytes("old", "new")[:-50])
    assert wimlib("verify", path).returncode != 0


def test_every_removed_sync_is_caught() -> None:
    """With any one sync of the append left out some crash leaves neither the old nor the new WIM."""
    old, new = _bytes("old"), _bytes("old", "new")
    recorder = _recorded(old)
    places = [place for place, step in enumerate(recorder.steps)
              if step.kind in (StepKind.SYNC, StepKind.FOLDER_SYNC)]
    assert len(places) >= 7
    for place in places:
        without = _recorded(old)
        step = without.steps[place]
        del without.steps[place]
        assert _fails(without, old, new), f"nobody missed step {place}, {step}"


def _fails(recorder: Recorder, old: bytes, new: bytes) -> bool:
    try:
        for state in _all_states(recorder, range(60)):
            _check(state, old, new)
        for state in states(recorder, Model.POWER, points=[recorder.point], seeds=range(60)):
            folder = state.folder(HERE)
            assert list(folder.images) == [NAME]    # finish() has returned: the record must not come back
            assert _content(folder) == new
    except (AssertionError, Error):
        return True
    return False


def test_a_crash_while_recovering_is_recovered() -> None:
    """Recovery itself may be cut off at any of its writes."""
    old, new = _bytes("old"), _bytes("old", "new")
    first = _recorded(old)
    for state in states(first, Model.SECTOR, seeds=range(6)):
        again = Recorder()
        inner = state.folder(HERE)
        folder = again.folder(inner, HERE)
        for name in inner.images:
            folder.open(name)
        recover(folder, NAME, where=NAME)
        for second in states(again, Model.POWER, seeds=range(2)):
            _check(second, old, new)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.LOST])
def test_every_failing_operation_leaves_the_old_wim(kind: Kind) -> None:
    """The n-th write, sync or rename fails, or Ctrl-C comes then, for every n until the append succeeds."""
    old, new = _bytes("old"), _bytes("old", "new")
    for at in range(200):
        inner = MemoryFolder({NAME: Image(old)})
        faulty = Faulty(Fault(at=at, kind=kind))
        try:
            _grow(faulty.folder(inner), NEW, "new")
        except (Error, KeyboardInterrupt):
            pass
        else:
            assert not faulty.fired
            return
        recover(inner, NAME, where=NAME)
        assert _content(inner) in (old, new)
        assert list(inner.images) == [NAME]
    pytest.fail("the append never succeeded")


def _interrupted() -> MemoryFolder:
    """Killed after the header's record was written and before the header was."""
    recorder = _recorded(_bytes("old"))
    headers = [place for place, step in enumerate(recorder.steps)
               if step.kind is StepKind.WRITE and step.name == NAME and step.offset == 0]
    state = next(state for state in states(recorder, Model.KILL) if state.point == headers[-1])
    return state.folder(HERE)


def test_a_wim_replaced_since_is_refused() -> None:
    """A record beside another copy of the WIM: nothing is changed, the message names the record."""
    folder = _interrupted()
    other = _bytes("new")
    folder.images[NAME] = Image(other)
    with pytest.raises(NotTheWimItWas, match=f"{NAME}.wimboot-undo"):
        recover(folder, NAME, where=NAME)
    assert _content(folder) == other
    with pytest.raises(NotTheWimItWas):
        Append(folder, NAME, create=None, where=NAME)


def test_a_wim_appended_to_by_another_tool_since_is_refused(tmp_path: Path) -> None:
    """wimlib appended after our run was cut off: its image is never truncated away."""
    folder = _interrupted()
    path, source = tmp_path / NAME, tmp_path / "source"
    source.mkdir()
    (source / "theirs").write_bytes(b"theirs" * 1000)
    path.write_bytes(_content(folder))
    assert wimlib("append", source, path, "theirs").returncode == 0
    folder.images[NAME] = Image(path.read_bytes())
    with pytest.raises(NotTheWimItWas):
        recover(folder, NAME, where=NAME)
    assert _content(folder) == path.read_bytes()


def test_a_wim_that_is_gone_is_refused() -> None:
    """The record stays where the WIM that it belongs to is missing."""
    folder = _interrupted()
    folder.remove(NAME)
    with pytest.raises(NotTheWimItWas, match="gone"):
        recover(folder, NAME, where=NAME)


def test_a_shorter_wim_is_refused() -> None:
    """A WIM cut below its old size is not extended to it."""
    folder = _interrupted()
    folder.images[NAME].truncate(4000)
    with pytest.raises(NotTheWimItWas, match="4,000 bytes"):
        recover(folder, NAME, where=NAME)


def test_a_damaged_record_is_refused() -> None:
    """No byte of a record can change unnoticed."""
    folder = _interrupted()
    record = folder.images[f"{NAME}.wimboot-undo"].read(0, 1 << 20)
    before = _content(folder)
    for at in range(0, len(record), 97):
        broken = bytearray(record)
        broken[at] ^= 0x10
        folder.images[f"{NAME}.wimboot-undo"] = Image(bytes(broken))
        with pytest.raises(UndoRecordDamaged):
            recover(folder, NAME, where=NAME)
    assert _content(folder) == before


def test_an_append_under_another_transaction_keeps_no_record() -> None:
    """With `undo` False only the WIM itself is written, its header last."""
    recorder = Recorder()
    folder = recorder.folder(MemoryFolder({NAME: Image(_bytes("old"))}), HERE)
    with Append(folder, NAME, create=None, where=NAME, undo=False) as append:
        add_image(append, NEW, "new")
        append.finish()
    writes = [step for step in recorder.steps if step.kind is StepKind.WRITE]
    assert {step.name for step in recorder.steps} == {NAME}
    assert (writes[-1].offset, len(writes[-1].data)) == (0, 208)


def test_the_header_is_one_write_of_its_own() -> None:
    """208 bytes at offset 0, nothing else in that write, a sync before and after."""
    steps = [step for step in _recorded(_bytes("old")).steps if step.name == NAME]
    at = next(place for place, step in enumerate(steps) if step.kind is StepKind.WRITE and step.offset == 0)
    assert len(steps[at].data) == 208
    assert (steps[at - 1].kind, steps[at + 1].kind) == (StepKind.SYNC, StepKind.SYNC)
    assert all(step.offset >= len(_bytes("old")) for step in steps[:at] if step.kind is StepKind.WRITE)


def test_old_images_stay_readable_throughout() -> None:
    """A reader that opens the WIM while it grows sees the old one."""
    folder = MemoryFolder({NAME: Image(_bytes("old"))})
    tree, source, streams = make_tree(NEW)
    with Append(folder, NAME, create=None, where=NAME) as append:
        append.add_streams(tree, source, streams, counter=Counter(), threads=2)
        assert Store.open(folder.open(NAME), where=NAME).check_blobs(None, Counter(), 1) == []
        append.add_image(tree, ImageXml(name="two"))
        append.seal()
        assert len(Store.open(folder.open(NAME), where=NAME).images) == 1
