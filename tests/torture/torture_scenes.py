"""One run of a writing verb, on a volume as small as can be, with every change that it makes to a disk written down.

Target, log, WIM, undo record and temporary files live in two folders, `DISK` and `WIMS`, in memory. On the host there
is only an empty file that the target's lock is taken on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from driver_files import wofadk
from torture_judge import Whole, is_dirty, look_at
from wimboot.disk import Transaction
from wimboot.disk.log import PAGE
from wimboot.disk.transaction import BATCH_PAGES
from wimboot.errors import ChecksFailed, Error
from wimboot.events import silent
from wimboot.ops.apply import apply
from wimboot.ops.capture import capture
from wimboot.ops.convert import convert
from wimboot.ops.driver import DriverOptions, driver
from wimboot.ops.opening import disks, volume
from wimboot.ops.options import (
    ApplyOptions,
    CaptureOptions,
    ConvertOptions,
    Form,
    RehydrateOptions,
    RelocateOptions,
    RepairOptions,
    RestoreOptions,
    TargetOptions,
    UpdateOptions,
    VerifyOptions,
)
from wimboot.ops.recover import recover
from wimboot.ops.rehydrate import rehydrate
from wimboot.ops.relocate import relocate
from wimboot.ops.repair import repair
from wimboot.ops.restore import restore
from wimboot.ops.update import update
from wimboot.storage import Folder, HostFolder
from wimboot.storage.faults import CrashState, Image, MemoryFolder, Model, Recorder
from wimboot.wim import recover as recover_wim
from wimboot.wim.errors import WimMissing

__all__ = [
    "DISK", "PLACE", "SIZE", "TARGET", "VERBS", "WIM", "WIMS", "Bases", "Pair", "Scene", "Stage", "folders_of", "judge",
    "record", "recorded", "recording_of_recovery", "recover_pair", "start", "verdict",
]

DISK, WIMS = "disk", "wims"
TARGET, WIM = "volume.img", "store.wim"
SIZE = 5 << 20
PLACE = "mbr:5cbea03e:1048576:\\wimboot\\store.wim"


Pair = dict[str, MemoryFolder]
"""The two folders, by label."""


class Stage:
    """The two folders as the verbs are given them: host paths that lead to whatever folders a test names."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        for label in (DISK, WIMS):
            (self.root / label).mkdir(exist_ok=True)
        self.target = self.root / DISK / TARGET
        self.wim = self.root / WIMS / WIM
        self.target.touch()

    def options(self, inner: Mapping[str, Folder]) -> TargetOptions:
        """The target, with an opener that leads into these folders; any other path is the host's own."""
        def opener(path: Path) -> Folder:
            return inner[path.name] if path.parent == self.root and path.name in inner else HostFolder(path)

        return TargetOptions(place=str(self.target), folders=opener)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """Contents to begin with: two Windows 10 volumes, a Windows 7 with a log beside its registry, one volume empty, one
    converted and edited since, and its WIM.

    `ailing` is converted and not edited, but for a real file with the contents of a pointer; in `ailing_wim` the data
    of that pointer is damaged, and its table is not the one that the pointers know.
    """

    first: bytes
    second: bytes
    seven: bytes
    empty: bytes
    edited: bytes
    ailing: bytes
    wim: bytes
    ailing_wim: bytes


Verb = Callable[[Stage, Mapping[str, Folder]], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A verb and what it begins with."""

    run: Verb
    volume: str
    wim: bool
    which: str = "wim"


def _capturing(stage: Stage, inner: Mapping[str, Folder]) -> CaptureOptions:
    return CaptureOptions(target=stage.options(inner), wim=stage.wim, name="the second", threads=2, fast=True)


def _capture(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return capture(_capturing(stage, inner), silent)


def _convert(stage: Stage, inner: Mapping[str, Folder], *, rebuild: bool = False, driver: bool = False) -> object:
    given = str(wofadk(stage.root)) if driver else "none"
    return convert(ConvertOptions(capture=_capturing(stage, inner), wim_place=PLACE, driver=given,
                                  rebuild=rebuild), silent)


def _driver(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return driver(DriverOptions(target=stage.options(inner), file=wofadk(stage.root)), silent)


def _apply(stage: Stage, inner: Mapping[str, Folder], *, form: Form, rebuild: bool = False) -> object:
    return apply(ApplyOptions(target=stage.options(inner), wim=stage.wim, image="1", form=form, rebuild=rebuild,
                              wim_place=PLACE, driver="none"), silent)


def _restore(stage: Stage, inner: Mapping[str, Folder], *, rebuild: bool = False) -> object:
    return restore(RestoreOptions(target=stage.options(inner), wim=stage.wim, driver="none", rebuild=rebuild), silent)


def _update(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return update(UpdateOptions(target=stage.options(inner), wim=stage.wim, name="the second", threads=2), silent)


def _rehydrate(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return rehydrate(RehydrateOptions(target=stage.options(inner), wim=stage.wim), silent)


def _repair(stage: Stage, inner: Mapping[str, Folder]) -> object:
    check = VerifyOptions(target=stage.options(inner), wim=stage.wim, threads=2)
    done = repair(RepairOptions(check=check), silent)
    if done.after.found:
        raise ChecksFailed(count=done.after.problems, where=str(stage.target))
    return done


def _relocate(stage: Stage, inner: Mapping[str, Folder]) -> object:
    return relocate(RelocateOptions(target=stage.options(inner), wim=stage.wim, place=PLACE.replace("store", "moved")),
                    silent)


VERBS = {
    "convert": Play(run=_convert, volume="second", wim=False),
    "convert-onto": Play(run=_convert, volume="second", wim=True),
    "convert-driver": Play(run=partial(_convert, driver=True), volume="seven", wim=False),
    "driver": Play(run=_driver, volume="seven", wim=True),
    "convert-format": Play(run=partial(_convert, rebuild=True), volume="second", wim=True),
    "capture": Play(run=_capture, volume="second", wim=True),
    "capture-new": Play(run=_capture, volume="second", wim=False),
    "apply": Play(run=partial(_apply, form=Form.POINTERS), volume="empty", wim=True),
    "apply-full": Play(run=partial(_apply, form=Form.FULL), volume="empty", wim=True),
    "apply-format": Play(run=partial(_apply, form=Form.POINTERS, rebuild=True), volume="second", wim=True),
    "restore": Play(run=_restore, volume="edited", wim=True),
    "update": Play(run=_update, volume="edited", wim=True),
    "rehydrate": Play(run=_rehydrate, volume="edited", wim=True),
    "relocate": Play(run=_relocate, volume="edited", wim=True),
    "restore-format": Play(run=partial(_restore, rebuild=True), volume="edited", wim=True),
    "repair": Play(run=_repair, volume="ailing", wim=True, which="ailing_wim"),
}
"""By name, for a test's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A run that was recorded: how both were before it and after, and the step at which it returned."""

    name: str
    stage: Stage
    recorder: Recorder
    old: Whole
    new: Whole
    returned_at: int


def start(name: str, bases: Bases) -> Pair:
    """The two folders before the verb."""
    play = VERBS[name]
    wims = {WIM: Image(getattr(bases, play.which))} if play.wim else {}
    return {DISK: MemoryFolder({TARGET: Image(getattr(bases, play.volume))}), WIMS: MemoryFolder(wims)}


def record(name: str, bases: Bases, root: Path, *, batch_pages: int = BATCH_PAGES) -> Scene:
    """Run a verb and write down what it does; with smaller batches a commit has more of them."""
    stage, inner, recorder = Stage(root), start(name, bases), Recorder()
    wrapped = recorded(recorder, inner)
    old = look_at(inner[DISK].images[TARGET], inner[WIMS].images.get(WIM))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disks, "Transaction", partial(Transaction, batch_pages=batch_pages))
        VERBS[name].run(stage, wrapped)
    new = look_at(inner[DISK].images[TARGET], inner[WIMS].images[WIM])
    return Scene(name=name, stage=stage, recorder=recorder, old=old, new=new, returned_at=recorder.point)


def recorded(recorder: Recorder, inner: Pair) -> dict[str, Folder]:
    """The folders, wrapped, with every file in them known to the recorder."""
    wrapped: dict[str, Folder] = {label: recorder.folder(folder, label) for label, folder in inner.items()}
    for label, folder in inner.items():
        for name in list(folder.images):
            wrapped[label].open(name).close()
    return wrapped


def folders_of(state: CrashState) -> Pair:
    """Copies of a state's folders, to do with as one likes."""
    return {label: state.folder(label) for label in (DISK, WIMS)}


# -- recovery, and what it must have come to ----------------------------------------------------------------------

def recover_pair(stage: Stage, inner: Mapping[str, Folder], *, reading: bool) -> None:
    """What `wimboot recover` does, or what any verb that only reads the volume does before it reads."""
    options = stage.options(inner)
    if reading:
        with volume.open_volume(options, silent, write=False, windows=False):
            pass
        recover_wim(inner[WIMS], WIM, where=WIM)
    else:
        with suppress(WimMissing):      # said afterwards, where there was nothing to do and there never was one
            recover(options, stage.wim, silent)


def recording_of_recovery(stage: Stage, state: CrashState, *, reading: bool) -> Recorder:
    """Recover a state and write down what that does."""
    recorder = Recorder()
    recover_pair(stage, recorded(recorder, folders_of(state)), reading=reading)
    return recorder


def judge(scene: Scene, state: CrashState, *, point: int | None = None) -> str | None:
    """Recover a state, as two kinds of commands do in turn; what is wrong with the outcome, None where nothing is.

    `point` is where in the verb the first crash was, if this is a crash in its recovery.
    """
    whole_pages = state.model is Model.KILL or (state.model is Model.POWER and state.block_size == PAGE)
    if point is None and whole_pages and not _is_honest(scene, state.folders[DISK][TARGET]):
        return "before recovery the volume is half written, and does not say that it is dirty"
    point = state.point if point is None else point
    inner = folders_of(state)
    over = point >= scene.returned_at
    if over and (leftovers := _leftovers(inner)):
        return f"it had returned, and there still is {leftovers}"
    try:
        recover_pair(scene.stage, inner, reading=bool(state.point % 2))
        wrong = verdict(scene, inner, only_new=over)
        again = Recorder()
        recover_pair(scene.stage, recorded(again, inner), reading=not state.point % 2)
    except Error as error:
        return f"recovery refused: {error!r}"
    if wrong is None and again.point:
        return f"a second recovery did something: {again.steps[0]}"
    return wrong


def _is_honest(scene: Scene, volume: Image) -> bool:
    """Whether somebody who does not know of the log can trust what the volume says of itself."""
    return scene.old.has_volume(volume) or scene.new.has_volume(volume) or is_dirty(volume)


def verdict(scene: Scene, inner: Pair, *, only_new: bool = False, only_old: bool = False,
            apart: bool = False) -> str | None:
    """What is wrong with a recovered pair. With `apart` an old volume beside the new WIM is right, too."""
    if leftovers := _leftovers(inner):
        return f"there is {leftovers} left behind"
    volume, wim = inner[DISK].images[TARGET], inner[WIMS].images.get(WIM)
    volumes = {name for name, whole in _both(scene) if whole.has_volume(volume)}
    wims = {name for name, whole in _both(scene) if whole.has_wim(wim)}
    if not volumes or not wims:
        return f"neither old nor new: {'' if volumes else 'the volume'} {'' if wims else 'the WIM'}"
    if only_new or only_old:
        wanted = "new" if only_new else "old"
        return None if wanted in volumes & wims else f"not {wanted}: the volume is {volumes}, the WIM is {wims}"
    if volumes & wims or (apart and "old" in volumes):
        return None
    return f"they do not fit: the volume is {volumes}, the WIM is {wims}"


def _both(scene: Scene) -> tuple[tuple[str, Whole], tuple[str, Whole]]:
    return ("old", scene.old), ("new", scene.new)


def _leftovers(inner: Pair) -> list[str]:
    return sorted(({*inner[DISK].images} | {*inner[WIMS].images}) - {TARGET, WIM})
