"""A registry hive read and edited in memory: `with Hive(data) as hive: hive.root.find(r"Setup")`.

The bytes given are never changed and no file is named: libhivex sees an anonymous file. `commit` gives the
bytes of the edited hive. A hive must have had its logs applied (`formats.reglog.replay`); an edited hive's
logs must be emptied. Names are found in any case. A damaged hive raises HiveDamaged or FormatError: what
libhivex would stop the process for is checked before. A key that was deleted must not be used again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from wimboot.errors import Unsupported
from wimboot.formats.regf import BASE_BLOCK_SIZE, HEADER_SIZE, BaseBlock
from wimboot.registry._hivex import ROOM, Handle, HiveBeyondLimits, HiveDamaged, HiveHostError
from wimboot.registry.cells import check_bins, check_subtree, value_list
from wimboot.registry.value import RegistryValue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = [
    "MAX_VALUE_SIZE", "Hive", "HiveBeyondLimits", "HiveDamaged", "HiveHostError", "Node", "NotEditable",
]

MAX_VALUE_SIZE = 16_344
"""Larger values are kept by Windows in a form that libhivex reads but does not write."""

_COPY_STEP = 1 << 20


class NotEditable(Unsupported):
    """An edit that libhivex would carry out in a way that Windows does not read."""

    id = "registry-not-editable"
    sentence = "the registry key {key} cannot be edited: {problem}"


class Hive:
    """An open hive. One thread at a time."""

    def __init__(self, data: bytes) -> None:
        """Raises FormatError, HiveDamaged, HiveBeyondLimits, HiveHostError."""
        self._block = BaseBlock.parse(data)
        self._block.check_primary(len(data))
        self._data = data
        self._end = BASE_BLOCK_SIZE + self._block.bins_size
        self._writable = False
        self._edited = False
        self._guarded: set[int] = set()
        self.touched: set[int] = set()
        """The places of keys that were edited, for whoever checks; not kept across a deletion."""
        self._file = _anonymous(memoryview(data)[:self._end])
        try:
            self.handle = Handle(f"/proc/self/fd/{self._file}", False)
        except BaseException:
            os.close(self._file)
            raise
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back; edits that were not committed are lost. A second call does nothing."""
        if self._open:
            self._open = False
            self.handle.close()
            os.close(self._file)

    @property
    def root(self) -> Node:
        """The root key; its name has no meaning."""
        return Node(self, self.handle.root())

    @property
    def edited(self) -> bool:
        """Whether anything was changed since the hive was opened."""
        return self._edited

    def commit(self) -> bytes:
        """The bytes of the hive as edited, clean, its sequence one higher; those given where nothing was."""
        if not self._edited:
            return self._data
        written = self._written()
        block = BaseBlock.parse(written)
        sequence = self._block.sequence1 + 1 & 0xFFFFFFFF
        head = replace(block, sequence1=sequence, sequence2=sequence).pack()
        return head + written[HEADER_SIZE:] + self._data[len(written):]

    def begin_edit(self, *places: int) -> Handle:
        """The handle, able to write; all places stay as they are. `places` are those of keys about to change."""
        if not self._writable:
            check_bins(self._data, self._block.bins_size)
            self._reopen(self._file)
        self._edited = True
        self.touched.update(places)
        return self.handle

    def guard_values(self, node: Node) -> None:
        """Refuse what libhivex would stop for, or write wrongly, when it writes the values of a key anew."""
        place = node.place
        if place >= self._end or place in self._guarded:     # made here, or looked at before
            return
        values = self.handle.values(place)
        used = {place, value_list(self._data, place)} if values else {place}
        for value in values:
            cell = self.handle.value_cell(value)
            for at in (value, cell) if cell else (value,):
                if at in used:
                    raise HiveDamaged(problem=f"the cell at {at:#x} is used twice")
                used.add(at)
            name = self.handle.value_name(value)
            if len(self.handle.value_data(value)[1]) > MAX_VALUE_SIZE:
                raise NotEditable(key=node.name, problem=f"its value '{name}' is over {MAX_VALUE_SIZE} bytes")
        self._guarded.add(place)

    def delete(self, place: int) -> None:
        """Remove a key with all below it."""
        if place == self.handle.root():
            raise NotEditable(key="of the root", problem="a hive has one always")
        written = self._written() if self._edited else self._data
        check_subtree(written, BaseBlock.parse(written).bins_size, place)
        self.begin_edit().delete(place)
        self.touched.clear()

    def _written(self) -> bytes:
        """What libhivex would write, without the room behind it."""
        file = os.memfd_create("hive", os.MFD_CLOEXEC)
        try:
            self.handle.commit(f"/proc/self/fd/{file}")
            block = BaseBlock.parse(os.pread(file, HEADER_SIZE, 0))
            size = BASE_BLOCK_SIZE + block.bins_size
            block.check_primary(size)
            written = b"".join(os.pread(file, min(_COPY_STEP, size - at), at)
                               for at in range(0, size, _COPY_STEP))
        except OSError as error:
            raise _host_error("writing", error) from error
        finally:
            os.close(file)
        if len(written) != size:
            raise HiveDamaged(problem=f"{len(written):,} bytes of {size:,} were written")
        return written

    def _reopen(self, file: int) -> None:
        handle = Handle(f"/proc/self/fd/{file}", True)
        self.handle.close()
        self.handle = handle
        self._writable = True


@dataclass(frozen=True, slots=True)
class Node:
    """A key of an open hive."""

    hive: Hive
    place: int

    @property
    def name(self) -> str:
        """Raises HiveDamaged where it is not UTF-16."""
        return self.hive.handle.name(self.place)

    @property
    def written(self) -> int:
        """FILETIME of the last change; edits here do not set it."""
        return self.hive.handle.timestamp(self.place)

    def children(self) -> list[Node]:
        """The keys below, in their order."""
        return [Node(self.hive, place) for place in self.hive.handle.children(self.place)]

    def child(self, name: str) -> Node | None:
        """The key of that name below."""
        place = self.hive.handle.child(self.place, _utf8(name))
        return Node(self.hive, place) if place else None

    def find(self, path: str) -> Node | None:
        r"""The key at a path such as `ControlSet001\services`."""
        node: Node | None = self
        for name in path.split("\\"):
            if node is not None and name:
                node = node.child(name)
        return node

    def values(self) -> Iterator[tuple[str, RegistryValue]]:
        """(name, value) of each value; "" is the default value's name."""
        for value in self.hive.handle.values(self.place):
            yield self.hive.handle.value_name(value), RegistryValue(*self.hive.handle.value_data(value))

    def value(self, name: str) -> RegistryValue | None:
        """The value of that name."""
        place = self.hive.handle.value(self.place, _utf8(name))
        return RegistryValue(*self.hive.handle.value_data(place)) if place else None

    def text(self, name: str) -> str | None:
        """The string of that name; None where there is none or it is of another type."""
        value = self.value(name)
        return value.text() if value else None

    def texts(self, name: str) -> tuple[str, ...]:
        """The strings of that name; none where there is no such value or it is of another type."""
        value = self.value(name)
        return (value.texts() or ()) if value else ()

    def number(self, name: str) -> int | None:
        """The number of that name; None where there is none or it is of another type."""
        value = self.value(name)
        return value.number() if value else None

    def set(self, name: str, value: RegistryValue) -> bool:
        """Add a value or replace it, keeping the others. False where it is there already."""
        if self.value(name) == value:
            return False
        if len(value.data) > MAX_VALUE_SIZE:
            raise NotEditable(key=self.name, problem=f"'{name}' would have {len(value.data):,} bytes")
        self.hive.guard_values(self)
        self.hive.begin_edit(self.place).set_value(self.place, _utf8(name), value.type, value.data)
        return True

    def unset(self, name: str) -> bool:
        """Remove a value, keeping the others. False where there is none."""
        if self.value(name) is None:
            return False
        self.hive.guard_values(self)
        kept = [(other, value) for other, value in self.values() if not _same(other, name)]
        handle = self.hive.begin_edit(self.place)
        handle.clear_values(self.place)
        for other, value in kept:
            handle.set_value(self.place, _utf8(other), value.type, value.data)
        return True

    def add_child(self, name: str) -> Node:
        """A new key below, with this one's security descriptor. Raises NotEditable where there is one."""
        if not name or not name.isascii() or not {"\\", "\0"}.isdisjoint(name) or len(name) > 255:
            raise NotEditable(key=self.name, problem=f"'{name}' is not a name that can be added")
        if any(_same(other.name, name) for other in self.children()):     # and all of them can be read
            raise NotEditable(key=self.name, problem=f"it has a key '{name}' already")
        return Node(self.hive, self.hive.begin_edit(self.place).add_child(self.place, name.encode()))

    def ensure(self, path: str) -> Node:
        r"""The key at a path such as `services\WofAdk`, made where it is missing."""
        node = self
        for name in path.split("\\"):
            node = node.child(name) or node.add_child(name)
        return node

    def delete(self) -> None:
        """Remove this key and all below it. Raises NotEditable for the root."""
        self.hive.delete(self.place)


def _utf8(name: str) -> bytes:
    if "\0" in name:
        raise NotEditable(key=name.partition("\0")[0], problem="names cannot contain NUL")
    return name.encode("utf-8", "surrogateescape")


def _same(name: str, other: str) -> bool:
    return name == other or (name.isascii() and other.isascii() and name.lower() == other.lower())


def _anonymous(data: memoryview) -> int:
    """A file in memory with `data` and room behind it. Raises HiveHostError."""
    try:
        file = os.memfd_create("hive", os.MFD_CLOEXEC)
    except OSError as error:
        raise _host_error("opening", error) from error
    try:
        at = 0
        while at < len(data):
            at += os.write(file, data[at:at + _COPY_STEP])
        os.ftruncate(file, len(data) + ROOM)
    except OSError as error:
        os.close(file)
        raise _host_error("opening", error) from error
    return file


def _host_error(verb: str, error: OSError) -> HiveHostError:
    return HiveHostError(what=f"{verb} a registry hive", where="in memory", why=error.strerror)
