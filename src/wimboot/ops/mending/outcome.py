"""What a repair did: added to by each of its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wimboot.events import Emit, Note, Problem

if TYPE_CHECKING:
    from wimboot.ops.checking.findings import Verified
    from wimboot.ops.mending.soundblobs import Offers

__all__ = ["Repaired"]


@dataclass(slots=True, kw_only=True)
class Repaired:
    """What was wrong, what was done, or with a dry run would be, and what is wrong still (`after`; `before` where
    nothing was done).

    `relinked` pointers; `brought` blobs of `brought_size` bytes, by where they came `come_from`; `lists` of files of
    images; `others` pointers of further volumes; `overlay` whether WimOverlay.dat and its backup were written.
    `lacking` are blobs that nobody had; `refused` is what could have been done and was not, and why; `committed` tells
    that something is for good.
    """

    before: Verified
    after: Verified
    relinked: int = 0
    brought: int = 0
    brought_size: int = 0
    come_from: dict[str, int] = field(default_factory=dict)
    lists: int = 0
    others: int = 0
    overlay: bool = False
    lacking: set[bytes] = field(default_factory=set)
    refused: list[Problem] = field(default_factory=list)
    committed: bool = False

    @property
    def changed(self) -> bool:
        """Whether anything was, or would be, put right."""
        return bool(self.relinked or self.brought or self.lists or self.overlay)

    def commit(self, where: str, emit: Emit) -> None:
        """A part of the work is for good."""
        self.committed = True
        emit(Note(id="repaired", text=(
            f"{where}: what could be repaired is repaired and committed. Now all is checked again.")))

    def refuse(self, problem: Problem, emit: Emit) -> None:
        """Something is left alone, which is told; it is no problem of its own besides what the check found."""
        if problem not in self.refused:
            self.refused.append(problem)
            emit(Note(id=problem.id, warning=True, text=f"{problem.where}: {problem.text}. {problem.advice}"))

    def add(self, offers: Offers) -> None:
        """Count what came from whom."""
        self.brought += len(offers.hashes)
        self.brought_size += offers.size
        self.lacking |= offers.lacking
        for where, count in offers.told:
            self.come_from[where] = self.come_from.get(where, 0) + count
