"""What of a plan's steps can be refused, or told, by what the images hold.

Nobody should wait for a store to be captured, and find it there, before hearing that a driver will not do. Only reads.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.disk.packing import Packing, check_packing
from wimboot.events import silent
from wimboot.ops.assembling.jobs import boot_options, ram_job
from wimboot.ops.booting.starting import BootSource, foretell
from wimboot.ops.booting.systempartition import open_system_partition
from wimboot.ops.opening.volume import NoWindows
from wimboot.ops.preparing.choosing import choose_driver
from wimboot.ops.preparing.wishes import tell_of_growing
from wimboot.ops.ramming.menu import check_menu
from wimboot.ops.ramming.telling import tell_of_machine
from wimboot.plan.deploying import Action, RamStep
from wimboot.wim import real_path

if TYPE_CHECKING:
    from wimboot.events import Emit
    from wimboot.ops.assembling.coming import Images
    from wimboot.ops.assembling.jobs import DeployOptions
    from wimboot.ops.assembling.planned import Planned
    from wimboot.ops.booting.bootfiles import Version
    from wimboot.plan.deploying import DeploySteps, SystemStep
    from wimboot.windows.bcdentries import Firmware

__all__ = ["check_images"]

_MADE: Final = (Action.BUILD, Action.APPLY)


def check_images(planned: Planned, steps: DeploySteps, images: Images, options: DeployOptions, emit: Emit) -> None:
    """See that each system that is made can have its overlay driver, and one that is restored the driver named for it;
    and that a RAM image has a Windows in it and can be packed.

    With a dry run what building them would tell is told. Raises DriverNeeded, what a driver file that will not do
    raises, NoWindows, Lz4Missing, of a RAM image what `ram_job` and `check_menu` raise, and what `foretell` does.
    """
    every: list[SystemStep | RamStep] = [*steps.systems, *steps.rams]
    for step in every:
        driver = planned.driver(step.wish) or options.driver
        if step.action not in _MADE and (step.action is not Action.RESTORE or driver is None):
            continue
        system = images.system(step.number)
        choose_driver(system, driver, planned.wim, where=f"the image in {planned.wim}", emit=emit)
        if isinstance(step, RamStep) and step.wish.ram is not None:
            if system is None:
                raise NoWindows(where=f"image {step.number} of {planned.wim}")
            check_packing(Packing(step.wish.ram.form), step.wish.ram.size)
    if options.dry_run:
        for system_step in steps.systems:
            _tell_of_disk(planned, system_step, emit)
        for ram in steps.rams:
            _tell_of_ram(planned, ram, images, options, emit)
        _tell_of_boot(planned, steps, images, options, emit)


def _tell_of_disk(planned: Planned, step: SystemStep, emit: Emit) -> None:
    wish = step.wish
    if step.action is Action.BUILD and wish.file is not None and not (wish.fixed or wish.no_expand):
        tell_of_growing(real_path(planned.file(wish.file)), emit)


def _tell_of_ram(planned: Planned, step: RamStep, images: Images, options: DeployOptions, emit: Emit) -> None:
    job = ram_job(planned, step, options, emit) if step.action in _MADE else None
    system = None if job is None else images.system(step.number)
    if job is None or job.ram is None or system is None:
        return
    menu = job.ram.menu
    there = menu is not None and menu.parent.is_dir()   # else the run makes its folder
    check_menu(job.ram if there else replace(job.ram, menu=None), emit)
    tell_of_machine(job.ram, system, emit)


def _tell_of_boot(planned: Planned, steps: DeploySteps, images: Images, options: DeployOptions, emit: Emit) -> None:
    """What bringing them into the boot menu will tell, and refuse; each after those before it."""
    versions: dict[Firmware, Version] = {}
    for step in steps.systems:
        wanted = boot_options(planned, step.wish, options, dry_run=True) if step.action in _MADE else None
        system = None if wanted is None else images.system(step.number)
        if wanted is None or system is None:
            continue
        with (
            open_system_partition(wanted.to, silent, write=False, log_folder=options.log_folder,
                                  folders=options.folders) as partition,
            images.files(step.number) as (tree, read),
        ):
            foretell(wanted, partition, BootSource(
                where=planned.target(step.wish), tree=tree, read=read, system=replace(system, wimboot=True),
                in_file=step.wish.file is not None), versions, emit)
