"""Put right what `verify` finds: relink pointers by hash, bring data from copies and real files, mend WimOverlay.dat.

A volume is repaired WIM by WIM, each in one commit (`storing.commit`): the new data is behind the WIM's end, read back,
before any pointer leads to it. Nothing is written where nothing would get better, and afterwards all is checked again.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import HostError
from wimboot.events import Emit, Note, Phase
from wimboot.ops.mending.doubting import doubt_told
from wimboot.ops.mending.outcome import Repaired
from wimboot.ops.mending.plan import Mending, plan_mending
from wimboot.ops.mending.soundblobs import bring, find_sound
from wimboot.ops.mending.wims import opened_spares, read_back, repair_store
from wimboot.ops.opening.inside import growing_wim, wim_exists
from wimboot.ops.opening.storing import commit, commit_all, opened_store
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.pointing.placing import write_sources
from wimboot.ops.pointing.pointers import Moved, refresh_pointers
from wimboot.ops.sharing.fallenbehind import tell_of_others
from wimboot.ops.sharing.together import open_others, refresh_others, transactions_of
from wimboot.ops.verify import verify
from wimboot.plan.space import check_wim_space
from wimboot.storage import HostFolder
from wimboot.wim.errors import WimMissing
from wimboot.windows.sources import NEW_PATH, Sources

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from wimboot.events import Event
    from wimboot.ops.checking.findings import Verified
    from wimboot.ops.mending.soundblobs import Offers
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import RepairOptions, TargetOptions
    from wimboot.wim import Append, Store

__all__ = ["repair"]


class RepairInterrupted(HostError):
    """Stopped when a part of the repair was committed already: "everything is as before" would not be true."""

    id = "repair-interrupted"
    sentence = "the repair of {where} was interrupted; what it had put right by then is whole and stays"
    advice = "Verify it again, without --repair, to see what is left; the same command again goes on."


def repair(options: RepairOptions, emit: Emit) -> Repaired:
    """Verify, repair what can be, verify again.

    Raises what opening raises, WimMissing where a copy that was named is not there, Refused where a WIM may not be
    written, UnreadablePlace where WimOverlay.dat has to be made and the place of the WIM is not known.
    """
    emit = _once(emit)
    check = replace(options.check, spares=options.spares)
    folders = HostFolder if check.target is None else check.target.folders
    for spare in options.spares:
        if not wim_exists(spare, folders):
            raise WimMissing(where=str(spare))
    before = verify(check, emit)
    done = Repaired(before=before, after=before)
    if not before.found:
        return done
    try:
        if check.target is not None:
            _repair_volume(options, check.target, done, emit)
            if done.committed:
                done.after = verify(check, emit)
        elif check.wim is not None and before.wim is not None:
            _repair_alone(options, check.wim, done, emit)
    except KeyboardInterrupt as error:
        if done.committed:
            raise RepairInterrupted(where=check.wim if check.target is None else check.target.place) from error
        raise
    return done


def _once(emit: Emit) -> Emit:
    """What the second check says just as the first one did, is said once; problems are what is left."""
    told: set[str] = set()

    def each(event: Event) -> None:
        if isinstance(event, Note):
            kind = event.id if event.id == "place-later" else event.text
            if kind in told:
                return
            told.add(kind)
        emit(event)

    return each


def _repair_alone(options: RepairOptions, wim: Path, done: Repaired, emit: Emit) -> None:
    """Once, and again where a list of files that was mended tells of more data that is missing."""
    again = True
    while again:
        lists = done.lists
        stored = repair_store(options, wim, done.after, done, emit)
        again = stored and done.lists > lists
        if stored:
            done.after = verify(options.check, emit)


def _repair_volume(options: RepairOptions, target: TargetOptions, done: Repaired, emit: Emit) -> None:
    """WIM by WIM; WimOverlay.dat goes with the first, or by itself."""
    wims = _wims(options, done.before)
    for wim in wims or (None,):
        with ExitStack() as stack:
            with open_volume(replace(target, dry_run=True), emit, write=False, windows=False) as opened:
                plan = plan_mending(opened, wim, options, done.before, emit if options.dry_run else _phases(emit))
                mending = _possible(options, opened, plan, plan.wanted, done, emit)
            if options.dry_run or not mending.worthwhile:
                if mending.worthwhile:
                    _preview(options, target, wim, mending, done, emit)
                continue
            append = None if wim is None or not mending.wanted else stack.enter_context(growing_wim(wim, target, None))
            opened = stack.enter_context(open_volume(target, emit, write=True, windows=False))
            plan = plan_mending(opened, wim, options, done.before, emit, plan)
            mending = _possible(options, opened, plan, plan.wanted, done, emit)
            _mend(options, opened, wim, append, mending, done, emit)


def _wims(options: RepairOptions, before: Verified) -> list[Path]:
    """The WIMs that pointers of the volume lead into, or are to be led into; each once."""
    found = [one.wim for one in before.sources if one.wim is not None and one.comparison is not None]
    if options.check.wim is not None and (before.unknown or any("other-wim" in one.causes for one in before.sources)):
        found.append(options.check.wim)
    return list(dict.fromkeys(found))


def _preview(
    options: RepairOptions, target: TargetOptions, wim: Path | None, mending: Mending, done: Repaired, emit: Emit
) -> None:
    """Count what would be done."""
    with open_volume(target, emit, write=False, windows=False) as opened, ExitStack() as stack:
        if wim is not None and mending.wanted:
            own = stack.enter_context(opened_store(wim, target.folders))
            offers = _offers(options, opened, own, mending, stack, emit)
            done.lacking |= offers.lacking
            mending = _possible(options, opened, mending, offers.hashes, done, emit)
            if mending.wanted:
                done.add(offers)
        done.relinked += mending.relinkable
        done.overlay |= mending.overlay is not None


def _phases(emit: Emit) -> Emit:
    """A first look at what is to be done says how far it is, and nothing else."""
    return lambda event: emit(event) if isinstance(event, Phase) else None


def _possible(
    options: RepairOptions, opened: Opened, mending: Mending, brought: Collection[bytes], done: Repaired, emit: Emit
) -> Mending:
    """The plan; where pointers would be led to a table that is in doubt even so, that is said, with what is left."""
    if mending.doubt is None or not mending.doubt.stays(brought):
        return mending
    with opened_store(mending.doubt.wim, opened.options.folders) as own, opened_spares(options, own, opened) as spares:
        done.refuse(doubt_told(opened, own, spares, mending.doubt), emit)
    return mending.spared or Mending()


def _offers(
    options: RepairOptions, opened: Opened, own: Store, mending: Mending, stack: ExitStack, emit: Emit
) -> Offers:
    spares = stack.enter_context(opened_spares(options, own, opened))
    threads = options.check.threads
    return find_sound(mending.wanted, [*spares, own], mending.real_files(opened), emit, threads=threads)


def _mend(
    options: RepairOptions, opened: Opened, wim: Path | None, append: Append | None, mending: Mending, done: Repaired,
    emit: Emit,
) -> None:
    """Carry one plan out, and commit it."""
    with ExitStack() as stack:
        pending: Store | None = None
        others: list[Opened] = []
        if append is not None and append.store is not None and wim is not None:
            others = stack.enter_context(
                open_others(options.others, opened.options, append.store, wim, emit, besides=opened))
            offers = _offers(options, opened, append.store, mending, stack, emit)
            done.lacking |= offers.lacking
            mending = _possible(options, opened, mending, offers.hashes, done, emit)
            if mending.wanted:
                pending = _bring(options, append, append.store, mending, offers, done, emit)
        elif wim is not None and mending.pointers:
            pending = stack.enter_context(opened_store(wim, opened.options.folders))
        grown = append is not None and pending is not None and pending is not append.store
        if not (mending.overlay is not None or mending.relinkable or grown):
            return
        if mending.overlay is not None:
            _write_overlay(opened, Sources(overlay=mending.overlay))
            done.overlay = True
        if pending is not None:
            emit(Phase(name="relink", total=mending.pointers))
            done.relinked += refresh_pointers(opened.volume, opened.tree, pending, moved=Moved.LEAVE)
        opened.volume.close()
        if append is None or pending is None or wim is None or not grown:
            commit(opened.writing, None, opened.target.path if wim is None else wim)
            done.commit(str(opened.target.path if wim is None else wim), emit)
            return
        done.others += refresh_others(others, pending, moved=Moved.LEAVE)
        commit_all(transactions_of([opened, *others]), append, wim)
        done.commit(str(wim), emit)
        tell_of_others(append, wim, emit, [opened, *others])


def _bring(
    options: RepairOptions, append: Append, own: Store, mending: Mending, offers: Offers, done: Repaired, emit: Emit
) -> Store:
    """Store sound data of what is damaged or missing; the WIM as it will be, or as it is where none was to be had."""
    done.add(offers)
    if not offers.hashes:
        return own
    check_wim_space(offers.size, append.folder.free_size(), where=append.where)
    phase = Phase(name="repair", total=offers.size, unit="bytes")
    emit(phase)
    append.replace(offers.hashes)
    bring(offers, append, phase.counter, threads=options.check.threads)
    append.keep(mending.references(own, offers.hashes))
    append.seal()
    pending = append.pending()
    read_back(pending, append.new_hashes, options, emit)
    return pending


def _write_overlay(opened: Opened, sources: Sources) -> None:
    """WimOverlay.dat and its backup; a .new that was left over goes."""
    volume = opened.volume
    write_sources(volume, sources)
    left = volume.open_path(NEW_PATH)
    if left is not None:
        folder, _, name = NEW_PATH.rpartition("\\")
        parent = volume.open_path(folder)
        if parent is not None:
            volume.unlink(left, parent, name.encode("utf-16-le"))
