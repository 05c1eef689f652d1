"""Every verb that stands on a conversion, on every kind of disk: raw, MBR, GPT, VHDs, and others' disks in place.

What writes a volume is tried on a differencing VHD, too, whose parent no verb may change.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import build
from converted import LOST_BITS, OVERLAY_FILES
from disk_kinds import FOREIGN, KINDS, KindOfDisk, disk_of_kind
from judges import every_pointer_leads_home, sound_volume, sound_wim
from running import done, unchanged, wimboot
from shown import shown
from snapshots import SYSTEM_HIVE, Snapshot, differences, seen_through, snapshot
from volume_edits import rewrite
from wim_making import wimlib
from wimboot.disk.copying import Copying
from wimboot.errors import HostError

USUAL = ("dynamic", "differencing")
KERNEL32 = "Windows/System32/kernel32.dll"
Converted = tuple[KindOfDisk, Path, Snapshot]
"""The disk, its WIM, and its volume as Windows shows it."""


@pytest.fixture(scope="module")
def once(built_system: Callable[..., build.System], tmp_path_factory: pytest.TempPathFactory,
         ) -> Callable[[str], tuple[KindOfDisk, Snapshot]]:
    """A converted disk of each kind, made when it is first asked for; only for copying."""
    made: dict[str, tuple[KindOfDisk, Snapshot]] = {}

    def make(kind: str) -> tuple[KindOfDisk, Snapshot]:
        if kind not in made:
            folder = tmp_path_factory.mktemp(f"on-{kind}")
            (folder / "wims").mkdir()
            disk = disk_of_kind(kind, folder, built_system)
            done("convert", disk.path, "--wim", folder / "wims/store.wim", "--wim-place", "later", "--name", "first")
            made[kind] = disk, seen(disk)
        return made[kind]

    return make


@pytest.fixture(params=[pytest.param(kind, marks=() if kind in USUAL else pytest.mark.heavy)
                        for kind in (*KINDS, *FOREIGN)])
def system(request: pytest.FixtureRequest, once: Callable[[str], tuple[KindOfDisk, Snapshot]],
           tmp_path: Path) -> Converted:
    """The test's own copy of one."""
    disk, shows = once(request.param)
    folder = tmp_path / "own"
    subprocess.run(["cp", "-a", "--sparse=always", str(disk.path.parent), str(folder)], check=True)
    return replace(disk, path=folder / disk.path.name), folder / "wims/store.wim", shows


def seen(disk: KindOfDisk) -> Snapshot:
    """Its volume as Windows shows it."""
    return seen_through(snapshot(disk.raw(), disk.offset))


def whole(disk: KindOfDisk, wim: Path) -> None:
    """Volume, disk and pointers, by others and by our own check."""
    sound_volume(disk.raw(), disk.offset)
    assert every_pointer_leads_home(disk.raw(), wim, {}, disk.offset) > 20
    with unchanged(disk.path, wim):
        done("verify", disk.path, "--wim", wim)
    assert [path.name for path in disk.path.parent.iterdir() if "wimboot" in path.name] == []


def test_changes_are_told_taken_up_and_undone(system: Converted) -> None:
    """Status, update, diff, restore."""
    disk, wim, before = system
    done("status", disk.path, "--wim", wim, "--exit-code")
    with disk.edited() as root:
        rewrite(root / KERNEL32, b"changed" * 9000)
        (root / "Windows/new.dll").write_bytes(b"MZ new" * 4000)
        (root / "Windows/INF/errata.inf").unlink()
    now = seen(disk)
    with unchanged(disk.path, wim, *disk.beyond()):
        told = wimboot("status", disk.path, "--wim", wim, "--exit-code", "--json")
    assert told.code == 3
    assert "new.dll" in told.out
    with unchanged(*disk.beyond()):
        done("update", disk.path, "--wim", wim)
        done("status", disk.path, "--wim", wim, "--exit-code")
        whole(disk, wim)
        assert not differences(now, seen(disk), attribute_mask=LOST_BITS, without=OVERLAY_FILES)
        assert "errata.inf" in done("diff", wim, "1", "2").out
        done("restore", disk.path, "--wim", wim, "--image", "1")
        whole(disk, wim)
    assert not differences(before, seen(disk), attribute_mask=LOST_BITS, without=(*OVERLAY_FILES, SYSTEM_HIVE))


def test_pointers_follow_their_wim(system: Converted) -> None:
    """Relocate after it has grown, prune with its volume, repair after another program wrote it anew."""
    disk, wim, before = system
    with unchanged(*disk.beyond()):
        done("capture", disk.path, "--wim", wim, "--name", "second")
        assert wimboot("verify", disk.path, "--wim", wim).code == 3
        told = done("relocate", disk.path, "--wim", wim, "--as", "later", "--json").json
        assert told["refreshed"] > 20
        whole(disk, wim)
        done("prune", wim, "--drop", "second", "--target", disk.path, "--yes")
        whole(disk, wim)
        wimlib("optimize", wim, "--recompress")
        assert wimboot("verify", disk.path, "--wim", wim).code == 3
        done("verify", disk.path, "--wim", wim, "--repair")
        whole(disk, wim)
    assert not differences(before, seen(disk), without=OVERLAY_FILES)


def test_files_come_back(system: Converted) -> None:
    """Rehydrate: one, then all."""
    disk, wim, before = system
    with unchanged(*disk.beyond()):
        assert done("rehydrate", disk.path, KERNEL32, "--wim", wim, "--json").json["files"] >= 1
        whole(disk, wim)
        done("rehydrate", disk.path, "--wim", wim)
        sound_volume(disk.raw(), disk.offset)
        assert done("info", disk.path, "--json").json["volume"]["pointers"] == 0
    assert not differences(before, seen(disk), attribute_mask=LOST_BITS, without=(*OVERLAY_FILES, SYSTEM_HIVE))


def test_reading_verbs_see_through_the_disk(system: Converted, tmp_path: Path) -> None:
    """Info, explain, images, extract and mount give what the volume holds, and change nothing."""
    disk, wim, before = system
    sha1, size = before[KERNEL32].streams[""][1], before[KERNEL32].streams[""][0]
    with unchanged(disk.path, wim, *disk.beyond()):
        told = done("info", disk.path, "--json").json
        form = disk.path.suffix[1:]
        assert told["disk"]["form"] == ("raw" if form == "img" else form)
        assert told["disk"]["file_bytes"] == disk.path.stat().st_size
        assert told["volume"]["pointers"] > 20
        assert "pointer" in done("explain", disk.path, KERNEL32).out
        assert [one["name"] for one in done("images", wim, "--json").json["images"]] == ["first"]
        done("extract", disk.path, KERNEL32, tmp_path / "kernel32.dll", "--wim", wim)
        data = (tmp_path / "kernel32.dll").read_bytes()
        assert (len(data), hashlib.sha1(data, usedforsecurity=False).hexdigest()) == (size, sha1)
        with shown(disk.path, "--wim", wim) as running:
            assert (running.folder / KERNEL32).read_bytes() == data


def test_interrupted_run_is_finished(system: Converted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that could not be written to its end: recover does, and says so."""
    disk, wim, before = system

    def broken(*_: object) -> int:
        raise HostError(what="writing", where="there", why="it broke")

    with unchanged(*disk.beyond()):
        with monkeypatch.context() as patch:
            patch.setattr(Copying, "copy", broken)
            run = wimboot("rehydrate", disk.path, KERNEL32, "--wim", wim, "--json")
            assert run.json["error"]["id"] == "commit-unfinished"
        assert "finished" in "".join(done("recover", disk.path).out.split("\n"))
        whole(disk, wim)
    assert not differences(before, seen(disk), attribute_mask=LOST_BITS, without=OVERLAY_FILES)


def test_wim_in_a_disk_is_grown_and_synced(system: Converted, small_volume: Path, tmp_path: Path) -> None:
    """`PATH#N:/x.wim`: another system is captured into it, and a copy on the host follows."""
    disk, wim, _ = system
    inside, copy = f"{disk.volume}:/spare.wim", tmp_path / "copy.wim"
    with unchanged(*disk.beyond()):
        done("capture", small_volume, "--wim", inside, "--name", "one")
        done("sync", inside, copy)
        sound_wim(copy)
        done("capture", small_volume, "--wim", inside, "--name", "two")
        assert done("sync", inside, copy, "--json").json["rewritten"] is False
        sound_wim(copy)
        assert [one["name"] for one in done("images", copy, "--json").json["images"]] == ["one", "two"]
        whole(disk, wim)
