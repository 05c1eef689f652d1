"""Images that a store is still to get, and what of a plan's steps can be refused by what they hold.

Nobody should wait for a store to be captured, and find it there, before hearing that a driver will not do. Only reads.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wimboot.disk.packing import Packing, check_packing
from wimboot.events import silent
from wimboot.frozen import Frozen
from wimboot.ops.assembling.jobs import boot_options, ram_job
from wimboot.ops.booting.starting import BootSource, foretell
from wimboot.ops.booting.systempartition import open_system_partition
from wimboot.ops.deploying.viewing import reader_of
from wimboot.ops.finding.unbacked import backed_stores
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import choose_image, opened_store
from wimboot.ops.opening.volume import NoWindows, open_volume
from wimboot.ops.options import CaptureOptions, Compression, TargetOptions
from wimboot.ops.preparing.choosing import choose_driver
from wimboot.ops.preparing.wishes import tell_of_growing
from wimboot.ops.ramming.menu import check_menu
from wimboot.ops.ramming.telling import tell_of_machine
from wimboot.plan.deploying import Action, RamStep
from wimboot.wim import real_path
from wimboot.windows.identify import identify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wimboot.events import Emit
    from wimboot.ops.assembling.jobs import DeployOptions
    from wimboot.ops.assembling.planned import Planned
    from wimboot.ops.booting.bootfiles import Version
    from wimboot.plan.declared import ImageOrigin
    from wimboot.plan.deploying import DeploySteps, FoundImage, SystemStep
    from wimboot.tree import Tree
    from wimboot.wim import Store
    from wimboot.windows.bcdentries import Firmware
    from wimboot.windows.identify import System

__all__ = ["ComingImage", "capture_options", "check_images"]

_MADE: Final = (Action.BUILD, Action.APPLY)


class ComingImage(Frozen):
    """An image as it would be captured, and the Windows in it."""

    image: FoundImage
    system: System | None


def capture_options(planned: Planned, origin: ImageOrigin, options: DeployOptions, wim: Path, *,
                    dry_run: bool) -> CaptureOptions:
    """Capturing the volume of an origin into `wim`."""
    word = planned.declared.store.compression
    target = TargetOptions(place=planned.beside(origin.target or ""), log_folder=options.log_folder, dry_run=dry_run,
                           search=options.search, wim_folder=options.wim_folder, folders=options.folders)
    return CaptureOptions(target=target, wim=wim, compression=None if word is None else Compression(word),
                          threads=options.threads, name=origin.name)


def check_images(planned: Planned, steps: DeploySteps, store: Store | None, captured: Mapping[str, ComingImage],
                 options: DeployOptions, emit: Emit) -> None:
    """See that each system that is made can have its overlay driver, and one that is restored the driver named for it;
    and that a RAM image has a Windows in it and can be packed.

    `store` is there with the images that it has; `captured` are those that it is to get from volumes.

    With a dry run what building them would tell is told. Raises DriverNeeded, what a driver file that will not do
    raises, NoWindows, Lz4Missing, of a RAM image what `ram_job` and `check_menu` raise, and what `foretell` does.
    """
    known: dict[int, System | None] = {}
    every: list[SystemStep | RamStep] = [*steps.systems, *steps.rams]
    for step in every:
        driver = planned.driver(step.wish) or options.driver
        if step.action not in _MADE and (step.action is not Action.RESTORE or driver is None):
            continue
        if step.number not in known:
            known[step.number] = _system_of(planned, steps, step, store, captured, options)
        choose_driver(known[step.number], driver, planned.wim, where=f"the image in {planned.wim}", emit=emit)
        if isinstance(step, RamStep) and step.wish.ram is not None:
            if known[step.number] is None:
                raise NoWindows(where=f"image {step.number} of {planned.wim}")
            check_packing(Packing(step.wish.ram.form), step.wish.ram.size)
    if options.dry_run:
        for system in steps.systems:
            _tell_of_disk(planned, system, emit)
        for ram in steps.rams:
            _tell_of_ram(planned, ram, known.get(ram.number), options, emit)
        _tell_of_boot(planned, steps, store, known, options, emit)


def _tell_of_disk(planned: Planned, step: SystemStep, emit: Emit) -> None:
    wish = step.wish
    if step.action is Action.BUILD and wish.file is not None and not (wish.fixed or wish.no_expand):
        tell_of_growing(real_path(planned.file(wish.file)), emit)


def _tell_of_ram(planned: Planned, step: RamStep, system: System | None, options: DeployOptions, emit: Emit) -> None:
    job = ram_job(planned, step, options, emit) if step.action in _MADE else None
    if job is None or job.ram is None or system is None:
        return
    menu = job.ram.menu
    there = menu is not None and menu.parent.is_dir()   # else the run makes its folder
    check_menu(job.ram if there else replace(job.ram, menu=None), emit)
    tell_of_machine(job.ram, system, emit)


def _tell_of_boot(planned: Planned, steps: DeploySteps, store: Store | None, known: Mapping[int, System | None],
                  options: DeployOptions, emit: Emit) -> None:
    """What bringing them into the boot menu will tell, and refuse; each after those before it."""
    versions: dict[Firmware, Version] = {}
    for step in steps.systems:
        wanted, system = boot_options(planned, step.wish, options, dry_run=True), known.get(step.number)
        if wanted is None or system is None or step.action not in _MADE:
            continue
        with (
            open_system_partition(wanted.to, silent, write=False, log_folder=options.log_folder,
                                  folders=options.folders, dry_run=True) as partition,
            _files_of(planned, steps, step, store, options) as (tree, read),
        ):
            foretell(wanted, partition, BootSource(
                where=planned.target(step.wish), tree=tree, read=read, system=replace(system, wimboot=True),
                in_file=step.wish.file is not None), versions, emit)


@contextmanager
def _files_of(planned: Planned, steps: DeploySteps, step: SystemStep, store: Store | None,
              options: DeployOptions) -> Iterator[tuple[Tree, Callable[[int], bytes]]]:
    """The tree of an image, wherever that is now, and what reads its streams."""
    there = 0 if store is None else len(store.images)
    if store is not None and step.number <= there:
        tree = store.load_tree(step.number)
        yield tree, partial(_read, store, tree)
        return
    origin = steps.origins[step.number - there - 1]
    if origin.target is not None:
        target = capture_options(planned, origin, options, planned.wim, dry_run=True).target
        with open_volume(target, silent, write=False) as opened, backed_stores(opened, None, silent) as stores:
            yield opened.tree, Contents(opened.tree, opened.device, opened.volume, stores).read
        return
    source = Path(planned.beside(origin.wim or ""))
    with opened_store(source, options.folders) as other:
        tree = other.load_tree(choose_image(other, origin.image or "", where=str(source)))
        yield tree, partial(_read, other, tree)


def _read(store: Store, tree: Tree, stream: int) -> bytes:
    row = tree.stream(stream)
    return store.read(row.hash) if row.size else b""


def _system_of(planned: Planned, steps: DeploySteps, step: SystemStep | RamStep, store: Store | None,
               captured: Mapping[str, ComingImage], options: DeployOptions) -> System | None:
    """The Windows of an image, wherever that is now."""
    there = 0 if store is None else len(store.images)
    if store is not None and step.number <= there:
        return _of_image(store, step.number)
    origin = steps.origins[step.number - there - 1]
    if origin.target is not None:
        return captured[origin.name].system
    source = Path(planned.beside(origin.wim or ""))
    with opened_store(source, options.folders) as opened:
        return _of_image(opened, choose_image(opened, origin.image or "", where=str(source)))


def _of_image(store: Store, number: int) -> System | None:
    return identify(reader_of(store, store.load_tree(number)))
