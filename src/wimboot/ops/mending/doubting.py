"""Whether pointers may be led to a blob table that they do not know: another tool wrote it, or a byte of it is damaged.

A WIM that was rewritten is sound: its images have all their data, and it is where the table says. In a damaged table
some of it is missing, or not there, and pointers led to it would know a table that no copy of the WIM has.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Unsupported, advice
from wimboot.events import Counter, Phase, Problem
from wimboot.frozen import Frozen
from wimboot.ops.checking.advising import written_anew
from wimboot.ops.checking.diagnosis import compare, counted
from wimboot.ops.pointing.placing import volume_sources
from wimboot.tree import passes, table_hashes
from wimboot.wim import grew_from, moved_since

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from wimboot.events import Emit
    from wimboot.ops.checking.diagnosis import Use
    from wimboot.ops.opening.volume import Opened
    from wimboot.wim import Store

__all__ = ["Doubt", "doubt", "doubt_told"]


class Doubt(Frozen):
    """What speaks against the table of a WIM: the blobs that it lacks or has at a wrong place, the first of them in
    words. `beyond`: there is something that bringing blobs does not mend.
    """

    wim: Path
    blobs: frozenset[bytes]
    beyond: bool
    text: str

    def stays(self, brought: Collection[bytes]) -> bool:
        """Whether it does where these are stored anew."""
        return self.beyond or not self.blobs.issubset(brought)


def doubt(uses: Sequence[Use], store: Store, wim: Path, emit: Emit, *, threads: int) -> Doubt | None:
    """What speaks against leading these pointers to the table of the WIM; None where they know it or nothing does.

    Of a WIM that grew from the tables that they know, only the lists of files are read, and the data of entries that
    are not what they were in these. Raises HostError.
    """
    tables = {use.pointer.table_hash for use in uses if use.pointer.version == 2} - {store.table_hash}
    if not tables:
        return None
    grown = all(grew_from(store, table) for table in tables)
    needed: set[bytes] = set()
    unread = ""
    for number in range(1, len(store.images) + 1):
        try:
            needed |= passes.hashes(store.load_tree(number, allow_missing=True))
        except (Damaged, Unsupported) as error:
            unread = unread or str(error)
    absent = {sha1 for sha1 in needed if sha1 not in store}
    if grown:
        moved = {sha1 for table in tables for sha1 in moved_since(store, table)}
        problems = store.check_blobs(moved, Counter(), threads) if moved else []
        unsound = {problem.sha1 for problem in problems}
        return _told(absent | unsound, "", problems[0].text if problems else "", store, wim)
    needed = {sha1 for sha1 in needed.union(use.pointer.hash for use in uses) if sha1 in store}
    phase = Phase(name="data", total=sum(blob.size for blob in map(store.blob, needed) if blob), unit="bytes")
    emit(phase)
    problems = store.check_blobs(needed, phase.counter, threads)
    unsound = {problem.sha1 for problem in problems}
    found = compare(uses, store)
    if 2 * sum(use.pointer.hash not in unsound for use in found.moved) > found.count:
        return None     # most of the data is sound, and elsewhere: no damage does that
    return _told(absent | unsound, unread, problems[0].text if problems else "", store, wim)


def _told(blobs: set[bytes], unread: str, unsound: str, store: Store, wim: Path) -> Doubt | None:
    lacking = sorted(sha1 for sha1 in blobs if sha1 not in store)
    absent = f"it lacks {counted(len(lacking), 'blob')} that its images refer to (the first: {lacking[0].hex()})" if (
        lacking) else ""
    text = unread or absent or unsound
    return Doubt(wim=wim, blobs=frozenset(blobs), beyond=bool(unread), text=text) if text else None


def doubt_told(opened: Opened, store: Store, spares: Sequence[Store], why: Doubt) -> Problem:
    """What is said where pointers stay as they are; of the copies at hand, the one whose table they know is named."""
    sources = volume_sources(opened.volume).of_wim(store.guid)
    tables = {table for source in sources for table in table_hashes(opened.tree, source.data_source_id)}
    known = next((Path(one.where) for one in spares if one.guid == store.guid and any(
        grew_from(one, table) for table in tables)), None)
    anew = written_anew(Path(store.where), known)
    gone = not why.beyond and not any(sha1 in store for sha1 in why.blobs)
    relinked = " Where nobody has it, `wimboot relocate {volume} --wim {wim}` relinks the others." if gone else ""
    return Problem(
        id="table-doubtful", where=store.where,
        text="its table is not the one that the pointers know, and not sound as one that another tool wrote would be: "
             f"{why.text}. The pointers were left as they are",
        advice=f"{anew} That has the table that they know." if known is not None else anew + advice(
            " Or `wimboot verify --wim {wim} --repair --spare COPY` takes from one what it lacks. Then `wimboot verify "
            "{volume} --wim {wim} --repair`." + relinked, wim=store.where, volume=opened.options.place))
