"""What an advice says of the copies of a WIM: the words that name them, and what makes the WIM as one of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.errors import advice

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["spare_options", "written_anew"]


def spare_options(spares: Sequence[Path], other: str = "COPY") -> tuple[str, ...]:
    """The words of a command that name these copies; where there is none, `other`, which the user has to know."""
    return tuple(word for spare in spares or (other,) for word in ("--spare", str(spare)))


def written_anew(wim: Path, copy: Path | None, how: str = "--full") -> str:
    """What makes the WIM what the copy is; None: what any sound one is. Inside a volume `sync` writes none."""
    known = "a sound copy" if copy is None else copy
    if parse_inside(wim) is not None:
        of = "" if copy is None else "a copy of "
        return advice("Put {of}{known} in the place of {wim}.", of=of, known=known, wim=wim)
    return advice("`wimboot sync {copy} {wim} {how}` writes {wim} anew, as {known} is.",
                  copy=copy or "COPY", known=known, wim=wim, how=how)
