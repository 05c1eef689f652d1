"""Writes down, in one numbered list, everything that changes a disk: the list from which crashes are made
(`crash`).

Wrap the folders that a program works in; the files that it opens or creates there are wrapped with them::

    recorder = Recorder()
    folder = recorder.folder(MemoryFolder({"disk.img": Image(content)}), "here")
    program(folder)
    for state in states(recorder, Model.POWER, seeds=range(20)): ...

A wrapped file has no `fileno`, so C code writes through it too. Steps of several threads are put in the
order in which they were carried out, one at a time.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING

from wimboot.frozen import Frozen
from wimboot.storage.host import HostFolder
from wimboot.storage.memory import FileGround, Image

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.storage.protocol import Data, File, Folder

__all__ = ["RecordedFile", "RecordedFolder", "Recorder", "Step", "StepKind"]


class StepKind(Enum):
    """What a step did."""

    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "sync"
    CREATE = "create"
    REPLACE = "replace"
    REMOVE = "remove"
    FOLDER_SYNC = "folder sync"


class Step(Frozen):
    """One change, or one promise of durability. `file` numbers the file as such: it stays with it through
    renames.
    """

    kind: StepKind
    folder: str
    name: str = ""
    new_name: str = ""
    file: int = 0
    offset: int = 0
    data: bytes = b""
    size: int = 0

    def __str__(self) -> str:
        detail = {StepKind.WRITE: f" {len(self.data)} bytes at {self.offset}",
                  StepKind.TRUNCATE: f" to {self.size}",
                  StepKind.REPLACE: f" to {self.new_name}"}.get(self.kind, "")
        return f"{self.kind.value} {self.folder}/{self.name}{detail}"


class RecordedFile:
    """A file whose changes go into the list."""

    def __init__(self, recorder: Recorder, inner: File, folder: str, name: str, number: int) -> None:
        self._recorder = recorder
        self._inner = inner
        self._folder = folder
        self._name = name
        self._number = number

    def pread(self, offset: int, size: int) -> bytes:
        return self._inner.pread(offset, size)

    def pwrite(self, offset: int, data: Data) -> None:
        copy = bytes(data)
        with self._recorder.lock:
            self._recorder.grounds[self._number].save(offset, len(copy))
            self._inner.pwrite(offset, copy)
            self._note(StepKind.WRITE, offset=offset, data=copy)

    def truncate(self, size: int) -> None:
        with self._recorder.lock:
            present = self._inner.size()
            if size < present:
                self._recorder.grounds[self._number].save(size, present - size)
            self._inner.truncate(size)
            self._note(StepKind.TRUNCATE, size=size)

    def sync(self) -> None:
        with self._recorder.lock:
            self._inner.sync()
            self._note(StepKind.SYNC)

    def size(self) -> int:
        return self._inner.size()

    def close(self) -> None:
        self._inner.close()

    def _note(self, kind: StepKind, *, offset: int = 0, data: bytes = b"", size: int = 0) -> None:
        self._recorder.steps.append(Step(kind=kind, folder=self._folder, name=self._name, file=self._number,
                                         offset=offset, data=data, size=size))


class RecordedFolder:
    """A folder whose changes, and those of its files, go into the list."""

    def __init__(self, recorder: Recorder, inner: Folder, label: str) -> None:
        self._recorder = recorder
        self._inner = inner
        self._label = label
        self._numbers: dict[str, int] = {}

    def open(self, name: str, *, write: bool = False) -> RecordedFile:
        inner = self._inner.open(name, write=write)
        with self._recorder.lock:
            return RecordedFile(self._recorder, inner, self._label, name, self._number_of(name))

    def create(self, name: str) -> RecordedFile:
        with self._recorder.lock:
            inner = self._inner.create(name)
            number = self._recorder.add_file(self._inner.open(name))
            self._numbers[name] = number
            self._note(StepKind.CREATE, name, file=number)
            return RecordedFile(self._recorder, inner, self._label, name, number)

    def replace(self, old: str, new: str) -> None:
        with self._recorder.lock:
            number = self._number_of(old)
            if self._inner.exists(new):
                self._number_of(new)
            self._inner.replace(old, new)
            self._renamed(old, new, number)

    def rename_new(self, old: str, new: str) -> None:
        with self._recorder.lock:
            number = self._number_of(old)
            self._inner.rename_new(old, new)
            self._renamed(old, new, number)

    def _renamed(self, old: str, new: str, number: int) -> None:
        self._numbers[new] = number
        del self._numbers[old]
        self._note(StepKind.REPLACE, old, new_name=new, file=number)

    def remove(self, name: str) -> None:
        with self._recorder.lock:
            number = self._number_of(name)
            self._inner.remove(name)
            del self._numbers[name]
            self._note(StepKind.REMOVE, name, file=number)

    def exists(self, name: str) -> bool:
        return self._inner.exists(name)

    def free_size(self) -> int:
        return self._inner.free_size()

    def sync(self) -> None:
        with self._recorder.lock:
            self._inner.sync()
            self._note(StepKind.FOLDER_SYNC, "")

    def _number_of(self, name: str) -> int:
        """The number of an existing file; the first sight of it fixes what it held at the start."""
        if name not in self._numbers:
            number = self._recorder.add_file(self._inner.open(name))
            self._numbers[name] = number
            self._recorder.start.setdefault(self._label, {})[name] = number
        return self._numbers[name]

    def _note(self, kind: StepKind, name: str, *, new_name: str = "", file: int = 0) -> None:
        self._recorder.steps.append(Step(kind=kind, folder=self._label, name=name, new_name=new_name,
                                         file=file))


class Recorder:
    """The list, `steps`, and what there was before it: `start` (folder, name -> file number) and `image` of
    each file.

    A file counts from its first opening on; what is never opened is in no state.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.start: dict[str, dict[str, int]] = {}
        self.grounds: list[FileGround] = []
        self.lock = threading.RLock()
        self._sizes: list[int] = []
        self._folders: dict[str, RecordedFolder] = {}

    @property
    def point(self) -> int:
        """How many steps there are: the crash point "now"."""
        return len(self.steps)

    def folder(self, inner: Folder, label: str) -> RecordedFolder:
        """Wrap a folder. The label names it in steps and states; a label wrapped before gives the same
        folder.
        """
        if label not in self._folders:
            self._folders[label] = RecordedFolder(self, inner, label)
            self.start.setdefault(label, {})
        return self._folders[label]

    def host(self, path: Path) -> RecordedFolder:
        """The wrapped folder at a host path, labelled with that path: takes the place of `HostFolder`."""
        return self.folder(HostFolder(path), str(path))

    def image(self, number: int) -> Image:
        """What file `number` held at the start."""
        return Image(self.grounds[number], self._sizes[number])

    def add_file(self, handle: File) -> int:
        """Number a file; `handle` is kept to read what was never changed."""
        self.grounds.append(FileGround(handle))
        self._sizes.append(handle.size())
        return len(self.grounds) - 1

    def close(self) -> None:
        """Give back the handles; no state can be made afterwards."""
        for ground in self.grounds:
            ground.close()
