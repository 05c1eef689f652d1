"""Paths of the host on the command line: what is wrong with one has the words and the exit code of any other place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["HostPath"]

_SAID_BEFORE_USE: Final = frozenset({errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG})


class HostPath(click.Path):
    """A path of the host. Click's own type would call whatever is wrong with one a wrong usage, in its own words.

    Whether something has to be there is left to the verb, unless `exists`: `disk.img#2:/store.wim` is a path too.
    """

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True, reading: bool = True,
                 allow_dash: bool = False) -> None:
        super().__init__(exists=exists, file_okay=file_okay, dir_okay=dir_okay, readable=reading, path_type=Path,
                         allow_dash=allow_dash)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Raises HostMissing, HostNotUsable."""
        path = Path(value)
        if self.allow_dash and str(path) == "-":
            return path
        try:
            mode = path.stat().st_mode
        except OSError as error:
            if self.exists or error.errno in _SAID_BEFORE_USE:
                _refuse(path, error)
            return path
        except ValueError:
            self.fail(f"{str(path)!r} is not a path.", param, ctx)
        if not self.dir_okay and stat.S_ISDIR(mode):
            _refuse(path, OSError(errno.EISDIR, os.strerror(errno.EISDIR)))
        if not self.file_okay and not stat.S_ISDIR(mode):
            _refuse(path, OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)))
        if self.readable and not os.access(path, os.R_OK):
            _refuse(path, OSError(errno.EACCES, os.strerror(errno.EACCES)))
        return path


def _refuse(path: Path, error: OSError) -> NoReturn:
    from wimboot.storage import host_error

    raise host_error("opening", path, error) from error
