"""Build a sample system of real files and take it through the main job: convert, verify, damage, restore, verify."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.disk import open_target, parse_place
from wimboot.errors import Internal, Refused
from wimboot.formats.names import encode_name
from wimboot.ntfs import Volume
from wimboot.ops.convert import convert
from wimboot.ops.demo_system import DemoSystem, build_demo_system
from wimboot.ops.info import VolumeInfo, info
from wimboot.ops.options import CaptureOptions, ConvertOptions, RestoreOptions, TargetOptions, VerifyOptions
from wimboot.ops.restore import restore
from wimboot.ops.verify import verify
from wimboot.storage import FileDevice, SliceDevice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wimboot.events import Emit

__all__ = ["Demo", "DemoInTheWay", "Stage", "demo"]

SIGNATURE_PLACE = "mbr:5cbea03e:1048576:\\wimboot\\store.wim"
"""Where the demo says that its WIM will lie: the demo's own disk signature."""


class DemoInTheWay(Refused):
    """Files of an earlier demo, or somebody's own."""

    id = "demo-in-the-way"
    sentence = "{where} exists already"
    advice = "The demo makes new files and touches no others: remove that one, or name another folder."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One line of the closing table: how the system stands after a step. Sizes in bytes."""

    name: str
    files: int
    pointers: int
    virtual: int
    occupied: int
    wim_size: int
    seconds: float
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """Where the demo left its files, and what happened."""

    disk: Path
    wim: Path
    stages: tuple[Stage, ...]


def demo(folder: Path, emit: Emit) -> Demo:
    """Run it in a folder, which is made. Raises DemoInTheWay, and Internal where a check failed."""
    folder.mkdir(parents=True, exist_ok=True)
    disk, wim = folder / "disk.img", folder / "store.wim"
    for path in (disk, wim):
        if path.exists():
            raise DemoInTheWay(where=path)
    target = TargetOptions(place=str(disk))
    stages: list[Stage] = []

    def stage(name: str, work: Callable[[], str]) -> None:
        began = time.monotonic()
        told = work()
        stages.append(_stage(name, target, wim, time.monotonic() - began, told, emit))

    stage("built", lambda: f"{build_demo_system(DemoSystem(path=disk), emit):,} files")
    stage("converted", lambda: _convert(target, wim, emit))
    stage("verified", lambda: _verify(target, wim, emit))
    stage("damaged", lambda: _damage(disk))
    stage("restored", lambda: _restore(target, wim, emit))
    stage("verified again", lambda: _verify(target, wim, emit))
    return Demo(disk=disk, wim=wim, stages=tuple(stages))


def _convert(target: TargetOptions, wim: Path, emit: Emit) -> str:
    done = convert(ConvertOptions(capture=CaptureOptions(target=target, wim=wim), wim_place=SIGNATURE_PLACE), emit)
    return f"{done.pointed:,} pointers"


def _verify(target: TargetOptions, wim: Path, emit: Emit) -> str:
    done = verify(VerifyOptions(target=target, wim=wim), emit)
    if done.problems:
        raise Internal(what=f"the demo's own system has {done.problems} problems")
    return f"{done.blobs:,} blobs hashed"


def _restore(target: TargetOptions, wim: Path, emit: Emit) -> str:
    done = restore(RestoreOptions(target=target, wim=wim), emit)
    again = restore(RestoreOptions(target=TargetOptions(place=target.place, dry_run=True), wim=wim), emit)
    if again.removed or again.added or again.changed or again.metadata:
        raise Internal(what="the demo's system differs from its image after it was restored")
    return f"{done.removed} removed, {done.added} made, {done.changed} changed"


def _damage(disk: Path) -> str:
    """Change what a mishap might: a program gone, a document overwritten, rubbish in a folder."""
    with open_target(parse_place(f"{disk}#1"), write=True) as target:
        start, size = target.slice(1)
        with Volume(SliceDevice(FileDevice(target.file), start, size), write=True, where=str(disk)) as volume:
            folder = volume.open_path("\\Windows\\System32")
            program = volume.open_path("\\Windows\\System32\\shell32.dll")
            document = volume.open_path("\\Windows\\System32\\user32.dll")
            if folder is None or program is None or document is None:
                raise Internal(what="the demo's system lacks a file")
            volume.unlink(program, folder, encode_name("shell32.dll"))
            volume.write_data(document, b"", iter((b"overwritten",)), 11)
            now = (131_000_000_000_000_000,) * 3
            rubbish = volume.create_file(folder, encode_name("rubbish.tmp"), b"", 0x20, now, 0)
            volume.write_data(rubbish, b"", iter((bytes(100_000),)), 100_000)
    return "1 deleted, 1 overwritten, 1 added"


def _stage(name: str, target: TargetOptions, wim: Path, seconds: float, told: str, emit: Emit) -> Stage:
    volume = info(target, emit).volume
    if not isinstance(volume, VolumeInfo):
        raise Internal(what="the demo's disk has no volume")
    return Stage(name=name, files=volume.files, pointers=volume.pointers, virtual=volume.virtual,
                 occupied=volume.occupied, wim_size=wim.stat().st_size if wim.exists() else 0, seconds=seconds,
                 told=told)
