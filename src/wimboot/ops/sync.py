"""Bring the spare copy of a WIM up to it, byte for byte, writing only what the copy lacks where that is possible."""

from __future__ import annotations

import errno
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from wimboot.disk import DECIDED, uninterrupted
from wimboot.disk.inside import parse_inside
from wimboot.errors import Damaged, Refused, UsageError
from wimboot.events import Emit, Note, Phase
from wimboot.formats.guid import guid_text
from wimboot.formats.wimheader import HEADER_SIZE
from wimboot.frozen import Frozen
from wimboot.ops.opening.storing import opened_store
from wimboot.plan.space import check_rewrite_space
from wimboot.storage import HostNotUsable
from wimboot.storage.memory import FileGround, Image, MemoryFolder
from wimboot.wim import Relation, Spare, open_store, real_path, record_name, recover, same_bytes
from wimboot.wim.inherited import absent_blobs, check_images, lost_blobs, unlike_blobs, unlike_images
from wimboot.wim.recovery import lock_shared, temporary_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wimboot.ops.options import SyncOptions
    from wimboot.storage import Folder
    from wimboot.wim import Store

__all__ = [
    "CopyDamaged", "CopyHasMore", "CopyInside", "CopyIsNewer", "CopyIsOther", "CopyIsWim", "CopyNotReadBack",
    "CopyUnknown", "SourceDamaged", "Synced", "sync",
]

_WHOLE = (Relation.MISSING, Relation.APART, Relation.DAMAGED, Relation.UNKNOWN)
"""What is written whole."""


class CopyIsWim(UsageError):
    """One file under two names."""

    id = "same-file"
    sentence = "{copy} is {wim} itself"
    advice = "Name another file for the spare copy, best on another disk."


class CopyInside(Refused):
    """A copy inside a volume that is not mounted."""

    id = "copy-inside-volume"
    sentence = "{copy} lies inside a volume that is not mounted, and a spare copy is written as a file of this host"
    advice = "Mount that volume, or name a file of the host."


class CopyIsOther(Refused):
    """A copy of another WIM would be overwritten."""

    id = "copy-of-another-wim"
    sentence = "{copy} is no copy of {wim}: its GUID is {found}, not {expected}"
    advice = "Name the right file. If that one is not needed any more, delete it first."


class CopyIsNewer(Refused):
    """The wrong way round."""

    id = "copy-is-newer"
    sentence = "{copy} is ahead of {wim}: it has grown from it to {images} images and {size:size}"
    advice = (
        "Was it meant the other way round? `wimboot sync {copy} {wim}`. Where the newest images were pruned from {wim} "
        "on purpose, remove {copy} and make it anew."
    )


class CopyHasMore(Refused):
    """Images that would be lost."""

    id = "copy-has-more"
    sentence = "{copy} holds images that {wim} does not: {images}"
    advice = "Where they are not needed any more (they were pruned from {wim}), say --force; else keep {copy}."


class CopyDamaged(Refused):
    """A copy that was cut short, as a rule."""

    id = "copy-damaged"
    sentence = "{copy} cannot be read: {why}"
    advice = "With --force it is written anew."


class CopyUnknown(Refused):
    """A copy whose beginning is gone, or a file that never was one: that cannot be told."""

    id = "copy-unknown"
    sentence = "{copy} does not begin as a WIM does: it is a copy whose beginning is damaged, or something else"
    advice = "Look at what it is. With --force it is written anew, after a question (--yes)."


class CopyNotReadBack(Damaged):
    """What was just written to the copy is not what the disk gives back."""

    id = "copy-read-back"
    sentence = "what was just written to {copy} does not read back as the bytes of {wim}"
    advice = "The disk or memory is not reliable. The copy is as it was; best make one on another disk."


class SourceDamaged(Damaged):
    """A damaged WIM must not take the place of a copy that may be sound."""

    id = "sync-source-damaged"
    sentence = "{count} blobs of {wim} that would be copied are damaged (the first: {first})"
    advice = (
        "{copy} was not changed. `wimboot verify --wim {wim}` lists all; where the copy is sound, "
        "`wimboot verify --wim {wim} --repair --spare {copy}` takes them from there."
    )


class Synced(Frozen):
    """What was done, or with a dry run would be; `before` is how the copy stood to the WIM.

    Bytes: `written`, `compared` with the WIM without being written, `size` of both files.
    """

    copy: Path
    before: Relation
    rewritten: bool
    written: int
    compared: int
    size: int


def sync(options: SyncOptions, emit: Emit) -> Synced:
    """Make `options.copy` the same as `options.wim`.

    1. What the copy lacks is written behind its end under an undo record, or a whole new file beside it; synced.
    2. What was written is read back from the disk; its blobs and lists of files are unpacked and hashed, and those that
       the copy has already where the new table tells of them otherwise.
    3. The copy gets its new header, or the new file its name.

    An interruption leaves the old copy or the new one. The WIM is only read.

    Raises CopyIsWim, CopyIsOther, CopyIsNewer, CopyHasMore, CopyDamaged, CopyUnknown, SourceDamaged, CopyNotReadBack,
    and what opening raises.
    """
    DECIDED.clear()
    copy = _file_meant(options)
    with _source(options) as store:
        real = real_path(copy)
        with _folder(options, real) as folder, Spare(store, folder, real.name, where=str(copy)) as spare:
            before = spare.relation
            _refuse(options, store, spare, before, copy)
            compared = _compare(spare, emit) if options.full and before in (Relation.SAME, Relation.EARLIER) else 0
            rewrite = before in _WHOLE or compared < 0
            if rewrite or before is Relation.EARLIER:
                _write(options, spare, copy, emit, rewrite=rewrite)
            start = spare.store.size if spare.store is not None and not rewrite else 0
            return Synced(copy=copy, before=before, rewritten=rewrite and before is not Relation.MISSING,
                          written=store.size - start, compared=max(compared, 0), size=store.size)


def _file_meant(options: SyncOptions) -> Path:
    """The copy; in a folder it has the WIM's name. Raises CopyInside, CopyIsWim, HostNotUsable."""
    copy = options.copy / options.wim.name if options.copy.is_dir() else options.copy
    if parse_inside(copy) is not None:
        raise CopyInside(copy=copy)
    if copy.exists() and options.wim.exists() and copy.samefile(options.wim):
        raise CopyIsWim(copy=copy, wim=options.wim)
    if copy.exists() and not copy.is_file():    # a device must not be renamed over
        raise HostNotUsable(what="writing", where=str(copy), why="it is no ordinary file", errno=errno.EINVAL)
    return copy


@contextmanager
def _source(options: SyncOptions) -> Iterator[Store]:
    """The WIM; with a dry run what an interrupted run left of a file of the host is finished in memory only."""
    real = real_path(options.wim)
    if options.dry_run and parse_inside(real) is None:
        folder = options.folders(real.parent)
        if any(map(folder.exists, (record_name(real.name), *temporary_names(real.name)))):
            with _as_it_is(folder, real) as memory:
                recover(memory, real.name, where=str(options.wim))
                with open_store(options.wim, lambda _: memory) as store:
                    yield store
            return
    with opened_store(options.wim, options.folders) as store:
        yield store


@contextmanager
def _folder(options: SyncOptions, real: Path) -> Iterator[Folder]:
    """Where the copy lies; with a dry run as it is, in memory: what an interrupted run left there is finished or
    removed in that only. Raises WimBusy.
    """
    folder = options.folders(real.parent)
    if options.dry_run:
        with _as_it_is(folder, real) as memory:
            yield memory
    else:
        yield folder


@contextmanager
def _as_it_is(folder: Folder, real: Path) -> Iterator[Folder]:
    """A WIM and its undo record, to be changed in memory. Raises WimBusy."""
    images = {}
    with ExitStack() as stack:
        for name in (real.name, record_name(real.name)):
            if folder.exists(name):
                file = folder.open(name)
                stack.callback(file.close)
                if name == real.name:
                    lock_shared(folder, name, file, where=str(real))
                images[name] = Image(FileGround(file), file.size())
        yield MemoryFolder(images)


def _refuse(options: SyncOptions, store: Store, spare: Spare, before: Relation, copy: Path) -> None:
    old = spare.store
    if before is Relation.OTHER and spare.guid is not None:
        raise CopyIsOther(copy=copy, wim=options.wim, found=guid_text(spare.guid), expected=guid_text(store.guid))
    if before is Relation.DAMAGED and not options.force:
        raise CopyDamaged(copy=copy, why=spare.damage)
    if before is Relation.UNKNOWN and not (options.force and options.over):
        raise CopyUnknown(copy=copy)
    if old is None:
        return
    if before is Relation.LATER:
        raise CopyIsNewer(copy=copy, wim=options.wim, images=len(old.images), size=old.size)
    if before is Relation.APART and not options.force:
        here = set(_lists_of_files(store))
        more = [f"{number} ({old.images[number - 1].name})"
                for number, sha1 in enumerate(_lists_of_files(old), start=1) if sha1 not in here]
        if more:
            raise CopyHasMore(copy=copy, wim=options.wim, images=", ".join(more))


def _lists_of_files(store: Store) -> list[bytes]:
    """The hash of each image's metadata: what tells whether two images are the same, whatever they are called."""
    table = store.parts[0].table
    return [table.row(row).sha1 for row in table.metadata]


def _compare(spare: Spare, emit: Emit) -> int:
    """The bytes of the copy that were compared with the WIM's; negative where some differ, which is told.

    Which of the two is the damaged one is seen when what was copied is hashed.
    """
    if spare.store is None:
        return 0
    phase = Phase(name="compare", total=spare.store.size, unit="bytes")
    emit(phase)
    if same_bytes(spare.source, spare.store, phase.counter):
        return phase.counter.done
    emit(Note(id="copy-differs", warning=True, text=(
        f"{spare.where} differs from {spare.source.where} (the first difference is at byte "
        f"{HEADER_SIZE + phase.counter.done:,}): it is written anew, unless what it would get is damaged.")))
    return -1


def _write(options: SyncOptions, spare: Spare, copy: Path, emit: Emit, *, rewrite: bool) -> None:
    source, folder = spare.source, real_path(copy).parent
    start = 0 if rewrite or spare.store is None else spare.store.size
    check_rewrite_space(source.size - start, options.folders(folder).free_size(), where=str(folder))
    if options.dry_run:
        return
    copying = Phase(name="copy", total=source.size - start, unit="bytes")
    emit(copying)
    (spare.rewrite if rewrite else spare.append)(copying.counter)
    reading = Phase(name="read-back", total=source.size - start, unit="bytes")
    emit(reading)
    if not spare.reads_back(reading.counter):
        raise CopyNotReadBack(copy=copy, wim=options.wim)
    _check_blobs(options, spare, start, copy, emit)
    with uninterrupted(forget=True):
        spare.finish()
        DECIDED.set()


def _check_blobs(options: SyncOptions, spare: Spare, start: int, copy: Path, emit: Emit) -> None:
    """Hash what was written: damage in the WIM must not replace what may be sound in the copy.

    Of what the copy keeps (`start` is its end) that is what the new table says otherwise than the copy's own.
    """
    pending = spare.pending()
    old = spare.store if start else None
    hashes = pending.hashes() if old is None else unlike_blobs(pending, old)
    blobs = {sha1: blob.size for sha1 in hashes if (blob := pending.blob(sha1)) is not None}
    images = [] if old is None else unlike_images(pending, old)
    table = pending.parts[0].table
    lists = sum(table.row(table.metadata[image - 1]).size for image in images)
    phase = Phase(name="hash", total=sum(blobs.values()) + lists, unit="bytes")
    emit(phase)
    problems = pending.check_blobs(None if old is None else blobs.keys(), phase.counter, options.threads)
    problems += check_images(pending, images, phase.counter)
    if not problems:
        problems = absent_blobs(pending, range(1, len(pending.images) + 1) if old is None else images)
    if old is not None and not problems:
        problems = lost_blobs(pending, old)
    if problems:
        raise SourceDamaged(wim=options.wim, copy=copy, count=len(problems), first=problems[0].text)
