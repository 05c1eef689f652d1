"""What people see: colours only where they want them, bars only on a terminal, silence when asked for."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from converted import Converted
from running import NO_PLACE, done, unchanged, wimboot
from wimboot import __version__
from wimboot.cli.main import VERBS, LazyGroup, _stop

WIMBOOT = (sys.executable, "-m", "wimboot")
ESCAPE = "\x1b["


def _process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WIMBOOT, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment})


def _on_a_terminal(*arguments: object, **environment: str) -> str:
    """Everything that a process wrote to a terminal of 100 columns."""
    ours, its = pty.openpty()
    child = subprocess.Popen([*WIMBOOT, *map(str, arguments)], stdin=its, stdout=its, stderr=its,
                             env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment})
    os.close(its)
    out = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not part:
            break
        out += part
    os.close(ours)
    assert child.wait(timeout=60) == 0, out
    return out.decode()


def test_version_and_help_are_quick_and_complete() -> None:
    """Every verb is listed, has a help of its own, with an example, and names its exit code's meaning once."""
    assert _process("--version").stdout == f"wimboot {__version__}\n"
    text = done("--help").out
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", text, re.MULTILINE), verb
        help_text = done(verb, "--help").out
        assert "Example" in help_text, verb
        assert f"wimboot {verb}" in help_text, verb
    assert "130" in text


def test_start_up_loads_nothing_heavy() -> None:
    """The version costs Python and Click: no extension, no Rich, no verb."""
    told = subprocess.run([sys.executable, "-X", "importtime", "-m", "wimboot", "--version"], capture_output=True,
                          text=True, check=True).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert not loaded & {"rich", "wimboot.ntfs", "wimboot.wim", "wimboot.tree", "wimboot.ops.options", "xml.etree"}


def test_there_are_no_escapes_where_there_is_no_terminal(converted: Converted) -> None:
    """Neither in the table of images nor in warnings."""
    for command in (("images", converted.wim), ("info", converted.volume),
                    ("convert", converted.volume, "--wim", converted.wim, *NO_PLACE)):
        run = _process(*command)
        assert run.returncode == 0, run.stderr
        assert ESCAPE not in run.stdout + run.stderr
        assert "\r" not in run.stderr


def test_a_terminal_gets_bars_and_no_color_is_honoured(converted: Converted) -> None:
    """Colours are SGR sequences; with NO_COLOR there is none that sets one."""
    command = ("capture", converted.volume, "--wim", converted.wim)
    colour = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7]|38|48)[0-9;]*m")
    assert colour.search(_on_a_terminal(*command))
    plain = _on_a_terminal(*command, NO_COLOR="1")
    assert not colour.search(plain)
    assert "capture" in plain


def test_quiet_says_nothing_but_errors(converted: Converted, tmp_path: Path) -> None:
    """Neither results nor warnings; errors all the same."""
    for command in (("convert", converted.volume, "--wim", converted.wim, *NO_PLACE),
                    ("restore", converted.volume, "--wim", converted.wim),
                    ("capture", converted.original, "--wim", tmp_path / "new.wim"),
                    ("verify", converted.volume, "--wim", converted.wim)):
        run = done(*command, "-q")
        assert (run.out, run.err) == ("", ""), command
    assert wimboot("info", "/nothing", "-q").err.startswith("wimboot: /nothing does not exist")


def test_an_error_is_one_message_and_what_to_do(tmp_path: Path) -> None:
    """A traceback only with -vv, and then after it."""
    run = _process("capture", tmp_path, "--wim", tmp_path / "x.wim")
    assert run.returncode == 2
    assert [line[:9] for line in run.stderr.splitlines()] == ["wimboot: ", "         "]
    verbose = _process("capture", tmp_path, "--wim", tmp_path / "x.wim", "-vv")
    assert "Traceback" in verbose.stderr
    assert verbose.stderr.startswith("wimboot: ")


def test_a_reader_that_goes_away_is_no_error_of_ours(converted_once: Converted) -> None:
    """`wimboot images | head -1` says nothing of pipes."""
    run = subprocess.run(f"{sys.executable} -m wimboot restore {converted_once.volume} --wim {converted_once.wim} "  # noqa: S602
                         "--image 1 --dry-run --json --full | head -c 1", shell=True, capture_output=True, text=True,
                         check=False)
    assert "pipe" not in run.stderr.lower()
    assert "Traceback" not in run.stderr


def test_without_a_reader_the_exit_code_is_that_of_other_tools() -> None:
    """What a shell gives a program that SIGPIPE ended: 1 would say that the operation failed."""
    for command in ([*WIMBOOT, "explain"], ["yes"]):
        ours, its = os.pipe()
        os.close(ours)
        try:
            ended = subprocess.run(["sh", "-c", '"$@"', "sh", *command], stdout=its, stderr=subprocess.PIPE,
                                   check=False, timeout=60)
        finally:
            os.close(its)
        assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b""), command


def test_the_originals_option_names_the_folder_of_wims(converted: Converted, tmp_path: Path) -> None:
    """`-WIMPATH:\\WIMBOOT` and WIMBOOT_WIMPATH: the WIM is found there."""
    folder = tmp_path / "WIMBOOT"
    folder.mkdir()
    converted.wim.rename(folder / "store.wim")
    assert _process("restore", converted.volume, "--dry-run").returncode == 4
    assert _process("-WIMPATH:\\WIMBOOT", "restore", converted.volume, "--dry-run").returncode == 0
    assert _process("restore", converted.volume, "--dry-run", WIMBOOT_WIMPATH=str(folder)).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_leaves_all_as_it_was(
        number: signal.Signals, pristine_volume: Path, tmp_path: Path) -> None:
    """Ctrl-C, a service manager's stop, a closed terminal: exit code 130, nothing changed, nothing left behind."""
    from mounting import copy_sparse

    volume, wim = tmp_path / "system.img", tmp_path / "store.wim"
    copy_sparse(pristine_volume, volume)
    with unchanged(wim, times=False, volumes=(volume,)):
        child = subprocess.Popen([*WIMBOOT, "convert", str(volume), "--wim", str(wim), *NO_PLACE, "--progress", "json",
                                  "--compress", "lzx", "--threads", "1"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        for line in child.stderr:
            if '"capture"' in line:
                break
        time.sleep(0.2)
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert not out
    done("convert", volume, "--wim", wim, *NO_PLACE)


def test_a_front_end_without_a_terminal_is_asked_nothing(small_volume: Path, tmp_path: Path) -> None:
    """A question to nobody is a no; --yes is the answer."""
    wim = tmp_path / "store.wim"
    assert _process("convert", small_volume, "--wim", wim, *NO_PLACE, "--format").returncode == 4
    assert _process("convert", small_volume, "--wim", wim, *NO_PLACE, "--format", "--yes").returncode == 0


def test_people_are_told_what_matters(converted: Converted) -> None:
    """The sentences of each verb hold the figures, and info says in which form the volume is."""
    text = done("info", converted.volume).out
    for part in ("Windows 7 Ultimate", "WIMBoot", "data source 0", "store.wim"):
        assert part in text, part
    assert "first" in done("images", converted.wim).out
    assert "Sound:" in done("verify", converted.volume, "--wim", converted.wim).out
    assert "nothing to do" in done("restore", converted.volume, "--wim", converted.wim).out
    assert "No interrupted run" in done("recover", converted.volume).out


def test_ctrl_c_before_the_program_is_there_ends_it_without_a_word() -> None:
    """While it is imported: nothing has begun, and a traceback would say nothing to anybody."""
    for early in ("enum", "wimboot.cli.main"):      # of `signal`, and of the program
        program = ("import os, sys\n"
                   "class Finder:\n"
                   "    def find_spec(self, name, *_):\n"
                   f"        if name == '{early}': os.kill(os.getpid(), 2)\n"
                   "for name in ('signal', 'enum'): sys.modules.pop(name, None)\n"
                   "sys.meta_path.insert(0, Finder())\n"
                   "from wimboot.__main__ import run\n"
                   "run()")
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", ""), early
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert scripts["project"]["scripts"] == {"wimboot": "wimboot.__main__:run"}


def test_ctrl_c_while_a_verb_is_imported_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the module that is asked whether a verb has committed is half there; where Python wraps it in an error."""
    monkeypatch.setitem(sys.modules, "wimboot.disk.interrupts", ModuleType("half imported"))
    with pytest.raises(KeyboardInterrupt):
        _stop(signal.SIGINT, None)

    def stopped(*_: object) -> None:
        raise RuntimeError("Error calling __set_name__") from KeyboardInterrupt()

    monkeypatch.setattr(LazyGroup, "get_command", stopped)
    run = wimboot("info", "a.img")
    assert (run.code, run.err) == (130, "Interrupted: everything is as it was before.\n")


def test_the_process_ends_as_python_would_end_it() -> None:
    """What was registered runs, what was printed arrives, and a thread that is left keeps its time."""
    program = ("import atexit, sys, threading, time; from wimboot.cli.main import run; atexit.register(print, 'left');"
               "sys.argv = ['wimboot', '--version'];")
    thread = "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start();"
    for begin, lines in (("", 2), (thread, 3)):
        ended = subprocess.run([sys.executable, "-c", f"{program}{begin}run()"], capture_output=True, text=True,
                               check=True)
        told = ended.stdout.split()
        assert told[0] == "wimboot"
        assert told[2:] == ["left"] if lines == 2 else sorted(told[2:]) == ["left", "thread"]
        assert not ended.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_no_exit_code(closed: str, small_volume: Path, tmp_path: Path) -> None:
    """Where what is opened next would get its number, what a program prints would go into that file."""
    for arguments, code in ((("--version",), 0), (("info", small_volume), 0), (("info", tmp_path / "none"), 2)):
        with unchanged(small_volume):
            ended = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *WIMBOOT, *map(str, arguments)],
                                   capture_output=True, text=True, check=False, timeout=120)
        assert (ended.returncode, "Traceback" in ended.stderr) == (code, False), ended.stderr


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_full_disk_behind_the_output_is_told(flags: tuple[str, ...], small_volume: Path, tmp_path: Path) -> None:
    """Of the answer, and of the document that says what failed."""
    for arguments in (("info", small_volume), *([("info", tmp_path / "none")] if flags else ())):
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run([*WIMBOOT, *map(str, arguments), *flags], stdout=full, stderr=subprocess.PIPE,
                                   text=True, check=False, timeout=120)
        assert ended.returncode == 1
        assert ended.stderr == "wimboot: the output could not be written: no space left where it goes.\n"
