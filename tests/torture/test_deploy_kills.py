"""`deploy` in real processes, stopped by real signals at random moments: each system is there whole or not at all."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy_plans import HEAD, X64, X86, Yard, system
from judges import sound_wim
from running import done, wimboot

PATIENCE_S = 60
ALL = ["wimboot/wimboot.wim", "wimboot/x64/win7.vhd", "wimboot/x86/win7.vhd"]
INTERRUPTED = 130


def start(yard: Yard) -> subprocess.Popen[str]:
    """A run of its own, once it has said its first word."""
    process = subprocess.Popen([sys.executable, "-m", "wimboot", "deploy", str(yard.plan), "--progress", "json"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline()
    return process


def wait_until_free(yard: Yard) -> None:
    """What a killed run had started gives up by itself, and the folder with it."""
    until = time.monotonic() + PATIENCE_S
    while wimboot("deploy", yard.plan, "--yes", "--json").json.get("error", {}).get("id") == "plan-folder-busy":
        assert time.monotonic() < until
        time.sleep(0.1)


def is_whole(yard: Yard, name: str) -> None:
    """A disk that has its name has all of its system."""
    done("verify", yard.folder / name, "--wim", yard.wim)


def stop(yard: Yard, after_s: float, how: signal.Signals) -> None:
    """Stop a run; what is under the names of the plan is whole, and the next run makes the folder what is planned."""
    process = start(yard)
    time.sleep(after_s)
    process.send_signal(how)
    _, told = process.communicate()
    code = process.returncode
    if how is not signal.SIGKILL:
        assert code in (0, INTERRUPTED), told
        assert not [name for name in yard.names() if ".wimboot-" in name], "an interrupted run tidies up"
    for name in yard.names():
        if name.endswith(".vhd"):
            is_whole(yard, name)
    wait_until_free(yard)
    assert yard.names() == ALL
    for name in ALL[1:]:
        is_whole(yard, name)


def peace(yard: Yard) -> float:
    """How long a run takes after its first word."""
    began = time.monotonic()
    process = start(yard)
    process.communicate()
    assert process.returncode == 0
    return time.monotonic() - began


def forget(yard: Yard, names: list[str]) -> None:
    for name in names:
        (yard.folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize(("how", "count"), [(signal.SIGKILL, 1), *(
    pytest.param(how, 15, marks=pytest.mark.heavy) for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT))])
def test_stopped_builds_leave_whole_systems(deployed: Yard, how: signal.Signals, count: int) -> None:
    """On a store that is there: the two disks are built, and stopped at any moment of it."""
    forget(deployed, ALL[1:])
    whole, chance = peace(deployed), random.Random(count)
    before = deployed.wim.read_bytes()
    for number in range(count):
        forget(deployed, ALL[1:])
        stop(deployed, whole * (number + chance.random()) / count, how)
    assert deployed.wim.read_bytes() == before


@pytest.mark.heavy
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_stores_are_sound(yard: Yard, how: signal.Signals) -> None:
    """From nothing: the store has an image whole or not at all, too."""
    whole, chance = peace(yard), random.Random(7)
    for number in range(12):
        forget(yard, ALL)
        stop(yard, whole * (number + chance.random()) / 12, how)
        sound_wim(yard.wim)


@pytest.mark.heavy
def test_stopped_changes_in_place_leave_the_one_or_the_other(deployed: Yard) -> None:
    """A system that is restored, and one that is refreshed, are the old ones or the new ones after any kill."""
    plans = [deployed.says(HEAD, X64, X86).read_text(),
             HEAD + system("x64", 2, "wimboot/x64/win7.vhd") + X86]
    for number in range(12):
        deployed.plan.write_text(plans[(number + 1) % 2], encoding="utf-8")
        process = subprocess.Popen([sys.executable, "-m", "wimboot", "deploy", str(deployed.plan), "--yes", "-q"])
        time.sleep(0.2 + 0.1 * number)
        process.kill()
        process.wait()
        wait_until_free(deployed)
        image = done("status", deployed.x64, "--wim", deployed.wim, "--json").json["image"]["index"]
        assert image == (number + 1) % 2 + 1
        is_whole(deployed, ALL[1])


def test_folder_of_a_killed_run_is_not_entered_while_it_builds(yard: Yard) -> None:
    """The processes that build hold the folder themselves."""
    process = start(yard)
    seen = False
    while process.poll() is None and not seen:
        seen = bool(list(yard.folder.rglob("*.wimboot-build*")))
    process.send_signal(signal.SIGSTOP)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert seen
    assert children
    assert wimboot("deploy", yard.plan, "--json").json["error"]["id"] == "plan-folder-busy"
    process.kill()
    process.communicate()
    wait_until_free(yard)
    assert yard.names() == ALL
