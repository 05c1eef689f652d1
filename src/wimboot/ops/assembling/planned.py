"""A plan's file and the paths in it: what is relative is so to the plan's own folder, or to the folder it is for."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from wimboot.disk import parse_place
from wimboot.errors import Busy, HostError, Refused, UsageError
from wimboot.formats.names import fold_text
from wimboot.frozen import Frozen
from wimboot.plan.declaring import read_plan
from wimboot.plan.tomltable import MAX_PLAN_SIZE
from wimboot.storage import HostFile, host_error, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from wimboot.plan.declared import Declared, FolderPath, SystemWish

__all__ = [
    "FolderBusy", "FolderMissing", "InputMissing", "LeavesFolder", "NoPlan", "Planned", "SpelledTwice", "holding",
    "load_plan",
]


class FolderBusy(Busy):
    """Another run builds in the folder."""

    id = "plan-folder-busy"
    sentence = "another run is building in {folder}"
    advice = "Wait until that one is done."


class NoPlan(UsageError):
    """There is no such file."""

    id = "no-plan"
    sentence = "{plan} is not a file"
    advice = "Name the TOML file that says what the folder is to hold; the README has an example."


class FolderMissing(UsageError):
    """Nothing lies where a plan builds, or something that is no folder."""

    id = "plan-folder-missing"
    sentence = "the folder that {plan} is for, {folder}, {why}"
    advice = (
        "It is where the partition that the systems lie on is mounted: mount that, make the folder, or correct "
        "`folder` in the plan; it counts from the folder that the plan lies in.")


class LeavesFolder(Refused):
    """A link in the folder that leads out of it."""

    id = "plan-leaves-folder"
    sentence = "{path} leads to {real}, out of the folder {folder}"
    advice = "Take the link away, or name another path: what is built has to lie where Windows will look for it."


class InputMissing(UsageError):
    """Something that a plan takes from elsewhere."""

    id = "plan-input-missing"
    sentence = "{path}, named in the plan as {what}, does not exist"
    advice = "Correct the plan; relative paths count from the folder that the plan lies in."


class SpelledTwice(Refused):
    """Names that are one name for Windows."""

    id = "plan-name-twice"
    sentence = "{folder} has {names}, and Windows takes each of them for {name}"
    advice = "Remove or rename all but one."


class Planned(Frozen):
    """A plan and where it counts from: `base` is its own folder, `folder` the one it is for, links followed."""

    declared: Declared
    base: Path
    folder: Path

    @property
    def wim(self) -> Path:
        """The store."""
        return self.file(self.declared.store.wim)

    def file(self, path: FolderPath) -> Path:
        """A file of the folder, as it is spelled there. Raises LeavesFolder, SpelledTwice, HostError."""
        found = self.folder
        for part in path:
            found = _spelled(found, part)
        real = resolved(found.parent, str(found)) / found.name
        if not real.is_relative_to(self.folder) or found.is_symlink():
            with contextlib.suppress(OSError, RuntimeError):
                real = found.resolve()
            raise LeavesFolder(path=found, real=real, folder=self.folder)
        return found

    def target(self, system: SystemWish) -> str:
        """PATH or PATH#N of a system's volume. Raises LeavesFolder, HostError."""
        return str(self.file(system.file)) if system.file is not None else self.beside(system.partition or "")

    def beside(self, text: str) -> str:
        """A path that counts from the plan's own folder, PATH#N and PATH#N:/dir/file too."""
        return str(self.base / text)

    def there(self, besides: Iterable[str] = ()) -> tuple[str, ...]:
        """The volumes of its systems that are there, but for those given, PATH or PATH#N."""
        known = [_identity(place) for place in besides]
        found = []
        for system in self.declared.systems:
            path, number = _identity(self.target(system))
            same = any(path == other and (None in (number, only) or number == only) for other, only in known)
            if path.exists() and not same:
                found.append(self.target(system))
        return tuple(found)

    def check_inputs(self) -> None:
        """Raises InputMissing: nobody should wait for a store to be made first."""
        inputs = [(f"driver of {system.name!r}", self.driver(system)) for system in self.declared.systems]
        inputs += [(f"volume to capture {origin.name!r} from", self.beside(origin.target))
                   for origin in self.declared.store.origins if origin.target is not None]
        if self.declared.boot is not None and self.declared.boot.grub4dos is not None:
            inputs.append(("folder of grub4dos", self.beside(self.declared.boot.grub4dos)))
        for what, place in inputs:
            if place is not None and place != "none" and not parse_place(place).path.exists():
                raise InputMissing(path=place, what=what)

    def driver(self, system: SystemWish) -> str | None:
        """The driver's file, or the word none."""
        return system.driver if system.driver in (None, "none") else self.beside(system.driver)


def _spelled(folder: Path, name: str) -> Path:
    """What Windows takes for that name, whatever its case; Linux may have it more than once. Raises SpelledTwice."""
    exact = folder / name
    if os.path.lexists(exact):
        return exact
    try:
        same = sorted(entry.name for entry in folder.iterdir() if fold_text(entry.name) == fold_text(name))
    except OSError:
        return exact
    if len(same) > 1:
        raise SpelledTwice(folder=folder, name=name, names=" and ".join(same))
    return folder / same[0] if same else exact


def _identity(place: str) -> tuple[Path, int | None]:
    """Raises UsageError, HostError."""
    named = parse_place(place)
    return resolved(named.path, place), named.partition


def load_plan(plan: Path) -> Planned:
    """Read a plan; nothing of what it names is looked at. Raises NoPlan, PlanNotToml, PlanInvalid, FolderMissing,
    HostError.
    """
    if not plan.is_file():
        raise NoPlan(plan=plan)
    file = HostFile.open(plan)
    try:
        data = file.pread(0, MAX_PLAN_SIZE + 1)
    finally:
        file.close()
    declared = read_plan(data, str(plan))
    try:
        base = resolved(plan.parent, str(plan))
        folder = resolved(base / declared.folder, declared.folder)
    except ValueError as error:
        raise HostError(what="opening", where=declared.folder, why=str(error)) from error
    if not folder.is_dir():
        raise FolderMissing(plan=plan, folder=folder, why="is not a folder" if folder.exists() else "does not exist")
    return Planned(declared=declared, base=base, folder=folder)


@contextlib.contextmanager
def holding(folder: Path, *, alone: bool) -> Iterator[Callable[[], None]]:
    """Keep other runs of a plan out of the folder meanwhile; what is yielded lets those in that are not to be `alone`.

    A run begins alone. Each process that builds for it holds the folder too, so that none which outlives a run that was
    killed is taken for gone. Raises FolderBusy, HostError.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise host_error("opening", folder, error) from error
    try:
        _lock(descriptor, folder, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield lambda: _lock(descriptor, folder, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderBusy(folder=folder) from error
    except OSError:     # a file system without locks
        return
