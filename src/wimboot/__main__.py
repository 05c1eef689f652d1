"""`python -m wimboot`, and the console script."""

import os
import signal

__all__ = ["run"]


def run() -> None:
    """Import the program, which Ctrl-C ends without a traceback, and run it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:   # not ignored, as in the background of a shell
        signal.signal(signal.SIGINT, _leave)    # until the program has its own
    from wimboot.cli.main import run as run_program

    run_program()


def _leave(number: int, _frame: object) -> None:
    """With what a shell says of a program that the signal ended: nothing was begun that would have to be ended."""
    os._exit(128 + number)


if __name__ == "__main__":
    run()
