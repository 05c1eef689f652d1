"""What a check finds: problems told as they are found, and kept for whoever repairs them or writes a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wimboot.events import Problem, silent

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.errors import Error
    from wimboot.events import Emit
    from wimboot.formats.overlaydat import Overlay
    from wimboot.ops.checking.diagnosis import Comparison

__all__ = ["Diagnosed", "Verified"]


@dataclass(slots=True, kw_only=True)
class Diagnosed:
    """One data source: the WIM found for it, how its pointers stand, and the ids of what is wrong, the cause first.

    `passed_over` are other copies of that WIM and why, where it was not named. `comparison` is None where it could not
    be looked into; `damaged` are blobs that pointers need, whose bytes are not those of their hash.
    """

    data_source_id: int
    guid: bytes
    wim_index: int
    place: str
    pointers: int
    wim: Path | None = None
    passed_over: tuple[tuple[Path, str], ...] = ()
    causes: list[str] = field(default_factory=list)
    comparison: Comparison | None = None
    damaged: set[bytes] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Verified:
    """What was checked and found. Problems were sent as events, too, one by one; advice about them names the `spares`.

    `mended` is what WimOverlay.dat should hold where it or its backup is not as it should be; `unknown` are the data
    source ids that pointers name and no table has. `missing`, `damaged` and `lists` are blobs, and numbers of images
    whose list of files is damaged, of a WIM that was checked by itself.
    """

    emit: Emit = silent
    spares: tuple[Path, ...] = ()
    pointers: int = 0
    blobs: int = 0
    data_size: int = 0
    wim: Path | None = None
    behind: bool = False
    found: list[Problem] = field(default_factory=list)
    sources: list[Diagnosed] = field(default_factory=list)
    mended: Overlay | None = None
    unknown: dict[int, list[bytes]] = field(default_factory=dict)
    missing: set[bytes] = field(default_factory=set)
    damaged: set[bytes] = field(default_factory=set)
    lists: set[int] = field(default_factory=set)

    @property
    def problems(self) -> int:
        """How many."""
        return len(self.found)

    def tell(self, problem: Problem) -> None:
        """Note a problem, and tell it."""
        self.found.append(problem)
        self.emit(problem)

    def tell_error(self, error: Error, where: str, **facts: object) -> None:
        """The same for one that came as an error."""
        self.tell(Problem(id=error.id, where=where, text=str(error), advice=error.hint, facts=facts))
