"""`python -m wimboot`, and the console script."""

import os

__all__ = ["run"]

_INTERRUPTED = 130


def run() -> None:
    """Import the program, which Ctrl-C ends without a word, for nothing has begun yet, and run it."""
    try:
        import signal

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:   # not ignored, as in a shell's background
            signal.signal(signal.SIGINT, _leave)    # which no callback swallows; until the program has its own
        from wimboot.cli.main import run as run_program
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)
    run_program()


def _leave(_number: int, _frame: object) -> None:
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    run()
