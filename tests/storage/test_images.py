"""Images in memory behave as files do, and copies do not touch each other."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wimboot.errors import HostError
from wimboot.storage import File, Folder, HostFolder
from wimboot.storage.faults import Image, MemoryFile, MemoryFolder, Recorder

GROUND = random.Random(5).randbytes(20_000)
Steps = st.lists(st.one_of(
    st.tuples(st.just("write"), st.integers(0, 30_000), st.binary(max_size=9000)),
    st.tuples(st.just("truncate"), st.integers(0, 30_000), st.just(b""))), max_size=12)


def carry_out(file: File, model: bytearray, steps: list[tuple[str, int, bytes]]) -> None:
    """The same changes to a file and to its plain twin."""
    for kind, place, data in steps:
        if kind == "write":
            file.pwrite(place, data)
            if data:
                model.extend(bytes(max(0, place - len(model))))
                model[place:place + len(data)] = data
        else:
            file.truncate(place)
            del model[place:]
            model.extend(bytes(place - len(model)))


@settings(deadline=None)
@given(size=st.integers(0, len(GROUND)), steps=Steps, later=Steps)
def test_image_is_a_file_and_its_copy_another(size: int, steps: list[tuple[str, int, bytes]],
                                              later: list[tuple[str, int, bytes]]) -> None:
    """Against a bytearray: writes, holes, growth, cuts; a copy keeps what was."""
    image = Image(GROUND[:size])
    model = bytearray(GROUND[:size])
    carry_out(MemoryFile(image), model, steps)
    kept, kept_model = image.copy(), bytes(model)
    carry_out(MemoryFile(image), model, later)
    for one, twin in ((image, bytes(model)), (kept, kept_model)):
        assert one.size == len(twin)
        assert one.read(0, 40_000) == twin
        assert one.read(5000, 7000) == twin[5000:12_000]


@settings(deadline=None, max_examples=40)
@given(size=st.integers(0, len(GROUND)), steps=Steps)
def test_recorder_remembers_what_was_there_first(size: int, steps: list[tuple[str, int, bytes]]) -> None:
    """The start image of a recorded file is what it held, however it was changed since."""
    folder = MemoryFolder({"a": Image(GROUND[:size])})
    recorder = Recorder()
    file = recorder.folder(folder, "here").open("a", write=True)
    model = bytearray(GROUND[:size])
    carry_out(file, model, steps)
    assert recorder.image(0).read(0, 40_000) == GROUND[:size]
    assert file.pread(0, 40_000) == model


def test_image_saves_as_a_sparse_file(tmp_path: Path) -> None:
    """Other programs get the content, without the zeros costing room."""
    image = Image(GROUND)
    image.write(40 << 20, b"end")
    image.save(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == image.read(0, image.size)
    assert (tmp_path / "saved").stat().st_blocks * 512 < 4 << 20


@pytest.fixture(params=["host", "memory", "recorded"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """Each kind of folder."""
    if request.param == "host":
        return HostFolder(tmp_path)
    return MemoryFolder() if request.param == "memory" else Recorder().host(tmp_path)


def test_every_folder_keeps_the_contract(folder: Folder) -> None:
    """Create, open, replace, remove and look, and the errors of each: the same on a host, in memory, recorded."""
    file = folder.create("a")
    assert isinstance(file, File)
    file.pwrite(10, b"content")
    file.pwrite(3, memoryview(b"xy"))
    assert (file.size(), file.pread(0, 99), file.pread(15, 99), file.pread(99, 1)) == (
        17, bytes(3) + b"xy" + bytes(5) + b"content", b"nt", b"")
    file.truncate(12)
    file.truncate(14)
    file.sync()
    file.close()
    file.close()
    folder.create("b").close()
    folder.sync()
    with pytest.raises(HostError, match="creating"):
        folder.create("a")
    folder.replace("a", "b")
    assert (folder.exists("a"), folder.exists("b")) == (False, True)
    other = folder.open("b")
    assert other.pread(0, 99) == bytes(3) + b"xy" + bytes(5) + b"co" + bytes(2)
    other.close()
    assert folder.free_size() > 0
    folder.remove("b")
    for act in (lambda: folder.remove("b"), lambda: folder.open("b"), lambda: folder.replace("b", "c")):
        with pytest.raises(HostError):
            act()
