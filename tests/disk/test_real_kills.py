"""Processes that are really killed, at random moments, in the middle of a real transaction on real files."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wimboot.disk import Recovered, recover
from wimboot.storage import HostFile, HostFolder

SIZE = 6 << 20
SCRIPT = """
import random, sys, pathlib
from wimboot.disk import Transaction
from wimboot.storage import HostFile, HostFolder
folder = pathlib.Path(sys.argv[1])
file = HostFile.open(folder / "disk.img", write=True)
print("go", flush=True)
with Transaction(file, HostFolder(folder), "log", where="disk.img", batch_pages=64) as transaction:
    rng = random.Random(5)
    for _ in range(600):
        transaction.device.pwrite(rng.randrange(SIZE - 4096), rng.randbytes(rng.choice((512, 1024, 4096))))
    transaction.commit()
print("done", flush=True)
""".replace("SIZE", str(SIZE))


def digest(path: Path) -> str:
    """What a file holds."""
    return hashlib.sha1(path.read_bytes()).hexdigest()  # noqa: S324 - compares, guards nothing


@pytest.mark.parametrize("kills", [3, pytest.param(300, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_process_leaves_old_or_new(tmp_path: Path, kills: int, with_signal: signal.Signals) -> None:
    """After any kill recovery finds the old or the new content, and nothing else in the folder."""
    disk = tmp_path / "disk.img"
    rng = random.Random(kills)
    content = random.Random(1).randbytes(SIZE)
    disk.write_bytes(content)
    old = digest(disk)
    before = time.monotonic()
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], check=True, capture_output=True)
    span = time.monotonic() - before
    new = digest(disk)
    assert old != new
    seen = []
    for _ in range(kills):
        disk.write_bytes(content)
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        time.sleep(rng.random() * span)
        process.send_signal(with_signal)
        said = process.communicate()[0]
        file = HostFile.open(disk, write=True)
        found = recover(file, HostFolder(tmp_path), "log", where="disk.img")
        file.close()
        assert digest(disk) == (new if said == "done\n" or found is Recovered.COMPLETED else digest(disk))
        assert digest(disk) in (old, new)
        assert [path.name for path in tmp_path.iterdir()] == ["disk.img"]
        seen.append(found)
    assert len(seen) == kills
