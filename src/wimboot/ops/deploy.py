"""Build or update a whole folder of systems as a plan declares it: only what differs is changed.

1. The store gets the images that it lacks, one after the other; each is there whole or not at all.
2. Systems are built, restored or brought up to the store, side by side; each by itself, whole or not at all.
3. The spare copy of the store is brought up to it.

An interruption leaves what is finished, and of the rest nothing; the next run goes on from there. What the plan does
not know is never touched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.disk import DECIDED, parse_place
from wimboot.errors import Error, HostError, Refused, Unsupported
from wimboot.events import Emit, Event, Note, Phase, Problem
from wimboot.ops.assembling.planned import Planned, holding, load_plan
from wimboot.ops.assembling.present import look_at_store, look_at_system, place_for_new, place_registered
from wimboot.ops.assembling.sidebyside import Outcome, side_by_side
from wimboot.ops.build import BuildJob, Built, build
from wimboot.ops.capture import capture
from wimboot.ops.capturing.exporting import export_image
from wimboot.ops.creating.shape import DiskShape
from wimboot.ops.opening.storing import choose_image, opened_store
from wimboot.ops.options import CaptureOptions, Compression, Folders, SyncOptions, TargetOptions, processors
from wimboot.ops.sharing.together import SameVolume
from wimboot.ops.sharing.users import users_of
from wimboot.ops.sync import sync
from wimboot.plan.deploying import Action, DeploySteps, SystemStep, plan_deploy
from wimboot.storage import HostFolder
from wimboot.wim import real_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.plan.declared import ImageOrigin

__all__ = ["DeployOptions", "Deployed", "NotInThisVersion", "SystemDone", "WouldUndo", "deploy"]


class WouldUndo(Refused):
    """Systems that would go back to another image, and nobody who said so."""

    id = "plan-would-undo"
    sentence = "these systems stand on another image than the plan's, and would lose what changed on them: {systems}"
    advice = "If that is what you want, say --yes. To keep such a system as it is, name its image in the plan."


class NotInThisVersion(Unsupported):
    """A plan that asks for what this version does not do."""

    id = "plan-not-yet"
    sentence = "{plan} asks for {what}, which this version of wimboot does not build"
    advice = "Leave that out of the plan: everything else is built."


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployOptions:
    """`plan` is a TOML file. `undo` lets systems go back to another image; `log_folder` is where logs of devices lie;
    `threads` systems are built at once at most.
    """

    plan: Path
    dry_run: bool = False
    undo: bool = False
    log_folder: Path | None = None
    threads: int = field(default_factory=processors)
    folders: Folders = HostFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemDone:
    """One system: its step, its volume, and what was done; None where nothing was, or with a dry run."""

    step: SystemStep
    where: str
    built: Built | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What was done, or with a dry run would be. `brought` are the names of images that the store got."""

    planned: Planned
    brought: tuple[str, ...]
    systems: tuple[SystemDone, ...]
    spare_written: int | None = None


def deploy(options: DeployOptions, emit: Emit) -> Deployed:
    """Make the folder what the plan declares.

    Raises:
        UsageError: a plan that is none, or speaks of an image that is nowhere.
        Refused: something else lies where a system is to be; systems would go back; another run builds there; what the
            verbs refuse.
    """
    planned = load_plan(options.plan)
    if planned.declared.boot is not None or any(system.ram for system in planned.declared.systems):
        raise NotInThisVersion(plan=options.plan, what="boot files or a RAM image")
    telling = _once(emit)
    if options.dry_run:
        steps, spare = _look(planned, options, telling)
        return Deployed(planned=planned, brought=tuple(origin.name for origin in steps.origins), spare_written=spare,
                        systems=tuple(_told(planned, step) for step in steps.systems))
    with holding(planned.folder, alone=True) as share:
        steps, _ = _look(planned, options, telling)
        if steps.undoing and not options.undo:
            raise WouldUndo(systems=", ".join(f"{step.wish.name} (image {step.before} -> {step.number})"
                                              for step in steps.undoing))
        for origin in steps.origins:
            _bring(planned, origin, options, telling)
        brought = tuple(origin.name for origin in steps.origins)
        if brought:
            steps, _ = _look(planned, options, telling)
        share()
        systems = _build_all(planned, steps, options, telling)
        if brought:
            _tell_of_others(planned, telling)
        return Deployed(planned=planned, brought=brought, systems=systems,
                        spare_written=_sync_spare(planned, options, telling))


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
    like = TargetOptions(place="", log_folder=options.log_folder, folders=options.folders)
    _refuse_same(planned)
    store = look_at_store(planned, like)
    wishes = planned.declared.systems
    if os.path.lexists(planned.wim):
        with opened_store(planned.wim, options.folders) as opened:
            found = [look_at_system(planned, wish, opened, like, emit) for wish in wishes]
    else:
        found = [look_at_system(planned, wish, None, like, emit) for wish in wishes]
    steps = plan_deploy(planned.declared, store, found, wim=str(planned.wim), place=place_registered(planned))
    if any(step.action in (Action.BUILD, Action.APPLY) for step in steps.systems):
        place_for_new(planned, emit)
    spare = _sync_spare(planned, options, emit, dry_run=True) if os.path.lexists(planned.wim) else None
    return steps, spare


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
    compression = None if word is None else Compression(word)
    if origin.target is not None:
        target = TargetOptions(place=planned.beside(origin.target), log_folder=options.log_folder,
                               folders=options.folders)
        capture(CaptureOptions(target=target, wim=wim, compression=compression, threads=options.threads,
                               name=origin.name), emit)
    else:
        source = Path(planned.beside(origin.wim or ""))
        with opened_store(source, options.folders) as store:
            number = choose_image(store, origin.image or "", where=str(source))
        export_image(source, number, wim, options.folders, emit, name=origin.name, compression=compression)
    DECIDED.clear()


def _make_folder(path: Path) -> None:
    """Raises HostError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(what="making the folder", where=str(path), why=error.strerror or str(error)) from error


def _build_all(planned: Planned, steps: DeploySteps, options: DeployOptions, emit: Emit) -> tuple[SystemDone, ...]:
    """What is to be done about each system; those on one disk one after the other. Raises the first failure."""
    done: dict[str, Outcome[Built]] = {}
    active = [step for step in steps.systems if step.action is not Action.KEEP]
    if active:
        phase = Phase(name="build", total=sum(step.image.files for step in active))
        if options.threads > 1 and len(active) > 1:
            emit(phase)
        try:
            for batch in _apart(planned, active):
                jobs = [(step.wish.name, _job(planned, step, options, emit)) for step in batch]

                def note(number: int, outcome: Outcome[Built], batch: Sequence[SystemStep] = batch) -> None:
                    done[batch[number].wish.name] = outcome

                side_by_side(build, jobs, options.threads, phase.counter, emit, finished=note)
        except BaseException:
            _tell_finished(done, emit)
            raise
        _raise_first(planned, active, done, emit)
    return tuple(_told(planned, step, done.get(step.wish.name)) for step in steps.systems)


def _apart(planned: Planned, active: Sequence[SystemStep]) -> list[list[SystemStep]]:
    """Batches in which every system lies on a disk of its own: one disk has one transaction."""
    batches: list[tuple[set[Path], list[SystemStep]]] = []
    for step in active:
        disk = real_path(parse_place(planned.target(step.wish)).path)
        free = next((batch for batch in batches if disk not in batch[0]), None)
        if free is None:
            batches.append(({disk}, [step]))
        else:
            free[0].add(disk)
            free[1].append(step)
    return [steps for _, steps in batches]


def _job(planned: Planned, step: SystemStep, options: DeployOptions, emit: Emit) -> BuildJob:
    wish = step.wish
    target = TargetOptions(place=planned.target(wish), log_folder=options.log_folder, folders=options.folders)
    path, shape = None, None
    if wish.file is not None and wish.table is not None:
        path = planned.file(wish.file)
        _make_folder(path.parent)
        shape = DiskShape(size=wish.size, fixed=wish.fixed, table=wish.table, label=wish.label)
    registered = place_registered(planned)
    new = step.action in (Action.BUILD, Action.APPLY)
    place = place_for_new(planned, emit) if new else None if registered is None else str(registered)
    return BuildJob(action=step.action, folder=planned.folder, target=target, wim=planned.wim, number=step.number,
                    place=place, path=path, driver=planned.driver(wish), shape=shape)


def _tell_finished(done: dict[str, Outcome[Built]], emit: Emit) -> None:
    names = [name for name, outcome in done.items() if outcome.error is None]
    text = f"Finished, and there to stay: {', '.join(names)}." if names else "No system had been finished."
    emit(Note(id="systems-finished", warning=True, text=text + " Every other one is as it was before."))


def _raise_first(planned: Planned, active: Sequence[SystemStep], done: dict[str, Outcome[Built]], emit: Emit) -> None:
    """Raises the first failure; the others are told as problems."""
    failed = [(step, error) for step in active if (error := done[step.wish.name].error) is not None]
    if not failed:
        return
    for step, error in failed[1:]:
        emit(Problem(id=error.id, where=planned.target(step.wish), text=str(error), advice=error.hint))
    _tell_finished(done, emit)
    first: Error = failed[0][1]
    raise first


def _told(planned: Planned, step: SystemStep, outcome: Outcome[Built] | None = None) -> SystemDone:
    return SystemDone(step=step, where=planned.target(step.wish), built=None if outcome is None else outcome.result)


def _tell_of_others(planned: Planned, emit: Emit) -> None:
    """Say which volumes at hand stand on the store that has grown, and are not in the plan."""
    with opened_store(planned.wim) as store:
        guid = store.guid
    mine = {real_path(parse_place(planned.target(wish)).path) for wish in planned.declared.systems}
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
