"""Where the bytes of a disk lie in its file, as `qemu-img map` tells it; what it says is checked.

The file is handed to it open, named by its form, without its locks (this program holds them) and without whatever other
file it may name.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Final

from wimboot.disk.qemuimg import ENVIRONMENT, QemuImgMissing, check_qemu_img
from wimboot.errors import Damaged
from wimboot.storage import host_error
from wimboot.storage.scratch import path_for_child, scratch_folder

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage import File

__all__ = ["Extent", "MapNotUsable", "QemuImgNeeded", "check_qcow2", "parse_map", "read_map"]

Extent = tuple[int, int, int | None]
"""Start and size in the disk, and the place in the file; None where the disk reads as zeros."""

_PATIENCE: Final = 300.0
_MOST_OUTPUT: Final = 256 << 20
"""Two million extents: two tebibytes in clusters of 64 KiB, none beside its neighbour, are sixteen times that."""
_MOST_PLACE: Final = 1 << 60
_LEAKS: Final = 3
"""How `qemu-img check` ends where clusters are lost, and nothing else is wrong."""


class QemuImgNeeded(QemuImgMissing):
    """To read what only qemu-img understands."""

    id = "qemu-img-needed"
    sentence = "reading {form} disks needs qemu-img, which is not installed"
    advice = "Install the Debian package qemu-utils."


class MapNotUsable(Damaged):
    """What qemu-img says of a disk cannot be, or it says nothing."""

    id = "disk-map"
    sentence = "where the data of {where} lies could not be learnt from qemu-img: {why}"
    advice = "Let qemu-img check it: qemu-img check {where}"


def _run(arguments: list[str], form: str, file: File, path: Path, where: str) -> tuple[int, bytes, str]:
    """The exit code, the output, and the last line of complaint. Raises QemuImgNeeded, MapNotUsable."""
    try:
        check_qemu_img(form)
    except QemuImgMissing as error:
        raise QemuImgNeeded(form=form) from error
    handles = [int(file.fileno())] if hasattr(file, "fileno") else []
    name = path_for_child(file) if handles else str(path)       # type: ignore[arg-type]  # it has a descriptor
    image = {"driver": form.lower(), "file": {"driver": "file", "filename": name, "locking": "off"}}
    if form == "QCOW2":
        image["backing"] = None     # type: ignore[assignment]  # JSON's null
    command = ["qemu-img", *arguments, "--output=json", "json:" + json.dumps(image)]
    with tempfile.TemporaryFile(dir=scratch_folder()) as said:
        try:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
                                     env=ENVIRONMENT, pass_fds=handles)
        except OSError as error:
            raise host_error("starting", "qemu-img", error) from error
        with child:
            try:
                out = _listen(child, where)
            except BaseException:
                child.kill()
                raise
        said.seek(0)
        lines = said.read(65536).decode("utf-8", "replace").strip().splitlines()
    return child.returncode, out, lines[-1] if lines else f"it ended with code {child.returncode}"


def _listen(child: subprocess.Popen[bytes], where: str) -> bytes:
    """All that it says, within reason. Raises MapNotUsable."""
    parts: list[bytes] = []
    deadline, size = time.monotonic() + _PATIENCE, 0
    assert child.stdout is not None     # noqa: S101 - asked for
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise MapNotUsable(where=where, why="it gave no answer")
            part = os.read(child.stdout.fileno(), 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > _MOST_OUTPUT:
                raise MapNotUsable(where=where, why="the disk is in too many pieces")


def read_map(form: str, file: File, path: Path, *, size: int, where: str) -> list[Extent]:
    """The extents of a disk of `size` bytes, in their order. Raises QemuImgNeeded, MapNotUsable, HostError."""
    code, out, complaint = _run(["map", "-U"], form, file, path, where)
    if code:
        raise MapNotUsable(where=where, why=complaint)
    return parse_map(out, size=size, where=where)


def check_qcow2(file: File, path: Path, *, where: str) -> None:
    """That no two of its tables claim one cluster. Raises QemuImgNeeded, MapNotUsable, HostError."""
    code, _, complaint = _run(["check", "-U"], "QCOW2", file, path, where)
    if code not in (0, _LEAKS):
        raise MapNotUsable(where=where, why=complaint)


def parse_map(out: bytes, *, size: int, where: str) -> list[Extent]:
    """What `qemu-img map --output=json` said, checked. Raises MapNotUsable."""
    try:
        rows = json.loads(out)
    except (ValueError, RecursionError) as error:
        raise MapNotUsable(where=where, why="its answer is not JSON") from error
    if not isinstance(rows, list):
        raise MapNotUsable(where=where, why="its answer is no list")
    extents: list[Extent] = []
    at = 0
    for row in rows:
        start, length, place = _extent(row, where)
        if start != at or length > size - at:
            raise MapNotUsable(where=where, why=f"what it says of byte {at:,} of the disk is missing or twice")
        at += length
        last = extents[-1] if extents else None
        if last is not None and place == (None if last[2] is None else last[2] + last[1]):
            extents[-1] = last[0], last[1] + length, last[2]
        else:
            extents.append((start, length, place))
    if at != size:
        raise MapNotUsable(where=where, why=f"it tells of {at:,} bytes of {size:,}")
    return extents


def _extent(row: object, where: str) -> Extent:
    """One row. Data that has no place of its own in the file is refused, never taken for zeros."""
    if not isinstance(row, dict):
        raise MapNotUsable(where=where, why="its answer holds something that is no extent")
    start, length, depth, place = (row.get(key) for key in ("start", "length", "depth", "offset"))
    data, zero = row.get("data"), row.get("zero")
    numbers = all(type(value) is int and 0 <= value <= _MOST_PLACE for value in (start, length, depth))
    if not numbers or not length or type(data) is not bool or type(zero) is not bool:
        raise MapNotUsable(where=where, why="its answer holds something that is no extent")
    if depth:
        raise MapNotUsable(where=where, why="some of it lies in another file")
    if not data:
        if not zero:
            raise MapNotUsable(where=where, why=f"what byte {start:,} of the disk reads as is left open")
        return start, length, None      # type: ignore[return-value]  # integers, as was checked
    if row.get("compressed") or type(place) is not int or not 0 <= place <= _MOST_PLACE:
        raise MapNotUsable(where=where, why=f"the data at byte {start:,} of the disk is compressed or encrypted")
    return start, length, place         # type: ignore[return-value]  # the same
