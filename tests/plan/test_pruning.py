"""Which images stay: by name, by number of each system, by age; never those in use by a rule, never none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wimboot.formats.wimxml import ImageXml, WindowsFacts
from wimboot.plan.pruning import Chosen, NoneWouldStay, PruneChoice, Wish, choose, stand_in, system_of

DAY = 86_400 * 10_000_000
NOW = 1000 * DAY


def image(name: str, *, days: int = 0, architecture: int | None = 9, edition: str = "Ultimate",
          build: int = 7601) -> ImageXml:
    """An image of a Windows 6.1 that is so many days old; without an architecture one without a Windows."""
    windows = None if architecture is None else WindowsFacts(architecture=architecture, edition_id=edition, major=6,
                                                             minor=1, build=build)
    return ImageXml(name=name, creation_time=NOW - days * DAY, windows=windows)


MIXED = (image("a1", days=90), image("b1", days=80, architecture=0), image("a2", days=20), image("a3", days=10),
         image("b2", days=5, architecture=0), image("notes 1", days=60, architecture=None),
         image("notes-2", days=3, architecture=None))


def dropped(wish: Wish, used: frozenset[int] = frozenset()) -> tuple[int, ...]:
    return choose(MIXED, wish, now=NOW, used=used, where="x.wim").drop


def test_images_that_are_named_stay_or_go() -> None:
    """--keep lets all others go, --drop lets all others stay, in use or not: that is for others to refuse."""
    assert dropped(Wish(keep=frozenset({3, 5}))) == (1, 2, 4, 6, 7)
    assert dropped(Wish(drop=frozenset({3, 5})), frozenset({3})) == (3, 5)


def test_rules_count_each_system_by_itself() -> None:
    """x86 and x64, and names that differ only in their numbers, each keep their last images."""
    assert dropped(Wish(keep_last=1)) == (1, 2, 3, 6)
    assert dropped(Wish(keep_last=2)) == (1,)
    assert dropped(Wish(keep_last=1, keep=frozenset({2}))) == (1, 3, 6)
    assert dropped(Wish(older_than=15 * DAY)) == (1, 2, 3, 6)
    assert dropped(Wish(older_than=70 * DAY, keep_last=1)) == (1, 2)
    assert dropped(Wish(older_than=0)) == (1, 2, 3, 6)


def test_a_build_is_no_other_system_and_an_edition_is() -> None:
    """A system that was updated is the same; one of another edition is not."""
    assert system_of(image("a", build=7600)) == system_of(image("b", build=7601))
    assert system_of(image("a", edition="Home")) != system_of(image("a", edition="Ultimate"))
    assert system_of(image("Win_6.1_202601011200", architecture=None)) == system_of(
        image("Win_6.1_202602011200_2", architecture=None))


def test_an_image_without_a_time_is_not_old() -> None:
    """What does not tell its age is kept by --older-than."""
    images = (ImageXml(name="a"), image("b", architecture=None), ImageXml(name="a 2"))
    assert choose(images, Wish(older_than=DAY), now=NOW, used=(), where="x").drop == ()


def test_what_volumes_stand_on_is_held_by_rules() -> None:
    """A rule does not drop an image in use, and tells so."""
    chosen = choose(MIXED, Wish(keep_last=1), now=NOW, used={1, 4}, where="x")
    assert (chosen.drop, chosen.held) == ((2, 3, 6), (1,))


@pytest.mark.parametrize("wish", [Wish(), Wish(drop=frozenset({1}), keep=frozenset({2})),
                                  Wish(drop=frozenset({1}), keep_last=1)])
def test_wishes_that_say_nothing_or_two_things_are_refused(wish: Wish) -> None:
    """Nothing is guessed about what is to go."""
    with pytest.raises(PruneChoice):
        dropped(wish)


def test_a_wim_without_images_is_refused() -> None:
    """One image stays, at the least."""
    with pytest.raises(NoneWouldStay, match="7 images"):
        dropped(Wish(drop=frozenset(range(1, 8))))


def test_a_volume_on_a_dropped_image_gets_the_last_of_its_system() -> None:
    """Else the last of all."""
    chosen = Chosen(keep=(2, 3, 5), drop=(1, 4, 6, 7))
    assert stand_in(MIXED, chosen, 1) == 3
    assert stand_in(MIXED, chosen, 7) == 5
    assert (chosen.number_after(3), chosen.number_after(4)) == (2, None)


@given(st.lists(st.builds(image, st.sampled_from(["a", "b"]), days=st.integers(0, 300),
                          architecture=st.sampled_from([0, 9, None])), min_size=1, max_size=12),
       st.builds(Wish, keep_last=st.none() | st.integers(1, 4),
                 older_than=st.integers(0, 400).map(lambda days: days * DAY)), st.sets(st.integers(1, 12)))
def test_rules_keep_the_last_image_of_every_system(images: list[ImageXml], wish: Wish, used: set[int]) -> None:
    """Every image is kept or dropped; nothing in use goes; a stricter rule drops no more; each system stays."""
    chosen = choose(images, wish, now=NOW, used=used, where="x")
    assert sorted(chosen.keep + chosen.drop) == list(range(1, len(images) + 1))
    assert not used & set(chosen.drop)
    assert {system_of(images[number - 1]) for number in chosen.keep} == {system_of(each) for each in images}
    more = Wish(keep_last=(wish.keep_last or 1) + 1, older_than=wish.older_than)
    assert set(choose(images, more, now=NOW, used=used, where="x").drop) <= set(chosen.drop)
