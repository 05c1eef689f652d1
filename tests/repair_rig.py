"""A small converted volume with its WIM and a spare copy, and what may befall them; for `verify` and its repair."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from judges import differences, every_pointer_leads_home, seen_through, snapshot, sound_volume, sound_wim
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, wimboot
from snapshots import Snapshot
from wim_bytes import read_wim

__all__ = ["Pair", "pair", "pair_once"]

KERNEL32, USER32, EXPLORER = ("Windows/System32/kernel32.dll", "Windows/System32/user32.dll", "Windows/explorer.exe")
"""Three files that are pointers after the conversion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A converted volume, its WIM, and a copy of the WIM that lies in a folder of its own."""

    volume: Path
    wim: Path
    spare: Path
    seen: Snapshot
    """The volume as Windows shows it."""

    def sha1(self, path: str) -> bytes:
        """Of the contents of a file."""
        return bytes.fromhex(self.seen[path].streams[""][1])

    def damage(self, *paths: str, wim: Path | None = None) -> None:
        """Flip a bit in the stored data of these files."""
        target = wim or self.wim
        store = read_wim(target)
        with target.open("r+b") as file:
            for path in paths:
                blob = store.blobs[self.sha1(path)]
                at = blob.offset + blob.stored_size // 2
                byte = os.pread(file.fileno(), 1, at)
                os.pwrite(file.fileno(), bytes([byte[0] ^ 0xFF]), at)

    def lose(self, *paths: str, wim: Path | None = None) -> None:
        """Take these files' rows out of the blob table: readers pass over those without a hash."""
        target = wim or self.wim
        data = target.read_bytes()
        with target.open("r+b") as file:
            for path in paths:
                at = data.rindex(self.sha1(path))   # the table lies behind the images
                os.pwrite(file.fileno(), bytes(20), at)

    def verify(self, *extra: object, wim: Path | None = None) -> tuple[int, dict[str, Any]]:
        """Exit code and document of `verify`."""
        run = wimboot("verify", self.volume, "--wim", wim or self.wim, "--json", *extra)
        return run.code, run.json

    def repair(self, *extra: object, wim: Path | None = None) -> tuple[int, dict[str, Any]]:
        """The same with --repair."""
        return self.verify("--repair", *extra, wim=wim)

    def alone(self, *extra: object) -> dict[str, Any]:
        """Document of `verify` of the WIM by itself."""
        return wimboot("verify", "--wim", self.wim, "--json", *extra).json

    @contextmanager
    def edited(self) -> Iterator[Path]:
        """The volume, mounted to be changed."""
        with mounted(self.volume, write=True) as root:
            yield root

    def assert_whole(self, wim: Path | None = None) -> None:
        """Other programs find all sound, and the volume shows what it showed when it had been converted."""
        sound_volume(self.volume)
        sound_wim(wim or self.wim)
        assert every_pointer_leads_home(self.volume, wim or self.wim, {}) > 20
        told = differences(self.seen, seen_through(snapshot(self.volume)), without=["System Volume Information"])
        assert not told, told
        done("verify", self.volume, "--wim", wim or self.wim)


@pytest.fixture(scope="session")
def pair_once(pristine_small: Path, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The pair that the tests copy; for reading only."""
    folder = tmp_path_factory.mktemp("pair")
    volume, wim = folder / "system.img", folder / "store.wim"
    copy_sparse(pristine_small, volume)
    done("convert", volume, "--wim", wim, "--name", "first", *NO_PLACE)
    return Pair(volume=volume, wim=wim, spare=wim, seen=seen_through(snapshot(volume)))


@pytest.fixture
def pair(pair_once: Pair, tmp_path: Path) -> Pair:
    """The test's own."""
    (tmp_path / "away").mkdir()
    own = Pair(volume=tmp_path / "system.img", wim=tmp_path / "store.wim", spare=tmp_path / "away" / "spare.wim",
               seen=pair_once.seen)
    copy_sparse(pair_once.volume, own.volume)
    copy_sparse(pair_once.wim, own.wim)
    copy_sparse(pair_once.wim, own.spare)
    return own


def wimlib(*arguments: object) -> None:
    """Run wimlib-imagex, which must succeed."""
    subprocess.run(["wimlib-imagex", *map(str, arguments)], check=True, capture_output=True)


def problem_of(document: dict[str, Any]) -> dict[str, Any]:
    """The only problem of a document."""
    assert len(document["problems"]) == document["problem_count"] == 1, document["problems"]
    (problem,) = document["problems"]
    assert isinstance(problem, dict)
    return problem


Damage = Callable[[Pair], None]
