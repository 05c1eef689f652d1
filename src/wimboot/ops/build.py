"""Bring one system of a folder to what a plan declares: a new disk with it, or what is there changed in place.

A new disk is built under a name of its own:

1. what an interrupted build left under that name goes;
2. the disk is made, its volume formatted - a crash here leaves the file under that name;
3. the image is applied to it, in a transaction, and synced - the same;
4. it takes its name, and the folder is synced - from here on the system is there, whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.disk.newfile import take_name
from wimboot.disk.target import LOG_SUFFIX
from wimboot.errors import Internal
from wimboot.events import Emit, Event, Note
from wimboot.frozen import Frozen
from wimboot.ops.apply import apply
from wimboot.ops.assembling.planned import holding
from wimboot.ops.creating.making import make_disk
from wimboot.ops.options import ApplyOptions, RelocateOptions, RestoreOptions, TargetOptions
from wimboot.ops.ram import make_ram
from wimboot.ops.relocate import relocate
from wimboot.ops.restore import restore
from wimboot.plan.deploying import Action
from wimboot.storage.durable import temporary_name

if TYPE_CHECKING:
    from wimboot.ops.apply import Applied
    from wimboot.ops.assembling.jobs import BuildJob
    from wimboot.storage import Folder

__all__ = ["Built", "build"]

BUILDING: Final = ".wimboot-build"


class Built(Frozen):
    """What was done: files and folders of the image, how many are pointers, bytes of data on the volume; pointers that
    were behind; names and files that a restore changed.
    """

    files: int = 0
    pointed: int = 0
    full_size: int = 0
    refreshed: int = 0
    changed: int = 0


def build(job: BuildJob, emit: Emit) -> Built:
    """Do it. It has happened, or this system is as it was. Raises FolderBusy, and what the verbs raise."""
    with holding(job.folder, alone=False):
        return _build(job, emit)


def _build(job: BuildJob, emit: Emit) -> Built:
    if job.ram is not None:
        return _told(make_ram(job.ram, emit).applied)
    if job.action is Action.BUILD:
        return _build_disk(job, emit)
    if job.action is Action.APPLY:
        return _apply(job, job.target, emit)
    if job.action is Action.RESTORE:
        done = restore(RestoreOptions(target=job.target, wim=job.wim, image=str(job.number), wim_place=job.place,
                                      driver=job.driver, no_expand=job.no_expand), emit)
        return Built(changed=done.removed + done.added + done.changed + done.metadata)
    if job.action is Action.REFRESH:
        moved = relocate(RelocateOptions(target=job.target, wim=job.wim, place=job.place), emit)
        return Built(refreshed=moved.refreshed)
    raise Internal(what=f"a system was to be built by doing {job.action.value}")


def _build_disk(job: BuildJob, emit: Emit) -> Built:
    """Raises what making a disk and applying an image raise."""
    if job.path is None or job.shape is None:
        raise Internal(what="a disk was to be made of no shape")
    path, folder = job.path, job.target.folders(job.path.parent)
    under = path.with_name(path.name + BUILDING)
    _remove(folder, under.name)
    try:
        made = make_disk(under, job.shape, emit, folders=job.target.folders)
        target = TargetOptions(place=f"{under}#{made.number}", folders=job.target.folders)
        built = _apply(job, target, _called(emit, str(under), str(path)))
        take_name(folder, under.name, path.name, str(path))
    except BaseException:
        _remove(folder, under.name)
        raise
    folder.sync()
    return built


def _apply(job: BuildJob, target: TargetOptions, emit: Emit) -> Built:
    return _told(apply(ApplyOptions(target=target, wim=job.wim, image=str(job.number), wim_place=job.place,
                                    driver=job.driver, no_expand=job.no_expand), emit))


def _told(done: Applied) -> Built:
    return Built(files=done.files, pointed=done.pointed, full_size=done.full_size)


def _called(emit: Emit, under: str, name: str) -> Emit:
    """Notes that speak of the file by the name that it will have."""
    def tell(event: Event) -> None:
        emit(replace(event, text=event.text.replace(under, name)) if isinstance(event, Note) else event)

    return tell


def _remove(folder: Folder, under: str) -> None:
    """Take away what was built under that name and never got its own, and its log."""
    for name in (under, temporary_name(under), under + LOG_SUFFIX):
        if folder.exists(name):
            folder.remove(name)
