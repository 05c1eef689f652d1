r"""What a system needs in each case, decided before anything is written, and refused where it cannot be had.

    convert     Setup\WimBoot, the driver. The drive letter is right already: the system stays where it is.
    apply       the same, or without pointers neither; and the drive letter, for the image may come from any disk.
    restore     the same; the driver that the volume had stays where the image lacks it, and a drive letter is only
                written where the disk is known.
    rehydrate   no Setup\WimBoot once no pointer is left. The driver stays: it does no harm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from wimboot.errors import Damaged, Error, Refused, Unsupported
from wimboot.events import Emit, Note
from wimboot.formats.vhdfooter import DiskType
from wimboot.frozen import Frozen
from wimboot.ops.opening.contents import Contents
from wimboot.ops.preparing.choosing import NO_DRIVER, DriverNeeded, choose_driver
from wimboot.ops.preparing.location import letters_for
from wimboot.ops.preparing.preparation import Preparation
from wimboot.ops.preparing.prepare import SYSTEM_HIVE, prepare, rehearse
from wimboot.windows.driverfile import WOFADK_NAME
from wimboot.windows.identify import Overlay, identify
from wimboot.windows.services import DRIVERS_FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wimboot.ops.opening.volume import Opened
    from wimboot.wim import Store
    from wimboot.windows.driverfile import Driver
    from wimboot.windows.identify import System

__all__ = ["InPlace", "Wanted", "prepared_image", "tell_of_growing", "unmark", "wish_for_image", "wish_in_place"]


class Wanted(Frozen):
    """What the user asked for. `wim` is that of the pointers, beside which a driver may lie; a volume that `stands` on
    pointers already has its driver, or its user sees to it.
    """

    wim: Path
    driver: str | None = None
    no_expand: bool = False
    pointers: bool = True
    stands: bool = False


class SystemImage(Protocol):
    """An image as far as it matters here. `read` gives a file of it by its path."""

    @property
    def number(self) -> int:
        """In its WIM."""

    @property
    def system(self) -> System | None:
        """The Windows in it."""

    @property
    def read(self) -> Callable[[str], bytes | None]:
        """A file of it, None where it has none."""


class InPlace(Frozen):
    """A system that stays where it is: what it needs, whether it is `lacking` any of that, and what it will be with it.
    """

    system: System
    wish: Preparation
    lacking: bool


def wish_in_place(opened: Opened, stores: Sequence[Store], wanted: Wanted, emit: Emit) -> InPlace | None:
    """What the system of a volume needs for pointers; None where there is none.

    Raises DriverNeeded and what a driver file or a hive that will not do raises.
    """
    contents = Contents(opened.tree, opened.device, opened.volume, stores)
    system = identify(contents.read_path)
    driver = choose_driver(system, wanted.driver, wanted.wim, where=opened.where, emit=emit)
    if system is None:
        return None
    wish = Preparation(wimboot=True, driver=driver, no_expand=wanted.no_expand)
    if _lacks_registry(contents.read_path, wish, opened.where, emit):
        return None
    _tell_of_growth(opened, wanted, emit)
    lacking = rehearse(contents.read_path, wish, where=opened.where) or (
        driver is not None and contents.read_path(f"{DRIVERS_FOLDER}\\{driver.file_name}") != driver.file.data)
    system = replace(system, wimboot=True, overlay=system.overlay if driver is None else Overlay.ADDED)
    return InPlace(system=system, wish=wish, lacking=lacking)


def wish_for_image(opened: Opened, view: SystemImage, wanted: Wanted, emit: Emit, *, moved: bool) -> Preparation | None:
    """What the system of an image needs on the volume that it is about to be written to; None where it needs nothing.

    Args:
        opened: the volume as it is before.
        view: the image.
        wanted: what the user asked for.
        emit: told what he should know.
        moved: the system comes to this volume from anywhere, rather than back to it.

    Raises as `prepare_in_place`. A copy with all its data is made even where its registry is damaged.
    """
    if view.system is None:
        return None
    driver = _driver_for_image(opened, view.system, wanted, emit, moved=moved) if wanted.pointers else None
    wish = Preparation(wimboot=wanted.pointers, driver=driver, no_expand=wanted.no_expand,
                       letters=letters_for(opened, view.system, moved=moved))
    where = f"image {view.number}"
    if _lacks_registry(view.read, wish, where, emit):
        return None
    _tell_of_growth(opened, wanted, emit)
    if wanted.pointers:
        rehearse(view.read, wish, where=where)
        return wish
    try:
        rehearse(view.read, wish, where=where)
    except (Damaged, Refused, Unsupported) as error:
        _tell_unmarked(error, emit)
        return None
    return wish


def prepared_image(opened: Opened, wish: Preparation | None, emit: Emit) -> None:
    """Carry out a wish on the volume that holds the image now. Raises what `prepare` raises."""
    if wish is not None:
        prepare(opened, wish, emit)


def unmark(opened: Opened, emit: Emit) -> None:
    """Take back the mark of a system that has no pointers any more, where it has a registry that can be edited."""
    if opened.volume.open_path(SYSTEM_HIVE) is None:
        return
    read = Contents(opened.tree, opened.device, opened.volume).read_path
    wish = Preparation(wimboot=False)
    try:
        rehearse(read, wish, where=opened.where)
    except (Damaged, Refused, Unsupported) as error:
        _tell_unmarked(error, emit)
        return
    prepare(opened, wish, emit)


def _driver_for_image(opened: Opened, system: System, wanted: Wanted, emit: Emit, *, moved: bool) -> Driver | None:
    """The driver named, or beside the WIM; else the one that the volume has."""
    where = f"the image in {wanted.wim}"
    if moved:
        return choose_driver(system, wanted.driver, wanted.wim, where=where, emit=emit)
    own = Contents(opened.tree, opened.device, opened.volume).read_path(f"{DRIVERS_FOLDER}\\{WOFADK_NAME}")
    try:
        return choose_driver(system, wanted.driver, wanted.wim, where=where, emit=emit, own=own)
    except DriverNeeded:
        if not wanted.stands:
            raise
    except Error:
        if wanted.driver is not None or own is None:
            raise
    return choose_driver(system, NO_DRIVER, wanted.wim, where=where, emit=emit)


def _lacks_registry(read: Callable[[str], bytes | None], wish: Preparation, where: str, emit: Emit) -> bool:
    """Whether there is no hive to be edited, which is told. Raises HiveMissing where a driver needs one."""
    if wish.driver is not None or read(SYSTEM_HIVE) is not None:
        return False
    emit(Note(id="registry-missing", warning=True, text=(
        f"{where} has a Windows without {SYSTEM_HIVE}: it cannot start, and nothing of its registry was prepared.")))
    return True


def _tell_of_growth(opened: Opened, wanted: Wanted, emit: Emit) -> None:
    vhd = opened.target.vhd
    if vhd is not None and vhd.kind is not DiskType.FIXED and not wanted.no_expand:
        tell_of_growing(opened.target.path, emit)


def tell_of_growing(vhd: Path, emit: Emit) -> None:
    """Of a VHD that grows, and whose system is not told about that."""
    emit(Note(id="vhd-expands", text=(
        f"{vhd} is a VHD that grows: when Windows starts from it, it takes its full size on its host, unless the "
        "system is told not to let it (--no-expand).")))


def _tell_unmarked(error: Error, emit: Emit) -> None:
    emit(Note(id="registry-unmarked", warning=True, text=(
        f"The registry still says that this system has pointers, which does no harm: {error}.")))
