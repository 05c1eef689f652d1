"""Entry point: finds the verb, runs it, turns errors into one message and the exit codes of the contract.

Verbs are imported only when they are called, so that `wimboot --version` costs no more than Python and Click.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import importlib
import io
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

import click

from wimboot import __version__
from wimboot.errors import Error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["SECTIONS", "VERBS", "cli", "main", "run"]

SECTIONS = {
    "What there is": {
        "info": "inspect",
        "images": "inspect",
        "status": "changes",
        "diff": "changes",
        "explain": "explain",
        "space": "space",
    },
    "Volumes and images": {
        "capture": "convert",
        "convert": "convert",
        "update": "changes",
        "restore": "checkout",
        "apply": "checkout",
        "rehydrate": "rehydrate",
    },
    "Keeping them whole": {
        "verify": "check",
        "relocate": "relocate",
        "prune": "prune",
        "sync": "sync",
        "recover": "check",
        "compact": "compact",
    },
    "Disks": {
        "create": "create",
        "deploy": "deploy",
    },
    "Starting it": {
        "driver": "driver",
        "boot": "boot",
        "ram": "ram",
    },
    "Reading files": {
        "extract": "extract",
        "mount": "mount",
    },
    "Trying it out": {
        "demo": "demo",
    },
}
"""By the headings of the help: each verb and the module of this package that has it."""

VERBS = {verb: module for verbs in SECTIONS.values() for verb, module in verbs.items()}

INTERRUPTED = 130
NOBODY_READS = 128 + signal.SIGPIPE
"""What a shell says of a program that SIGPIPE ended, as it does those of C in `... | head`."""
_GARBAGE = 100_000
"""Values made before Python looks for circles among them: with its own 700 that is a fortieth of a short run."""
_STDERR = 2
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WIMPATH = "-WIMPATH:"
"""The 2015 tool's option: `wimboot -WIMPATH:\\WIMBOOT` names the folder in which WIMs are looked for."""


class LazyGroup(click.Group):
    """Loads a verb's module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = VERBS.get(cmd_name)
        if module is None:
            return None
        command = getattr(importlib.import_module(f"wimboot.cli.{module}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(cmd_name)
        if command.epilog is None:
            from wimboot.cli.manual import epilog

            command.epilog = epilog(cmd_name, command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs under their headings, their texts below one another."""
        width = max(map(len, VERBS))
        for heading, verbs in SECTIONS.items():
            commands = ((verb, self.get_command(ctx, verb)) for verb in verbs)
            with formatter.section(heading):
                formatter.write_dl([(verb.ljust(width), command.get_short_help_str(formatter.width - width))
                                    for verb, command in commands if command])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in VERBS and not word.startswith("-") and not ctx.resilient_parsing:
            from wimboot.cli.manual import similar

            meant = " or ".join(similar(word, VERBS))
            ctx.fail(f"there is no verb {word!r}." + (f" Did you mean {meant}?" if meant else ""))
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, subcommand_metavar="VERB ...",
             context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="wimboot %(version)s")
def cli() -> None:
    """Turn an installed Windows into a WIMBoot system, and keep it up to date, from Linux.

    A WIMBoot system keeps its files compressed in one WIM; its NTFS volume holds pointers to them. TARGET is a disk
    image, a partition in one (disk.img#2), or a block device that is not mounted. Nothing is changed unless all of
    it can be: a run that fails, is interrupted or loses power leaves the volume and the WIM as they were.

    \b
    Examples:
      wimboot info disk.img                                       what is in there
      wimboot convert disk.img --wim store.wim --wim-place later  in place: capture, check, point
      wimboot verify disk.img --wim store.wim                     every pointer, every byte
      wimboot restore disk.img --wim store.wim                    back to the state of the image
      wimboot demo                                                all of it on a sample system

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check found problems, 4 refused for safety, 130 interrupted,
    141 nobody read all of the output.

    -WIMPATH:FOLDER before the verb, or the variable WIMBOOT_WIMPATH, names a folder in which WIMs are looked for: on
    the host, beside the target, and on the volumes of its disk.
    """


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns its exit code and never raises."""
    arguments = _wimpath(list(arguments))
    try:
        return _answered(arguments)
    except (BrokenPipeError, SystemExit):
        # the reader of our output went away, for which Click and Rich exit with 1: no message, and none from Python's
        # own flush at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _report_bug(error, arguments)
        with contextlib.suppress(OSError):      # where both outputs go to one full disk
            click.echo("wimboot: the output could not be written: no space left where it goes.", err=True)
        return 1


def _answered(arguments: list[str]) -> int:
    """The exit code, when what ended the verb was told. Raises OSError where the output fails."""
    try:
        result = cli.main(args=arguments, prog_name="wimboot", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        return _report_usage(error, arguments)
    except (KeyboardInterrupt, click.exceptions.Abort):     # Click has ended the line
        return _report_interrupted()
    except OSError as error:
        if error.filename is None:
            raise
        from wimboot.storage import host_error  # of the host, and in no other words yet

        return _report(host_error("using", os.fsdecode(error.filename), error), arguments)
    except Error as error:
        return _report(error, arguments)
    except Exception as error:  # noqa: BLE001 - the last door: a traceback never reaches a user
        if isinstance(error.__cause__, KeyboardInterrupt):      # Python's own words where a class is made
            return _report_interrupted()
        return _report_bug(error, arguments)


def run() -> None:
    """Run the command line of the process. A service manager's stop and a closed terminal are answered as Ctrl-C is."""
    gc.set_threshold(_GARBAGE)
    _open_closed()
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:      # as under nohup
            signal.signal(number, _stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a name of NTFS may hold an unpaired surrogate, which no encoding has; \udXXX is what JSON calls it as well
        sys.stdout.reconfigure(errors="backslashreplace")
    code = main(sys.argv[1:])
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)  # while Python ends, a signal would hide how the verb ended
    _leave(code)


def _open_closed() -> None:
    """Let standard streams that were closed lead nowhere: the next file to be opened would get the number of one, and
    what a library or a program that is started prints would go into a volume.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin, sys.stdout, sys.stderr = (
        stream or os.fdopen(at, mode) for at, (stream, mode) in enumerate(
            ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))))


def _leave(code: int) -> NoReturn:
    """End the process. Everything is closed, so it ends without taking all its objects apart first, which takes 20 ms
    and more; with Python's own end where a thread is left, or the output cannot be written, which that reports.
    """
    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)
    os._exit(code)


def _stop(_number: int, _frame: FrameType | None) -> None:
    """Stop, unless the verb has committed: "as it was before" would not be true any more."""
    decided = getattr(sys.modules.get("wimboot.disk.interrupts"), "DECIDED", None)     # which may be half imported
    if decided is None or not decided.is_set():
        raise KeyboardInterrupt


def _wimpath(arguments: list[str]) -> list[str]:
    """Take the original's option out of the arguments, into the variable that does the same."""
    for argument in arguments:
        if argument.upper().startswith(WIMPATH):
            os.environ["WIMBOOT_WIMPATH"] = argument[len(WIMPATH) :]
    return [argument for argument in arguments if not argument.upper().startswith(WIMPATH)]


def _report_interrupted() -> int:
    click.echo("Interrupted: everything is as it was before.", err=True)
    return INTERRUPTED


def _report(error: Error, arguments: Sequence[str]) -> int:
    from wimboot.cli.english import singular

    message, hint = singular(str(error)), singular(error.hint)
    if "--json" in arguments:
        _report_json(error.id, error.exit_code, {**error.facts, "message": message, "hint": hint})
        return error.exit_code
    click.echo(f"wimboot: {message}", err=True)
    if hint:
        click.echo(f"         {hint}", err=True)
    if "-vv" in arguments:
        _traceback(error)
    return error.exit_code


def _report_usage(error: click.ClickException, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        _report_json("usage", 2, {"message": error.format_message()})
    else:
        error.show()
    return 2


def _report_bug(error: Exception, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        _report_json("internal", 1, {"message": f"{type(error).__name__}: {error}"})
    else:
        click.echo(f"wimboot: a bug in wimboot stopped it ({type(error).__name__}: {error}).", err=True)
        click.echo("         Please report it with the output of -vv; `wimboot verify` tells if all is well.", err=True)
    if "-vv" in arguments:
        _traceback(error)
    return 1


def _report_json(identifier: str, code: int, facts: dict[str, object]) -> None:
    from wimboot.cli import show

    show.document({"error": {"id": identifier, **facts}, "exit": code}, indent=None)


def _traceback(error: BaseException) -> None:
    import traceback

    traceback.print_exception(error)
