"""RAM images whose making fails, is stopped or killed: the older image or the whole new one, and nothing half made."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ram_judge import unpack
from ram_systems import PLACE, Seven
from running import done
from wimboot.disk.packing import Packing
from wimboot.errors import HostError
from wimboot.events import silent
from wimboot.ops.ram import make_ram
from wimboot.ops.ramming.options import RamOptions
from wimboot.storage import HostFolder
from wimboot.storage.faults import Fault, Faulty, Kind

SIZE = 64 << 20
OLD = b"the image of yesterday"
INTERRUPTED = 130
FAULTS = 12
"""Places of a run at which something fails, spread over all of it."""


def attempt(seven: Seven, out: Path, fault: Fault) -> tuple[bool, int]:
    """Whether the image was made before the fault came up, and how many operations there were."""
    faulty = Faulty(fault)
    try:
        make_ram(RamOptions(out=out, wim=seven.wim, image="1", wim_place=PLACE, driver="none", size=SIZE, replace=True,
                            packing=Packing.GZIP, folders=lambda path: faulty.folder(HostFolder(path))), silent)
    except HostError:
        return False, faulty.count
    return not faulty.fired, faulty.count


@pytest.mark.parametrize("kind", [Kind.SPACE, *(pytest.param(kind, marks=pytest.mark.heavy)
                                               for kind in (Kind.SHORT, Kind.IO))])
def test_failure_at_any_write_keeps_the_older_image(seven: Seven, tmp_path: Path, kind: Kind) -> None:
    """A full disk, a write that is cut off, an error: nothing else stays in the folder."""
    out, operations = tmp_path / "a.gz", frozenset({"pwrite", "truncate", "create", "replace", "sync"})
    made, count = attempt(seven, out, Fault(at=1 << 30, operations=operations))
    assert made
    places = random.Random(kind.value).sample(range(count), FAULTS)
    for at in (*places, count - 3, count - 2):
        out.write_bytes(OLD)
        made, _ = attempt(seven, out, Fault(at=at, kind=kind, operations=operations))
        assert not made, f"operation {at} of {count}"
        assert [path.name for path in tmp_path.iterdir()] == [out.name], f"operation {at} of {count}"
        assert out.read_bytes() == OLD


def start(seven: Seven, out: Path) -> subprocess.Popen[str]:
    """A run of its own, once it has said its first word."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wimboot", "ram", seven.volume, out, "--size", "256M", "--driver", "none", "--yes",
         "--progress", "json"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline()
    return process


@pytest.mark.parametrize(("how", "count"), [(signal.SIGKILL, 3), (signal.SIGINT, 3), *(
    pytest.param(how, 25, marks=pytest.mark.heavy) for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT))])
def test_a_stopped_run_leaves_the_older_image_or_the_new_one(
        seven: Seven, tmp_path: Path, how: signal.Signals, count: int) -> None:
    """At any moment; an interrupted run tidies up by itself, of a killed one the next run does."""
    out, chance = tmp_path / "a.ram", random.Random(count)
    began = time.monotonic()
    start(seven, out).communicate()
    whole = time.monotonic() - began
    for number in range(count):
        out.write_bytes(OLD)
        process = start(seven, out)
        time.sleep(whole * (number + chance.random()) / count)
        process.send_signal(how)
        _, told = process.communicate()
        if how is not signal.SIGKILL:
            assert process.returncode in (0, INTERRUPTED), told
            assert [path.name for path in tmp_path.iterdir()] == [out.name], told
        assert process.returncode != 0 or out.read_bytes() != OLD
        if out.read_bytes() != OLD:
            assert unpack(out, tmp_path / "raw").size == 256 << 20
            (tmp_path / "raw").unlink()
    done("ram", seven.volume, out, "--size", "256M", "--driver", "none", "--yes")
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
