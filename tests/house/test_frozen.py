"""Values are dataclasses from their first instance on."""

from __future__ import annotations

import copyreg
import importlib
from dataclasses import FrozenInstanceError, field, fields, is_dataclass, replace
from threading import Barrier, Thread
from typing import Generic, TypeVar

import pytest

from sources import PACKAGE, modules
from wimboot.frozen import Frozen, _complete

T = TypeVar("T")


def values() -> list[type[Frozen]]:
    """Every class of values in the package."""
    for path in modules():
        name = ".".join(("wimboot", *path.relative_to(PACKAGE).with_suffix("").parts))
        if not name.endswith(("__main__", "__init__")) and ".gui" not in name:
            importlib.import_module(name)
    found, left = [], [Frozen]
    while left:
        below = left.pop().__subclasses__()
        found += below
        left += below
    return [kind for kind in found if kind.__module__.startswith("wimboot.")]


def test_every_class_of_values_is_a_sound_dataclass() -> None:
    """What a dataclass refuses (a list as default, say) would else be told to the first who makes a value."""
    found = values()
    assert len(found) > 200
    for kind in found:
        _complete(kind)
        assert is_dataclass(kind), kind


class Base(Frozen):
    """What a class below adds to."""

    first: int
    many: list[int] = field(default_factory=list)


class Below(Base):
    """Its first instance makes both classes."""

    second: str = "x"


class Sent(Frozen):
    """Its first instance comes from another process."""

    one: int


class Other(Frozen):
    """The same fields as Base."""

    first: int
    many: list[int] = field(default_factory=list)


class Of(Frozen, Generic[T]):
    """A value of a type."""

    what: T


def test_value_is_a_frozen_dataclass() -> None:
    """With inherited fields, defaults, equality and words; nothing of it can be set."""
    value = Below(first=1)
    assert [one.name for one in fields(value)] == ["first", "many", "second"]
    assert (value.first, value.many, value.second) == (1, [], "x")
    assert replace(value, second="y") == Below(first=1, second="y") != value
    assert repr(value) == "Below(first=1, many=[], second='x')"
    assert Of(what=3) == Of(what=3) != Of(what=4)
    assert hash(Of(what=3)) == hash(Of(what=3))
    assert Base(first=1) != Other(first=1), "another class"
    assert Base(first=1).many is not Base(first=1).many
    for name in ("first", "new"):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 2)
    with pytest.raises(FrozenInstanceError):
        del value.first


def test_class_below_one_whose_values_exist_has_its_own_fields() -> None:
    """And those it inherits."""
    Base(first=1)

    class New(Base):
        third: int

    assert New(first=1, third=3) == New(first=1, many=[], third=3)


def test_value_from_another_process_is_one() -> None:
    """Without its `__init__`."""
    value = copyreg.__newobj__(Sent)  # type: ignore[attr-defined]  # as pickle does
    value.__setstate__({"one": 1})
    assert replace(value, one=2) == Sent(one=2)


def test_fields_are_asked_for() -> None:
    """The first instance, too, says which are missing or too many."""
    with pytest.raises(TypeError, match="first"):
        Base()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="third"):
        Base(first=1, third=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        Base(1)  # type: ignore[call-arg]


def test_first_instances_of_several_threads() -> None:
    """Whoever comes while another makes the class waits for it."""
    for _ in range(50):
        class Late(Frozen):
            one: int
            two: int = 2

        together = Barrier(8)
        made: list[Frozen] = []

        def make(kind: type[Late] = Late, together: Barrier = together, made: list[Frozen] = made) -> None:
            together.wait()
            made.append(kind(one=1))

        threads = [Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 8
        assert len(set(made)) == 1
