"""Real processes of the command line, stopped by real signals at random moments, on real files."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import build
from mounting import copy_sparse
from torture_judge import Whole, fitting, look_at, names_in, shape
from torture_scenes import VERBS, Bases, Stage, start
from wimboot.cli.main import _stop
from wimboot.disk import DECIDED
from wimboot.events import silent
from wimboot.ops.capture import capture
from wimboot.ops.options import CaptureOptions, TargetOptions
from wimboot.ops.recover import recover
from wimboot.storage import HostFile
from wimboot.storage.faults import Image
from wimboot.storage.memory import FileGround

INTERRUPTED = 130
NO_PLACE = ("--wim-place", "later", "--driver", "none", "--progress", "json")
PATIENCE_SECONDS = 60


def image(path: Path) -> Image:
    """A host file, for the judges."""
    file = HostFile.open(path)
    return Image(FileGround(file), file.size())


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A volume and a WIM to begin with, where a run works on copies of them, and what a run in peace makes."""

    volume: Path
    wim: Path
    folder: Path

    @property
    def target(self) -> Path:
        return self.folder / "volume.img"

    @property
    def store(self) -> Path:
        return self.folder / "store.wim"

    def lay_out(self) -> None:
        """Begin anew."""
        for path in self.folder.iterdir():
            path.unlink()
        copy_sparse(self.volume, self.target)
        copy_sparse(self.wim, self.store)

    def begin(self) -> subprocess.Popen[str]:
        """Start the run; when this returns, its first message has come."""
        process = subprocess.Popen(
            [sys.executable, "-m", "wimboot", "convert", str(self.target), "--wim", str(self.store), "--name", "second",
             *NO_PLACE], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert process.stderr.readline()
        return process

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@dataclass(frozen=True, slots=True, kw_only=True)
class Peace:
    """A run that nobody stopped: how long it took after its first message, and what there was before and after."""

    span: float
    old: Whole
    new: dict[str, tuple[object, ...]]
    images: tuple[str, ...]


@pytest.fixture(scope="module")
def field(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory) -> Field:
    """A Windows with some hundred files, and a WIM that holds another one."""
    root = tmp_path_factory.mktemp("field")
    other = build.build_system(root / "other.img", size=24 << 20, files=6, features=(), seed=2)
    wim = root / "other.wim"
    capture(CaptureOptions(target=TargetOptions(place=str(other.path)), wim=wim, name="first"), silent)
    (root / "here").mkdir()
    return Field(volume=built_system().path, wim=wim, folder=root / "here")


@pytest.fixture(scope="module")
def peace(field: Field) -> Peace:
    """The run that the others are compared with."""
    field.lay_out()
    old = look_at(image(field.target), image(field.store))
    process = field.begin()
    began = time.monotonic()
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    span = time.monotonic() - began
    assert process.returncode == 0, said
    assert fitting(image(field.target), image(field.store)) is None
    return Peace(span=span, old=old, new=shape(image(field.target)), images=names_in(image(field.store)))


def stop(field: Field, peace: Peace, number: signal.Signals, moment: float) -> str:
    """One run, stopped at a part of its time; what it left, judged."""
    field.lay_out()
    process = field.begin()
    time.sleep(moment * peace.span)
    process.send_signal(number)
    asked = time.monotonic()
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    told = f"{number.name} at {moment:.3f}, exit {process.returncode}: {said[-500:]}"
    assert "Traceback" not in said, told
    if number is signal.SIGKILL:
        assert process.returncode in (-signal.SIGKILL, 0), told
        recover(TargetOptions(place=str(field.target)), field.store, silent)
    else:
        assert process.returncode in (INTERRUPTED, 0), told
        assert time.monotonic() - asked < 5 + peace.span, told
    assert field.names() == ["store.wim", "volume.img"], told
    if peace.old.has_volume(image(field.target)) and peace.old.has_wim(image(field.store)):
        assert process.returncode != 0, told
        return f"{number.name} old"
    assert process.returncode in (0, -signal.SIGKILL), told
    assert fitting(image(field.target), image(field.store)) is None, told
    assert names_in(image(field.store)) == peace.images, told
    assert shape(image(field.target)) == peace.new, told
    return f"{number.name} new"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_stopped_process_leaves_old_or_new(number: signal.Signals, field: Field, peace: Peace) -> None:
    """Ctrl-C, a stop by the service manager, a closed terminal: exit 130, all as before; kill -9 is recovered."""
    chance = random.Random(number.value)
    moments = [chance.random() for _ in range(3)]
    assert [stop(field, peace, number, moment).split()[0] for moment in moments] == [number.name] * 3


@pytest.mark.parametrize("name", ["convert", "capture", "apply", "restore"])
def test_a_signal_after_the_commit_comes_too_late(name: str, bases: Bases, tmp_path: Path) -> None:
    """While a verb that has committed says so, Ctrl-C does not make it say that everything is as it was before."""
    VERBS[name].run(Stage(tmp_path), start(name, bases))
    assert DECIDED.is_set()
    _stop(signal.SIGINT, None)
    DECIDED.clear()
    with pytest.raises(KeyboardInterrupt):
        _stop(signal.SIGINT, None)


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_many_stopped_processes_leave_old_or_new(number: signal.Signals, field: Field, peace: Peace) -> None:
    """The same, 200 times for each signal; among them some moments in the commit."""
    chance = random.Random(100 + number.value)
    moments = [*(chance.random() for _ in range(120)), *(chance.uniform(0.8, 1.0) for _ in range(80))]
    found = Counter(stop(field, peace, number, moment) for moment in moments)
    assert found[f"{number.name} old"], found
    assert found[f"{number.name} new"], found
