"""Long random histories of one volume and its WIM: edits through ntfs-3g's driver, and every verb that changes either.

After each step every image of the WIM, laid out by wimlib-imagex, is the tree that was recorded when it was made, the
volume is what the step says it should be, and independent programs find both sound.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converted import LOST_BITS, OVERLAY_FILES
from index_judge import index_problems
from judges import apply_with_wimlib, every_pointer_leads_home, fixer, resizer, run, tracer
from mounting import copy_sparse, mounted
from running import NO_PLACE, done, wimboot
from sample_features import set_attributes, write_stream
from snapshots import Snapshot, differences, seen_through, snapshot

APART = ("System Volume Information", "pagefile.sys", "Windows/Temp", "")
VOLUME_SIZE = 24 << 20
MOST_IMAGES = 5
LEFT_ALONE = ("System Volume Information", "Temp", "config", "Boot", "junctions")
PLACES = ("mbr:5cbea03e:1048576:\\wimboot\\store.wim", "mbr:5cbea03e:2097152:\\store.wim", "later")


class History:
    """A volume, its WIM, a spare copy, and by image number what the volume held when the image was made."""

    def __init__(self, volume: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.volume = volume
        self.wim = volume.with_name("store.wim")
        self.spare = volume.with_name("spare.wim")
        self.recorded: list[Snapshot] = []
        self.told: list[str] = []
        self.steps: list[Callable[[], None]] = [
            self.edit, self.edit, self.update, self.update, self.restore, self.restore, self.prune, self.relocate,
            self.rehydrate_some, self.rehydrate_all, self.sync, self.convert_again,
        ]

    def begin(self) -> None:
        """The first image."""
        self.convert_again()
        self.check()

    def step(self) -> None:
        """One random step, and all that must hold after it."""
        chosen = self.chance.choice(self.steps)
        self.told.append(chosen.__name__)
        chosen()
        self.check()

    # ---- what must hold

    def check(self) -> None:
        """Images, volume and pointers, by others' programs."""
        assert len(self.recorded) == done("images", self.wim, "--json").json["images"][-1]["index"]
        run("wimlib-imagex", "verify", self.wim)
        for number, wanted in enumerate(self.recorded, start=1):
            out = self.volume.with_name("laid out.img")
            apply_with_wimlib(self.wim, number, out, size=VOLUME_SIZE)
            self.compare(wanted, snapshot(out), f"image {number}", ignore=("change_time", "record", "eas"))
            out.unlink()
        for judge in (resizer, fixer, tracer):
            judge(self.volume)
        assert index_problems(self.volume) == []
        if self.stands_on():
            every_pointer_leads_home(self.volume, self.wim, {})
            assert wimboot("verify", self.volume, "--wim", self.wim).code == 0, self.told

    def compare(self, wanted: Snapshot, found: Snapshot, what: str, *,
                ignore: tuple[str, ...] = ("change_time", "record")) -> None:
        """Equal but for what no image holds."""
        told = differences(wanted, found, attribute_mask=LOST_BITS, without=(*APART, *OVERLAY_FILES), ignore=ignore)
        assert not told, f"{what} after {self.told}:\n" + "\n".join(told[:10])

    def now(self) -> Snapshot:
        """The volume as Windows shows it."""
        return seen_through(snapshot(self.volume))

    def sources(self) -> list[dict[str, Any]]:
        """The volume's data sources."""
        sources: list[dict[str, Any]] = done("info", self.volume, "--json").json["volume"]["sources"]
        return sources

    def stands_on(self) -> int:
        """The image that the volume is registered with, 0 where it is not in WIMBoot form."""
        sources = self.sources()
        return int(sources[-1]["image"]) if sources else 0

    # ---- steps

    def edit(self) -> None:
        """A few changes, as a user makes them with another driver."""
        with mounted(self.volume, write=True) as root:
            for _ in range(self.chance.randint(1, 6)):
                self.change(root)

    def change(self, root: Path) -> None:
        """One change of one kind."""
        files, folders = _entries(root)
        kind = self.chance.choice(["new", "new", "rewrite", "rewrite", "remove", "move", "folder", "tree", "attributes",
                                   "link", "stream"])
        at = self.chance.choice(files)
        name = f"{kind} {self.chance.randrange(10**6)}"
        if kind == "new":
            (self.chance.choice(folders) / f"{name}.bin").write_bytes(self.data())
        elif kind == "rewrite":
            at.unlink()
            at.write_bytes(self.data())
        elif kind == "remove":
            at.unlink()
        elif kind == "move":
            at.rename(self.chance.choice(folders) / f"{name}.moved")
        elif kind == "folder":
            (self.chance.choice(folders) / name / "inside").mkdir(parents=True)
        elif kind == "tree" and len(folders) > 12:
            shutil.rmtree(self.chance.choice([one for one in folders if len(one.relative_to(root).parts) > 1]))
        elif kind == "attributes":
            set_attributes(at, self.chance.choice([0x20, 0x21, 0x22, 0x26]))
        elif kind == "link":
            os.link(at, self.chance.choice(folders) / f"{name}.lnk", follow_symlinks=False)
        elif kind == "stream" and not at.is_symlink():     # the driver shows a pointer as a dangling link
            write_stream(at, f"s{self.chance.randrange(3)}", self.data()[:4000])

    def data(self) -> bytes:
        """Of any size, of a kind that compresses or not, now and then what was there before."""
        size = self.chance.choice([0, 1, 100, 700, 4096, 20_000, 150_000])
        kind = self.chance.randrange(3)
        return (self.chance.randbytes(size) if kind == 0 else bytes([self.chance.randrange(3)]) * size if kind == 1
                else (b"text %d " % self.chance.randrange(4) * (size // 4))[:size])

    def update(self) -> None:
        """An image of what changed; none where nothing did."""
        if not self.stands_on():
            return self.convert_again()
        before, changed = self.now(), done("status", self.volume, "--wim", self.wim, "--json").json["changes"]
        told = done("update", self.volume, "--wim", self.wim, "--name", self.name(), "--json").json
        assert bool(changed) == (told["image"] is not None)
        self.compare(before, self.now(), "the volume")
        if told["image"] is not None:
            self.recorded.append(before)
        assert done("status", self.volume, "--wim", self.wim, "--json").json["changes"] == []
        return None

    def convert_again(self) -> None:
        """All of it is captured anew, whatever form it has, where there is anything to point."""
        before = self.now()
        told = done("convert", self.volume, "--wim", self.wim, "--name", self.name(), *NO_PLACE, "--json").json
        self.compare(before, self.now(), "the volume")
        if not told["already_converted"]:
            self.recorded.append(before)

    def restore(self) -> None:
        """Back, or forward, to any image."""
        number = self.chance.randint(1, len(self.recorded))
        more = () if self.stands_on() else ("--yes",)
        done("restore", self.volume, "--wim", self.wim, "--image", str(number), *more)
        self.compare(self.recorded[number - 1], self.now(), "the volume")

    def prune(self) -> None:
        """Some images go; the one that the volume stands on stays."""
        standing = {int(one["image"]) for one in self.sources()}
        others = [number for number in range(1, len(self.recorded) + 1) if number not in standing]
        if len(self.recorded) < 3 or not others:
            return
        gone = set(self.chance.sample(others, self.chance.randint(1, min(2, len(others)))))
        before = self.now()
        drops = [word for number in sorted(gone) for word in ("--drop", str(number))]
        targets = ("--target", self.volume) if standing else ()
        done("prune", self.wim, *drops, *targets, "--yes")
        self.recorded = [one for number, one in enumerate(self.recorded, start=1) if number not in gone]
        self.compare(before, self.now(), "the volume")

    def relocate(self) -> None:
        """Another place, the same pointers."""
        sources = self.sources()
        if sources:
            before = self.now()
            one = ("--id", str(self.chance.choice(sources)["id"])) if len(sources) > 1 else ()
            done("relocate", self.volume, "--wim", self.wim, "--as", self.chance.choice(PLACES), *one)
            self.compare(before, self.now(), "the volume")

    def rehydrate_some(self) -> None:
        """Half of the folders of \\Windows."""
        if self.stands_on():
            before = self.now()
            wimboot("rehydrate", self.volume, "--wim", self.wim, self.chance.choice(["*.dll", "*.exe", "\\Users", "*"]))
            self.compare(before, self.now(), "the volume")

    def rehydrate_all(self) -> None:
        """No pointer is left, and no WIM needed."""
        if self.stands_on():
            before = self.now()
            done("rehydrate", self.volume, "--wim", self.wim)
            self.compare(before, self.now(), "the volume")
            assert not self.stands_on()

    def sync(self) -> None:
        """The spare copy has every byte of the WIM."""
        done("sync", self.wim, self.spare, "--force")
        assert self.spare.read_bytes() == self.wim.read_bytes()

    def name(self) -> str:
        """Of an image, never twice."""
        return f"image {len(self.told)} {self.chance.randrange(10**9)}"

    def keep_few(self) -> None:
        """So that a step takes as long as the one before."""
        while len(self.recorded) > MOST_IMAGES:
            self.told.append("prune")
            self.prune()


def _entries(root: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders that edits may touch: not those that make it a Windows, nor what lists exclude."""
    files, folders = [], [root / "Users"]
    for folder, names, found in os.walk(root):
        inside = Path(folder).relative_to(root).parts
        # a junction looks like a file to ntfs-3g, and could be linked: a folder of two names is nobody's volume
        names[:] = [name for name in names if name not in LEFT_ALONE]
        names.sort()
        if inside:
            folders.append(Path(folder))
        files += [Path(folder, name) for name in sorted(found)
                  if inside and name not in ("ntoskrnl.exe", "winload.exe", "bootmgr")]
    return files, folders


@pytest.fixture
def history(pristine_small: Path, tmp_path: Path, request: pytest.FixtureRequest) -> History:
    """Begun, with one image."""
    volume = tmp_path / "system.img"
    copy_sparse(pristine_small, volume)
    begun = History(volume, request.param)
    begun.begin()
    return begun


@pytest.mark.parametrize("history", [1, 2], indirect=True)
def test_short_histories_keep_every_image(history: History) -> None:
    """A few steps of two histories."""
    for _ in range(6):
        history.step()
        history.keep_few()


@pytest.mark.heavy
@pytest.mark.parametrize("history", [2015], indirect=True)
def test_a_history_of_200_steps_keeps_every_image(history: History) -> None:
    """Edits, updates, restores, prunes, relocations, rehydrations, conversions, in any order."""
    for _ in range(200):
        history.step()
        history.keep_few()
