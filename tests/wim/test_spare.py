"""The spare copy of a WIM: how it stands to the WIM, and that it is the old or the new one whatever happens."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import pytest

from wim_making import add_image
from wimboot.errors import Error
from wimboot.events import Counter
from wimboot.storage import Folder
from wimboot.storage.faults import (
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
from wimboot.wim import Append, CreateOptions, Relation, Rewrite, Spare, Store, keep_images, recover, same_bytes

CHANCE = random.Random(8)
FILES = {name: {"a": CHANCE.randbytes(6000), "b": b"b" * 30_000, name: CHANCE.randbytes(9000)}
         for name in ("one", "two", "three")}
NAME = "spare.wim"


@cache
def wim(*images: str, guid: bytes = bytes(16), keep: tuple[int, ...] = ()) -> bytes:
    """A WIM that was appended to image by image, and pruned."""
    folder = MemoryFolder()
    for image in images:
        with Append(folder, NAME, create=CreateOptions(guid=guid), where=NAME) as append:
            add_image(append, FILES[image], image, threads=1)
            append.finish()
    if keep:
        with Rewrite(folder, NAME, where=NAME) as change:
            change.write(keep_images(change.store, keep), Counter())
            change.finish()
    return content(folder)


def content(folder: MemoryFolder) -> bytes:
    return folder.images[NAME].read(0, folder.images[NAME].size)


def store(data: bytes) -> Store:
    return Store.open(MemoryFile(Image(data)), where="the WIM")


def sync(source: bytes, folder: Folder) -> Relation:
    """What the verb does."""
    with Spare(store(source), folder, NAME, where=NAME) as spare:
        before = spare.relation
        if before is not Relation.SAME:
            (spare.append if before is Relation.EARLIER else spare.rewrite)(Counter())
            assert spare.reads_back(Counter())
            assert spare.pending().check_blobs(None, Counter(), 1) == []
            spare.finish()
    return before


LONG, SHORT = ("one", "two", "three"), ("one",)
STATES: dict[Relation, tuple[bytes, bytes | None]] = {
    Relation.MISSING: (wim(*LONG), None),
    Relation.SAME: (wim(*LONG), wim(*LONG)),
    Relation.EARLIER: (wim(*LONG), wim(*SHORT)),
    Relation.LATER: (wim(*SHORT), wim(*LONG)),
    Relation.APART: (wim(*LONG, keep=(2, 3)), wim(*LONG)),
    Relation.OTHER: (wim(*LONG), wim(*SHORT, guid=bytes(range(16)))),
    Relation.DAMAGED: (wim(*LONG), wim(*LONG)[:-2000]),
    Relation.UNKNOWN: (wim(*LONG), bytes(208) + wim(*LONG)[208:]),
}
"""How a copy stands to its WIM: (WIM, copy)."""


@pytest.mark.parametrize("relation", Relation)
def test_how_a_copy_stands_to_its_wim(relation: Relation) -> None:
    """Told by their tables; nothing is written."""
    source, copy = STATES[relation]
    folder = MemoryFolder({} if copy is None else {NAME: Image(copy)})
    with Spare(store(source), folder, NAME, where=NAME) as spare:
        assert spare.relation is relation
    assert folder.images.keys() == ({NAME} if copy is not None else set())
    assert copy is None or content(folder) == copy


def test_copies_that_grew_each_by_itself_are_apart() -> None:
    """Each has an image that the other lacks: neither is a beginning of the other."""
    source, copy = wim("one", "two"), wim("one", "three")
    for one, other in ((source, copy), (copy, source)):
        with Spare(store(one), MemoryFolder({NAME: Image(other)}), NAME, where=NAME) as spare:
            assert spare.relation is Relation.APART


@pytest.mark.parametrize("tail", [b"", b"garbage" * 3000])
@pytest.mark.parametrize("relation", [Relation.MISSING, Relation.EARLIER, Relation.APART, Relation.DAMAGED])
def test_the_copy_becomes_the_wim(relation: Relation, tail: bytes) -> None:
    """Byte for byte, whatever lay behind the end of either."""
    source, copy = STATES[relation]
    tail = b"" if relation is Relation.DAMAGED else tail
    folder = MemoryFolder({} if copy is None else {NAME: Image(copy + tail)})
    assert sync(source + tail, folder) is relation
    assert content(folder) == source
    assert sync(source, folder) is Relation.SAME


def test_only_what_is_missing_is_written() -> None:
    """An earlier copy is written behind its end, and at its header."""
    recorder, (source, copy) = _recorded(Relation.EARLIER)
    writes = [step for step in recorder.steps if step.name == NAME and step.data]
    assert (writes[-1].offset, len(writes[-1].data)) == (0, 208)
    assert [step.offset for step in writes[:-1]] == [len(copy or b"")]
    assert sum(len(step.data) for step in writes) == len(source) - len(copy or b"") + 208


def test_a_header_alone_can_differ() -> None:
    """A boot image that was chosen since is no new byte but in the header."""
    source = bytearray(wim(*LONG))
    source[0x10] |= 0x80
    folder = MemoryFolder({NAME: Image(wim(*LONG))})
    assert sync(bytes(source), folder) is Relation.EARLIER
    assert content(folder) == source


def test_rot_in_the_copy_is_found_by_comparing() -> None:
    """Not by the tables, so not without being asked for."""
    copy = bytearray(wim(*SHORT))
    copy[300] ^= 1
    spare = Spare(store(wim(*LONG)), MemoryFolder({NAME: Image(bytes(copy))}), NAME, where=NAME)
    assert spare.relation is Relation.EARLIER
    assert spare.store is not None
    assert not same_bytes(spare.source, spare.store, Counter())
    assert same_bytes(spare.source, store(wim(*SHORT)), Counter())
    spare.abort()


def test_what_does_not_read_back_is_noticed() -> None:
    """A byte that changes between writing and reading back."""
    folder = MemoryFolder({NAME: Image(wim(*SHORT))})
    with Spare(store(wim(*LONG)), folder, NAME, where=NAME) as spare:
        spare.append(Counter())
        assert spare.reads_back(Counter())
        folder.images[NAME].write(len(wim(*SHORT)) + 77, b"\xee")
        assert not spare.reads_back(Counter())
    assert content(folder) == wim(*SHORT)


# -- interrupted -------------------------------------------------------------------------------------------------

def _recorded(relation: Relation) -> tuple[Recorder, tuple[bytes, bytes | None]]:
    source, copy = STATES[relation]
    recorder = Recorder()
    folder = recorder.folder(MemoryFolder({} if copy is None else {NAME: Image(copy)}), "here")
    if copy is not None:
        folder.open(NAME).close()
    sync(source, folder)
    return recorder, (source, copy)


def _check(state: CrashState, allowed: Sequence[bytes | None]) -> bytes | None:
    folder = state.folder("here")
    recover(folder, NAME, where=NAME)
    assert set(folder.images) <= {NAME}, state.key
    found = content(folder) if NAME in folder.images else None
    assert found in allowed, state.key
    return found


@pytest.mark.parametrize("relation", [Relation.MISSING, Relation.EARLIER, Relation.APART])
def test_every_crash_leaves_the_old_or_the_new_copy(relation: Relation) -> None:
    """Kills, torn and dropped writes at every step; after the return, always the new one."""
    recorder, pair = _recorded(relation)
    found = {_check(state, pair) for model in Model for state in states(recorder, model, seeds=range(10))}
    assert found == set(pair)
    last = states(recorder, Model.POWER, points=[recorder.point], seeds=range(20))
    assert {_check(state, pair) for state in last} == {pair[0]}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.LOST])
@pytest.mark.parametrize("relation", [Relation.MISSING, Relation.EARLIER, Relation.APART])
def test_every_failing_operation_leaves_the_old_or_the_new_copy(relation: Relation, kind: Kind) -> None:
    """The n-th operation on the copy fails, or Ctrl-C comes then, for every n."""
    source, copy = STATES[relation]
    for at in range(300):
        inner = MemoryFolder({} if copy is None else {NAME: Image(copy)})
        faulty = Faulty(Fault(at=at, kind=kind))
        try:
            sync(source, faulty.folder(inner))
        except (Error, KeyboardInterrupt):
            recover(inner, NAME, where=NAME)
            assert set(inner.images) <= {NAME}
            assert (content(inner) if inner.images else None) in (source, copy)
        else:
            assert not faulty.fired
            return
    pytest.fail("it never succeeded")
