"""Telling which systems fall behind when a WIM grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.events import Note
from wimboot.ops.sharing.users import users_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.sharing.users import Users
    from wimboot.wim import Append

__all__ = ["tell_of_others"]

_SHOWN = 5


def tell_of_others(append: Append, wim: Path, emit: Emit, took_part: Sequence[Opened] = (),
                   users: Users | None = None) -> None:
    """Say which volumes that stand on a WIM did not take part in its growth; `took_part` are still open. That there may
    be others is said where none is at hand, too: no image tells a system from one deployed from the same image.

    Their pointers carry the hash of the older table, and Windows may refuse them. `users` are those of the WIM where
    they were looked for already.
    """
    if append.store is None or not append.store.images:
        return
    users = (users or users_of(append.guid, wim)).but(took_part)
    places = [user.place for user in users.found]
    if places:
        named = ", ".join(places[:_SHOWN]) + (f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else "")
        stand = "stands" if len(places) == 1 else "stand"
        text = (
            f"{named} {stand} on {append.where} too and fell behind: Windows may refuse pointers with the hash of an "
            f"older table. Run `wimboot update` or `wimboot relocate` there, or name them with --target next time."
        )
    else:
        text = (
            f"{append.where} has grown: a volume that stands on it and is not at hand now, if there is one, is behind "
            "until `wimboot update` or `wimboot relocate` was run there."
        )
    emit(Note(id="others-behind", text=text, warning=bool(places)))
