"""What has to be done for each system and RAM image of a plan, as values that a process of its own can be given."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from wimboot.disk import parse_place
from wimboot.disk.packing import Packing
from wimboot.frozen import Frozen
from wimboot.ops.assembling.present import place_for_new, place_registered
from wimboot.ops.booting.options import BootOptions
from wimboot.ops.creating.shape import DiskShape
from wimboot.ops.options import Folders, TargetOptions, processors
from wimboot.ops.ramming.options import RamOptions
from wimboot.plan.declared import WindowsFolder
from wimboot.plan.deploying import Action
from wimboot.storage import HostFolder
from wimboot.wim import real_path
from wimboot.windows.bcdentries import Firmware

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.assembling.planned import Planned
    from wimboot.plan.declared import SystemWish
    from wimboot.plan.deploying import RamStep, SystemStep

__all__ = ["BuildJob", "DeployOptions", "apart", "boot_options", "ram_job", "ram_name", "system_job"]


class DeployOptions(Frozen):
    """`plan` is a TOML file. `undo` lets systems go back to another image; `driver` is for systems for which the plan
    names none; `log_folder` is where logs of devices lie; `threads` systems are built at once at most. The WIM behind a
    volume that is captured is looked for in `search` and `wim_folder` besides, as `TargetOptions` has them.
    """

    plan: Path
    dry_run: bool = False
    undo: bool = False
    driver: str | None = None
    log_folder: Path | None = None
    threads: int = field(default_factory=processors)
    search: tuple[Path, ...] = ()
    wim_folder: Path | None = None
    folders: Folders = HostFolder


class BuildJob(Frozen):
    """What is done for one system of the folder `folder`, of `files` files.

    `target.place` is its volume; of a disk that is still to be made, `path` is its file and `shape` what it is to be.
    `place` is what `--wim-place` says, None where that stays. `ram`: it is a RAM image that is made. No two jobs at
    once have one of their `keys` in common.
    """

    name: str
    action: Action
    folder: Path
    target: TargetOptions
    wim: Path
    number: int
    keys: frozenset[Path]
    files: int = 0
    place: str | None = None
    driver: str | None = None
    no_expand: bool = False
    path: Path | None = None
    shape: DiskShape | None = None
    ram: RamOptions | None = None


def system_job(planned: Planned, step: SystemStep, options: DeployOptions, emit: Emit) -> BuildJob:
    """Raises PlaceNotSaid."""
    wish = step.wish
    target = TargetOptions(place=planned.target(wish), log_folder=options.log_folder, folders=options.folders)
    path, shape = None, None
    if wish.file is not None and wish.table is not None:
        path = planned.file(wish.file)
        shape = DiskShape(size=wish.size, fixed=wish.fixed, table=wish.table, label=wish.label)
    registered = place_registered(planned)
    new = step.action in (Action.BUILD, Action.APPLY)
    return BuildJob(
        name=wish.name, action=step.action, folder=planned.folder, target=target, wim=planned.wim, number=step.number,
        keys=frozenset({real_path(parse_place(target.place).path)}), files=step.image.files, path=path, shape=shape,
        place=place_for_new(planned, emit) if new else None if registered is None else str(registered),
        driver=planned.driver(wish) or options.driver, no_expand=wish.no_expand)


def ram_job(planned: Planned, step: RamStep, options: DeployOptions, emit: Emit) -> BuildJob | None:
    """None where the system has no RAM image. Raises PlaceNotSaid."""
    wish, ram = step.wish, step.wish.ram
    if ram is None:
        return None
    out, place = planned.file(ram.file), planned.declared.place
    menu = None if ram.menu is None else planned.file(ram.menu)
    wanted = RamOptions(
        out=out, wim=planned.wim, image=str(step.number), size=ram.size, packing=Packing(ram.form), menu=menu,
        menu_path=place.on_volume(ram.file) if isinstance(place, WindowsFolder) else None, title=ram.title,
        wim_place=place_for_new(planned, emit), driver=planned.driver(wish) or options.driver, replace=True,
        test_signing=wish.test_signing, no_integrity_checks=wish.no_integrity_checks, threads=options.threads,
        folders=options.folders)
    return BuildJob(
        name=ram_name(wish), action=step.action, folder=planned.folder, wim=planned.wim, number=step.number,
        target=TargetOptions(place=str(out)), files=step.image.files, ram=wanted,
        keys=frozenset({out} if menu is None else {out, menu}))


def ram_name(wish: SystemWish) -> str:
    """What the RAM image of a system is called."""
    return f"{wish.name} (RAM)"


def boot_options(planned: Planned, wish: SystemWish, options: DeployOptions, *, dry_run: bool) -> BootOptions | None:
    """Bringing a system into the boot menu; None where the plan has none."""
    boot, place = planned.declared.boot, planned.declared.place
    if boot is None:
        return None
    vhd_place = None
    if wish.file is not None and place is not None:
        vhd_place = str(place.of(wish.file)) if isinstance(place, WindowsFolder) else "locate:\\" + "\\".join(wish.file)
    firmware: tuple[Firmware, ...] = ()
    if boot.firmware is not None:
        firmware = tuple(Firmware) if boot.firmware == "both" else (Firmware(boot.firmware),)
    return BootOptions(
        to=planned.beside(boot.to), wim=planned.wim, title=wish.title, locale=boot.locale, timeout=boot.timeout,
        target=TargetOptions(place=planned.target(wish), log_folder=options.log_folder, folders=options.folders),
        default=boot.default == wish.name, firmware=firmware, vhd_place=vhd_place, test_signing=wish.test_signing,
        no_integrity_checks=wish.no_integrity_checks, grub4dos=boot.grub4dos is not None,
        grub4dos_files=None if boot.grub4dos is None else planned.base / boot.grub4dos, log_folder=options.log_folder,
        dry_run=dry_run, folders=options.folders)


def apart(jobs: Iterable[BuildJob]) -> list[list[BuildJob]]:
    """Batches in which no two jobs have a key in common: one disk has one transaction, one menu one writer."""
    batches: list[tuple[set[Path], list[BuildJob]]] = []
    for job in jobs:
        free = next((batch for batch in batches if job.keys.isdisjoint(batch[0])), None)
        if free is None:
            batches.append((set(job.keys), [job]))
        else:
            free[0].update(job.keys)
            free[1].append(job)
    return [one for _, one in batches]
