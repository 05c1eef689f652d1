"""Build or update a whole folder of systems as a plan declares it: only what differs is changed.

1. The store gets the images that it lacks, one after the other; each is there whole or not at all.
2. Systems and RAM images are built, restored or brought up to the store, side by side; each by itself, whole or not at
   all.
3. Systems get their boot files and their entries in the boot menu; a RAM image has got its own.
4. The spare copy of the store is brought up to it.

An interruption leaves what is finished, and of the rest nothing; the next run goes on from there. What the plan does
not know is never touched.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk import DECIDED, parse_place
from wimboot.errors import Refused
from wimboot.events import Emit, Event, Note, Phase, Problem
from wimboot.frozen import Frozen
from wimboot.ops.assembling.coming import ComingImage, Images, capture_options
from wimboot.ops.assembling.foretelling import check_images
from wimboot.ops.assembling.jobs import BuildJob, DeployOptions, apart, boot_options, ram_job, ram_name, system_job
from wimboot.ops.assembling.planned import Planned, holding, load_plan
from wimboot.ops.assembling.present import look_at_store, look_at_system, place_for_new, place_registered
from wimboot.ops.assembling.ramimages import look_at_ram
from wimboot.ops.assembling.sidebyside import Outcome, side_by_side
from wimboot.ops.boot import boot
from wimboot.ops.booting.systempartition import open_system_partition
from wimboot.ops.build import Built, build
from wimboot.ops.capture import capture
from wimboot.ops.capturing.exporting import export_image
from wimboot.ops.opening.storing import choose_image, held_wim, opened_store
from wimboot.ops.options import Compression, SyncOptions, TargetOptions
from wimboot.ops.sharing.together import SameVolume
from wimboot.ops.sharing.users import users_of
from wimboot.ops.sync import sync
from wimboot.plan.deploying import Action, DeploySteps, FoundImage, FoundSystem, RamStep, SystemStep, plan_deploy
from wimboot.storage import host_error
from wimboot.storage.durable import temporary_name
from wimboot.wim import real_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.plan.declared import ImageOrigin
    from wimboot.wim import Store

__all__ = ["BootDone", "Deployed", "RamDone", "SystemDone", "WouldUndo", "deploy"]


class WouldUndo(Refused):
    """Systems that would go back to another image, and nobody who said so."""

    id = "plan-would-undo"
    sentence = "these systems stand on another image than the plan's, and would lose what changed on them: {systems}"
    advice = "If that is what you want, say --yes. To keep such a system as it is, name its image in the plan."


class SystemDone(Frozen):
    """One system: its step, its volume, and what was done; None where nothing was, or with a dry run."""

    step: SystemStep
    where: str
    built: Built | None = None


class RamDone(Frozen):
    """The RAM image of a system, likewise."""

    step: RamStep
    where: str
    built: Built | None = None


class BootDone(Frozen):
    """The boot entry of a system: `size` bytes of files and stores were written; None: not before it is built."""

    name: str
    title: str
    size: int | None


class Deployed(Frozen):
    """What was done, or with a dry run would be. `brought` are the names of images that the store got."""

    planned: Planned
    brought: tuple[str, ...]
    systems: tuple[SystemDone, ...]
    rams: tuple[RamDone, ...] = ()
    boots: tuple[BootDone, ...] = ()
    spare_written: int | None = None


def deploy(options: DeployOptions, emit: Emit) -> Deployed:
    """Make the folder what the plan declares.

    Raises:
        UsageError: a plan that is none, or speaks of an image that is nowhere.
        Refused: something else lies where a system is to be; systems would go back; another run builds there; what the
            verbs refuse.
    """
    planned, telling = load_plan(options.plan), _once(emit)
    if options.dry_run:
        steps, spare = _look(planned, options, telling)
        if steps.origins and os.path.lexists(planned.wim):
            _tell_of_others(planned, telling)
        return _told(planned, steps, steps.origins, {}, _boot(planned, steps, options, telling), spare)
    with holding(planned.folder, alone=True) as share, ExitStack() as held:
        held.enter_context(held_wim(planned.wim, options.folders))  # the numbers of its images have to hold
        steps, _ = _look(planned, options, telling)
        if steps.undoing and not options.undo:
            raise WouldUndo(systems=", ".join(f"{step.wish.name} (image {step.before} -> {step.number})"
                                              for step in steps.undoing))
        brought = steps.origins
        if brought:
            held.close()
            for origin in brought:
                _bring(planned, origin, options, telling)
            held.enter_context(held_wim(planned.wim, options.folders))
            steps, _ = _look(planned, options, telling)
        share()
        done: dict[str, Outcome[Built]] = {}
        try:
            _build_all(planned, steps, options, done, telling)
            boots = _boot(planned, steps, options, telling)
            spare = _sync_spare(planned, options, telling)
        except BaseException:
            _tell_finished(done, telling)
            raise
        if brought:
            _tell_of_others(planned, telling)
        return _told(planned, steps, brought, done, boots, spare)


def _once(emit: Emit) -> Emit:
    """Each note once, though several systems have it; of volumes that fall behind the plan's own are refreshed."""
    seen: set[tuple[str, str]] = set()

    def tell(event: Event) -> None:
        if isinstance(event, Note):
            if (event.id, event.text) in seen or event.id == "others-behind":
                return
            seen.add((event.id, event.text))
        emit(event)

    return tell


def _look(planned: Planned, options: DeployOptions, emit: Emit) -> tuple[DeploySteps, int | None]:
    """The steps, and the bytes by which the spare copy would grow; all that can be refused beforehand is."""
    emit(Phase(name="look"))
    _refuse_same(planned)
    planned.check_inputs()
    like = TargetOptions(place="", log_folder=options.log_folder, folders=options.folders)
    with opened_store(planned.wim, options.folders) if os.path.lexists(planned.wim) else nullcontext() as opened:
        steps = _steps(planned, opened, options, like, emit)
    actions = {step.action for step in steps.systems} | {step.action for step in steps.rams}
    if actions & {Action.BUILD, Action.APPLY}:
        place_for_new(planned, emit)
    if planned.declared.boot is not None:
        with open_system_partition(planned.beside(planned.declared.boot.to), emit, write=False,
                                   log_folder=options.log_folder, folders=options.folders, dry_run=True):
            pass
    spare = _sync_spare(planned, options, emit, dry_run=True) if os.path.lexists(planned.wim) else None
    return steps, spare


def _steps(planned: Planned, store: Store | None, options: DeployOptions, like: TargetOptions,
           emit: Emit) -> DeploySteps:
    """What the images and volumes that are there make of the plan; each image has its driver."""
    there = look_at_store(planned, like)
    names = {image.name for image in there.images}
    captured = {origin.name: _look_at_volume(planned, origin, options, emit)
                for origin in planned.declared.store.origins if origin.target is not None and origin.name not in names}
    there = replace(there, coming=(*there.coming, *(one.image for one in captured.values())))
    found, rams = _look_at_all(planned, store, like, emit)
    steps = plan_deploy(planned.declared, there, found, rams, wim=str(planned.wim), place=place_registered(planned))
    check_images(planned, steps, Images(planned, store, steps.origins, captured, options), options, emit)
    return steps


def _look_at_volume(planned: Planned, origin: ImageOrigin, options: DeployOptions, emit: Emit) -> ComingImage:
    """What a volume to be captured holds. Raises what capturing it would."""
    wim, beside = planned.wim, planned.wim.parent
    while not beside.exists():      # a store that is not there yet, in folders that are still to be made
        wim = beside.parent / temporary_name(planned.wim.name)
        beside = beside.parent
    done = capture(capture_options(planned, origin, options, wim, dry_run=True), emit)
    architecture = None if done.system is None else done.system.architecture
    return ComingImage(system=done.system, image=FoundImage(
        name=origin.name, architecture="" if architecture is None else architecture.value, files=done.files))


def _look_at_all(planned: Planned, store: Store | None, like: TargetOptions,
                 emit: Emit) -> tuple[list[FoundSystem], list[FoundSystem | None]]:
    """For each system what is there, and of its RAM image."""
    wishes = planned.declared.systems
    rams = [None if wish.ram is None else look_at_ram(planned.file(wish.ram.file), store, like, emit)
            for wish in wishes]
    return [look_at_system(planned, wish, store, like, emit) for wish in wishes], rams


def _refuse_same(planned: Planned) -> None:
    """No volume stands for two systems, under whatever names. Raises SameVolume."""
    seen: set[tuple[Path, int | None]] = set()
    for wish in planned.declared.systems:
        place = parse_place(planned.target(wish))
        key = (real_path(place.path), place.partition)
        if key in seen or (key[0], None) in seen:
            raise SameVolume(where=str(place))
        seen.add(key)


def _bring(planned: Planned, origin: ImageOrigin, options: DeployOptions, emit: Emit) -> None:
    """Let the store have one more image. Raises what exporting and capturing raise."""
    wim, word = planned.wim, planned.declared.store.compression
    _make_folder(wim.parent)
    if origin.target is not None:
        capture(capture_options(planned, origin, options, wim, dry_run=False), emit)
    else:
        source = Path(planned.beside(origin.wim or ""))
        with opened_store(source, options.folders) as store:
            number = choose_image(store, origin.image or "", where=str(source))
        export_image(source, number, wim, options.folders, emit, name=origin.name,
                     compression=None if word is None else Compression(word))
    DECIDED.clear()


def _make_folder(path: Path) -> None:
    """Raises HostError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise host_error("making the folder", path, error) from error


def _build_all(planned: Planned, steps: DeploySteps, options: DeployOptions, done: dict[str, Outcome[Built]],
               emit: Emit) -> None:
    """What is to be done for each system, and RAM images; `done` gets the outcomes. Raises the first failure."""
    jobs = [system_job(planned, step, options, emit) for step in steps.systems if step.action is not Action.KEEP]
    rams = (ram_job(planned, step, options, emit) for step in steps.rams if step.action is not Action.KEEP)
    jobs += [job for job in rams if job is not None]
    for job in jobs:
        for path in job.keys:
            _make_folder(path.parent)
    short = [job for job in jobs if job.action is Action.REFRESH]     # done before a process for it had started
    long = [job for job in jobs if job.action is not Action.REFRESH]
    phase = Phase(name="build", total=sum(job.files for job in long))
    if options.threads > 1 and len(long) > 1:
        emit(phase)
    for batch, processes in ((short, 1), *((batch, options.threads) for batch in apart(long))):

        def note(number: int, outcome: Outcome[Built], batch: Sequence[BuildJob] = batch) -> None:
            done[batch[number].name] = outcome

        side_by_side(build, [(job.name, job) for job in batch], processes, phase.counter, emit, finished=note)
    failed = [(job, error) for job in jobs if (error := done[job.name].error) is not None]
    for job, error in failed[1:]:
        emit(Problem(id=error.id, where=job.target.place, text=str(error), advice=error.hint))
    if failed:
        raise failed[0][1]


def _tell_finished(done: dict[str, Outcome[Built]], emit: Emit) -> None:
    if not done:
        return
    names = [name for name, outcome in done.items() if outcome.error is None]
    text = f"Finished, and there to stay: {', '.join(names)}." if names else "No system had been finished."
    emit(Note(id="systems-finished", warning=True, text=text + " Every other one is as it was before."))


def _boot(planned: Planned, steps: DeploySteps, options: DeployOptions, emit: Emit) -> tuple[BootDone, ...]:
    """Boot files and entries of the systems in turn; written only where something differs. Raises what `boot` does."""
    done = []
    for step in steps.systems:
        wanted = boot_options(planned, step.wish, options, dry_run=True)
        if wanted is None:
            continue
        size = None
        if not options.dry_run or step.action not in (Action.BUILD, Action.APPLY):
            size = sum(boot(wanted, emit).written.values())
            if size and not options.dry_run:
                boot(replace(wanted, dry_run=False), emit)
                DECIDED.clear()
        done.append(BootDone(name=step.wish.name, title=step.wish.title or "", size=size))
    return tuple(done)


def _told(planned: Planned, steps: DeploySteps, brought: Sequence[ImageOrigin], done: dict[str, Outcome[Built]],
          boots: tuple[BootDone, ...], spare: int | None) -> Deployed:
    def built(name: str) -> Built | None:
        return done[name].result if name in done else None

    systems = (SystemDone(step=step, where=planned.target(step.wish), built=built(step.wish.name))
               for step in steps.systems)
    rams = (RamDone(step=step, where=str(planned.file(step.wish.ram.file)), built=built(ram_name(step.wish)))
            for step in steps.rams if step.wish.ram is not None)
    return Deployed(planned=planned, brought=tuple(origin.name for origin in brought), systems=tuple(systems),
                    rams=tuple(rams), boots=boots, spare_written=spare)


def _tell_of_others(planned: Planned, emit: Emit) -> None:
    """Say which volumes at hand stand on the store that has grown, and are not in the plan."""
    with opened_store(planned.wim) as store:
        guid = store.guid
    mine = {real_path(path) for wish in planned.declared.systems for path in (
        parse_place(planned.target(wish)).path, *(() if wish.ram is None else (planned.file(wish.ram.file),)))}
    users = users_of(guid, planned.wim, [planned.folder]).found
    others = [user.place for user in users if real_path(parse_place(user.place).path) not in mine]
    if others:
        emit(Note(id="not-in-plan", warning=True, text=(
            f"{', '.join(others)} stand on the store too, and are not in the plan: Windows may refuse their pointers "
            "until `wimboot update` or `wimboot relocate` was run there.")))


def _sync_spare(planned: Planned, options: DeployOptions, emit: Emit, *, dry_run: bool = False) -> int | None:
    """Bring the spare copy up to the store; the bytes written. Raises what `sync` raises."""
    if planned.declared.store.spare is None:
        return None
    copy = planned.file(planned.declared.store.spare)
    if not dry_run:
        _make_folder(copy.parent)
    return sync(SyncOptions(wim=planned.wim, copy=copy, dry_run=dry_run, threads=options.threads,
                            folders=options.folders), emit).written
