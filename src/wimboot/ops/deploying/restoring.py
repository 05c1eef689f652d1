"""Make a volume equal to an image, touching only what differs."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from wimboot.disk.inside import parse_inside
from wimboot.errors import Refused, UsageError
from wimboot.events import Emit, Note, Phase
from wimboot.frozen import Frozen
from wimboot.ops.capturing.comparing import changes_between
from wimboot.ops.capturing.deduplicated import refuse_deduplicated
from wimboot.ops.deploying.changing import (
    carry_out,
    check_pointers_possible,
    checking_new_pointers,
)
from wimboot.ops.deploying.hivelogs import StaleLogs
from wimboot.ops.deploying.othersdata import refuse_backing_others
from wimboot.ops.deploying.rebuilding import check_rebuildable, preview, rebuild
from wimboot.ops.deploying.sparing import Spared, leave_out, left_alone, refuse_encrypted
from wimboot.ops.deploying.viewing import ImageView, exclusions_of, loading_image, view_image
from wimboot.ops.finding.backing import require_wim
from wimboot.ops.finding.numbering import check_number
from wimboot.ops.finding.ownwims import note_registered, own_files, refuse_in_the_way
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.storing import choose_image, commit, held_wim, opened_store
from wimboot.ops.options import Form, processors
from wimboot.ops.pointing.placing import find_place, volume_sources, write_sources
from wimboot.ops.pointing.pointers import count_behind
from wimboot.ops.preparing.forgiving import as_prepared
from wimboot.ops.preparing.wishes import Wanted, prepared_image, wish_for_image
from wimboot.plan.space import NotEnoughSpace, check_volume_space
from wimboot.tree import StreamFlag, Tree, passes
from wimboot.wim import real_path

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.events import Event
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import RestoreOptions
    from wimboot.plan.forms import Forms
    from wimboot.tree.changes import Changes
    from wimboot.tree.selection import Lists
    from wimboot.wim import Store
    from wimboot.windows.sources import Sources
    from wimboot.windows.wimplace import WimPlace

__all__ = ["ImageNeeded", "Restored", "restore_opened"]

_ADDED_AT_MOST: Final = 4
"""One pointer in so many may be of a file that the image does not have; with more it is another volume's image."""


class ImageNeeded(UsageError):
    """A volume that stands on no image, and no word which one it should get."""

    id = "image-needed"
    sentence = "{where} stands on no image of {wim}"
    advice = "Say which one with --image; `wimboot images {wim}` lists them."


class ImageUnsure(Refused):
    """The image registered by its number does not hold what the volume's pointers stand for."""

    id = "image-unsure"
    sentence = (
        "{where} is registered with image {number:d} of {wim}, but what {count} of its pointers stand for is not in "
        "that image, such as {example}"
    )
    advice = "Say with --image which one the volume is to become; `wimboot images {wim}` lists them."


class ForeignVolume(Refused):
    """A volume that seems to have nothing to do with the image."""

    id = "foreign-volume"
    sentence = "{where} does not stand on this WIM, and {removed} of its {names} names would be removed"
    advice = (
        "If that is what you want, say --yes; look first with --dry-run. `wimboot apply WIM IMAGE TARGET` deploys onto "
        "an empty volume."
    )


class Restored(Frozen):
    """What was changed, or with a dry run would be. Counts are of names and files.

    `before` is the image of this WIM that the volume stood on, None where it stood on none; `registered` whether it
    stands on this one now, `place` where its WIM lies then, if that is new. Of the data that is not `changed`, `turned`
    files got the form that was asked for; `refreshed` pointers were behind the WIM.
    """

    wim: Path
    number: int
    name: str
    removed: int
    added: int
    changed: int
    metadata: int
    kept: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]
    before: int | None = None
    registered: bool = False
    place: WimPlace | None = None
    turned: int = 0
    refreshed: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing was to be done."""
        moved = self.registered and self.before != self.number
        return not (moved or self.place or self.removed or self.added or self.changed or self.turned or self.metadata
                    or self.refreshed)


def restore_opened(opened: Opened, options: RestoreOptions, emit: Emit) -> Restored:
    """`restore` on a volume that is open and may be being scanned. Raises what that raises."""
    sources = volume_sources(opened.volume)
    wim, standing = _wim_of(options, sources, opened, emit)
    folders = options.target.folders
    if parse_inside(real_path(wim)) is not None:
        opened.wait_for_scan()      # an interrupted run of the WIM may have to be finished on this very disk
    with (
        nullcontext() if opened.transaction is None else held_wim(wim, folders),
        opened_store(wim, folders) as store,
    ):
        if options.image is not None:
            number = choose_image(store, options.image, where=str(wim))
        elif standing is not None:
            number = choose_image(store, str(standing), where=str(wim))
        else:
            raise ImageNeeded(where=opened.where, wim=wim)
        done = _restore(options, opened, sources, store, wim, number, emit)
        return replace(done, before=standing)


def _wim_of(options: RestoreOptions, sources: Sources, opened: Opened, emit: Emit) -> tuple[Path, int | None]:
    """The WIM and the image that the volume stands on, None where it is not in WIMBoot form."""
    if options.wim is not None and not sources.all:
        return options.wim, None
    told = _but_place(emit) if options.form is Form.FULL else emit
    source, wim = require_wim(opened, sources, options.wim, older=options.image is not None, emit=told)
    return wim, source.wim_index


def _but_place(emit: Emit) -> Emit:
    """For a volume that will need its WIM no more."""
    def listen(event: Event) -> None:
        if not isinstance(event, Note) or event.id != "wim-moved":
            emit(event)

    return listen


def _restore(
    options: RestoreOptions, opened: Opened, sources: Sources, store: Store, wim: Path, number: int, emit: Emit
) -> Restored:
    emit(Phase(name="load"))
    with loading_image(store, number, wim) as loading:
        scanned = opened.tree   # begun before
        note_registered(opened, sources)
        view = view_image(store, number, options.config, wim, emit, own_files(opened), loading.result())
    refuse_in_the_way(view.tree, opened)
    if options.image is None:
        _check_standing(scanned, view, wim, where=opened.where)
        for source in sources.of_wim(store.guid)[-1:]:
            check_number(scanned, source, store, where=opened.where, wim=wim, sure=True)
    place = _place(options, sources, view, wim, emit)
    wish = wish_for_image(opened, view, _wanted(options, sources, wim, pointers=place is not None), emit, moved=False)
    forms = view.forms(pointers=place is not None)
    ground = _ground(options, opened, view.tree)
    contents = Contents(ground.tree, opened.device, opened.volume, [store])
    spared = left_alone(ground.tree, view, options.keep, _standing_without(sources, store))
    changes = _changes(ground.tree, view, spared, contents, emit)
    turned = _turned(options.form, changes, ground.tree, view.tree, forms)
    record = sources.of_wim(store.guid)[-1:] if place is None and not options.rebuild else ()
    done = replace(_told(wim, view, ground, changes, spared), turned=len(turned),
                   registered=place is not None or bool(record),
                   place=None if place is None or place in _places(sources, store) else place)
    changes = replace(changes, data=[*changes.data, *turned])
    if not options.force:
        _refuse_foreign(opened.where, ground.tree, sources, store, changes)
        if not options.rebuild:
            refuse_backing_others(opened, changes)
    _check_space(ground, view.tree, changes, forms, where=opened.where)
    if opened.transaction is None:
        return replace(done, refreshed=count_behind(opened.volume, ground.tree, store))
    with checking_new_pointers(view, changes, forms, processors(), wim, emit) as checking:
        for source in record:   # of a volume that needs the WIM no more, and is compared with its image all the same
            write_sources(opened.volume, volume_sources(opened.volume).stand_on(source.data_source_id, number))
        refreshed = carry_out(opened, view, changes, forms, place, emit)
        checking.result()
    prepared_image(opened, wish, emit)
    emit(Phase(name="commit"))
    commit(opened.writing, None, wim)
    return replace(done, refreshed=refreshed)


class _Ground(Frozen):
    """What the image is laid out on: the volume as it is, or formatted anew. `free` bytes; `lost` names go with it."""

    tree: Tree
    free: int
    lost: tuple[str, ...] = ()


def _ground(options: RestoreOptions, opened: Opened, image: Tree) -> _Ground:
    """Format where that was asked for; a dry run formats a file of its own to see what there would be."""
    if not options.rebuild:
        return _Ground(tree=opened.tree, free=opened.free_size)
    refuse_encrypted(opened)
    refuse_deduplicated(opened)
    check_rebuildable(opened)
    paths = map(opened.tree.path, range(opened.tree.link_count))
    lost = tuple(path for path in paths if image.find(path) < 0)
    if opened.transaction is None:
        tree, free = preview(opened)
        return _Ground(tree=tree, free=free, lost=lost)
    rebuild(opened)
    return _Ground(tree=opened.tree, free=opened.free_size, lost=lost)


def _changes(tree: Tree, view: ImageView, spared: Spared, contents: Contents, emit: Emit) -> Changes:
    """What differs and is not left alone; logs of the registry go with their hives. What was prepared stays so."""
    changes = as_prepared(changes_between(tree, view.tree, spared.ignored, contents, emit), tree, view.tree, contents,
                          view.store)
    stale = StaleLogs(tree, view.tree, changes, contents, view.store).find(spared.kept, spared.absent)
    staying: set[int] = set()
    if stale:
        if stale & spared.kept:
            _tell(emit, "logs-with-hive", f"{len(stale & spared.kept):,} registry logs that --keep names go or are "
                  "restored with their hives: left beside another hive they would damage it.")
        staying = spared.release(tree, stale)
        changes = as_prepared(changes_between(tree, view.tree, spared.ignored, contents, emit), tree, view.tree,
                              contents, view.store)
    without = leave_out(changes, tree, view.tree, spared.absent, staying)
    left = len(changes.added_links) - len(without.added_links)
    if left:
        _tell(emit, "kept-absent",
              f"{left:,} names of the image that --keep matches are not on the volume: it stays so.")
    return without


def _tell(emit: Emit, identifier: str, text: str) -> None:
    emit(Note(id=identifier, text=text, warning=True))


def _turned(form: Form | None, changes: Changes, tree: Tree, image: Tree, forms: Forms) -> list[tuple[int, int]]:
    """(stream of the image, stream of the volume) of files whose data is right and whose form is not what was asked
    for: pointers that are to become files, files that are to become pointers. None where no form was.
    """
    if form is None:
        return []
    there = {new for new, _ in changes.data}
    turned = []
    for node, old_node in enumerate(changes.pairs):
        new, stream = image.data_stream(node), tree.data_stream(old_node) if old_node >= 0 else -1
        if new < 0 or stream < 0 or new in there:
            continue
        row = tree.stream(stream)
        is_pointer = bool(row.flags & StreamFlag.POINTER)
        if form is Form.FULL and is_pointer:
            turned.append((new, stream))
        elif form is Form.POINTERS and not is_pointer and forms.is_pointer(node) and row.hash == image.stream(new).hash:
            turned.append((new, stream))    # what `as_prepared` leaves as it is has another
    return turned


def _check_standing(tree: Tree, view: ImageView, wim: Path, *, where: str) -> None:
    """Image numbers move when images are deleted, so what the pointers stand for has to be in the image too.

    A few that the image has nothing of at their paths, and whose data the WIM keeps, are files that came to the volume:
    an earlier restore left them with --keep, say. Raises ImageUnsure.
    """
    hashes, pointers = passes.hashes(view.tree), passes.flagged_streams(tree, StreamFlag.POINTER)
    strays = [stream for stream in pointers if tree.stream(stream).hash not in hashes]
    others = (stream for stream in strays if not _only_added(tree, stream, view))
    example = next(others, strays[0] if len(strays) > len(pointers) // _ADDED_AT_MOST else -1)
    if example >= 0:
        path = tree.path(tree.links_of(tree.stream_node(example))[0])
        raise ImageUnsure(where=where, number=view.number, wim=wim, count=len(strays), example=path)


def _only_added(tree: Tree, stream: int, view: ImageView) -> bool:
    """Whether the image has no file where this pointer is, and the WIM what it stands for."""
    links = tree.links_of(tree.stream_node(stream))
    return tree.stream(stream).hash in view.store and all(view.tree.find(tree.path(link)) < 0 for link in links)


def _refuse_foreign(where: str, tree: Tree, sources: Sources, store: Store, changes: Changes) -> None:
    removed, names = len(changes.removed_links), tree.link_count
    if not sources.of_wim(store.guid) and removed > names // 2:
        raise ForeignVolume(where=where, removed=removed, names=names)


def _places(sources: Sources, store: Store) -> list[WimPlace | None]:
    """Where the volume knows this WIM."""
    return [sources.place(source.data_source_id) for source in sources.of_wim(store.guid)]


def _place(
    options: RestoreOptions, sources: Sources, view: ImageView, wim: Path, emit: Emit
) -> WimPlace | None:
    """Where pointers lead; None where the volume is to hold all data. By default the volume keeps its form."""
    known = sources.of_wim(view.store.guid)
    pointers = bool(known) if options.form is None else options.form is Form.POINTERS
    if not pointers:
        return None
    check_pointers_possible(view, wim)
    if known and options.wim_place is None:
        registered = sources.place(known[-1].data_source_id)
        if registered is not None:
            return registered
    return find_place(options.wim_place, wim, emit, target=options.target.place)


def _wanted(options: RestoreOptions, sources: Sources, wim: Path, *, pointers: bool) -> Wanted:
    """A volume that stands on pointers already has its driver, or its user sees to it."""
    return Wanted(wim=wim, driver=options.driver, no_expand=options.no_expand, pointers=pointers,
                  stands=bool(sources.all))


def _standing_without(sources: Sources, store: Store) -> Lists | None:
    """What the image of this WIM that the volume stands on was captured without: no image may hold it."""
    mine = sources.of_wim(store.guid)
    return exclusions_of(store, mine[-1].wim_index) if mine else None


def _told(wim: Path, view: ImageView, ground: _Ground, changes: Changes, spared: Spared) -> Restored:
    image = view.tree
    removed = [*ground.lost, *map(ground.tree.path, changes.removed_links)]
    content = {image.stream_node(stream) for stream, _ in changes.data}
    metadata = {node for node, _, _ in changes.metadata}
    examples = [("removed", path) for path in removed]
    examples += [("added", image.path(link)) for link in changes.added_links]
    examples += [("changed", image.path(image.links_of(node)[0])) for node in sorted(content)]
    return Restored(
        wim=wim,
        number=view.number,
        name=view.name,
        removed=len(removed),
        added=len(changes.added_links),
        changed=len(content),
        metadata=len(metadata - content),
        kept=tuple(ground.tree.path(link) for link in sorted(spared.kept)),
        examples=tuple(examples),
    )


def _check_space(ground: _Ground, image: Tree, changes: Changes, forms: Forms, *, where: str) -> None:
    """What goes makes room for what comes. Raises NotEnoughSpace."""
    made, size = len(changes.created), _full_size(image, changes, forms)
    try:
        check_volume_space(ground.free, made, size, where=where)
    except NotEnoughSpace:
        check_volume_space(ground.free + _freed(ground.tree, changes), made, size, where=where)


def _freed(tree: Tree, changes: Changes) -> int:
    """Bytes in clusters of files that go with all their names, and of data that is replaced."""
    removed = set(changes.removed_links)
    gone = {tree.link(link).node for link in removed} - set(changes.pairs)
    freed = sum(tree.stream(old).allocated for _, old in changes.data if old >= 0)
    return freed + sum(row.allocated for node in gone if removed.issuperset(tree.links_of(node))
                       for row in tree.streams_of(node))


def _full_size(image: Tree, changes: Changes, forms: Forms) -> int:
    streams = {stream for stream, _ in changes.data}
    for node in changes.created:
        streams.update(row.index for row in image.streams_of(node))
    return sum(
        image.stream(stream).size
        for stream in streams
        if image.stream(stream).name or not forms.is_pointer(image.stream_node(stream))
    )
