"""A WIM stays as it is while volumes are made to point into it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from converted import Converted
from running import refused, unchanged
from volume_rig import fresh_volume
from wimboot.events import Event, Phase, silent
from wimboot.ops.apply import apply
from wimboot.ops.opening.storing import held_wim
from wimboot.ops.options import ApplyOptions, RelocateOptions, RestoreOptions, TargetOptions
from wimboot.ops.relocate import relocate
from wimboot.ops.restore import restore
from wimboot.storage import HostFolder
from wimboot.wim import Append
from wimboot.wim.errors import WimBusy


def is_busy(wim: Path) -> bool:
    """Whether it may neither grow nor be rewritten now."""
    try:
        Append(HostFolder(wim.parent), wim.name, create=None, where=str(wim)).abort()
    except WimBusy:
        return True
    return False


def test_nobody_changes_a_wim_that_is_being_applied(converted: Converted, tmp_path: Path) -> None:
    """An image that is dropped meanwhile would leave a system of pointers to nothing."""
    volume = fresh_volume(tmp_path / "second.img", 64 << 20)
    seen = watching(converted.wim, lambda emit: apply(ApplyOptions(
        target=TargetOptions(place=str(volume)), wim=converted.wim, image="1", wim_place="later", driver="none"), emit))
    assert seen == {True}


def test_nobody_changes_a_wim_that_is_being_restored_from(converted: Converted) -> None:
    """The numbers of its images, and where its blobs lie, hold until the commit."""
    target = TargetOptions(place=str(converted.volume))
    seen = watching(converted.wim, lambda emit: restore(RestoreOptions(target=target, wim=converted.wim), emit))
    assert seen == {True}


def watching(wim: Path, run: Callable[[Callable[[Event], None]], object]) -> set[bool]:
    """Whether the WIM was busy at the beginning of each phase but the first; afterwards it is not."""
    seen = set()

    def listen(event: Event) -> None:
        if isinstance(event, Phase):
            seen.add(is_busy(wim))

    run(listen)
    assert not is_busy(wim)
    return seen


def test_a_place_is_not_told_while_the_wim_grows(converted: Converted) -> None:
    """Its table would be another when the pointers get it."""
    with Append(HostFolder(converted.wim.parent), converted.wim.name, create=None, where="it"):
        with pytest.raises(WimBusy):
            relocate(RelocateOptions(target=TargetOptions(place=str(converted.volume)), wim=converted.wim,
                                     place="later"), silent)
        with unchanged(converted.volume):
            refused("wim-busy", 4, "restore", converted.volume, "--wim", converted.wim)


def test_a_wim_that_is_held_can_be_read_and_held_by_others(converted: Converted) -> None:
    """Systems are built side by side; only writers wait."""
    with held_wim(converted.wim), held_wim(converted.wim):
        assert is_busy(converted.wim)
        with unchanged(converted.wim, converted.volume):
            refused("wim-busy", 4, "prune", converted.wim, "--drop", "1", "--force", "--yes")
            refused("wim-busy", 4, "update", converted.volume, "--wim", converted.wim)
    assert not is_busy(converted.wim)
