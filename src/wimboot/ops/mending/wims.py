"""Repair a WIM by itself from other copies: blobs that are missing or damaged, and damaged lists of files."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Error
from wimboot.events import Phase
from wimboot.ops.capturing.readingback import ReadBackFailed
from wimboot.ops.finding.athand import AtHand
from wimboot.ops.finding.searching import search_by_guid
from wimboot.ops.mending.soundblobs import bring, count_references, find_sound
from wimboot.ops.opening.inside import free_size, growing_wim
from wimboot.ops.opening.storing import commit_all, opened_store
from wimboot.ops.options import TargetOptions
from wimboot.ops.pointing.pointers import Moved
from wimboot.ops.sharing.fallenbehind import tell_of_others
from wimboot.ops.sharing.together import open_others, refresh_others, transactions_of
from wimboot.plan.space import check_wim_space
from wimboot.storage import HostFolder
from wimboot.wim import real_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wimboot.events import Emit
    from wimboot.ops.checking.findings import Verified
    from wimboot.ops.mending.outcome import Repaired
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import RepairOptions
    from wimboot.wim import Store

__all__ = ["opened_spares", "read_back", "repair_store"]


@contextmanager
def opened_spares(options: RepairOptions, own: Store, opened: Opened | None) -> Iterator[list[Store]]:
    """The copies named, then those of the same WIM that lie where WIMs are put. Raises what opening a named one raises.

    One that was not named and cannot be opened is no help, and no error.
    """
    folders = HostFolder if opened is None else opened.options.folders
    with ExitStack() as stack:
        spares = []
        seen = {real_path(Path(own.where))}
        for path in options.spares:
            if real_path(path) not in seen:
                seen.add(real_path(path))
                spares.append(stack.enter_context(opened_store(path, folders)))
        for path in [] if opened is None else _copies(opened, own.guid):
            if real_path(path) not in seen:
                seen.add(real_path(path))
                try:
                    spares.append(stack.enter_context(opened_store(path, folders)))
                except Error:
                    continue
        yield spares


def _copies(opened: Opened, guid: bytes) -> list[Path]:
    with AtHand(opened) as at_hand:
        return [one.file.path for one in search_by_guid(opened, at_hand).candidates if one.file.guid == guid]


def read_back(pending: Store, hashes: Sequence[bytes], options: RepairOptions, emit: Emit) -> None:
    """Read what was just stored from the disk. Raises ReadBackFailed."""
    phase = Phase(name="read-back", total=sum(blob.size for blob in map(pending.blob, hashes) if blob is not None),
                  unit="bytes")
    emit(phase)
    problems = pending.check_blobs(hashes, phase.counter, options.check.threads) if hashes else []
    if problems:
        raise ReadBackFailed(where=pending.where, count=len(problems), first=problems[0].text)


def repair_store(options: RepairOptions, wim: Path, found: Verified, done: Repaired, emit: Emit) -> bool:
    """Bring what the WIM was found to lack, or to have damaged, from the copies named; whether anything was stored."""
    threads = options.check.threads
    with ExitStack() as stack:
        append = None if options.dry_run else stack.enter_context(growing_wim(wim, TargetOptions(place=""), None))
        own = None if append is None else append.store
        if own is None:
            own = stack.enter_context(opened_store(wim))
        spares = stack.enter_context(opened_spares(options, own, None))
        wanted: dict[bytes, int | None] = dict.fromkeys(found.missing | found.damaged)
        offers = find_sound(wanted, spares, None, emit, threads=threads)
        lists = {number: data for number in sorted(found.lists) if (data := _list_of(own, number, spares)) is not None}
        done.add(offers)
        done.lists += len(lists)
        if append is None or not (offers.hashes or lists):
            return False
        like = TargetOptions(place="", log_folder=options.log_folder)
        others = stack.enter_context(open_others(options.others, like, append.store, wim, emit))
        check_wim_space(offers.size, free_size(wim), where=str(wim))
        phase = Phase(name="repair", total=offers.size, unit="bytes")
        emit(phase)
        append.replace(offers.hashes)
        for number, data in lists.items():
            append.replace_metadata(number, data, threads=threads)
        bring(offers, append, phase.counter, threads=threads)
        append.keep(count_references(own, offers.hashes & found.missing))
        append.seal()
        pending = append.pending()
        read_back(pending, append.new_hashes, options, emit)
        for number in lists:
            pending.check_metadata(number)    # raises BlobDamaged
        done.others += refresh_others(others, pending, moved=Moved.LEAVE)
        commit_all(transactions_of(others), append, wim)
        done.commit(str(wim), emit)
        tell_of_others(append, wim, emit, others)
        return True


def _list_of(own: Store, number: int, spares: Sequence[Store]) -> bytes | bytearray | None:
    """The list of files of an image, byte for byte, from a copy that has it sound."""
    table = own.parts[0].table
    sha1 = table.row(table.metadata[number - 1]).sha1
    for spare in spares:
        other = spare.parts[0].table
        for index, row in enumerate(other.metadata, start=1):
            if other.row(row).sha1 == sha1:
                try:
                    data = spare.metadata(index)
                except Damaged:
                    continue
                if hashlib.sha1(data, usedforsecurity=False).digest() == sha1:
                    return data
    return None
