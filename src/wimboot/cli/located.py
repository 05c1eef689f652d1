"""How the WIM of a data source was found, and how it stands, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wimboot.ops.finding.athand import How
from wimboot.ops.finding.locating import WimState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.ops.finding.locating import Located

__all__ = ["located_fields", "located_lines"]

_HOW = {
    How.SAME_VOLUME: "on the volume itself",
    How.SAME_DISK: "on the same disk",
    How.ATTACHED_DISK: "on an attached disk",
    How.DISK_IMAGE: "in a disk image",
    How.SEARCHED: "by --search",
    How.WIM_FOLDER: "in the WIM folder",
    How.BESIDE_TARGET: "beside the target",
    How.ABOVE_TARGET: "in the folder above the target",
    How.CURRENT_FOLDER: "in the current folder",
}

_STATES = {
    WimState.IN_PLACE: "it is where it is registered",
    WimState.ELSEWHERE: "the disk that it is registered on is not at hand",
    WimState.LATER: "it has no place yet; the system does not start before `wimboot relocate TARGET --wim WIM --as "
    "PLACE`",
    WimState.MOVED: "it is not where it is registered, and Windows will not find it (status c000046e); copy it there, "
    "or to where Windows can read it, and let `wimboot relocate` tell the volume its place",
}
_AT_EASE = (WimState.IN_PLACE, WimState.ELSEWHERE)
"""Nothing is to be done about these; the words of the others are in capitals."""


def located_fields(located: Located) -> dict[str, Any]:
    """For JSON: `state` in a word, `found`, `passed_over`, what else lies at the registered place, where it looked."""
    found = located.found
    return {
        "state": located.state.value,
        "how": None if found is None else found.how.value,
        "at_registered_place": None if found is None else found.at_registered_place,
        "images_in_wim": None if found is None else found.image_count,
        "passed_over": []
        if found is None
        else [{"wim": over.path, "how": over.how.value, "why": over.why} for over in found.passed_over],
        "place_at_hand": located.at_hand,
        "other_at_place": None if located.other is None else located.other.path,
        "looked": list(located.looked),
    }


def located_lines(located: Located, *, needed: bool) -> Iterator[str]:
    """For people, below the line of the data source; `needed` by a pointer."""
    found = located.found
    if found is not None:
        yield f"found: {found.path} ({_HOW[found.how]})"
    word = located.state.value
    if needed:
        yield f"{word if located.state in _AT_EASE else word.upper()}: {_state(located)}"
    else:
        yield f"{word}: no pointer leads into it, so Windows needs none of it"
    for over in () if found is None else found.passed_over:
        yield f"passed over: {over.path}: {over.why}"
    if found is None:
        yield from (f"looked at: {place}" for place in located.looked)


def _state(located: Located) -> str:
    if located.state is WimState.REPLACED and located.other is not None:
        what = "no WIM" if located.other.guid is None else "another WIM"
        return (f"{located.other.path}, where it is registered, is {what}; put the right one there, or tell "
                "its place with `wimboot relocate`")
    if located.state is WimState.OLDER:
        image, found = located.source.wim_index, located.found
        if found is not None and found.image_count < image:
            return f"it has {found.image_count:,} images, and the volume stands on image {image}"
        return f"the copy where it is registered lacks image {image}; put the newer one there"
    if located.state is WimState.MISSING:
        why = "it is not where it is registered, and Windows reads none of its files (status c000046e)"
        if not located.at_hand:
            later = located.place is not None and located.place.is_later
            why = "it has no place yet" if later else "the disk that it is registered on is not at hand"
        return f"{why}; name a folder that holds it with --search"
    return _STATES[located.state]
