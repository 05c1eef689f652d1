"""Check a volume's pointers against its WIM, and a WIM against itself. Every problem is told; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Error, FormatError, UsageError
from wimboot.events import Emit, Note, Phase, Problem
from wimboot.formats.reparse import WimPointer
from wimboot.ops.contents import Contents
from wimboot.ops.finding import search
from wimboot.ops.opening import open_volume
from wimboot.ops.storing import opened_store
from wimboot.tree import StreamFlag, passes
from wimboot.wim.errors import WimMissing
from wimboot.windows.sources import BACKUP_PATH, DAT_PATH, Sources, read_sources

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.opening import Opened
    from wimboot.ops.options import VerifyOptions
    from wimboot.tree import Tree
    from wimboot.wim import Store

__all__ = ["NothingToVerify", "Verified", "verify"]

_ALIKE = 20
"""Of problems that many files share, so many are told one by one; the rest as a number."""


class NothingToVerify(UsageError):
    """Neither a volume nor a WIM was named."""

    id = "nothing-to-verify"
    sentence = "there is nothing to verify"
    advice = "Name a TARGET, a WIM with --wim, or both."


@dataclass(slots=True)
class Verified:
    """What was checked. `problems` were sent as events, one by one."""

    pointers: int = 0
    blobs: int = 0
    data_size: int = 0
    problems: int = 0
    wim: Path | None = None
    behind: bool = False


class _Report:
    """Counts problems and tells the first of each kind."""

    def __init__(self, emit: Emit, verified: Verified) -> None:
        self._emit = emit
        self._verified = verified
        self._kinds: dict[str, int] = {}

    def problem(self, kind: str, where: str, text: str) -> None:
        self._verified.problems += 1
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        if self._kinds[kind] <= _ALIKE:
            self._emit(Problem(id=kind, where=where, text=text))

    def close(self) -> None:
        for kind, count in self._kinds.items():
            if count > _ALIKE:
                self._emit(Note(id=kind, text=f"and {count - _ALIKE:,} more problems of the kind {kind}", warning=True))


def verify(options: VerifyOptions, emit: Emit) -> Verified:
    """Check what was named. Raises what opening raises; problems found on the way are events and a number."""
    verified = Verified()
    report = _Report(emit, verified)
    if options.wim is not None and not options.wim.exists():
        raise WimMissing(where=str(options.wim))
    if options.target is not None:
        with open_volume(options.target, emit, write=False, windows=False) as opened:
            _verify_volume(opened, options, verified, report, emit)
    elif options.wim is not None:
        with opened_store(options.wim) as store:
            verified.wim = options.wim
            _verify_store(store, options, verified, report, emit)
    else:
        raise NothingToVerify
    report.close()
    return verified


# ---- a WIM by itself


def _verify_store(store: Store, options: VerifyOptions, verified: Verified, report: _Report, emit: Emit) -> None:
    emit(Phase(name="images", total=len(store.images)))
    wanted: set[bytes] = set()
    for number in range(1, len(store.images) + 1):
        try:
            tree = store.load_tree(number)
        except Damaged as error:
            report.problem(error.id, f"image {number} of {store.where}", str(error))
            continue
        for hash_ in passes.hashes(tree):
            if hash_ not in store and hash_ not in wanted:
                report.problem("blob-missing", f"image {number} of {store.where}", f"the blob {hash_.hex()} is missing")
            wanted.add(hash_)
    if not options.quick:
        _check_data(store, None, options, verified, report, emit)


def _check_data(
    store: Store, hashes: set[bytes] | None, options: VerifyOptions, verified: Verified, report: _Report, emit: Emit
) -> None:
    every = store.hashes() if hashes is None else hashes
    blobs = [blob for blob in map(store.blob, every) if blob is not None]
    total = sum(blob.size for blob in blobs)
    phase = Phase(name="data", total=total, unit="bytes")
    emit(phase)
    for problem in store.check_blobs(hashes, phase.counter, options.threads):
        report.problem(problem.id, problem.where, problem.text)
    verified.blobs += len(blobs)
    verified.data_size += total


# ---- a volume and its WIMs


def _verify_volume(opened: Opened, options: VerifyOptions, verified: Verified, report: _Report, emit: Emit) -> None:
    emit(Phase(name="volume"))
    tree = opened.tree
    contents = Contents(tree, opened.device, opened.volume)
    try:
        sources = read_sources(contents.read_path)
    except Error as error:
        report.problem(error.id, opened.where, f"{error} {error.hint}")
        return
    _check_backup(contents, sources, opened.where, report)
    pointers = _pointers(tree, report)
    verified.pointers = sum(map(len, pointers.values()))
    for source_id in sorted(set(pointers) - {source.data_source_id for source in sources.all}):
        for stream, _ in pointers[source_id]:
            report.problem(
                "source-unknown",
                _path(tree, stream),
                f"it names data source {source_id}, which WimOverlay.dat does not have",
            )
    for source in sources.waiting:
        emit(
            Note(
                id="place-later",
                warning=True,
                text=f"data source {source.data_source_id} has no place yet: the system "
                "does not start before `wimboot relocate` has told it",
            )
        )
    found = _found(opened, sources, options.wim)
    for source in sources.all:
        used = pointers.get(source.data_source_id, [])
        wim = found.get(source.data_source_id)
        if wim is None:
            if used:
                report.problem(
                    "wim-not-found",
                    opened.where,
                    f"the WIM of data source {source.data_source_id} was not found "
                    f"(last known at {sources.place(source.data_source_id)}); name it with --wim",
                )
            continue
        with opened_store(wim) as store:
            if store.guid != source.wim_guid:
                if used:
                    report.problem(
                        "other-wim",
                        str(wim),
                        f"it is not the WIM of data source {source.data_source_id}: its GUID is another",
                    )
                continue
            verified.wim = wim
            if not 1 <= source.wim_index <= len(store.images):
                report.problem(
                    "image-missing",
                    opened.where,
                    f"it stands on image {source.wim_index}, which {wim} does not have: an older copy of the WIM?",
                )
            hashes = _verify_pointers(tree, used, store, verified, report)
            if not options.quick:
                _check_data(store, hashes, options, verified, report, emit)


def _found(opened: Opened, sources: Sources, named: Path | None) -> dict[int, Path]:
    """data source id -> its WIM: the one named for the sources of its GUID; for all, where it is nobody's."""
    found = search(opened, sources)
    if named is not None:
        with opened_store(named, opened.options.folders) as store:
            mine = [source.data_source_id for source in sources.of_wim(store.guid)]
        found |= dict.fromkeys(mine or [source.data_source_id for source in sources.all], named)
    return found


def _check_backup(contents: Contents, sources: Sources, where: str, report: _Report) -> None:
    if sources.all and contents.read_path(BACKUP_PATH) != contents.read_path(DAT_PATH):
        report.problem("overlay-backup", where, f"{BACKUP_PATH} is not the copy of WimOverlay.dat that it should be")


def _pointers(tree: Tree, report: _Report) -> dict[int, list[tuple[int, WimPointer]]]:
    """data source id -> (stream, pointer) of every pointer on the volume."""
    found: dict[int, list[tuple[int, WimPointer]]] = {}
    for stream in passes.flagged_streams(tree, StreamFlag.POINTER):
        try:
            pointer = WimPointer.parse(tree.stream_bytes(stream))
        except FormatError as error:
            report.problem(error.id, _path(tree, stream), str(error))
            continue
        found.setdefault(pointer.data_source_id, []).append((stream, pointer))
    return found


def _verify_pointers(
    tree: Tree, pointers: list[tuple[int, WimPointer]], store: Store, verified: Verified, report: _Report
) -> set[bytes]:
    """Compare each pointer with the store; returns the blobs whose data is worth reading."""
    hashes: set[bytes] = set()
    behind = 0
    for stream, pointer in pointers:
        blob = store.blob(pointer.hash)
        if blob is None:
            report.problem(
                "blob-missing", _path(tree, stream), f"its blob {pointer.hash.hex()} is not in {store.where}"
            )
            continue
        hashes.add(pointer.hash)
        if pointer.version == 2 and (pointer.size, pointer.size_in_wim, pointer.offset) != (
            blob.size,
            blob.size_in_wim,
            blob.offset,
        ):
            report.problem(
                "pointer-stale",
                _path(tree, stream),
                f"it leads to byte {pointer.offset} of {store.where}, its blob "
                f"lies at {blob.offset}: the WIM was rewritten under it",
            )
        elif tree.stream(stream).size != blob.size:
            report.problem(
                "pointer-size",
                _path(tree, stream),
                f"the file has {tree.stream(stream).size} bytes, its blob {blob.size}",
            )
        elif pointer.version == 2 and pointer.table_hash != store.table_hash:
            behind += 1
    if behind:
        verified.behind = True
        report.problem(
            "behind",
            store.where,
            f"{behind:,} pointers carry the hash of an older blob table: the WIM grew since, and "
            "Windows may refuse them; `wimboot relocate` brings them up to date",
        )
    return hashes


def _path(tree: Tree, stream: int) -> str:
    links = tree.links_of(tree.stream_node(stream))
    return tree.path(links[0]) if links else "a file without a name"
