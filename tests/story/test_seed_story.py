"""The article of 2015 from its first conversion to its last restore, as one test."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from converted import LOST_BITS, OVERLAY_FILES
from running import done, refused, unchanged, wimboot
from seed_shelf import PLACE, Guest, Shelf, set_up
from snapshots import differences
from volume_edits import rewrite
from wim_bytes import read_wim

NO_DRIVER = ("--wim-place", PLACE, "--driver", "none")
STUDIO = {f"Program Files/Visual Studio/part {number}.dll": Random(number).randbytes(200_000) for number in range(3)}
"""What both systems install: the author's "several GB of VS2012"."""

OVERLAY_SIZE = 1024 + 4096
"""More than WimOverlay.dat and its backup have, and by what SYSTEM grows to say that there are pointers: all that a
conversion adds to what Windows sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What `info` and `images` say after one step. Bytes; `own` is what each image holds alone, in the WIM."""

    step: str
    wim: int
    own: tuple[int, ...]
    occupied: dict[str, int]
    virtual: dict[str, int]
    behind: dict[str, bool]


class Story:
    """The steps, each one judged by others, and a line of figures after it."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf, self.lines = shelf, [self._space("ordinary files", shelf)]

    def step(self, title: str) -> Space:
        """Judge the WIM with each of its images, and the volumes. The figures after the step.

        A WIM only grows, and what an image holds alone only becomes less with each further one.
        """
        self.shelf.judge_wim()
        before, now = self.lines[-1], self._space(title, self.shelf)
        assert now.wim >= before.wim
        assert len(now.own) == len(self.shelf.points)
        assert all(new <= old for old, new in zip(before.own, now.own, strict=False))
        self.lines.append(now)
        for guest in self.shelf.guests:
            if self.lines[-1].behind.get(guest.name) is False:
                self.shelf.judge(guest)
        return self.lines[-1]

    @staticmethod
    def _space(title: str, shelf: Shelf) -> Space:
        told = {guest.name: shelf.info(guest) for guest in shelf.guests}
        images = shelf.images() if shelf.wim.exists() else []
        size = shelf.wim.stat().st_size if images else 0
        own = tuple(image["only_here_bytes_in_wim"] for image in images)
        assert sum(own) < max(size, 1)
        for image in images:
            assert 0 <= image["only_here_bytes_in_wim"] <= image["only_here_bytes"] <= image["bytes"]
        for one in told.values():
            assert one["occupied_bytes"] + one["free_bytes"] <= one["cluster_bytes"] * (24 << 20) // 4096
            assert one.get("bytes_in_wim", 0) < max(size, 1)
        return Space(step=title, wim=size, own=own,
                     occupied={name: one["occupied_bytes"] for name, one in told.items()},
                     virtual={name: one["virtual_bytes"] for name, one in told.items()},
                     behind={name: one["behind"] for name, one in told.items() if one["wimboot"]})

    def show(self) -> None:
        """The table, for whoever runs pytest with -s."""
        rows: list[tuple[str, ...]] = [("after this step (KB)", "the WIM", "x64 clusters", "x86 clusters",
                                        "only in each image")]
        rows += [(line.step, f"{line.wim / 1000:,.0f}", *(f"{size / 1000:,.0f}" for size in line.occupied.values()),
                  " ".join(f"{size / 1000:,.0f}" for size in line.own)) for line in self.lines]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:],
                                                                                         strict=True))]
            sys.stdout.write("\n" + "  ".join(cells))
        sys.stdout.write("\n")


def test_the_story_of_the_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two systems in VHDs share a WIM, are updated with each other attached, have a spare, and go back to the start."""
    story = Story(set_up(tmp_path))
    monkeypatch.setenv("WIMBOOT_WIMPATH", str(story.shelf.wim.parent))  # what -WIMPATH: says; no verb is told the WIM
    for chapter in (_x64_moves_into_a_wim, _x86_shares_it, _each_is_updated_while_the_other_is_attached,
                    _one_falls_behind_and_is_named, _the_spare_is_grown_and_swapped_in, _both_go_back):
        chapter(story)
    story.show()


def _x64_moves_into_a_wim(story: Story) -> None:
    shelf, before = story.shelf, story.lines[-1]
    shelf.points.append(shelf.seen(shelf.x64))
    done("convert", shelf.x64.vhd, "--wim", shelf.wim, "--name", "x64-1", *NO_DRIVER)
    now = story.step("convert x64")
    assert now.occupied["x64"] < before.occupied["x64"] * 2 // 3
    assert 0 < now.virtual["x64"] - before.virtual["x64"] < OVERLAY_SIZE
    assert now.occupied["x86"] == before.occupied["x86"]
    assert not differences(shelf.points[0], shelf.seen(shelf.x64), attribute_mask=LOST_BITS, without=OVERLAY_FILES)


def _x86_shares_it(story: Story) -> None:
    shelf, before = story.shelf, story.lines[-1]
    shelf.points.append(shelf.seen(shelf.x86))
    alone = shelf.scratch / "alone.wim"
    done("capture", shelf.x86.vhd, "--wim", alone)
    told = done("convert", shelf.x86.vhd, "--wim", shelf.wim, "--name", "x86-1", *NO_DRIVER)
    assert str(shelf.x64.vhd) in told.err
    now = story.step("convert x86 into the same WIM")
    assert shelf.images()[0]["architecture"] == "x64"
    assert shelf.images()[1]["architecture"] == "x86"
    shared = sum(blob.stored_size for digest, blob in read_wim(alone).blobs.items()
                 if digest in read_wim(shelf.wim).blobs and blob.references)
    twice = sum(blob.stored_size for blob in read_wim(shelf.wim).blobs.values()) - sum(now.own)
    assert shared > 0
    assert twice > 100_000
    assert now.wim - before.wim < alone.stat().st_size - twice // 2
    assert now.own[0] < before.own[0]
    assert now.behind == {"x64": True, "x86": False}
    caught_up = done("update", shelf.x64.vhd, "--json").json
    assert (caught_up["image"], caught_up["refreshed"] > 40) == (None, True)
    now = story.step("bring x64 up to it")
    assert now.behind == {"x64": False, "x86": False}


def _each_is_updated_while_the_other_is_attached(story: Story) -> None:
    shelf = story.shelf
    for guest, other in ((shelf.x64, shelf.x86), (shelf.x86, shelf.x64)):
        before = story.lines[-1]
        with guest.running(shelf.scratch) as root:
            _install_studio(root)
            _patch(root, f"{guest.name} patched")
        told = _update(story, guest, "--target", other.vhd)
        assert told["refreshed_elsewhere"] > 40
        now = story.step(f"update {guest.name}, {other.name} attached")
        assert now.behind == {"x64": False, "x86": False}
        assert now.virtual[guest.name] > before.virtual[guest.name]
        assert now.occupied[other.name] == before.occupied[other.name]
        studio = sum(map(len, STUDIO.values()))
        assert (now.wim - before.wim > studio) == (guest is shelf.x64), "the second system has it from the first"


def _one_falls_behind_and_is_named(story: Story) -> None:
    shelf = story.shelf
    with shelf.x64.running(shelf.scratch) as root:
        _patch(root, "again")
    _update(story, shelf.x64)
    now = story.step("update x64 alone")
    assert now.behind == {"x64": False, "x86": True}
    assert _causes(shelf.x86) == (3, ["behind"])
    assert done("update", shelf.x86.vhd, "--json").json["image"] is None
    assert story.step("bring x86 up to it").behind == {"x64": False, "x86": False}


def _the_spare_is_grown_and_swapped_in(story: Story) -> None:
    """As in the article: the update goes into the spare, which then takes the place of the one that is used."""
    shelf = story.shelf
    assert done("sync", shelf.wim, shelf.spare, "--json").json["was"] == "missing"
    assert shelf.spare.read_bytes() == shelf.wim.read_bytes()
    with shelf.x86.running(shelf.scratch) as root:
        _patch(root, "into the spare")
    with unchanged(shelf.wim):
        _update(story, shelf.x86, "--wim", shelf.spare, "--target", shelf.x64.vhd)
    assert _causes(shelf.x86, "--wim", shelf.wim) == (3, ["wim-older"])
    refused("wim-older", 4, "status", shelf.x86.vhd, "--wim", shelf.wim, watching=(shelf.x86.vhd, shelf.wim))
    shutil.copyfile(shelf.spare, shelf.wim)
    now = story.step("update x86 into the spare, swap it in")
    assert now.behind == {"x64": False, "x86": False}
    for guest in shelf.guests:
        done("verify", guest.vhd, "--wim", shelf.wim)
    assert "is up to date" in done("sync", shelf.wim, shelf.spare).out


def _both_go_back(story: Story) -> None:
    shelf, first = story.shelf, {"x64": 1, "x86": 2}
    for guest in shelf.guests:
        before, number = story.lines[-1], first[guest.name]
        with unchanged(shelf.wim, shelf.spare):
            done("restore", guest.vhd, "--image", f"{guest.name}-1")
        now = story.step(f"restore {guest.name} to its first point")
        assert not differences(shelf.points[number - 1], shelf.seen(guest), attribute_mask=LOST_BITS,
                               without=OVERLAY_FILES)
        assert now.wim == before.wim
        assert 0 < now.virtual[guest.name] - story.lines[0].virtual[guest.name] < OVERLAY_SIZE
        assert now.occupied[guest.name] <= before.occupied[guest.name]
        done("verify", guest.vhd)
        assert done("status", guest.vhd, "--json").json["changes"] == []
    assert len(shelf.points) == len(shelf.images()) == 6


def _update(story: Story, guest: Guest, *options: object) -> dict[str, Any]:
    """Update a system, remember what its volume is then, and hold what is told against what is there."""
    shelf = story.shelf
    wim = shelf.spare if "--wim" in options else shelf.wim
    size, edited, was = wim.stat().st_size, shelf.seen(guest), shelf.info(guest)
    run = done("update", guest.vhd, "--name", f"{guest.name}-{len(shelf.points) + 1}", *options, "--json")
    told, other = run.json, shelf.x86 if guest is shelf.x64 else shelf.x64
    shelf.points.append(edited)
    assert told["image"]["index"] == len(shelf.points)
    assert told["image"]["grown_bytes"] == wim.stat().st_size - size
    assert told["pointed"] >= 1
    now = shelf.info(guest)
    assert now["free_bytes"] - was["free_bytes"] == told["freed_bytes"] > 0
    assert now["virtual_bytes"] == was["virtual_bytes"]
    assert (str(other.vhd) in run.err) == ("--target" not in options)
    assert not differences(edited, shelf.seen(guest), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
    return told


def _causes(guest: Guest, *options: object) -> tuple[int, list[str]]:
    """The exit code of `verify`, and what it finds wrong with the system's one data source."""
    run = wimboot("verify", guest.vhd, *options, "--json")
    (source,) = run.json["sources"]
    return run.code, source["causes"]


def _install_studio(root: Path) -> None:
    for name, data in STUDIO.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def _patch(root: Path, what: str) -> None:
    """Some of everything: a file replaced, one new, one renamed, one gone."""
    chance = Random(what)
    rewrite(root / "Windows/System32/kernel32.dll", chance.randbytes(150_000))
    (root / f"Windows/{what}.log").write_bytes(what.encode() * 5000)
    readme = min((root / "Program Files").glob("Product */read me *.txt"))
    readme.unlink()
    picture = min((root / "Windows/winsxs").glob("*/picture*.jpg"))
    picture.rename(picture.with_name(f"{what}.jpg"))
