"""Further volumes that stand on a WIM which changes: opened beside the one at hand, brought up to it, committed too."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.disk import parse_place
from wimboot.errors import UsageError
from wimboot.formats.guid import guid_text
from wimboot.ops.finding.backing import OtherWim, not_wimboot
from wimboot.ops.finding.numbering import check_number
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import Opened, open_sibling, open_volume
from wimboot.ops.pointing.pointers import Moved, refresh_pointers
from wimboot.wim.errors import WimMissing
from wimboot.windows.sources import read_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wimboot.disk import Transaction
    from wimboot.events import Emit
    from wimboot.ops.options import TargetOptions
    from wimboot.wim import Store

__all__ = ["SameVolume", "open_others", "refresh_others", "transactions_of"]


class SameVolume(UsageError):
    """One volume named twice."""

    id = "same-volume"
    sentence = "{where} was named twice"
    advice = "Name every further volume once with --target, and not the one that is updated itself."


@contextmanager
def open_others(
    places: Sequence[str], like: TargetOptions, store: Store | None, wim: Path, emit: Emit, *,
    besides: Opened | None = None,
) -> Iterator[list[Opened]]:
    """Open the volumes at `places`, all of which have to stand on that WIM (None: it is still to be made).

    `like` gives what is not in a place: where logs lie, whether this is a dry run. `besides` is open already. Leaving
    without a commit changes none of them. Raises SameVolume, WimMissing, NotWimBoot, OtherWim, and what opening raises.
    """
    opened = [] if besides is None else [besides]
    with ExitStack() as stack:
        for place in places:
            if store is None:
                raise WimMissing(where=str(wim))
            other = _open(place, like, opened, stack, emit)
            if any(_identity(other) == _identity(one) for one in opened):
                raise SameVolume(where=place)
            _check_stands_on(other, store, wim)
            opened.append(other)
        yield opened[besides is not None:]


def _open(place: str, like: TargetOptions, opened: Sequence[Opened], stack: ExitStack, emit: Emit) -> Opened:
    """A volume by itself, or one more on a disk that is open already, in that disk's transaction."""
    named = parse_place(place)
    for one in opened:
        if named.path.resolve() == one.target.path:
            if named.partition is None or one.target.slice(named.partition)[0] == one.start:
                raise SameVolume(where=place)
            return stack.enter_context(open_sibling(one, named.partition))
    options = replace(like, place=place)
    return stack.enter_context(open_volume(options, emit, write=not like.dry_run, windows=False))


def transactions_of(opened: Iterable[Opened]) -> list[Transaction]:
    """The transactions of volumes that are open for writing, one a disk."""
    return list({id(one.transaction): one.transaction for one in opened if one.transaction is not None}.values())


def _identity(opened: Opened) -> tuple[str, int]:
    return str(opened.target.path), opened.start


def _check_stands_on(opened: Opened, store: Store, wim: Path) -> None:
    guid = store.guid
    sources = read_sources(Contents(opened.tree, opened.device, opened.volume).read_path, where=opened.where)
    if not sources.all:
        raise not_wimboot(opened)
    if not sources.of_wim(guid):
        raise OtherWim(
            wim=wim,
            where=opened.where,
            found=guid_text(guid),
            expected=" or ".join(guid_text(source.wim_guid) for source in sources.all),
        )
    for source in sources.of_wim(guid):
        check_number(opened.tree, source, store, where=opened.where, wim=wim, sure=True)


def refresh_others(others: Sequence[Opened], store: Store, *, moved: Moved = Moved.READ) -> int:
    """Let the pointers of these volumes know the WIM as it will be; how many changed. Closes the volumes.

    Raises PointersAstray.
    """
    refreshed = 0
    for other in others:
        refreshed += refresh_pointers(other.volume, other.tree, store, moved=moved)
        other.volume.close()
    return refreshed
