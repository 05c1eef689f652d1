"""Opening the WIM that a verb was given, and the order in which a WIM and a volume commit together."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from wimboot.disk import DECIDED, CommitUnfinished, StoreMark, uninterrupted
from wimboot.disk.inside import parse_inside
from wimboot.errors import Busy, Error, HostError, UsageError
from wimboot.ops.opening.disks import settle
from wimboot.ops.opening.inside import disk_of, wim_folder
from wimboot.ops.options import TargetOptions
from wimboot.storage import HostFolder
from wimboot.wim import Store, grew_from, open_store, real_path, recover
from wimboot.wim.recovery import lock_shared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wimboot.disk import Transaction
    from wimboot.events import Counter
    from wimboot.ops.options import Folders

__all__ = [
    "InDoubt", "NoImage", "WimChange", "choose_image", "commit", "commit_all", "held_wim", "opened_store", "store_is",
]


class NoImage(UsageError):
    """An image that the WIM does not have."""

    id = "no-image"
    sentence = "{where} has no image '{image}'; the number of its images is {count}"
    advice = "`wimboot images {where}` lists them."


class InDoubt(HostError):
    """The WIM has its new name, and the disk did not say that it will keep it."""

    id = "commit-in-doubt"
    sentence = "{wim} was replaced, and whether that outlives a power cut cannot be told: {why}"
    advice = (
        "Nothing is lost. Mend the cause, then run `wimboot recover TARGET` for each volume that was given: by the WIM "
        "that it finds it finishes the change of the volume, or takes it back."
    )


@contextmanager
def opened_store(path: Path, folders: Folders = HostFolder, log_folder: Path | None = None) -> Iterator[Store]:
    """A WIM, open for reading, after finishing an interrupted append to it.

    One inside a volume stands under the transaction of its disk, so that is finished instead; of a device its log lies
    in `log_folder`.
    """
    options = TargetOptions(place="", folders=folders, log_folder=log_folder)
    with wim_folder(path, options, write=False) as place:
        if place.slot is None:
            recover(place.folder, place.name, where=str(path))
            with open_store(path, folders) as store:
                yield store
        else:
            with open_store(path, lambda _: place.folder) as store:
                place.belongs()
                yield store


@contextmanager
def held_wim(path: Path, folders: Folders = HostFolder) -> Iterator[None]:
    """Keep a WIM as it is while volumes are made to point into it: what is looked up in it has to hold until they have
    committed. Others read it meanwhile, and hold it too. Nothing for one that is not there, or lies inside a volume,
    whose disk is locked. Raises WimBusy.
    """
    real = real_path(path)
    folder = folders(real.parent)
    if parse_inside(real) is not None or not folder.exists(real.name):
        yield
        return
    recover(folder, real.name, where=str(path))
    file = folder.open(real.name)
    try:
        lock_shared(folder, real.name, file, where=str(path))
        yield
    finally:
        file.close()


def choose_image(store: Store, wanted: str, *, where: str) -> int:
    """The 1-based number of an image given by number or name, in this order: there are images whose name is the number
    of another. Raises NoImage.
    """
    if wanted.isdecimal() and 1 <= int(wanted) <= len(store.images):
        return int(wanted)
    for number, image in enumerate(store.images, start=1):
        if image.name == wanted:
            return number
    raise NoImage(where=where, image=wanted, count=len(store.images))


def store_is(mark: StoreMark, folders: Folders = HostFolder, log_folder: Path | None = None) -> bool:
    """Whether the WIM that a prepared transaction goes with is there as it was to become, or has grown from that.

    Its name is made durable before that is said: it may only be in the host's cache. Raises HostError where that fails,
    Busy where another run holds what would tell: a log must not be dropped for that.
    """
    path = Path(mark.place)
    try:
        with opened_store(path, folders, log_folder) as store:
            if store.guid != mark.guid or not grew_from(store, mark.table_hash):
                return False
        real = real_path(path)
    except Busy:
        raise
    except Error:
        return False
    if parse_inside(real) is None:
        folders(real.parent).sync()
    return True


class WimChange(Protocol):
    """A WIM about to be another: an `Append`, or one that was rewritten beside the old one."""

    @property
    def guid(self) -> bytes:
        """Of the WIM."""

    @property
    def table_hash(self) -> bytes:
        """Of the WIM as it will be."""

    @property
    def in_doubt(self) -> bool:
        """Whether `finish` failed and the WIM may be the new one all the same."""

    def finish(self) -> None:
        """Make it durable."""


def commit(
    transaction: Transaction, append: WimChange | None, wim: Path, counter: Counter | None = None
) -> None:
    """Make a WIM and the volume that points into it durable together."""
    commit_all([transaction], append, wim, counter)


def commit_all(
    transactions: Sequence[Transaction], change: WimChange | None, wim: Path, counter: Counter | None = None
) -> None:
    """Make a WIM and the volumes that point into it durable together; with no transactions only the WIM.

    1. Each volume's log is complete, synced and marked prepared, naming the WIM and its new table.
       A crash here leaves all old: recovery finds another table and drops the logs.
    2. The WIM's header is written under its undo record, and the record removed.
       A crash here leaves all old (header torn or old: undone) or all new (header whole: the logs go forward).
    3. The logs are marked committed and copied. A crash here leaves all new: what is not copied yet recovery copies.

    For a WIM inside a volume step 2 is the commit of that volume's transaction, which the header was written into
    before step 1; volumes on the same disk go with it.

    A volume that cannot be written any more does not keep the others from being finished; its error is raised then.
    """
    covering = _covering(transactions, change, wim)
    others = [transaction for transaction in transactions if transaction is not covering]
    settle(transactions)
    mark = None
    if change is not None:
        mark = StoreMark(guid=change.guid, table_hash=change.table_hash, place=str(real_path(wim)))
    for transaction in others:
        transaction.prepare(mark)
    if covering is not None:
        covering.prepare()
    failed: Error | None = None
    with uninterrupted(forget=True):
        if covering is not None:
            failed = _commit_first(covering, others, counter)
        elif change is not None:
            _finish(change, others, wim)
        for transaction in others:
            try:
                transaction.commit(counter)
            except Error as error:
                failed = failed or error
            except BaseException:
                for other in others:    # the WIM is the new one: recovery finishes them
                    other.leave()
                raise
        if failed is not None:
            raise failed
        DECIDED.set()


def _commit_first(
    covering: Transaction, others: Sequence[Transaction], counter: Counter | None
) -> CommitUnfinished | None:
    """Commit the volume that holds the WIM; where that fails undecided the other logs stay for recovery to judge."""
    try:
        covering.commit(counter)
    except CommitUnfinished as error:   # decided all the same
        return error
    except BaseException:
        for transaction in others:
            transaction.leave()
        raise
    return None


def _finish(change: WimChange, transactions: Sequence[Transaction], wim: Path) -> None:
    """Make the WIM the new one; where that fails half-way the logs stay for recovery to judge. Raises InDoubt."""
    try:
        change.finish()
    except BaseException as error:
        if not change.in_doubt or not transactions:
            raise
        for transaction in transactions:
            transaction.leave()
        if isinstance(error, HostError):
            raise InDoubt(wim=wim, why=error) from error
        raise


def _covering(transactions: Sequence[Transaction], change: WimChange | None, wim: Path) -> Transaction | None:
    """The transaction that the WIM stands under, all of the change in it; None where that is no concern of this commit.

    A growth of the WIM that is not to be kept is taken back first.
    """
    disk = disk_of(wim)
    if disk is None or disk.transaction is None:
        return None
    if change is None:
        if disk.transaction not in transactions:
            return None
        for append in disk.appends:
            append.abort()
    else:
        change.finish()
    disk.settle()
    return disk.transaction
