"""A volume looked at as a whole: its tree, its bytes, its Windows, the rules for it. Every verb begins with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wimboot.errors import Unsupported
from wimboot.events import Emit, Note
from wimboot.formats.reparse import REPARSE_TAG_WOF
from wimboot.frozen import Frozen
from wimboot.ops.capturing.deduplicated import deduplicated
from wimboot.ops.capturing.rules import find_lists
from wimboot.ops.finding.ownwims import own_files
from wimboot.ops.opening.contents import Contents
from wimboot.plan.capture import CapturePlan, plan_capture
from wimboot.tree import passes
from wimboot.tree.selection import Selection, select
from wimboot.windows.identify import System, UnknownWindows, identify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wimboot.ops.opening.volume import Opened
    from wimboot.tree import Tree
    from wimboot.wim import Store

__all__ = ["Snapshot", "UnknownBacking", "capture_plan", "take_snapshot"]


class UnknownBacking(Unsupported):
    """A file of the overlay filter that is neither a pointer into a WIM nor a Compact OS file."""

    id = "backing-unknown"
    sentence = "{where} keeps its data in a way of Windows' overlay filter unknown here, and would be captured empty"
    advice = "Make it an ordinary file under Windows, or leave it out with a WimBootCompress.ini (--config)."


class Snapshot(Frozen):
    """An opened volume with what was read from it. `system` is None where it holds no Windows, or a lenient look could
    not tell which.
    """

    opened: Opened
    tree: Tree
    contents: Contents
    system: System | None
    selection: Selection


def take_snapshot(
    opened: Opened, stores: Sequence[Store], config: Path | None, wim: Path | None, emit: Emit,
    *, system: System | None = None, lenient: bool = False
) -> Snapshot:
    """Scan and identify, unless `system` is known. `stores` are where pointers are followed to.

    A Windows whose version, part of the rules, cannot be read leaves with `lenient` those of all, and is told; else it
    raises UnknownWindows.
    """
    tree = opened.tree
    contents = Contents(tree, opened.device, opened.volume, stores)
    system = system or _identify(contents, emit, lenient=lenient)
    lists = find_lists(config, wim, contents.read_path, system, emit, own_files(opened))
    return Snapshot(opened=opened, tree=tree, contents=contents, system=system, selection=select(tree, lists))


def _identify(contents: Contents, emit: Emit, *, lenient: bool) -> System | None:
    try:
        return identify(contents.read_path)
    except UnknownWindows as error:
        if not lenient:
            raise
        emit(Note(id=error.id, text=error.told, warning=True))
        return None


def capture_plan(snapshot: Snapshot, emit: Emit) -> CapturePlan:
    """What of the volume goes into an image, with the notes that the user needs."""
    _refuse_unknown_backing(snapshot)
    plan = plan_capture(snapshot.tree, snapshot.selection.excluded)
    if plan.encrypted:
        emit(
            Note(
                id="encrypted",
                warning=True,
                text=(
                    f"{len(plan.encrypted):,} encrypted files stay on the volume but are NOT in the image, for only a "
                    f"running Windows can export them: {_some(plan.encrypted)}"
                ),
            )
        )
    elsewhere = deduplicated(snapshot.tree, snapshot.selection.excluded)
    if elsewhere:
        emit(
            Note(
                id="deduplicated",
                warning=True,
                text=(
                    f"{len(elsewhere):,} deduplicated files keep their data in System Volume Information: what they "
                    f"contain is NOT in the image, only that they are deduplicated: {_some(elsewhere)}"
                ),
            )
        )
    return plan


def _refuse_unknown_backing(snapshot: Snapshot) -> None:
    """A file whose data only a filter of Windows can give would be captured as zeros."""
    tree = snapshot.tree
    for node in passes.tagged_nodes(tree, REPARSE_TAG_WOF):
        for link in tree.links_of(node):
            if not snapshot.selection.excluded[link]:
                raise UnknownBacking(where=tree.path(link))


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
