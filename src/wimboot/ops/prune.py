"""Drop images from a WIM, write it anew without their blobs, and let the volumes that stand on it follow."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from wimboot.disk import DECIDED
from wimboot.errors import Damaged, Refused, advice
from wimboot.events import Emit, Note, Phase
from wimboot.formats.filetime import from_unix_ns
from wimboot.frozen import Frozen
from wimboot.ops.capturing.readingback import ReadBackFailed
from wimboot.ops.opening.inside import disk_of, wim_folder
from wimboot.ops.opening.storing import choose_image, commit_all, opened_store
from wimboot.ops.pointing.pointers import Moved
from wimboot.ops.sharing.following import Follower, check_followers, renumber, standing_on
from wimboot.ops.sharing.together import open_others, refresh_others, transactions_of
from wimboot.ops.sharing.users import User, Users, users_of
from wimboot.plan.pruning import Chosen, Wish, choose
from wimboot.plan.space import check_log_space, check_rewrite_space
from wimboot.tree import StreamFlag, passes
from wimboot.wim import Kept, Rewrite, check_rewritable, keep_images, real_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import PruneOptions
    from wimboot.wim import Store

__all__ = ["KeptDamaged", "Pruned", "PrunedImage", "UsersNotGiven", "UsersUnread", "prune"]


class UsersNotGiven(Refused):
    """Volumes whose pointers would lead nowhere afterwards."""

    id = "users-not-given"
    sentence = "these volumes use {wim} and were not given: {places}"
    advice = (
        "Give each with --target, and its pointers follow. With --force they are left behind: such a system does not "
        "start before `wimboot verify VOLUME --wim {wim} --repair` has relinked its pointers; what no image holds any "
        "more `wimboot restore VOLUME --wim {wim} --image N` takes away."
    )


class UsersUnread(Refused):
    """Volumes that may be such."""

    id = "users-unread"
    sentence = "whether {place} uses {wim} cannot be told: {why}"
    advice = (
        "Make it readable (end what uses it, run `wimboot recover {place}`), or say --force where it does not use the "
        "WIM."
    )


class KeptDamaged(Damaged):
    """What would be carried over is not what it should be."""

    id = "kept-data-damaged"
    sentence = (
        "{count} blobs that images of {where} would keep are damaged; the first, {sha1}, is of {path} in image "
        "{image:d}"
    )
    advice = (
        "Nothing was changed. `wimboot verify --wim {where}` lists all of them; repair the WIM from its spare copy, or "
        "drop the images that need them."
    )


class PrunedImage(Frozen):
    """An image: its number before, after (None where it goes), and its name."""

    number: int
    after: int | None
    name: str


class Pruned(Frozen):
    """What was done, or with a dry run would be. Sizes of the WIM in bytes; with a dry run `size_after` is about that.

    `held` are images that a rule would have dropped, had no volume stood on them. `left_behind` are volumes that use
    the WIM and were not given.
    """

    images: tuple[PrunedImage, ...]
    held: tuple[int, ...]
    size_before: int
    size_after: int
    dropped_blobs: int
    volumes: tuple[Follower, ...]
    left_behind: tuple[str, ...]

    @property
    def dropped(self) -> tuple[PrunedImage, ...]:
        """The images that went."""
        return tuple(image for image in self.images if image.after is None)


def prune(options: PruneOptions, emit: Emit) -> Pruned:
    """Drop images of a WIM.

    1. The WIM is locked; the volumes given are opened, each in its transaction.
    2. Blobs and lists of files that stay are copied into a new file, synced, read back and hashed.
    3. The volumes' image numbers and pointers are brought up to it, inside the transactions.
    4. All commit together (`storing.commit_all`): the new file takes the WIM's name in between.

    An interruption before the commit leaves everything as it was. Nothing to drop: nothing is written.

    Raises:
        UsageError: an image that is not there, or a choice that says nothing.
        Refused: a volume uses the WIM and was not given, or needs what would go; no space; a WIM of another kind.
        Damaged: what would stay is.
    """
    DECIDED.clear()
    if options.target.dry_run:
        with opened_store(options.wim, options.target.folders) as store:
            check_rewritable(store)
            with open_others(options.targets, options.target, store, options.wim, emit) as opened:
                ready = _look(options, store, opened, emit)
                return ready.told(None if ready.kept is None else ready.kept.file_size)
    with (
        wim_folder(options.wim, options.target, write=True) as place,
        Rewrite(place.folder, place.name, where=str(options.wim)) as change,
    ):
        place.belongs()
        store = change.store
        with open_others(options.targets, options.target, store, options.wim, emit) as opened:
            ready = _look(options, store, opened, emit)
            if ready.kept is None:
                return ready.told()
            where = str(real_path(options.wim).parent)
            check_rewrite_space(ready.kept.file_size, place.folder.free_size(), where=where)
            _write(change, ready.kept, options, emit)
            pending = change.pending()
            emit(Phase(name="refresh"))
            volumes = []
            for one, follower in zip(opened, ready.followers, strict=True):
                renumber(one, store, ready.chosen)
                volumes.append(follower.refreshed_by(refresh_others([one], pending, moved=Moved.READ_BEFORE)))
            commit_all(transactions_of(opened), change, options.wim)
            _tell(ready, options, emit)
            return ready.told(pending.size, volumes)


class _Ready(Frozen):
    """A prune that may go on: all that is refused has been. `kept` None: there is nothing to drop."""

    store: Store
    chosen: Chosen
    kept: Kept | None = None
    followers: tuple[Follower, ...] = ()
    left: tuple[User, ...] = ()

    def told(self, size_after: int | None = None, volumes: Sequence[Follower] | None = None) -> Pruned:
        images = tuple(
            PrunedImage(number=number, after=self.chosen.number_after(number), name=image.name)
            for number, image in enumerate(self.store.images, start=1)
        )
        return Pruned(
            images=images, held=self.chosen.held, size_before=self.store.size,
            size_after=self.store.size if size_after is None else size_after,
            dropped_blobs=0 if self.kept is None else self.kept.dropped_blobs,
            volumes=tuple(self.followers if volumes is None else volumes),
            left_behind=tuple(user.place for user in self.left))


def _look(options: PruneOptions, store: Store, opened: Sequence[Opened], emit: Emit) -> _Ready:
    emit(Phase(name="look"))
    users = users_of(store.guid, options.wim, options.search).but(opened, disk_of(options.wim))
    if not users.complete:
        emit(Note(id="many-files", warning=True, text=(
            "There are too many files in the folders that were searched for volumes which use the WIM; the rest was "
            "not looked at.")))
    chosen = _choose(options, store, opened, users)
    if chosen.held:
        names = ", ".join(f"{number} ({store.images[number - 1].name})" for number in chosen.held)
        emit(Note(id="image-held", text=f"Kept because a volume stands on it: image {names}."))
    if not chosen.drop:
        return _Ready(store=store, chosen=chosen)
    _refuse_others(options, users)
    kept = keep_images(store, chosen.keep)
    followers = check_followers(opened, store, chosen, kept.references, force=options.force)
    for one in opened:
        pointers = len(passes.flagged_streams(one.tree, StreamFlag.POINTER))
        check_log_space(pointers, one.target.folder.free_size(), where=str(one.target.path.parent))
    return _Ready(store=store, chosen=chosen, kept=kept, followers=tuple(followers), left=users.found)


def _choose(options: PruneOptions, store: Store, opened: Sequence[Opened], users: Users) -> Chosen:
    where = str(options.wim)

    def numbers(wanted: Sequence[str]) -> frozenset[int]:
        return frozenset(choose_image(store, one, where=where) for one in wanted)

    wish = Wish(keep=numbers(options.keep), drop=numbers(options.drop), keep_last=options.keep_last,
                older_than=options.older_than)
    used = {user.source.wim_index for user in users.found}
    used |= {number for one in opened for number in standing_on(one, store.guid)}
    return choose(store.images, wish, now=from_unix_ns(time.time_ns()), used=used, where=where)


def _refuse_others(options: PruneOptions, users: Users) -> None:
    if options.force:
        return
    if users.found:
        places = ", ".join(sorted(user.place for user in users.found))
        raise UsersNotGiven(wim=options.wim, places=places)
    for unread in users.unread:
        raise UsersUnread(wim=options.wim, place=unread.place, why=unread.why)


def _write(change: Rewrite, kept: Kept, options: PruneOptions, emit: Emit) -> None:
    copying = Phase(name="copy", total=kept.size, unit="bytes")
    emit(copying)
    change.write(kept, copying.counter)
    store = change.store
    total = sum(store.parts[0].table.row(row).size for row in kept.rows)
    reading = Phase(name="read-back", total=total, unit="bytes")
    emit(reading)
    problems = change.check(kept, reading.counter, options.threads)
    if not problems:
        return
    old = store.check_blobs({problem.sha1 for problem in problems if problem.sha1 in store}, reading.counter, 1)
    if not old:
        raise ReadBackFailed(where=str(options.wim), count=len(problems), first=problems[0].text)
    image, path = _whose(store, kept, old[0].sha1)
    raise KeptDamaged(where=str(options.wim), count=len(old), sha1=old[0].sha1.hex(), path=path, image=image)


def _whose(store: Store, kept: Kept, sha1: bytes) -> tuple[int, str]:
    """An image that stays, and the path of a file in it whose data that is."""
    for number in kept.images:
        tree = store.load_tree(number)
        for link in range(tree.link_count):
            if any(stream.hash == sha1 for stream in tree.streams_of(tree.link(link).node)):
                return number, tree.path(link)
    return kept.images[0], "a file"


def _tell(ready: _Ready, options: PruneOptions, emit: Emit) -> None:
    """Name the systems that were left behind, and the number that their image has now."""
    for user in ready.left:
        number = ready.chosen.number_after(user.source.wim_index)
        stays = "is gone" if number is None else f"is image {number} now"
        emit(Note(id="left-behind", warning=True, text=advice(
            "{volume} still points to where its data lay before, and the image it stands on {stays}. It does not start "
            "before `wimboot restore {volume} --wim {wim} --image {number}`.",
            volume=user.place, stays=stays, wim=options.wim, number=number or "N")))
