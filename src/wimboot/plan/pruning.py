"""Which images of a WIM stay and which go: by number, by how many of a system there are, by age. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wimboot.errors import UsageError
from wimboot.frozen import Frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from wimboot.formats.wimxml import ImageXml

__all__ = ["Chosen", "NoneWouldStay", "PruneChoice", "Wish", "choose", "stand_in", "system_of"]

_TRAILING_NUMBERS = re.compile(r"(?:[\W_]*\d+)+$")


class PruneChoice(UsageError):
    """What was asked for says nothing, or two things at once."""

    id = "prune-choice"
    sentence = "which images are to go cannot be told: {problem}"
    advice = "Give --keep, --drop, --keep-last or --older-than; --drop goes with none of the others."


class NoneWouldStay(UsageError):
    """A WIM without images is none."""

    id = "none-would-stay"
    sentence = "none of the {count} images of {where} would stay"
    advice = "Keep one. To give up all of them delete the file, once no volume uses it any more."


class Wish(Frozen):
    """What the user wants, with images by their numbers from 1. `older_than` is an age in 100 ns.

    `keep` alone: all others go. `drop`: these go. `keep_last` and `older_than`, or both: what is not among the last
    ones of its system, and is older; but never the last image of a system, and none of `keep`.
    """

    keep: frozenset[int] = frozenset()
    drop: frozenset[int] = frozenset()
    keep_last: int | None = None
    older_than: int | None = None

    @property
    def by_rule(self) -> bool:
        """Whether images go because of a rule, and not because they were named."""
        return self.keep_last is not None or self.older_than is not None

    def check(self) -> None:
        """Raises PruneChoice."""
        if self.drop and (self.keep or self.by_rule):
            raise PruneChoice(problem="some are named, and others are to go by a rule")
        if not (self.drop or self.keep or self.by_rule):
            raise PruneChoice(problem="nothing was said of them")


class Chosen(Frozen):
    """Numbers, ascending. `held` are those of `keep` that a rule would drop, and a volume stands on."""

    keep: tuple[int, ...]
    drop: tuple[int, ...]
    held: tuple[int, ...] = ()

    def number_after(self, number: int) -> int | None:
        """The number that a kept image will have."""
        return self.keep.index(number) + 1 if number in self.keep else None


def system_of(image: ImageXml) -> tuple[object, ...]:
    """What images of one system have in common: version (6.1), edition, kind and architecture, as the WIM tells them;
    of an image without a Windows its name up to the numbers at its end.
    """
    windows = image.windows
    if windows is None or windows.major is None:
        return (_TRAILING_NUMBERS.sub("", image.name).casefold(),)
    return (windows.major, windows.minor, windows.architecture, windows.edition_id.casefold(),
            windows.installation_type.casefold())


def choose(images: Sequence[ImageXml], wish: Wish, *, now: int, used: Collection[int], where: str) -> Chosen:
    """Which images stay. `now` is a time in 100 ns since 1601, `used` the numbers that known volumes stand on.

    Raises PruneChoice, NoneWouldStay.
    """
    wish.check()
    numbers = range(1, len(images) + 1)
    if wish.by_rule:
        ruled = {number for number in numbers if _goes(images, number, wish, now)} - wish.keep
        held = ruled.intersection(used)
        going = ruled - held
    else:
        going, held = set(wish.drop or set(numbers) - wish.keep), set()
    keep = tuple(number for number in numbers if number not in going)
    if not keep:
        raise NoneWouldStay(where=where, count=len(images))
    return Chosen(keep=keep, drop=tuple(sorted(going)), held=tuple(sorted(held)))


def _goes(images: Sequence[ImageXml], number: int, wish: Wish, now: int) -> bool:
    system = system_of(images[number - 1])
    later = sum(1 for image in images[number:] if system_of(image) == system)
    if later < max(wish.keep_last or 1, 1):
        return False
    created = images[number - 1].creation_time
    return wish.older_than is None or 0 < created < now - wish.older_than


def stand_in(images: Sequence[ImageXml], chosen: Chosen, dropped: int) -> int:
    """For a volume that stands on a dropped image: the latest image of the same system that stays, else of any."""
    system = system_of(images[dropped - 1])
    same = [number for number in chosen.keep if system_of(images[number - 1]) == system]
    return (same or chosen.keep)[-1]
