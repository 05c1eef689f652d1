"""Turn a volume into a WIMBoot system, in place: capture, check what was written, point every eligible file."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import Refused, advice
from wimboot.events import Emit, Note, Phase, silent
from wimboot.figures import told_size
from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.ntfs import volume_facts
from wimboot.ops.capturing.deduplicated import refuse_deduplicated
from wimboot.ops.capturing.foretelling import foretell_image
from wimboot.ops.capturing.growing import begin_append, existing_store
from wimboot.ops.capturing.imaging import Image, write_image
from wimboot.ops.capturing.readingback import read_back, read_back_list
from wimboot.ops.capturing.snapshot import Snapshot, capture_plan, take_snapshot
from wimboot.ops.deploying.changing import carry_out
from wimboot.ops.deploying.rebuilding import check_rebuildable, rebuild
from wimboot.ops.deploying.sparing import EncryptedWouldGo
from wimboot.ops.deploying.viewing import ImageView
from wimboot.ops.finding.backing import refuse_unregistered, stores_behind
from wimboot.ops.opening.inside import free_size
from wimboot.ops.opening.storing import commit_all
from wimboot.ops.opening.volume import Opened, open_volume
from wimboot.ops.pointing.placing import UnreadablePlace, find_place, register, volume_sources
from wimboot.ops.pointing.pointers import NotBackable, point_files, refresh_pointers
from wimboot.ops.preparing.prepare import prepare
from wimboot.ops.preparing.wishes import Wanted, wish_in_place
from wimboot.ops.sharing.fallenbehind import tell_of_others
from wimboot.ops.sharing.together import open_others, refresh_others, transactions_of
from wimboot.plan.pointing import PointingPlan, plan_pointing
from wimboot.plan.space import check_log_space, check_pointing_space, check_wim_space
from wimboot.tree import FileAttribute, StreamFlag, Tree, diff, passes
from wimboot.wim import real_path
from wimboot.windows.sources import read_sources
from wimboot.windows.wimplace import WimPlace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wimboot.ops.options import ConvertOptions
    from wimboot.plan.capture import CapturePlan
    from wimboot.wim import Append, Store
    from wimboot.windows.identify import System
    from wimboot.windows.whyreal import WhyReal

__all__ = ["CaptureNotBackable", "Converted", "PointsElsewhere", "convert"]


_FOLDER = FileAttribute.DIRECTORY


class CaptureNotBackable(NotBackable):
    """A WIM that can take the capture, but whose blobs the overlay driver does not read."""

    id = "no-pointers-into"
    advice = "Name a new WIM; it will be compressed as Windows reads it."


class PointsElsewhere(Refused):
    """A volume that is converted already, into another WIM, with nothing left that could be pointed."""

    id = "points-elsewhere"
    sentence = "{where} is converted already, into another WIM: no file of it would become a pointer into {wim}"
    advice = (
        "`wimboot update {where}` adds an image to its own WIM, and `wimboot relocate {where} --wim WIM` says where "
        "that lies now. To bring it into this one, `wimboot rehydrate {where}` first, or convert it with --format."
    )


class Converted(Frozen):
    """What a conversion did, or with `image` None would do. Sizes are bytes; `freed` on the volume. With `already`
    nothing was left to be done.
    """

    image: Image | None
    files: int
    pointed: int
    real: Counter[WhyReal]
    freed: int
    read_size: int
    data_source_id: int | None
    already: bool = False


def convert(options: ConvertOptions, emit: Emit) -> Converted:
    """Convert the target in place.

    1. The system gets what it needs to start from pointers (`preparing`), inside the volume's transaction; what follows
       reads through that, so that the image holds what the volume will hold.
    2. Everything the WIM lacks is captured behind its end, and the new image; synced, not yet visible.
    3. Every blob that a pointer will need is read back from the disk and its SHA-1 compared.
    4. Files become pointers inside the volume's transaction.
    5. WIM and volumes commit together (`storing.commit_all`).

    An interruption anywhere before the commit leaves both as they were.

    Raises:
        Refused: no Windows, no driver for it, no place for the WIM, no space, hibernated, mounted, converted already
            into another WIM, ...
        Damaged: the volume, the WIM, or what was read back.
    """
    if options.capture.target.dry_run:
        return _preview(options, emit)
    with (
        begin_append(options.capture) as append,
        open_volume(options.capture.target, emit, write=True) as opened,
        stores_behind(opened, append.store, options.capture.target.folders) as stores,
        open_others(options.capture.others, options.capture.target, append.store, options.capture.wim, emit,
                    besides=opened) as others,
    ):
        free_before = opened.volume.free_clusters
        ready = _ready(options, opened, append.store, stores, emit)
        if ready.already:
            return _idle(ready)
        image = write_image(append, ready.snapshot, ready.plan, options.capture, emit, stores)
        pending = append.pending()
        read_back_list(pending, image.number)
        if options.rebuild:
            return _rebuild(options, opened, others, ready, append, image, emit)
        pointing = plan_pointing(opened.tree, included=ready.plan.included,
                                 ruled_by=ready.snapshot.selection.real_by, places=pending.pointer_places)
        read_back(pending, _to_read_back(opened.tree, pending, pointing), options.capture, emit, old=append.store)
        phase = Phase(name="point", total=len(pointing.rows))
        emit(phase)
        source = register(opened.volume, pending.guid, image.number, ready.place)
        refresh_pointers(opened.volume, opened.tree, pending)
        point_files(opened.volume, opened.tree, pointing, pending, source, phase.counter)
        freed = (opened.volume.free_clusters - free_before) * opened.facts.cluster_size
        opened.volume.close()
        _commit([opened, *others], append, pending, options, emit)
        _tell_of_older_wims(opened.tree, source, emit)
    return Converted(
        image=image,
        files=ready.files,
        pointed=len(pointing.rows),
        real=pointing.real,
        freed=freed,
        read_size=ready.plan.read_size,
        data_source_id=source,
    )


def _commit(volumes: list[Opened], append: Append, pending: Store, options: ConvertOptions, emit: Emit) -> None:
    """The first volume is written; the others are brought up to the WIM. Then all become durable together."""
    refresh_others(volumes[1:], pending)
    commit_all(transactions_of(volumes), append, options.capture.wim)
    tell_of_others(append, options.capture.wim, emit, volumes)


class _Ready(Frozen):
    """A volume that may be converted: all that is refused has been. `already`: it is, and nothing would change."""

    snapshot: Snapshot
    plan: CapturePlan
    place: WimPlace
    already: bool = False

    @property
    def files(self) -> int:
        """Files in the image, folders not counted."""
        tree = self.snapshot.tree
        return sum(1 for node, here in enumerate(self.plan.included) if here and not tree.attributes(node) & _FOLDER)

    def candidates(self) -> Iterator[int]:
        """The files that would become pointers, as if every blob could take one."""
        ruled_by = self.snapshot.selection.real_by
        return (node for node, kind in enumerate(passes.classify(self.snapshot.tree, MAX_POINTER_SIZE))
                if kind == passes.CANDIDATE and self.plan.included[node] and ruled_by[node] < 0)


def _ready(
    options: ConvertOptions, opened: Opened, own: Store | None, stores: list[Store], emit: Emit
) -> _Ready:
    """What is refused is refused before the first byte is written; then the system is prepared, and looked at anew."""
    wim = options.capture.wim
    if own is not None and own.not_backable is not None:
        raise CaptureNotBackable(wim=wim, why=own.not_backable)
    if not options.rebuild:
        refuse_unregistered(opened)
    wanted = Wanted(wim=wim, driver=options.driver, no_expand=options.no_expand)
    here = wish_in_place(opened, stores, wanted, emit)
    system = None if here is None else here.system
    ready = _look(options, opened, own, stores, system, emit)
    if (here is None or not here.lacking) and _is_done(options, opened, own, ready, emit):
        return replace(ready, already=True)
    driver = None if here is None else here.wish.driver
    check_pointing_space(opened.free_size, opened.facts.cluster_size, 0 if driver is None else len(driver.file.data),
                         where=opened.where)
    if here is not None and opened.transaction is not None and prepare(opened, here.wish, emit):
        return _look(options, opened, own, stores, system, silent)
    return ready


def _look(
    options: ConvertOptions, opened: Opened, own: Store | None, stores: list[Store], system: System | None, emit: Emit
) -> _Ready:
    capturing = options.capture
    snapshot = take_snapshot(opened, stores, capturing.config, capturing.wim, emit, system=system)
    place = _place(options, snapshot, own, emit)
    plan = capture_plan(snapshot, emit)
    if options.rebuild and plan.encrypted:
        raise EncryptedWouldGo(where=opened.where, count=len(plan.encrypted), first=plan.encrypted[0])
    if options.rebuild:
        refuse_deduplicated(opened)
        check_rebuildable(opened)
    free = free_size(capturing.wim, capturing.target.folders)
    where = str(real_path(capturing.wim).parent)
    check_wim_space(plan.read_size, free, where=where)
    if free < plan.read_size:
        emit(Note(id="wim-may-not-fit", warning=True, text=(
            f"The WIM may grow by up to {told_size(plan.read_size)}, and {told_size(free)} are free in {where}: if "
            "that is not enough, everything is left as it was.")))
    check_log_space(sum(plan.included), opened.target.folder.free_size(), where=str(opened.target.path.parent))
    return _Ready(snapshot=snapshot, plan=plan, place=place)


def _is_done(options: ConvertOptions, opened: Opened, own: Store | None, ready: _Ready, emit: Emit) -> bool:
    """Whether the volume stands on an image of this WIM, and no file would become a pointer: then nothing is written,
    which is told of the WIM's place where that is another than it was. Raises PointsElsewhere.
    """
    tree = opened.tree
    if options.rebuild or not passes.flagged_streams(tree, StreamFlag.POINTER) or any(True for _ in ready.candidates()):
        return False
    wim, sources = options.capture.wim, volume_sources(opened.volume)
    standing = [] if own is None else [
        source for source in sources.of_wim(own.guid) if passes.pointer_rows(tree, source.data_source_id)]
    if own is None or not standing:
        raise PointsElsewhere(where=opened.where, wim=wim)
    if max(source.wim_index for source in standing) > len(own.images):
        return False    # an older copy is named as that by what lacks its data
    if not ready.place.is_later and ready.place not in [sources.place(source.data_source_id) for source in standing]:
        emit(Note(id="wim-moved", warning=True, text=advice(
            "{volume} does not have {place} registered as the place of its WIM, and nothing was changed: `wimboot "
            "relocate {volume} --wim {wim} --as {place}` registers it.",
            volume=opened.where, place=str(ready.place), wim=wim)))
    return True


def _idle(ready: _Ready) -> Converted:
    return Converted(image=None, files=ready.files, pointed=0, real=Counter(), freed=0, read_size=0,
                     data_source_id=None, already=True)


def _tell_of_older_wims(tree: Tree, data_source_id: int, emit: Emit) -> None:
    """Pointers that were there already are not moved from one WIM to another."""
    pointers = len(passes.flagged_streams(tree, StreamFlag.POINTER))
    elsewhere = pointers - len(passes.pointer_rows(tree, data_source_id))
    if elsewhere:
        emit(
            Note(
                id="other-wim-needed",
                warning=True,
                text=f"{elsewhere:,} files were pointers into another WIM already and still are: the volume needs that "
                "WIM as well (`wimboot info` names it).",
            )
        )


def _place(options: ConvertOptions, snapshot: Snapshot, own: Store | None, emit: Emit) -> WimPlace:
    """The place given, else the one that the volume has registered for this WIM, else where the WIM lies."""
    if options.wim_place is None and own is not None:
        sources = read_sources(snapshot.contents.read_path)
        for source in reversed(sources.of_wim(own.guid)):
            registered = sources.place(source.data_source_id)
            if registered is not None:
                return registered
    try:
        return find_place(options.wim_place, options.capture.wim, emit, target=options.capture.target.place)
    except UnreadablePlace as error:
        if not options.capture.target.dry_run:
            raise
        emit(Note(id=error.id, text=error.told, warning=True))    # a preview writes no place
        return WimPlace.unknown(options.capture.wim.name)


def _to_read_back(tree: Tree, store: Store, pointing: PointingPlan) -> dict[bytes, int]:
    """The blobs that new pointers need, and those of files that stay real: hash -> size.

    A damaged blob that the WIM held already must not pass for the image's copy of a real file either.
    """
    pointed = {tree.stream(stream).hash for stream in passes.flagged_streams(tree, StreamFlag.POINTER)}
    hashes = passes.hashes(tree) - pointed
    return pointing.blobs | {sha1: blob.size for sha1 in hashes if (blob := store.blob(sha1)) is not None}


def _preview(options: ConvertOptions, emit: Emit) -> Converted:
    """What would be done, without writing anything; pointers are counted as if every new blob could take one."""
    with (
        existing_store(options.capture) as store,
        open_volume(options.capture.target, emit, write=False) as opened,
        stores_behind(opened, store, options.capture.target.folders) as stores,
        open_others(options.capture.others, options.capture.target, store, options.capture.wim, emit, besides=opened),
    ):
        ready = _ready(options, opened, store, stores, emit)
        if ready.already:
            return _idle(ready)
        foretell_image(store, ready.snapshot, ready.plan, options.capture, stores)
        return Converted(
            image=None,
            files=ready.files,
            pointed=sum(1 for _ in ready.candidates()),
            real=Counter(),
            freed=0,
            read_size=ready.plan.read_size,
            data_source_id=None,
        )


def _rebuild(
    options: ConvertOptions, opened: Opened, others: list[Opened], ready: _Ready, append: Append, image: Image,
    emit: Emit,
) -> Converted:
    """Format the volume and deploy the image that was just captured from it."""
    pending = append.pending()
    view = ImageView(
        store=pending,
        number=image.number,
        tree=pending.load_tree(image.number),
        system=ready.snapshot.system,
        lists=ready.snapshot.selection.lists,
    )
    forms = view.forms(pointers=True)
    # the volume's own files are given up here, real ones too: everything the image needs is read back first
    blobs = {sha1: blob.size for sha1 in passes.hashes(view.tree) if (blob := pending.blob(sha1)) is not None}
    read_back(pending, blobs, options.capture, emit, old=append.store)
    free_before = opened.volume.free_clusters
    rebuild(opened)
    carry_out(opened, view, diff(opened.tree, view.tree), forms, ready.place, emit)
    freed = (volume_facts(opened.device).free_clusters - free_before) * opened.facts.cluster_size
    _commit([opened, *others], append, pending, options, emit)
    return Converted(
        image=image,
        files=ready.files,
        pointed=forms.pointed,
        real=forms.real,
        freed=freed,
        read_size=ready.plan.read_size,
        data_source_id=0,
    )
