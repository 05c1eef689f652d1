"""From what a plan declares and what there is to the steps that make the one the other. Pure.

A system that stands as declared is left alone; whatever the plan does not know is never a step.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wimboot.errors import Refused, UsageError
from wimboot.figures import told_size
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.disk.table import TableKind
    from wimboot.plan.declared import Declared, ImageOrigin, RamWish, SystemWish
    from wimboot.windows.wimplace import WimPlace

__all__ = [
    "Action", "ArchitectureDiffers", "DeploySteps", "DiskDiffers", "FoundImage", "FoundStore", "FoundSystem", "Ground",
    "HoldsSomethingElse", "ImageUndeclared", "RamStep", "SystemStep", "plan_deploy",
]

_NO_ARCHITECTURE = "one that it does not tell"


class ImageUndeclared(UsageError):
    """An image that is nowhere."""

    id = "plan-no-image"
    sentence = "system {system!r} is to stand on image {image!r}, which {wim} does not have and the plan does not bring"
    advice = "Add it to the plan as a [[store.image]], or name another; `wimboot images {wim}` lists what is there."


class ArchitectureDiffers(Refused):
    """An image for other processors than the plan says."""

    id = "plan-architecture"
    sentence = "system {system!r} is declared as {wanted}, and image {image:d} ({name}) is of {found}"
    advice = "Name the right image, or correct the architecture in the plan."


class DiskDiffers(Refused):
    """A disk that cannot become what is declared without being made anew."""

    id = "plan-disk-differs"
    sentence = "{where} is there with {found}, and the plan says {wanted}"
    advice = "Correct the plan; or move that disk away, and it is built anew."


class HoldsSomethingElse(Refused):
    """Something that the plan did not put there."""

    id = "plan-holds-other"
    sentence = "{where} is there and is no system of this plan: {why}"
    advice = "Give another file or volume in the plan, or move that one away: what is not of the plan is left alone."


class Ground(Enum):
    """What lies where a system is to be."""

    ABSENT = "absent"
    EMPTY = "empty"
    STANDING = "standing"
    OTHER = "other"


class Action(Enum):
    """What is done about a system."""

    BUILD = "build"
    APPLY = "apply"
    RESTORE = "restore"
    REFRESH = "refresh"
    KEEP = "keep"


class FoundImage(Frozen):
    """An image of the store; `architecture` is what its processors are called, "" where it does not tell."""

    name: str
    architecture: str = ""
    files: int = 0


class FoundStore(Frozen):
    """The store as it is; no images where there is none. `coming` are those of the plan's origins that it lacks."""

    images: tuple[FoundImage, ...] = ()
    coming: tuple[FoundImage, ...] = ()


class FoundSystem(Frozen):
    """What is there for a system. `image` is the number that it stands on, `place` where it looks for the store,
    `behind` how many of its pointers know an older table; `why` tells of what is no system of this store.

    `size`, `fixed` and `table` are of a VHD, None where it is none; `form` is that of a RAM image.
    """

    ground: Ground
    image: int = 0
    place: WimPlace | None = None
    behind: int = 0
    size: int | None = None
    fixed: bool | None = None
    table: TableKind | None = None
    form: str = ""
    why: str = ""


class SystemStep(Frozen):
    """One system, the image it is to stand on, what is done for it and why."""

    wish: SystemWish
    number: int
    image: FoundImage
    action: Action
    why: str = ""
    before: int = 0


class RamStep(Frozen):
    """The RAM image of a system: built, anew too, for it has nothing that its user changed, or kept."""

    wish: SystemWish
    number: int
    image: FoundImage
    action: Action
    why: str = ""


class DeploySteps(Frozen):
    """All that is to be done: images that the store gets, in this order, then the systems and the RAM images."""

    origins: tuple[ImageOrigin, ...]
    systems: tuple[SystemStep, ...]
    rams: tuple[RamStep, ...] = ()

    @property
    def undoing(self) -> tuple[SystemStep, ...]:
        """The systems whose changes since their image are undone."""
        return tuple(step for step in self.systems if step.action is Action.RESTORE)


def plan_deploy(declared: Declared, store: FoundStore, found: Sequence[FoundSystem],
                rams: Sequence[FoundSystem | None], *, wim: str, place: WimPlace | None) -> DeploySteps:
    """The steps, from what was found for each system and for its RAM image, if it has one. `place` is where the store
    is to be registered; None where systems keep what they have.

    Raises ImageUndeclared, ArchitectureDiffers, DiskDiffers, HoldsSomethingElse.
    """
    names = {image.name for image in store.images}
    origins = tuple(origin for origin in declared.store.origins if origin.name not in names)
    coming = {image.name: image for image in store.coming}
    images = (*store.images, *(coming.get(origin.name) or FoundImage(name=origin.name) for origin in origins))
    grows = bool(origins) and bool(store.images)
    steps = tuple(_step(wish, one, images, wim, place, grows=grows)
                  for wish, one in zip(declared.systems, found, strict=True))
    return DeploySteps(origins=origins, systems=steps, rams=tuple(
        _ram_step(step, one, place, grows=grows) for step, one in zip(steps, rams, strict=True) if one is not None))


def _step(wish: SystemWish, found: FoundSystem, images: Sequence[FoundImage], wim: str, place: WimPlace | None, *,
          grows: bool) -> SystemStep:
    number = _number(wish, images, wim)
    image = images[number - 1]
    _check_architecture(wish, number, image)
    action, why = _action(wish, found, number, place, grows=grows)
    return SystemStep(wish=wish, number=number, image=image, action=action, why=why, before=found.image)


def _ram_step(step: SystemStep, found: FoundSystem, place: WimPlace | None, *, grows: bool) -> RamStep:
    ram = step.wish.ram
    if ram is None or found.ground in (Ground.OTHER, Ground.EMPTY):
        raise HoldsSomethingElse(where="/".join(ram.file) if ram is not None else step.wish.name,
                                 why=found.why or "it holds no system")
    why = _why_ram(ram, step.number, found, place, grows=grows)
    return RamStep(wish=step.wish, number=step.number, image=step.image, why=why,
                   action=Action.BUILD if why else Action.KEEP)


def _why_ram(ram: RamWish, number: int, found: FoundSystem, place: WimPlace | None, *, grows: bool) -> str:
    """Why it has to be built; empty where it is as declared."""
    reasons = [
        (found.ground is Ground.ABSENT, "it is not there"),
        (found.image != number, f"it stands on image {found.image}"),
        (found.size != ram.size, f"its size is {_told_sizes(found.size or 0, ram.size)[0]}"),
        (found.form != ram.form, f"its form is {found.form}"),
        (place is not None and found.place != place, _looks(found)),
        (found.behind > 0, f"{found.behind:,} pointers are behind the store"),
        (grows, "the store grows"),
    ]
    return next((why for is_so, why in reasons if is_so), "")


def _number(wish: SystemWish, images: Sequence[FoundImage], wim: str) -> int:
    """By name, else by number, as every verb chooses."""
    for number, image in enumerate(images, start=1):
        if image.name == wish.image:
            return number
    if wish.image.isdecimal() and 1 <= int(wish.image) <= len(images):
        return int(wish.image)
    raise ImageUndeclared(system=wish.name, image=wish.image, wim=wim)


def _check_architecture(wish: SystemWish, number: int, image: FoundImage) -> None:
    if wish.architecture is not None and image.files and image.architecture != wish.architecture.value:
        raise ArchitectureDiffers(system=wish.name, wanted=wish.architecture.value, image=number, name=image.name,
                                  found=image.architecture or _NO_ARCHITECTURE)


def _action(wish: SystemWish, found: FoundSystem, number: int, place: WimPlace | None, *,
            grows: bool) -> tuple[Action, str]:
    where = "/".join(wish.file) if wish.file is not None else wish.partition
    if found.ground is Ground.ABSENT:
        if wish.file is None:
            raise HoldsSomethingElse(where=where, why=found.why)
        return Action.BUILD, "it is not there"
    if found.ground is Ground.OTHER:
        raise HoldsSomethingElse(where=where, why=found.why)
    _check_disk(wish, found)
    if found.ground is Ground.EMPTY:
        return Action.APPLY, "its volume is empty"
    if found.image != number:
        return Action.RESTORE, f"it stands on image {found.image}"
    if place is not None and found.place != place:
        return Action.REFRESH, _looks(found)
    if found.behind:
        return Action.REFRESH, f"{found.behind:,} pointers are behind the store"
    return (Action.REFRESH, "the store grows") if grows else (Action.KEEP, "")


def _looks(found: FoundSystem) -> str:
    """Where it will look for the store, which is not where that will be."""
    if found.place is not None and found.place.is_later:
        return "it was not told yet where the store will lie"
    return f"it looks for the store at {found.place or 'a place that is not understood'}"


def _check_disk(wish: SystemWish, found: FoundSystem) -> None:
    """Raises DiskDiffers."""
    if wish.file is None:
        return
    has, wanted = _told_sizes(found.size or 0, wish.size)
    pairs = [(has if found.size is not None else "no size", wanted, found.size == wish.size),
             ("a fixed form" if found.fixed else "a dynamic form", "fixed" if wish.fixed else "dynamic",
              found.fixed == wish.fixed),
             (f"the table {found.table.value}" if found.table else "no table",
              wish.table.value if wish.table else "none", found.table == wish.table)]
    for has, wanted, same in pairs:
        if not same:
            raise DiskDiffers(where="/".join(wish.file), found=has, wanted=wanted)


def _told_sizes(one: int, other: int) -> tuple[str, str]:
    """Two sizes that differ, told so that it shows."""
    told = told_size(one), told_size(other)
    return told if told[0] != told[1] else (f"{one:,} bytes", f"{other:,} bytes")
