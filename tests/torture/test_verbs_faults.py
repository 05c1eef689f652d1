"""Every verb that writes, with its n-th operation failing.

There is one clear error; volume and WIM are the old ones, unless the change was decided already; nothing stays open or
locked; recovery leaves nothing lying about; and the next run works.
"""

from __future__ import annotations

import fcntl
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import cycle, product

import pytest

from torture_judge import fitting, names_in, shape
from torture_scenes import DISK, TARGET, VERBS, WIM, WIMS, Bases, Pair, Scene, recover_pair, start
from wimboot.disk import CommitUnfinished
from wimboot.errors import ChecksFailed, Error
from wimboot.storage.faults import CHANGES, EVERYTHING, Fault, Faulty, Image, Kind, MemoryFile, MemoryFolder

READS = EVERYTHING - CHANGES
KINDS = (Kind.IO, Kind.SPACE, Kind.SHORT, Kind.READ_ONLY, Kind.INTERRUPT)
RARER = ("convert-onto", "capture", "apply-full", "rehydrate", "repair")
WAYS = tuple(product(KINDS, (False, True)))
"""How an operation fails, and whether all after it do."""


class CountedFile(MemoryFile):
    """A handle that remembers whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class Handles(MemoryFolder):
    """A folder that knows which of its files are open."""

    def __init__(self, inner: MemoryFolder) -> None:
        super().__init__(inner.images)
        self.opened: list[CountedFile] = []

    def open(self, name: str, *, write: bool = False) -> CountedFile:
        return self._count(super().open(name, write=write))

    def create(self, name: str) -> CountedFile:
        return self._count(super().create(name))

    def _count(self, file: MemoryFile) -> CountedFile:
        self.opened.append(CountedFile(file.image, file.name))
        return self.opened[-1]

    @property
    def left_open(self) -> list[str]:
        return [file.name for file in self.opened if not file.closed]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A verb to be run again and again, and what it makes when nothing fails."""

    scene: Scene
    bases: Bases

    @cached_property
    def shape(self) -> dict[str, tuple[object, ...]]:
        return shape(Image(self.scene.new.volume))

    @cached_property
    def images(self) -> tuple[str, ...]:
        return names_in(Image(self.scene.new.wim or b""))

    def attempt(self, fault: Fault) -> tuple[Faulty, Error | KeyboardInterrupt | None, Pair]:
        """Run the verb with this fault; whatever comes of it, no file stays open and the target is not locked."""
        inner, faulty = start(self.scene.name, self.bases), Faulty(fault)
        handles = {label: Handles(folder) for label, folder in inner.items()}
        error: Error | KeyboardInterrupt | None = None
        try:
            VERBS[self.scene.name].run(
                self.scene.stage, {label: faulty.folder(folder) for label, folder in handles.items()})
        except (Error, KeyboardInterrupt) as raised:
            error = raised
        for folder in handles.values():
            assert not folder.left_open, (fault, error, folder.left_open)
        with self.scene.stage.target.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return faulty, error, inner

    def is_new(self, inner: Pair) -> bool:
        """Whether this pair is what the verb makes, by content; another run writes other times and GUIDs."""
        volume, wim = inner[DISK].images[TARGET], inner[WIMS].images.get(WIM)
        return (wim is not None and names_in(wim) == self.images and shape(volume) == self.shape
                and fitting(volume, wim) is None)

    def judge(self, inner: Pair) -> str:
        """Which state a recovered pair is in: old, new, or "apart": the WIM has grown, the volume is the old one."""
        volume, wim = inner[DISK].images[TARGET], inner[WIMS].images.get(WIM)
        assert set(inner[DISK].images) == {TARGET}
        assert set(inner[WIMS].images) <= {WIM}
        old = self.scene.old
        if old.has_volume(volume) and old.has_wim(wim):
            return "old"
        if self.is_new(inner):
            return "new"
        assert old.has_volume(volume), "the volume is neither old nor new"
        assert wim is not None
        assert names_in(wim) == self.images
        return "apart"

    def try_fault(self, fault: Fault, *, again: bool) -> str | None:
        """One fault and all that is promised about it; which state it led to, None where it never came to it."""
        faulty, error, inner = self.attempt(fault)
        if error is None:
            assert self.is_new(inner), f"{fault}: it said that all was well"
            return "done" if faulty.fired else None
        assert faulty.fired, f"{fault}: {error!r} came from nowhere"
        if isinstance(error, Error):
            told = f"{error} {error.hint}"
            assert len(str(error)) > 10, repr(error)
            assert not re.search(r"[{}]|None|object at", told), told
            if not fault.sticky and not isinstance(error, CommitUnfinished):
                left = {*inner[DISK].images, *inner[WIMS].images} - {TARGET, WIM}
                assert not left, f"{fault}: {error!r}"
        recover_pair(self.scene.stage, inner, reading=bool(fault.at % 2))
        if isinstance(error, ChecksFailed):     # a repair that found no sound data did the rest, and said so
            VERBS[self.scene.name].run(self.scene.stage, inner)
            assert self.judge(inner) == "new", fault
            return "partly"
        state = self.judge(inner)
        if isinstance(error, CommitUnfinished):
            assert state == "new", fault
        if again and state == "old":
            VERBS[self.scene.name].run(self.scene.stage, inner)
            assert self.judge(inner) == "new", fault
        return state


@pytest.fixture(scope="module", params=[
    "convert", "restore", *(pytest.param(name, marks=pytest.mark.heavy) for name in RARER)])
def bench(request: pytest.FixtureRequest, bases: Bases, recorded: Callable[..., Scene]) -> Bench:
    """Each verb in turn."""
    return Bench(scene=recorded(request.param), bases=bases)


def every_place(bench: Bench, operations: frozenset[str], ways: Iterable[tuple[Kind, bool]], step: int = 1,
                first: int = 0) -> Counter[str]:
    """Fail at one place after the other, each in the next of these ways, until the verb is done before the fault."""
    found: Counter[str] = Counter()
    turn = cycle(ways)
    for at in range(first, 100_000, step):
        kind, sticky = next(turn)
        fault = Fault(at=at, kind=kind, sticky=sticky, operations=operations)
        state = bench.try_fault(fault, again=not at % 3)
        if state is None:
            return found
        found[state] += 1
    raise AssertionError("the verb never got past its faults")


@pytest.mark.parametrize("turn", [0, 3, 6])
def test_every_failing_change_leaves_one_whole_state(bench: Bench, turn: int) -> None:
    """The n-th write, sync, rename or removal fails, for every n: once or from then on, of any kind."""
    found = every_place(bench, CHANGES, WAYS[turn:] + WAYS[:turn])
    assert found["old"] >= 8
    assert found["new"] or bench.scene.name == "capture"


def test_every_failing_read_leaves_one_whole_state(bench: Bench) -> None:
    """So does the n-th read, opening or question for a size."""
    found = every_place(bench, READS, WAYS, step=13)
    assert found["old"]


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "sticky"), WAYS)
@pytest.mark.parametrize("name", VERBS)
def test_every_operation_of_every_verb_fails_in_every_way(
        name: str, kind: Kind, sticky: bool, bases: Bases, recorded: Callable[..., Scene]) -> None:
    """All operations, all verbs."""
    bench = Bench(scene=recorded(name), bases=bases)
    every_place(bench, CHANGES, [(kind, sticky)])
    every_place(bench, READS, [(kind, sticky)], step=3)
