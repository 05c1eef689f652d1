"""A question, every answer to it, and what stands on the terminal then."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from running import wimboot
from wimboot.cli.asking import NotConfirmed, ask

WIMBOOT = (sys.executable, "-m", "wimboot")
QUESTION = "Format system.img? All that is on it is given up. [y/N]:"
NO = ["wimboot: not confirmed: nothing was changed", "         --yes says so beforehand."]


def _command(folder: Path) -> list[str]:
    """Asks at once: nothing is opened before."""
    return [*WIMBOOT, "apply", str(folder / "store.wim"), "1", "system.img", "--format"]


@pytest.mark.parametrize(("typed", "code", "told"), [
    (b"n\n", 4, NO), (b"\n", 4, NO), (b"\x04", 4, NO),
    (b"\x03", 130, ["Interrupted: everything is as it was before."]),
], ids=["no", "enter", "ctrl-d", "ctrl-c"])
def test_a_no_on_a_terminal_is_a_refusal(typed: bytes, code: int, told: list[str], tmp_path: Path) -> None:
    """Exit code 4 as with --json; only Ctrl-C is an interruption. What is said begins a line."""
    ours, its = pty.openpty()
    opening = 'exec "$@" <"$0" >"$0" 2>&1'     # makes it the terminal of the session, whose Ctrl-C is a signal
    child = subprocess.Popen(["sh", "-c", opening, os.ttyname(its), *_command(tmp_path)], start_new_session=True)
    shown = b""
    while QUESTION.encode() not in shown:
        shown += os.read(ours, 4096)
    os.close(its)
    for _ in range(100):    # a signal just before Python waits for a line is seen when the next key is pressed
        os.write(ours, typed)
        try:
            assert child.wait(timeout=1) == code
            break
        except subprocess.TimeoutExpired:
            continue
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:     # EIO: the other end is closed
        pass
    os.close(ours)
    asked, *lines = [line for line in shown.decode().splitlines() if line]
    assert asked.startswith(QUESTION)
    assert lines == told


@pytest.mark.parametrize("answer", ["n\n", ""])
def test_a_no_through_a_pipe_is_one_too(answer: str, tmp_path: Path) -> None:
    """Nothing there ends the line of the question but we."""
    ended = subprocess.run(_command(tmp_path), input=answer, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (4, "")
    assert ended.stderr.splitlines() == [f"{QUESTION} ", *NO]


def test_a_no_has_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is there to say anything."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(NotConfirmed, match="nothing was changed"):
        ask("Sure?", as_json=False)


def test_a_yes_goes_on(tmp_path: Path) -> None:
    """To what is wrong next."""
    ended = subprocess.run(_command(tmp_path), input="y\n", capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "not confirmed" not in ended.stderr


def test_the_ids_of_our_messages_are_no_codes_and_the_codes_are_listed() -> None:
    """Who takes one for a code is told what it is; every code that is listed is explained."""
    told = wimboot("explain", "no-target")
    assert told.code == 2
    assert "`wimboot explain` lists" in told.err
    listed = wimboot("explain", "--json").json["codes"]
    assert {code["family"] for code in listed} == {"ntstatus", "win32", "stop", "wimlib", "grub4dos", "ours"}
    for code in listed:
        assert code in wimboot("explain", code["code"], "--json").json["codes"]
    people = wimboot("explain").out
    assert all(code["name"] in people for code in listed)
