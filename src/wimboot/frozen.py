"""Values: frozen dataclasses whose cost is paid by the first instance, not by the import.

`dataclasses.dataclass` compiles six functions for each class, half a millisecond on CPython 3.11. A command imports
some 130 classes of values and makes values of less than half of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import RLock
from typing import ClassVar, dataclass_transform

__all__ = ["Frozen"]

_LOCK = RLock()


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Frozen:
    """A base whose subclasses are each `dataclass(frozen=True, kw_only=True)` from their first instance on.

    Until there is one, a class has no fields that could be asked for. Two values are equal where their classes and all
    their fields are: what must not be compared makes a class a case for `dataclass` itself.
    """

    _late: ClassVar[bool]

    def __init_subclass__(cls) -> None:
        """One of another class of values is made at once: it would inherit an `__init__` of other fields."""
        super().__init_subclass__()
        if any(issubclass(base, Frozen) and base is not Frozen for base in cls.__bases__):
            _complete(cls)

    def __init__(self, **fields: object) -> None:
        kind = type(self)
        _complete(kind)
        kind.__init__(self, **fields)

    def __setstate__(self, state: dict[str, object]) -> None:
        """What another process sent comes without `__init__`."""
        _complete(type(self))
        self.__dict__.update(state)

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if other.__class__ is self.__class__ else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


def _complete(kind: type[Frozen]) -> None:
    """Make `kind` and the classes above it dataclasses, those above first: fields are inherited.

    Another thread may make a value as soon as a class has its `__init__`: what compares values is there before.
    """
    with _LOCK:
        for one in reversed(kind.__mro__):
            if issubclass(one, Frozen) and one.__dict__.get("_late", one is not Frozen):
                dataclass(frozen=True, kw_only=True, eq=False, repr=False)(one)
                one._late = False
