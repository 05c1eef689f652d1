"""Going on in the background once a thing has begun well; until then the caller waits, and gets what went wrong."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["detach_when_ready"]


def detach_when_ready() -> Callable[[], None]:
    """Split into two processes before any thread has begun.

    In the child this returns: it goes on as the program, and calls what it is given as soon as it needs the terminal no
    more. The parent waits for that call and ends with exit code 0, or for the child's end and takes over its code.
    """
    heard, told = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(told)
        begun = os.read(heard, 1)
        os.close(heard)
        if begun:
            raise click.exceptions.Exit(0)
        _, status = os.waitpid(child, 0)
        raise click.exceptions.Exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)
    os.close(heard)

    def ready() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os.setsid()
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.close(nothing)
        os.write(told, b"1")
        os.close(told)

    return ready
