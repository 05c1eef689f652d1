"""The crash models produce what a disk may hold, and nothing that it may not."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.errors import HostError
from wimboot.storage import HostFolder, OutOfSpace, durable
from wimboot.storage.faults import (
    EVERYTHING,
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

OLD, NEW = random.Random(1).randbytes(9000), random.Random(2).randbytes(12_000)


def recorded(seed: int, count: int = 25) -> tuple[Recorder, MemoryFolder]:
    """A random run over two files."""
    rng = random.Random(seed)
    inner = MemoryFolder({"a": Image(OLD), "b": Image(b"")})
    recorder = Recorder()
    folder = recorder.folder(inner, "here")
    files = {name: folder.open(name, write=True) for name in ("a", "b")}
    for number in range(count):
        file = files[rng.choice("ab")]
        match rng.randrange(8):
            case 0:
                file.sync()
            case 1:
                file.truncate(rng.randrange(12_000))
            case 2:
                folder.create(f"new{number}").pwrite(0, b"x" * number)
            case 3:
                folder.sync()
            case _:
                file.pwrite(rng.randrange(10_000), rng.randbytes(rng.choice((3, 512, 3000))))
    return recorder, inner


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_kill_at_the_end_is_what_there_is(seed: int) -> None:
    """A kill after the last step leaves exactly the folder as it is; before the first, as it was."""
    recorder, inner = recorded(seed)
    first, *_, last = states(recorder, Model.KILL)
    assert {name: image.read(0, 99_999) for name, image in last.folder("here").images.items()} == {
        name: image.read(0, 99_999) for name, image in inner.images.items()}
    assert {name: image.read(0, 99_999) for name, image in first.folder("here").images.items()} == {"a": OLD, "b": b""}


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), model=st.sampled_from([Model.POWER, Model.SECTOR]))
def test_what_was_synced_is_there(seed: int, model: Model) -> None:
    """With files and folder synced no power cut changes anything."""
    recorder, inner = recorded(seed)
    folder = recorder.folder(inner, "here")
    for name in list(inner.images):
        folder.open(name, write=True).sync()
    folder.sync()
    for state in states(recorder, model, points=[recorder.point], seeds=range(5)):
        assert {name: image.read(0, 99_999) for name, image in state.folder("here").images.items()} == {
            name: image.read(0, 99_999) for name, image in inner.images.items()}


@pytest.mark.parametrize("block_size", [512, 4096])
def test_power_cut_mixes_old_and_new_blocks(block_size: int) -> None:
    """Unsynced blocks are old or new each for itself, and all mixtures occur."""
    inner = MemoryFolder({"a": Image(bytes(8 * block_size))})
    recorder = Recorder()
    file = recorder.folder(inner, "here").open("a", write=True)
    file.pwrite(0, b"\1" * 8 * block_size)
    seen = set()
    for state in states(recorder, Model.POWER, points=[1], seeds=range(200), block_size=block_size):
        data = state.folders["here"]["a"].read(0, 8 * block_size)
        blocks = [data[place:place + block_size] for place in range(0, len(data), block_size)]
        assert all(len(set(block)) == 1 for block in blocks)
        seen.add(tuple(block[0] for block in blocks))
    assert len(seen) > 60
    assert {(0,) * 8, (1,) * 8} <= seen


def test_power_cut_gives_any_version_of_a_block() -> None:
    """A block written three times may be found in each of its versions."""
    inner = MemoryFolder({"a": Image(b"0" * 512)})
    recorder = Recorder()
    file = recorder.folder(inner, "here").open("a", write=True)
    for digit in (b"1", b"2", b"3"):
        file.pwrite(0, digit * 512)
    seen = {state.folders["here"]["a"].read(0, 1)
            for state in states(recorder, Model.POWER, points=[3], seeds=range(80))}
    assert seen == {b"0", b"1", b"2", b"3"}


def test_sector_model_makes_garbage_only_where_something_was_written() -> None:
    """Garbage appears in blocks on their way, never beside them."""
    inner = MemoryFolder({"a": Image(bytes(5 * 512))})
    recorder = Recorder()
    file = recorder.folder(inner, "here").open("a", write=True)
    file.pwrite(512, b"\1" * 1024)
    garbage = 0
    for state in states(recorder, Model.SECTOR, points=[1], seeds=range(200)):
        data = state.folders["here"]["a"].read(0, 5 * 512)
        assert data[:512] == bytes(512)
        assert data[1536:] == bytes(1024)
        garbage += len(set(data[512:1536])) > 2
    assert garbage > 10


def test_torn_write_is_cut_at_a_block() -> None:
    """The write under way is there from one side up to a block, perhaps with garbage at the cut."""
    inner = MemoryFolder({"a": Image(bytes(4096))})
    recorder = Recorder()
    recorder.folder(inner, "here").open("a", write=True).pwrite(0, b"\1" * 4096)
    shapes = set()
    for state in states(recorder, Model.TORN, points=[0], seeds=range(200)):
        data = state.folders["here"]["a"].read(0, 4096)
        blocks = tuple(data[place] if len(set(data[place:place + 512])) == 1 else -1 for place in range(0, 4096, 512))
        shapes.add(blocks)
        assert sum(block == -1 for block in blocks) <= 1
        assert len([1 for one, two in itertools.pairwise(blocks) if {one, two} == {0, 1}]) <= 1
    assert len(shapes) > 12


def test_names_are_lost_until_their_folder_is_synced() -> None:
    """A file that was created and synced may still have no name; after the folder's sync it has."""
    recorder = Recorder()
    folder = recorder.folder(MemoryFolder(), "here")
    file = folder.create("a")
    file.pwrite(0, b"x")
    file.sync()
    before = recorder.point
    folder.sync()
    seen = {"a" in state.folders["here"] for state in states(recorder, Model.POWER, points=[before], seeds=range(30))}
    assert seen == {True, False}
    assert all("a" in state.folders["here"]
               for state in states(recorder, Model.POWER, points=[recorder.point], seeds=range(30)))


def test_states_are_repeated_by_their_key() -> None:
    """The same point, model, seed and block size give the same bytes, whatever was asked before."""
    recorder, _ = recorded(4)
    for state in states(recorder, Model.SECTOR, seeds=[3, 8], block_size=4096):
        model, point, seed, block = state.key.split(":")
        again = next(states(recorder, Model(model), points=[int(point)], seeds=[int(seed)], block_size=int(block)))
        assert {name: image.read(0, 99_999) for name, image in again.folders["here"].items()} == {
            name: image.read(0, 99_999) for name, image in state.folders["here"].items()}


def test_states_of_a_host_folder_are_saved_for_other_programs(tmp_path: Path) -> None:
    """A run on real files is rebuilt at any point, in another folder."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (here / "a").write_bytes(OLD)
    recorder = Recorder()
    folder = recorder.host(here)
    durable.replace(folder, "a", NEW)
    for state in states(recorder, Model.KILL):
        state.save(str(here), there)
        assert (there / "a").read_bytes() in (OLD, NEW)
    assert (here / "a").read_bytes() == (there / "a").read_bytes() == NEW
    recorder.close()


def test_hundreds_of_states_of_a_large_disk_are_quick() -> None:
    """States share what they have in common: 400 of a 64 MiB disk take seconds, and no gigabytes."""
    inner = MemoryFolder({"disk": Image(bytes(64 << 20))})
    recorder = Recorder()
    file = recorder.folder(inner, "here").open("disk", write=True)
    rng = random.Random(1)
    for number in range(400):
        file.pwrite(rng.randrange(60 << 20), rng.randbytes(4096))
        if number % 50 == 49:
            file.sync()
    assert sum(1 for _ in states(recorder, Model.KILL)) == recorder.point + 1
    assert sum(1 for _ in states(recorder, Model.POWER, points=range(0, recorder.point, 4))) > 100


def test_replace_holds_old_or_new_at_any_crash() -> None:
    """The durable door for small files: never a mixture, new once it returned, nothing left but a named leftover."""
    recorder = Recorder()
    folder = recorder.folder(MemoryFolder({"a": Image(OLD)}), "here")
    folder.open("a").close()
    durable.replace(folder, "a", NEW)
    for model in Model:
        for state in states(recorder, model, seeds=range(20)):
            images = state.folder("here").images
            assert images["a"].read(0, 99_999) in ((OLD, NEW) if state.point < recorder.point else (NEW,))
            assert all(name == "a" or name.endswith(durable.LEFTOVER_SUFFIX) for name in images)


@pytest.mark.parametrize("drop", range(2))
def test_replace_needs_both_of_its_syncs(drop: int) -> None:
    """Without the one the content may be torn, without the other the old file may come back."""
    recorder = Recorder()
    inner = recorder.folder(MemoryFolder({"a": Image(OLD)}), "here")
    inner.open("a").close()
    lossy = Faulty(Fault(at=drop, kind=Kind.LOST, operations=frozenset({"sync", "folder sync"})))
    durable.replace(lossy.folder(inner), "a", NEW)
    found = {state.folders["here"]["a"].read(0, 99_999)
             for state in states(recorder, Model.POWER, points=[recorder.point], seeds=range(40))}
    assert found - {NEW}


@pytest.mark.parametrize("kind", list(Kind))
def test_replace_survives_each_error(kind: Kind) -> None:
    """The n-th operation fails, for each n: the old file stands, or the new one, and no temporary file is left."""
    for at in range(30):
        folder = MemoryFolder({"a": Image(OLD)})
        faulty = Faulty(Fault(at=at, kind=kind, operations=EVERYTHING))
        try:
            durable.replace(faulty.folder(folder), "a", NEW)
        except (HostError, KeyboardInterrupt):
            assert faulty.fired
        if not faulty.fired:
            break
        assert folder.images["a"].read(0, 99_999) in (OLD, NEW) or kind is Kind.LOST
        assert len(folder.images) == 1 or kind is Kind.LOST
    assert at > 4


def test_faults_fail_as_told() -> None:
    """The n-th counted operation, once or from then on, with the error of its kind; a short write does half."""
    folder = MemoryFolder({"a": Image(b"")})
    once = Faulty(Fault(at=1, kind=Kind.SHORT, operations=frozenset({"pwrite"})))
    file = once.folder(folder).open("a", write=True)
    file.pwrite(0, b"one")
    with pytest.raises(OutOfSpace):
        file.pwrite(3, b"twotwo")
    file.pwrite(10, b"three")
    assert folder.images["a"].read(0, 99) == b"onetwo" + bytes(4) + b"three"
    sticky = Faulty(Fault(at=0, sticky=True))
    for act in (sticky.folder(folder).sync, sticky.folder(folder).open("a").sync):
        with pytest.raises(HostError, match="Input/output"):
            act()
    assert (once.count, once.fired, sticky.count) == (3, True, 2)


def test_steps_tell_what_they_did(tmp_path: Path) -> None:
    """A step reads as a line of a report."""
    recorder = Recorder()
    folder = recorder.folder(HostFolder(tmp_path), "here")
    file = folder.create("a")
    file.pwrite(5, b"abc")
    file.truncate(2)
    folder.replace("a", "b")
    assert [str(step) for step in recorder.steps] == [
        "create here/a", "write here/a 3 bytes at 5", "truncate here/a to 2", "replace here/a to b"]
    assert recorder.steps[1].kind is StepKind.WRITE
    file.close()
    recorder.close()
