"""Disks whose making fails, is stopped or killed: no file, or the whole one; nothing half made has their name."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from judges import sound_volume
from running import done, refused
from vhd_judge import judge_vhd
from wimboot.disk import DECIDED, TableKind
from wimboot.errors import HostError
from wimboot.events import Emit, Event, Note, Phase, silent
from wimboot.ops.create import create
from wimboot.ops.creating.making import DiskForm, DiskShape, make_disk
from wimboot.ops.creating.options import ChildOptions, CreateOptions
from wimboot.storage import HostFolder
from wimboot.storage.faults import Fault, Faulty, Kind, MemoryFolder, Model, Recorder, states

SIZE = 8 << 20
SHAPES = {
    "raw": DiskShape(size=SIZE, form=DiskForm.RAW), "raw-fixed": DiskShape(size=SIZE, form=DiskForm.RAW, fixed=True),
    "vhd": DiskShape(size=SIZE), "vhd-fixed": DiskShape(size=SIZE, fixed=True),
    "gpt": DiskShape(size=60 << 20, table=TableKind.GPT, esp_size=40 << 20, msr=False),
    "vhdx": DiskShape(size=SIZE, form=DiskForm.VHDX),
}
STEPS = {"raw-fixed": 2, "gpt": 4, "vhdx": 3}
"""Every so many operations of the longer runs, and the last ones, which give the file its name."""


def attempt(folder: MemoryFolder, fault: Fault, shape: DiskShape) -> bool:
    """Whether the disk was made before the fault came up."""
    faulty = Faulty(fault)
    try:
        create(CreateOptions(path=Path("/nowhere/new.disk"), shape=shape, folders=lambda _: faulty.folder(folder)),
               silent)
    except (HostError, KeyboardInterrupt):
        return False
    assert not faulty.fired
    return True


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [Kind.SPACE, Kind.SHORT, Kind.INTERRUPT])
def test_failure_at_any_write_leaves_nothing(shape: str, kind: Kind) -> None:
    """A full disk, a write that is cut off, Ctrl-C: at each operation of the run."""
    counting = Faulty(Fault(at=1 << 30))
    create(CreateOptions(path=Path("/nowhere/new.disk"), shape=SHAPES[shape],
                         folders=lambda _: counting.folder(MemoryFolder())), silent)
    step = STEPS.get(shape, 1)
    for at in sorted({*range(0, counting.count, step), *range(counting.count - 5, counting.count)}):
        folder = MemoryFolder()
        assert not attempt(folder, Fault(at=at, kind=kind), SHAPES[shape])
        assert folder.images == {}, f"operation {at} of {counting.count}"
    assert attempt(MemoryFolder(), Fault(at=counting.count, kind=kind), SHAPES[shape])


@pytest.mark.parametrize("shape", ["raw", "vhd", "vhd-fixed"])
def test_crash_at_any_write_leaves_the_disk_or_none(tmp_path: Path, shape: str) -> None:
    """What has the name when the power is back is the disk to its last byte."""
    recorder, path = Recorder(), tmp_path / "new.disk"
    make_disk(path, SHAPES[shape], silent, folders=recorder.host)
    whole, seen = path.read_bytes(), set()
    for model in (Model.KILL, Model.SECTOR):
        for state in states(recorder, model, seeds=range(2)):
            images = state.folders[str(tmp_path)]
            assert set(images) <= {path.name, f"{path.name}.wimboot-new"}
            if path.name in images:
                assert images[path.name].read(0, len(whole) + 1) == whole
            seen.add(path.name in images)
    assert seen == {True, False}


def test_ctrl_c_takes_a_disk_away_unless_it_is_the_last_thing_done(tmp_path: Path) -> None:
    """Of a larger run every disk goes; the verb by itself is over when its disk has its name."""
    class Slow(HostFolder):
        def sync(self) -> None:
            signal.raise_signal(signal.SIGINT)
            super().sync()

    path = tmp_path / "new.vhd"
    with pytest.raises(KeyboardInterrupt):
        make_disk(path, SHAPES["vhd"], silent, folders=Slow)
    assert not list(tmp_path.iterdir())
    create(CreateOptions(path=path, shape=SHAPES["vhd"], folders=Slow), silent)
    assert DECIDED.is_set()
    judge_vhd(path.read_bytes())
    DECIDED.clear()
    with pytest.raises(KeyboardInterrupt):
        create(CreateOptions(path=tmp_path / "other.vhd", shape=SHAPES["vhd"]), stopping("format"))
    create(ChildOptions(path=tmp_path / "child.vhd", parent=path, folders=Slow), silent)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["child.vhd", "new.vhd"]


def stopping(name: str) -> Emit:
    """Somebody presses Ctrl-C when the phase begins."""
    def emit(event: Event) -> None:
        if isinstance(event, Phase) and event.name == name:
            signal.raise_signal(signal.SIGINT)
    return emit


def test_a_vhd_that_outgrows_its_host_is_told(tmp_path: Path) -> None:
    """Windows claims all of it when it starts from it."""
    notes: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.id)

    for free in (1 << 20, 1 << 40):
        create(CreateOptions(path=tmp_path / "new.vhd", shape=SHAPES["vhd"],
                             folders=lambda _, free=free: MemoryFolder(free=free)), listen)  # type: ignore[misc]
    assert notes == ["no-boot-code", "disk-outgrows-host", "no-boot-code"]


def test_a_host_that_is_really_full_keeps_nothing(tmp_path: Path) -> None:
    """Nor is anything left in its folder of temporary files."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(small)], check=False,
                      capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        for form in ("vhd", "raw", "qcow2"):
            refused("no-space", 4, "create", small / f"new.{form}", "--size", "1G")
        refused("not-enough-space", 4, "create", small / "new.vhd", "--size", "60M", "--fixed")
        assert not list(small.iterdir())
        done("create", small / "changes.img", "--size", "4M", "-q")
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.parametrize("form", ["vhd", "raw", "vhdx"])
@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.heavy)])
def test_killed_process_leaves_the_disk_or_none(tmp_path: Path, form: str, kills: int) -> None:
    """Whatever the signal and the moment; only SIGKILL may leave a leftover, and the next run takes it away."""
    folder, scratch = tmp_path / "disks", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    path = folder / f"new.{form}"
    command = [sys.executable, "-m", "wimboot", "create", str(path), "--size", "60M", "--progress", "json"]
    rng = random.Random(kills)
    for number in range(kills):
        with_signal = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)[number % 3]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(scratch)})
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(rng.random() * 0.15)
        process.send_signal(with_signal)
        process.communicate()
        names = {one.name for one in folder.iterdir()}
        assert names <= {path.name, f"{path.name}.wimboot-new"}
        if with_signal is not signal.SIGKILL:
            assert (process.returncode, names) in ((0, {path.name}), (130, set()))
        if path.exists():
            check_whole(path, form)
            path.unlink()
        assert not list(scratch.iterdir())
    done("create", path, "--size", "60M")
    assert [one.name for one in folder.iterdir()] == [path.name]


def check_whole(path: Path, form: str) -> None:
    """The disk is one, and its volume sound."""
    if form == "vhd":
        raw = path.with_name("seen")
        raw.write_bytes(judge_vhd(path.read_bytes()).disk)
    elif form == "vhdx":
        raw = path.with_name("seen")
        subprocess.run(["qemu-img", "convert", "-f", "vhdx", "-O", "raw", path, raw], check=True)
    else:
        raw = path
    sound_volume(raw, 1 << 20)
    with suppress(FileNotFoundError):
        path.with_name("seen").unlink()
