"""qemu-img, when it is installed: disks in the forms of other virtual machines, made from a raw one.

It reads and writes scratch files without names, so that nothing is left of a conversion that is killed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from wimboot.errors import HostError
from wimboot.storage.scratch import path_for_child, scratch_file

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import HostFile

__all__ = ["ENVIRONMENT", "QemuImgFailed", "QemuImgMissing", "check_qemu_img", "raw_to"]

ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/bin"}


class QemuImgMissing(HostError):
    """qemu-img is not installed."""

    id = "qemu-img-missing"
    sentence = "qemu-img is needed for {form} disks, and it is not installed"
    advice = "Install the Debian package qemu-utils, or use --format vhd or raw, which need nothing."


class QemuImgFailed(HostError):
    """qemu-img did not make a disk."""

    id = "qemu-img-failed"
    sentence = "qemu-img could not make the {form} disk: {why}"
    advice = "Look at what it says; is the disk full?"


def check_qemu_img(form: str) -> None:
    """Raises QemuImgMissing; `form` is what it is wanted for."""
    if shutil.which("qemu-img", path=ENVIRONMENT["PATH"]) is None:
        raise QemuImgMissing(form=form)


def raw_to(form: str, raw: HostFile, *, options: str = "", folder: Path | None = None) -> HostFile:
    """A scratch file in `folder` with the disk of the scratch file `raw` in a form that qemu-img knows by that name.

    `options` are those of its -o. Raises QemuImgMissing, QemuImgFailed, HostError.
    """
    made = scratch_file(folder)
    try:
        _convert(form, raw, made, options)
    except BaseException:
        made.close()
        raise
    return made


def _convert(form: str, raw: HostFile, made: HostFile, options: str) -> None:
    command = ["qemu-img", "convert", "-f", "raw", "-O", form, *(["-o", options] if options else []),
               path_for_child(raw), path_for_child(made)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                              stdin=subprocess.DEVNULL, env=ENVIRONMENT, pass_fds=[raw.fileno(), made.fileno()])
    except OSError as error:
        raise QemuImgMissing(form=form) from error
    if done.returncode or not os.fstat(made.fileno()).st_size:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise QemuImgFailed(form=form, why=lines[-1] if lines else f"it ended with code {done.returncode}")
