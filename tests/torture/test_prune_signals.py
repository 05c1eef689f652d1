"""Real processes of `prune` and `sync`, stopped by real signals at random moments, on real files."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import judges
from running import done
from shared_wim import Shared, make_shared
from torture_judge import look_at
from wim_making import verified
from wimboot.storage.faults import Image

PATIENCE_SECONDS = 60
STOPPED = {signal.SIGTERM: 130, signal.SIGINT: 130, signal.SIGKILL: -signal.SIGKILL}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """Two systems and their WIM, for copying."""
    return make_shared(tmp_path_factory.mktemp("shared"))


def _stopped(arguments: list[object], number: signal.Signals, moment: float) -> int:
    """Run a command line, send the signal at that second after its first message; how it ended."""
    command = [sys.executable, "-m", "wimboot", *map(str, arguments), "--progress", "json"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                               text=True)
    assert process.stderr is not None
    assert process.stderr.readline()
    time.sleep(moment)
    process.send_signal(number)
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    assert "Traceback" not in said, said[-2000:]
    assert process.returncode in (0, STOPPED[number]), said[-2000:]
    return process.returncode


@pytest.mark.heavy
@pytest.mark.parametrize("number", STOPPED)
def test_a_stopped_prune_leaves_all_old_or_all_new(number: signal.Signals, shared: Shared, tmp_path: Path) -> None:
    """Whenever it comes; after a kill each volume is recovered by itself."""
    chance = random.Random(number.value)
    wim = Image(shared.wim.read_bytes())
    old = [look_at(Image(volume.read_bytes()), wim) for volume in (shared.x64, shared.x86)]
    for turn in range(4):
        folder = tmp_path / str(turn)
        folder.mkdir()
        own = shared.copied(folder)
        # --force: a volume that another test has mounted at this moment is none of ours
        code = _stopped(["prune", own.wim, "--keep-last", 1, *own.targets, "--yes", "--force"], number,
                        chance.random() * 0.4)
        for volume in (own.x86, own.x64) if turn % 2 else (own.x64, own.x86):
            done("recover", volume, "--wim", own.wim)
        assert sorted(path.name for path in folder.iterdir()) == ["store.wim", "x64.img", "x86.img"]
        if old[0].has_wim(Image(own.wim.read_bytes())):
            assert code != 0
            assert all(whole.has_volume(Image(volume.read_bytes()))
                       for whole, volume in zip(old, (own.x64, own.x86), strict=True))
        else:
            assert verified(own.wim)
            assert [image["name"] for image in done("images", own.wim, "--json").json["images"]] == ["x64-3", "x86-2"]
            for volume in (own.x64, own.x86):
                assert judges.every_pointer_leads_home(volume, own.wim, {}) > 20


@pytest.mark.heavy
@pytest.mark.parametrize("number", STOPPED)
def test_a_stopped_sync_leaves_the_old_or_the_new_copy(number: signal.Signals, shared: Shared, tmp_path: Path) -> None:
    """One that has to be made, and one that is behind."""
    chance = random.Random(number.value)
    before = tmp_path / "before.wim"
    before.write_bytes(shared.wim.read_bytes())
    shared = shared.copied(tmp_path)
    done("capture", shared.x64, "--wim", shared.wim, "--name", "one more")
    new, old = shared.wim.read_bytes(), before.read_bytes()
    for turn in range(4):
        copy = tmp_path / f"copy-{turn}" / "copy.wim"
        copy.parent.mkdir()
        if turn % 2:
            copy.write_bytes(old)
        code = _stopped(["sync", shared.wim, copy], number, chance.random() * 0.2)
        left = {path.name for path in copy.parent.iterdir()}
        done("sync", shared.wim, copy, "--dry-run")
        assert {path.name for path in copy.parent.iterdir()} == left    # a dry run leaves all as it is
        if copy.exists():
            done("images", copy)        # which recovers it
        if code == 0:
            assert copy.read_bytes() == new
        assert (copy.read_bytes() if copy.exists() else b"") in ((new, old) if turn % 2 else (new, b""))
        done("sync", shared.wim, copy)
        assert copy.read_bytes() == new
        assert {path.name for path in copy.parent.iterdir()} == {"copy.wim"}
