"""From what is declared and what there is to steps, without any disk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.disk.table import TableKind
from wimboot.plan.declared import Declared, ImageOrigin, RamWish, StoreWish, SystemWish, WindowsFolder
from wimboot.plan.deploying import (
    Action,
    ArchitectureDiffers,
    DeploySteps,
    DiskDiffers,
    FoundImage,
    FoundStore,
    FoundSystem,
    Ground,
    HoldsSomethingElse,
    ImageUndeclared,
    plan_deploy,
)
from wimboot.windows.identify import Architecture
from wimboot.windows.wimplace import WimPlace

HERE = WindowsFolder(disk=0x5CBEA03E, partition=1 << 20, directory=())
PLACE = HERE.of(("w.wim",))
ELSEWHERE = replace(HERE, disk=1).of(("w.wim",))
SIZE = 1 << 30
ABSENT = FoundSystem(ground=Ground.ABSENT)


def wish(name: str = "x64", image: str = "first", **more: object) -> SystemWish:
    """A system in a VHD."""
    made = SystemWish(name=name, image=image, file=(f"{name}.vhd",), size=SIZE, table=TableKind.MBR)
    return replace(made, **more)  # type: ignore[arg-type]  # as given


def standing(image: object = 1, **more: object) -> FoundSystem:
    """One that is there as declared."""
    made = FoundSystem(ground=Ground.STANDING, place=PLACE, size=SIZE, fixed=False, table=TableKind.MBR)
    return replace(made, image=image, **more)  # type: ignore[arg-type]  # as given


def images(*names: str) -> tuple[FoundImage, ...]:
    """Of a store."""
    return tuple(FoundImage(name=name, architecture="amd64", files=7) for name in names)


def plan(wishes: list[SystemWish], found: list[FoundSystem], *, store: tuple[FoundImage, ...] | None = None,
         origins: tuple[ImageOrigin, ...] = (), rams: list[FoundSystem | None] | None = None,
         place: WimPlace | None = PLACE) -> DeploySteps:
    """The steps for these systems."""
    declared = Declared(folder=".", place=HERE, store=StoreWish(wim=("w.wim",), origins=origins), systems=tuple(wishes))
    there = FoundStore(images=images("first", "second") if store is None else store)
    return plan_deploy(declared, there, found, rams or [None] * len(wishes), wim="w.wim", place=place)


@pytest.mark.parametrize(("found", "action", "why"), [
    (ABSENT, Action.BUILD, "not there"),
    (standing(), Action.KEEP, ""),
    (standing(image=2), Action.RESTORE, "image 2"),
    (standing(behind=3), Action.REFRESH, "3 pointers"),
    (standing(place=ELSEWHERE), Action.REFRESH, "mbr:00000001"),
    (standing(place=None), Action.REFRESH, "not understood"),
    (standing(place=WimPlace.unknown("w.wim")), Action.REFRESH, "it was not told yet where the store will lie"),
    (standing(image=2, behind=3, place=ELSEWHERE), Action.RESTORE, "image 2"),
    (replace(standing(), ground=Ground.EMPTY, image=0), Action.APPLY, "empty"),
])
def test_what_is_done_follows_from_what_is_there(found: FoundSystem, action: Action, why: str) -> None:
    """Nothing where all is as declared; else the least that makes it so, and the reason."""
    (step,) = plan([wish()], [found]).systems
    assert (step.action, step.number) == (action, 1)
    assert why in step.why
    assert bool(step.why) == (action is not Action.KEEP)


def test_place_that_nobody_says_stays() -> None:
    """Where the folder lies now may be of no use to Windows."""
    assert plan([wish()], [standing(place=ELSEWHERE)], place=None).systems[0].action is Action.KEEP


def test_images_are_known_by_name_first() -> None:
    """Then by number; those to come have numbers too; one that is nowhere is refused."""
    third = ImageOrigin(name="third", target="x.img")
    store = images("2", "first")
    steps = plan([wish("a", "2"), wish("b", "first"), wish("c", "third"), wish("d", "1")], [ABSENT] * 4, store=store,
                 origins=(third, ImageOrigin(name="first", target="y.img")))
    assert [step.number for step in steps.systems] == [1, 2, 3, 1]
    assert steps.origins == (third,)
    for image in ("fourth", "3", "0"):
        with pytest.raises(ImageUndeclared):
            plan([wish(image=image)], [ABSENT])


def test_store_that_grows_leaves_all_behind() -> None:
    """Its systems and RAM images have to follow; a new store has none."""
    ram = RamWish(file=("x.ram",), size=SIZE)
    origins = (ImageOrigin(name="third", target="x.img"),)
    memory = replace(standing(), form="lz4")
    steps = plan([wish(ram=ram)], [standing()], origins=origins, rams=[memory])
    assert (steps.systems[0].action, steps.rams[0].action) == (Action.REFRESH, Action.BUILD)
    assert plan([wish(ram=ram)], [standing()], rams=[memory]).rams[0].action is Action.KEEP


@pytest.mark.parametrize("change", [{"ground": Ground.ABSENT}, {"image": 2}, {"size": 5}, {"form": "vhd"},
                                    {"behind": 1}, {"place": ELSEWHERE}])
def test_image_for_memory_is_made_anew_for_any_difference(change: dict[str, object]) -> None:
    """It has nothing of its user's; but what is none of ours is refused."""
    found = standing(**{"form": "lz4", **change})
    ram = RamWish(file=("x.ram",), size=SIZE)
    (step,) = plan([wish(ram=ram)], [standing()], rams=[found]).rams
    assert (step.action, bool(step.why)) == (Action.BUILD, True)
    for ground in (Ground.OTHER, Ground.EMPTY):
        with pytest.raises(HoldsSomethingElse):
            plan([wish(ram=ram)], [standing()], rams=[replace(found, ground=ground)])


def test_disk_and_processors_have_to_be_those_declared() -> None:
    """What cannot be changed in place is refused, and so is what is somebody else's."""
    for change in ({"size": 5}, {"fixed": True}, {"fixed": None}, {"table": TableKind.GPT}, {"size": None}):
        with pytest.raises(DiskDiffers):
            plan([wish()], [standing(**change)])
    with pytest.raises(HoldsSomethingElse):
        plan([wish()], [FoundSystem(ground=Ground.OTHER, why="a text")])
    with pytest.raises(HoldsSomethingElse):
        plan([wish(file=None, partition="x#1")], [ABSENT])
    with pytest.raises(ArchitectureDiffers):
        plan([wish(architecture=Architecture.X86)], [ABSENT])
    plan([wish(architecture=Architecture.AMD64)], [ABSENT])
    plan([wish(file=None, partition="x#1")], [replace(standing(), size=None, fixed=None, table=None)])


FOUND = st.sampled_from([ABSENT, standing(), standing(image=2), standing(behind=1), standing(place=ELSEWHERE),
                         replace(standing(), ground=Ground.EMPTY, image=0)])


def carried_out(steps: DeploySteps, found: list[FoundSystem]) -> list[FoundSystem]:
    """What is there when the steps were taken."""
    return [one if step.action is Action.KEEP else standing(image=step.number)
            for step, one in zip(steps.systems, found, strict=True)]


@given(st.lists(st.tuples(FOUND, st.sampled_from(["first", "second", "third", "1", "2"])), min_size=1, max_size=5))
def test_after_the_steps_nothing_is_left_to_do(systems: list[tuple[FoundSystem, str]]) -> None:
    """Whatever there was: the same plan finds all as declared, and steps that were not needed were not taken."""
    origins = (ImageOrigin(name="third", target="x.img"),)
    wishes = [wish(f"s{number}", image) for number, (_, image) in enumerate(systems)]
    found = [one for one, _ in systems]
    first = plan(wishes, found, origins=origins)
    assert all(step.action is not Action.KEEP for step in first.systems)     # the store grows
    again = plan(wishes, carried_out(first, found), origins=origins, store=images("first", "second", "third"))
    assert not again.origins
    assert all(step.action is Action.KEEP for step in again.systems)
