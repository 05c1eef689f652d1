"""Telling which systems fall behind when a WIM grows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.disk.inside import parse_inside
from wimboot.errors import Error
from wimboot.events import Note
from wimboot.ops.sharing.users import users_of
from wimboot.storage import HostFolder
from wimboot.tree import ROOT
from wimboot.wim import real_path
from wimboot.wim.imageroot import root_creation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.sharing.users import Users
    from wimboot.wim import Append, Store

__all__ = ["tell_of_others"]

_SHOWN = 5


def tell_of_others(append: Append, wim: Path, emit: Emit, took_part: Sequence[Opened] = (),
                   users: Users | None = None) -> None:
    """Say which volumes that stand on a WIM did not take part in its growth; `took_part` are still open. Where none is
    at hand there may be others, unless each image is one of those that took part.

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
    elif _are_all_of(append.store, wim, took_part):
        return
    else:
        text = (
            f"{append.where} has grown. Volumes on it that are not at hand now are behind it until `wimboot update` or "
            "`wimboot relocate` was run there."
        )
    emit(Note(id="others-behind", text=text, warning=bool(places)))


def _are_all_of(store: Store, wim: Path, volumes: Sequence[Opened]) -> bool:
    """Whether every image was made of one of these volumes, as far as their root folders tell. The WIM has grown since
    `store` was open; what it had lies where it did. One inside a volume, whose disk was given up, is not looked into.
    """
    made, real = {one.tree.node(ROOT).creation for one in volumes}, real_path(wim)
    if not made or parse_inside(real) is not None:
        return False
    try:
        with closing(HostFolder(real.parent).open(real.name)) as file:
            part = replace(store.parts[0], file=file)
            return all(root_creation(part, number) in made for number in range(1, len(store.images) + 1))
    except Error:
        return False
