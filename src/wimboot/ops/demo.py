"""Build a sample system of real files and take it through its life: convert, verify, update, damage, restore."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from wimboot.disk import open_target, parse_place
from wimboot.errors import Internal, Refused
from wimboot.events import Note
from wimboot.formats.names import encode_name
from wimboot.frozen import Frozen
from wimboot.ntfs import Volume
from wimboot.ops.convert import convert
from wimboot.ops.info import VolumeInfo, info
from wimboot.ops.options import (
    CaptureOptions,
    ConvertOptions,
    RestoreOptions,
    TargetOptions,
    UpdateOptions,
    VerifyOptions,
)
from wimboot.ops.restore import restore
from wimboot.ops.sample.system import DemoSystem, build_demo_system
from wimboot.ops.update import update
from wimboot.ops.verify import verify
from wimboot.storage import FileDevice, SliceDevice, host_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wimboot.events import Emit, Event

__all__ = ["Demo", "DemoInTheWay", "Stage", "demo"]

_OF_NO_INTEREST = frozenset({"place-later", "others-behind"})
"""The WIM lies beside the disk, where it can be looked at; no Windows starts from it, and it backs nothing else."""


class DemoInTheWay(Refused):
    """Files of an earlier demo, or somebody's own."""

    id = "demo-in-the-way"
    sentence = "{where} exists already"
    advice = "The demo makes new files and touches no others: remove that one, or name another folder."


class Stage(Frozen):
    """One line of the closing table: how the system stands after a step. Sizes in bytes."""

    name: str
    files: int
    pointers: int
    virtual: int
    occupied: int
    wim_size: int
    seconds: float
    told: str


class Demo(Frozen):
    """Where the demo left its files, and what happened."""

    disk: Path
    wim: Path
    stages: tuple[Stage, ...]


def demo(folder: Path, tell: Emit) -> Demo:
    """Run it in a folder, which is made; stopped by Ctrl-C it leaves nothing behind.

    Raises DemoInTheWay, HostError, and Internal where a check failed.
    """
    def emit(event: Event) -> None:
        if not isinstance(event, Note) or event.id not in _OF_NO_INTEREST:
            tell(event)

    there = os.path.lexists(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise host_error("making the folder", folder, error) from error
    disk, wim = folder / "disk.img", folder / "store.wim"
    for path in (disk, wim):
        if path.exists():
            raise DemoInTheWay(where=path)
    try:
        return _live(disk, wim, emit)
    except KeyboardInterrupt:
        for path in (disk, wim):
            path.unlink(missing_ok=True)
        if not there:
            with suppress(OSError):     # somebody put a file there
                folder.rmdir()
        raise


def _live(disk: Path, wim: Path, emit: Emit) -> Demo:
    """The life of a system on a disk that is made."""
    target = TargetOptions(place=str(disk))
    stages: list[Stage] = []

    def stage(name: str, work: Callable[[], str]) -> None:
        began = time.monotonic()
        told = work()
        stages.append(_stage(name, target, wim, time.monotonic() - began, told, emit))

    stage("built", lambda: f"{build_demo_system(DemoSystem(path=disk), emit):,} files")
    stage("converted", lambda: _convert(target, wim, emit))
    stage("verified", lambda: _verify(target, wim, emit))
    stage("used", lambda: _use(disk))
    stage("updated", lambda: _update(target, wim, emit))
    stage("damaged", lambda: _damage(disk))
    stage("restored", lambda: _restore(target, wim, 2, emit))
    stage("back to the first", lambda: _restore(target, wim, 1, emit))
    stage("verified again", lambda: _verify(target, wim, emit))
    return Demo(disk=disk, wim=wim, stages=tuple(stages))


def _convert(target: TargetOptions, wim: Path, emit: Emit) -> str:
    done = convert(ConvertOptions(capture=CaptureOptions(target=target, wim=wim), wim_place="later"), emit)
    return f"{done.pointed:,} pointers"


def _verify(target: TargetOptions, wim: Path, emit: Emit) -> str:
    done = verify(VerifyOptions(target=target, wim=wim), emit)
    if done.problems:
        raise Internal(what=f"the demo's own system has {done.problems:,} problems")
    return f"{done.blobs:,} blobs hashed"


def _update(target: TargetOptions, wim: Path, emit: Emit) -> str:
    done = update(UpdateOptions(target=target, wim=wim, name="updated"), emit)
    if done.number != 2:
        raise Internal(what=f"the demo's system stands on image {done.number} after it was updated")
    return f"{done.pointed} new pointers, {done.refreshed:,} refreshed"


def _restore(target: TargetOptions, wim: Path, image: int, emit: Emit) -> str:
    done = restore(RestoreOptions(target=target, wim=wim, image=str(image)), emit)
    again = restore(RestoreOptions(target=TargetOptions(place=target.place, dry_run=True), wim=wim), emit)
    if again.removed or again.added or again.changed or again.metadata:
        raise Internal(what=f"the demo's system differs from image {image} after it was restored")
    return f"{done.removed:,} removed, {done.added:,} made, {done.changed:,} changed"


@contextmanager
def _running(disk: Path) -> Iterator[Volume]:
    """The volume, to be changed as Windows would."""
    with open_target(parse_place(f"{disk}#1"), write=True) as target:
        start, size = target.slice(1)
        with Volume(SliceDevice(FileDevice(target.file), start, size), write=True, where=str(disk)) as volume:
            yield volume


def _file(volume: Volume, path: str) -> int:
    found = volume.open_path(path)
    if found is None:
        raise Internal(what=f"the demo's system lacks {path}")
    return found


def _add(volume: Volume, folder: int, name: str, data: bytes) -> None:
    now = (131_000_000_000_000_000,) * 3
    added = volume.create_file(folder, encode_name(name), b"", 0x20, now, 0)
    volume.write_data(added, b"", iter((data,)), len(data))


def _installed() -> bytes:
    """A program of 3.2 MB that does not compress, the same in every demo."""
    return b"".join(hashlib.sha256(number.to_bytes(4, "little")).digest() for number in range(100_000))


def _use(disk: Path) -> str:
    """What a month does to a system: a program comes, an old file goes."""
    with _running(disk) as volume:
        _add(volume, _file(volume, "\\Windows\\System32"), "installed.dll", _installed())
        volume.unlink(_file(volume, "\\Windows\\INF\\errata.inf"), _file(volume, "\\Windows\\INF"),
                      encode_name("errata.inf"))
    return "1 deleted, 1 added"


def _damage(disk: Path) -> str:
    """Change what a mishap might: a program gone, a document overwritten, rubbish in a folder."""
    with _running(disk) as volume:
        folder = _file(volume, "\\Windows\\System32")
        volume.unlink(_file(volume, "\\Windows\\System32\\shell32.dll"), folder, encode_name("shell32.dll"))
        volume.write_data(_file(volume, "\\Windows\\System32\\user32.dll"), b"", iter((b"overwritten",)), 11)
        _add(volume, folder, "rubbish.tmp", bytes(100_000))
    return "1 deleted, 1 overwritten, 1 added"


def _stage(name: str, target: TargetOptions, wim: Path, seconds: float, told: str, emit: Emit) -> Stage:
    volume = info(target, emit).volume
    if not isinstance(volume, VolumeInfo):
        raise Internal(what="the demo's disk has no volume")
    return Stage(name=name, files=volume.files, pointers=volume.pointers, virtual=volume.virtual,
                 occupied=volume.occupied, wim_size=wim.stat().st_size if wim.exists() else 0, seconds=seconds,
                 told=told)
