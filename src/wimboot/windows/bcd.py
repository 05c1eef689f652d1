"""A boot configuration store: its objects read and changed, nothing else touched.

`with Store(data) as store: ...; store.commit()`. The bytes given are those of the hive with its logs applied
(`registry.files.load`); `commit` gives the bytes of the changed one, the same where nothing changed. Keys that are no
objects or elements stay as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self

from wimboot.errors import Damaged, Unsupported
from wimboot.formats.bcd import Element
from wimboot.frozen import Frozen
from wimboot.registry import Hive, RegistryValue, new_hive

if TYPE_CHECKING:
    from types import TracebackType

    from wimboot.formats.bcd import Value
    from wimboot.registry import Node

__all__ = ["MAX_STORE_SIZE", "BcdObject", "NotAStore", "Store", "empty_store"]

MAX_STORE_SIZE: Final = 16 << 20
"""Real stores have some ten kilobytes."""

_ID: Final = re.compile(r"\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}", re.IGNORECASE)
_TYPE: Final = re.compile(r"[0-9a-f]{8}", re.IGNORECASE)
_VALUE: Final = "Element"
_MINOR_VERSION: Final = 3


class NotAStore(Damaged):
    """A file that should be a store and is none, or a damaged one."""

    id = "not-a-bcd"
    sentence = "{where} is not a sound boot configuration store: {problem}"
    advice = (
        "Nothing was changed. If this machine starts without it, move that file away: a new store is made where there "
        "is none."
    )


class BcdObject(Frozen):
    """An object: `id` is `{guid}` in lower case, `elements` are in the order of their types."""

    id: str
    type: int
    elements: tuple[Element, ...]

    def element(self, type_: int) -> Element | None:
        """The element of that type."""
        return next((element for element in self.elements if element.type == type_), None)

    def value(self, type_: int) -> Value | None:
        """What the element of that type holds; None where there is none, or it cannot be read."""
        element = self.element(type_)
        return None if element is None else element.value

    def text(self, type_: int) -> str | None:
        """The same, if it is a string or an id."""
        value = self.value(type_)
        return value if isinstance(value, str) else None

    def ids(self, type_: int) -> tuple[str, ...]:
        """The same, if it is a list of ids, in lower case."""
        value = self.value(type_)
        return tuple(item.lower() for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()


class Store:
    """An open store. One thread at a time."""

    def __init__(self, data: bytes, *, where: str) -> None:
        """`where` is for messages. Raises NotAStore."""
        self.where = where
        if len(data) > MAX_STORE_SIZE:
            raise NotAStore(where=where, problem=f"it has {len(data):,} bytes")
        try:
            self._hive = Hive(data)
        except (Damaged, Unsupported) as error:
            raise NotAStore(where=where, problem=str(error)) from error
        try:
            self._objects = self._find_objects()
        except BaseException:
            self._hive.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; what was not committed is lost."""
        self._hive.close()

    def _find_objects(self) -> Node:
        with self._reading():
            objects, description = (self._hive.root.child(name) for name in ("Objects", "Description"))
            known = description is not None and description.text("KeyName") is not None
        if objects is None or not known:
            raise NotAStore(where=self.where, problem="it is a registry hive without boot configuration")
        return objects

    @property
    def edited(self) -> bool:
        """Whether anything was changed."""
        return self._hive.edited

    def commit(self) -> bytes:
        """The bytes of the store as changed. Raises NotAStore where it turns out to be damaged."""
        with self._reading():
            return self._hive.commit()

    # ---- reading

    def objects(self) -> tuple[BcdObject, ...]:
        """All objects, by id. Raises NotAStore."""
        with self._reading():
            return tuple(_object(node) for node in sorted(self._objects.children(), key=_name) if _ID.fullmatch(
                node.name))

    def get(self, id_: str) -> BcdObject | None:
        """The object of that id. Raises NotAStore."""
        with self._reading():
            node = self._objects.child(id_)
            return None if node is None else _object(node)

    # ---- changing

    def add(self, id_: str, type_: int) -> None:
        """A new object without elements; nothing where there is one of that id and type. Raises NotAStore."""
        with self._reading():
            node = self._objects.ensure(id_)
            node.ensure("Description").set("Type", RegistryValue.dword(type_))
            node.ensure("Elements")

    def put(self, id_: str, element: Element) -> bool:
        """Set an element of an object that is there; False where it is the same already. Raises NotAStore."""
        with self._reading():
            key = self._objects.ensure(id_).ensure("Elements").ensure(f"{element.type:08x}")
            return key.set(_VALUE, RegistryValue(element.registry_type, element.data))

    def set(self, id_: str, type_: int, value: Value) -> bool:
        """`put` of an element made of these; False also where the one there means the same (a string ended twice)."""
        there = self.get(id_)
        if there is not None and there.value(type_) == value:
            return False
        return self.put(id_, Element.of(type_, value))

    def unset(self, id_: str, type_: int) -> bool:
        """Remove an element; False where there is none. Raises NotAStore."""
        return self._delete(f"{id_}\\Elements\\{type_:08x}")

    def remove(self, id_: str) -> bool:
        """Remove an object, as others may still refer to it; False where there is none. Raises NotAStore."""
        return self._delete(id_)

    def _delete(self, path: str) -> bool:
        with self._reading():
            node = self._objects.find(path)
            if node is None:
                return False
            node.delete()
            return True

    def _reading(self) -> _Sound:
        return _Sound(self.where)


class _Sound:
    """What goes wrong with the hive meanwhile is the store's damage."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if isinstance(error, Damaged | Unsupported) and not isinstance(error, NotAStore):
            raise NotAStore(where=self._where, problem=str(error)) from error


def empty_store(*, written: int = 0) -> bytes:
    """A system store without objects; `written` is a FILETIME."""
    with Hive(new_hive(minor=_MINOR_VERSION, name="BCD", written=written)) as hive:
        description = hive.root.ensure("Description")
        description.set("KeyName", RegistryValue.sz("BCD00000000"))
        description.set("System", RegistryValue.dword(1))
        description.set("TreatAsSystem", RegistryValue.dword(1))
        hive.root.ensure("Objects")
        return hive.commit()


def _name(node: Node) -> str:
    return node.name.lower()


def _object(node: Node) -> BcdObject:
    description, elements = node.child("Description"), node.child("Elements")
    type_ = None if description is None else description.number("Type")
    keys = [] if elements is None else sorted(elements.children(), key=_name)
    found = [(key, key.value(_VALUE)) for key in keys if _TYPE.fullmatch(key.name)]
    return BcdObject(id=node.name.lower(), type=type_ or 0, elements=tuple(
        Element(type=int(key.name, 16), registry_type=value.type, data=value.data)
        for key, value in found if value is not None))
