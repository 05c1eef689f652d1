"""The WIMs behind a volume that is only read, and a word about those that were not found."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wimboot.events import Note
from wimboot.formats.guid import guid_text
from wimboot.ops.finding.backing import stores_behind
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import opened_store
from wimboot.tree import StreamFlag, passes
from wimboot.windows.sources import read_sources
from wimboot.windows.wimplace import told_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wimboot.events import Emit
    from wimboot.ops.opening.volume import Opened
    from wimboot.wim import Store

__all__ = ["backed_stores"]


@contextmanager
def backed_stores(opened: Opened, wim: Path | None, emit: Emit) -> Iterator[list[Store]]:
    """The WIMs that the volume's pointers are followed into: `wim`, where one was named, and those found.

    Each that was not found is told with the number of pointers that cannot be read without it; so is a volume that
    Windows left unfinished.
    """
    folders = opened.options.folders
    if opened.volume.state is not None:
        emit(Note(id="unfinished", warning=True, text=(
            f"Windows left {opened.where} hibernated, or did not write its changes to the end: what it had not written "
            "yet is not to be seen.")))
    if wim is None:
        with stores_behind(opened, None, folders) as stores:
            _tell_missing(opened, stores, emit)
            yield stores
        return
    with opened_store(wim, folders) as own, stores_behind(opened, own, folders) as stores:
        _tell_missing(opened, stores, emit)
        yield stores


def _tell_missing(opened: Opened, stores: Sequence[Store], emit: Emit) -> None:
    if not passes.flagged_streams(opened.tree, StreamFlag.POINTER):
        return
    sources = read_sources(Contents(opened.tree, opened.device, opened.volume).read_path, where=opened.where)
    at_hand = {store.guid for store in stores}
    for source in sources.all:
        pointers = len(passes.pointer_rows(opened.tree, source.data_source_id))
        if pointers and source.wim_guid not in at_hand:
            place = told_place(sources.place(source.data_source_id), "last known at")
            emit(Note(id="wim-missing", warning=True, text=(
                f"The WIM with the GUID {guid_text(source.wim_guid)}, {place}, was not found: {pointers:,} "
                "files that point into it cannot be read. Name it with --wim, or its folder with --search.")))
    if not sources.all and not stores:
        emit(Note(id="wim-missing", warning=True, text=(
            "The volume has pointers, but no record of the WIM that they lead into: they cannot be read. Name it with "
            "--wim.")))
