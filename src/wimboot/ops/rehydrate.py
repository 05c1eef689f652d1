"""Make pointers ordinary files again: their data comes from the WIM, all else of them stays."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from wimboot.errors import Damaged, UsageError
from wimboot.events import Emit, Note, Phase
from wimboot.formats.reparse import REPARSE_TAG_WOF, WimPointer
from wimboot.frozen import Frozen
from wimboot.ops.capturing.carrying import carry_attributes
from wimboot.ops.finding.backing import not_found, require_wim
from wimboot.ops.finding.locating import locate
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import commit, opened_store
from wimboot.ops.opening.volume import Opened, open_volume
from wimboot.ops.preparing.wishes import unmark
from wimboot.plan.rehydrating import Rehydrated, clusters_for, plan_rehydration
from wimboot.plan.space import check_log_space, check_room
from wimboot.tree import StreamFlag, Tree, passes
from wimboot.tree.globs import matching, with_all_below
from wimboot.wim.errors import BlobDamaged, WimDamaged
from wimboot.windows.sources import BACKUP_PATH, DAT_PATH, NEW_PATH, read_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wimboot.events import Counter
    from wimboot.ops.finding.locating import Located
    from wimboot.ops.options import RehydrateOptions
    from wimboot.wim import Store
    from wimboot.windows.sources import Sources

__all__ = ["PathMatchesNothing", "PointersUnbacked", "Rehydration", "rehydrate"]

_NAMED: Final = 5
"""Paths that a message names."""
_SHARED_LIMIT: Final = 4 << 20
"""Data up to this size is read once for all the files that have it."""


class PathMatchesNothing(UsageError):
    """A path that leads to nothing."""

    id = "path-matches-nothing"
    sentence = "nothing on {where} matches '{path}'"
    advice = "Paths begin at the volume's root or match the end of a path ('*.dll'); case does not matter."


class PointersUnbacked(Damaged):
    """Pointers whose data cannot be had: it is damaged, missing, or not what they promise."""

    id = "pointers-unbacked"
    sentence = "the data of {count} pointers of {where} is missing or damaged: {named}"
    advice = (
        "Nothing was changed. `wimboot verify {where}` lists all that is wrong; take the WIM from a backup or a spare "
        "copy, or name other paths only."
    )


class Rehydration(Frozen):
    """What became ordinary files, or with a dry run would; sizes in bytes, `written` what their clusters take of the
    `free` ones.

    `paths` are those of the files; `ordinary` the given ones under which there is no pointer.
    """

    files: int
    size: int
    written: int
    free: int
    left: int
    unregistered: int
    wims: tuple[Path, ...]
    paths: tuple[str, ...] = ()
    ordinary: tuple[str, ...] = ()


def rehydrate(options: RehydrateOptions, emit: Emit) -> Rehydration:
    """Write the data of pointers where they stand. With no pointer left the volume needs no WIM and knows of none.

    Raises NotWimBoot, WimNotFound, WimReplaced, OtherWim, PathMatchesNothing, PointersUnbacked, NotEnoughSpace and what
    opening raises.
    """
    with open_volume(options.target, emit, write=not options.target.dry_run, windows=False) as opened:
        tree = opened.tree
        nodes, ordinary = _chosen(opened, options.paths)
        sources = read_sources(Contents(tree, opened.device, opened.volume).read_path, where=opened.where)
        with _stores(opened, sources, options.wim, plan_rehydration(tree, nodes)) as stores:
            _carry_attributes(tree, sources, list(stores.values()), emit)
            files = plan_rehydration(tree, nodes)
            ready = _Ready(opened, list(stores.values()), files)
            left = _left(tree) - len(files)
            done = Rehydration(
                files=len(files),
                size=sum(file.size for file in files),
                written=ready.check_room(),
                free=opened.free_size,
                left=left,
                unregistered=0 if left else len(sources.all),
                wims=tuple(stores),
                paths=tuple(_path(tree, file.node) for file in files),
                ordinary=ordinary,
            )
            if opened.transaction is None or not (files or done.unregistered):
                return done
            ready.write(emit)
            if not left:
                _unregister(opened)
                unmark(opened, emit)
            opened.volume.close()
            emit(Phase(name="commit"))
            commit(opened.transaction, None, opened.target.path)
            return done


def _carry_attributes(tree: Tree, sources: Sources, stores: Sequence[Store], emit: Emit) -> None:
    try:
        carry_attributes(tree, sources, stores, moved=True)
    except Damaged as error:
        emit(
            Note(
                id="attributes-unknown",
                text=f"{error}: so which files were sparse or compressed is not known; they become plain ones.",
                warning=True,
            )
        )


def _chosen(opened: Opened, paths: Sequence[str]) -> tuple[set[int] | None, tuple[str, ...]]:
    """The nodes at these paths and below, None for all; and the paths among them without a pointer."""
    if not paths:
        return None, ()
    tree = opened.tree
    pointers = {tree.stream_node(stream) for stream in passes.flagged_streams(tree, StreamFlag.POINTER)}
    nodes: set[int] = set()
    ordinary = []
    for path, links in zip(paths, matching(tree, paths), strict=True):
        if not links:
            raise PathMatchesNothing(where=opened.where, path=path)
        mine = pointers & {tree.link(link).node for link in with_all_below(tree, links)}
        nodes |= mine
        if not mine:
            ordinary.append(path)
    return nodes, tuple(ordinary)


@contextmanager
def _stores(
    opened: Opened, sources: Sources, wim: Path | None, files: Sequence[Rehydrated]
) -> Iterator[dict[Path, Store]]:
    """The WIMs of the volume's data sources, open; an older copy will do where it holds what is needed.

    Raises WimNotFound, WimReplaced where one is missing that a file needs.
    """
    paths: list[Path] = []
    located: dict[int, Located] = {}
    if files:
        if wim is not None or not sources.all:
            paths.append(require_wim(opened, sources, wim, older=True)[1])
        located = locate(opened, sources)
        paths += [one.found.path for one in located.values() if one.found is not None]
    with ExitStack() as stack:
        stores: dict[Path, Store] = {}
        for path in dict.fromkeys(paths):
            store = stack.enter_context(opened_store(path, opened.options.folders))
            if all(store.guid != other.guid for other in stores.values()):
                stores[path] = store
        for file in files:
            if not any(file.sha1 in store for store in stores.values()):
                _refuse_missing(opened, located, list(stores.values()), file)
        yield stores


def _refuse_missing(opened: Opened, located: dict[int, Located], stores: Sequence[Store], file: Rehydrated) -> None:
    """Of a file whose data is in no WIM at hand: raise where the WIM is not at hand in which it should be."""
    tree = opened.tree
    number = WimPointer.parse(tree.stream_bytes(tree.data_stream(file.node))).data_source_id
    if number in located and all(store.guid != located[number].source.wim_guid for store in stores):
        raise not_found(opened, located[number])


class _Ready:
    """The files in the order in which their data lies in the WIMs, those of the same data together."""

    def __init__(self, opened: Opened, stores: Sequence[Store], files: Iterable[Rehydrated]) -> None:
        self._opened = opened
        self._stores: dict[bytes, Store] = {}
        self._size_in_wim: dict[bytes, int] = {}
        self._groups: dict[bytes, list[Rehydrated]] = {}
        places, wrong = {}, []
        for file in files:
            if file.sha1 not in self._groups:
                number = next((number for number, store in enumerate(stores) if file.sha1 in store), -1)
                blob = stores[number].blob(file.sha1) if number >= 0 else None
                if blob is not None and blob.size == file.size:
                    self._stores[file.sha1] = stores[number]
                    self._size_in_wim[file.sha1] = blob.size_in_wim
                    places[file.sha1] = number, blob.part, blob.offset
            self._groups.setdefault(file.sha1, []).append(file)
            if file.sha1 not in places or file.size != self._groups[file.sha1][0].size:
                wrong.append(file)
        if wrong:
            raise self._unbacked(wrong)
        self._order = sorted(places, key=places.__getitem__)

    def check_room(self) -> int:
        """Bytes of the clusters needed. Raises NotEnoughSpace where the volume or the log cannot take them."""
        opened, files = self._opened, [file for group in self._groups.values() for file in group]
        cluster_size = opened.facts.cluster_size
        needed = clusters_for(files, self._size_in_wim, cluster_size) * cluster_size
        check_room(needed, opened.free_size, where=opened.where)
        check_log_space(len(files), opened.target.folder.free_size(), where=str(opened.target.path.parent))
        return needed

    def write(self, emit: Emit) -> None:
        """Write all data into the transaction. Raises PointersUnbacked naming every file whose data is damaged."""
        phase = Phase(name="rehydrate", total=sum(file.size for group in self._groups.values() for file in group),
                      unit="bytes")
        emit(phase)
        for done, sha1 in enumerate(self._order):
            try:
                self._write_group(sha1, phase.counter)
            except (BlobDamaged, WimDamaged) as error:
                raise self._unbacked(self._damaged(self._order[done:], emit)) from error

    def _write_group(self, sha1: bytes, counter: Counter) -> None:
        volume, tree, group = self._opened.volume, self._opened.tree, self._groups[sha1]
        store = self._stores[sha1]
        kept = list(store.read_parts(sha1)) if len(group) > 1 and group[0].size <= _SHARED_LIMIT else None
        for file in group:
            facts = tree.node(file.node)
            volume.write_data(facts.file_id, b"", store.read_parts(sha1) if kept is None else iter(kept), file.size,
                              sparse=file.sparse, compressed=file.compressed)
            volume.set_times(facts.file_id, facts.creation, facts.last_write, facts.last_access)
            counter.add(file.size)

    def _damaged(self, hashes: Sequence[bytes], emit: Emit) -> list[Rehydrated]:
        """After the first damaged one: all of them, so that the user need not find them one by one."""
        phase = Phase(name="read-back", total=sum(self._groups[sha1][0].size for sha1 in hashes), unit="bytes")
        emit(phase)
        found = []
        for sha1 in hashes:
            try:
                for part in self._stores[sha1].read_parts(sha1):
                    phase.counter.add(len(part))
            except (BlobDamaged, WimDamaged):
                found += self._groups[sha1]
        return found

    def _unbacked(self, files: Sequence[Rehydrated]) -> PointersUnbacked:
        paths = sorted(_path(self._opened.tree, file.node) for file in files)
        named = ", ".join(paths[:_NAMED]) + (", ..." if len(paths) > _NAMED else "")
        return PointersUnbacked(where=self._opened.where, count=len(paths), named=named, paths=paths)


def _left(tree: Tree) -> int:
    """Files that need a data source: pointers, and whatever else of the overlay filter is not understood."""
    return len(passes.flagged_streams(tree, StreamFlag.POINTER)) + len(passes.tagged_nodes(tree, REPARSE_TAG_WOF))


def _unregister(opened: Opened) -> None:
    """Without pointers the table of data sources says nothing any more."""
    for path in (DAT_PATH, NEW_PATH, BACKUP_PATH):
        folder, _, name = path.rpartition("\\")
        parent = opened.tree.find(folder)
        link = opened.tree.lookup(parent, name.encode("utf-16-le")) if parent >= 0 else -1
        if link >= 0:
            row = opened.tree.link(link)
            opened.volume.unlink(opened.tree.file_id(row.node), opened.tree.file_id(parent), row.name)


def _path(tree: Tree, node: int) -> str:
    return tree.path(tree.links_of(node)[0])
