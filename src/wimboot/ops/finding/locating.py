"""Where the WIM of each data source lies now, how it was found, and whether that is where Windows will look."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from wimboot.disk.loops import identity_of
from wimboot.errors import Damaged, Error
from wimboot.events import Note
from wimboot.formats.guid import guid_text
from wimboot.formats.names import join_path
from wimboot.frozen import Frozen
from wimboot.ops.finding.athand import AtHand, How, safe_parts
from wimboot.ops.finding.searching import Candidate, Searched, search_by_guid
from wimboot.ops.opening.storing import opened_store
from wimboot.tree import passes

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.disk import Host
    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.opening.wimfiles import WimFile
    from wimboot.windows.sources import Sources
    from wimboot.windows.wimplace import WimPlace

__all__ = ["Found", "Located", "PassedOver", "WimState", "copies", "locate"]


class WimState(Enum):
    """How the WIM of a data source stands, in a word."""

    IN_PLACE = "in-place"
    ELSEWHERE = "elsewhere"     # found; the disk that it is registered on is not at hand
    LATER = "later"             # found; it has no place yet
    MOVED = "moved"             # found; the registered partition is at hand, and it is not there
    REPLACED = "replaced"       # at the registered place lies something else
    OLDER = "older"             # found, or at its place, is a copy without the image that the volume stands on
    MISSING = "missing"


class PassedOver(Frozen):
    """Another copy of the WIM, and why it was not taken. `whole`: it has the data of all pointers; `damage`: it is not
    sound in its structures; `alike`: it would do as well, as a spare copy does.
    """

    path: Path
    how: How
    why: str
    whole: bool
    damage: Damaged | None
    alike: bool

    def note(self, used: Path) -> Note:
        """That it was."""
        return Note(id="passed-over", warning=True, text=(
            f"The WIM that is used is {used}; {self.path} was passed over: {self.why}."))


class Found(Frozen):
    """The WIM that is used; `whole` as with those passed over, and told only where there are such."""

    path: Path
    how: How
    at_registered_place: bool
    image_count: int
    whole: bool = False
    passed_over: tuple[PassedOver, ...] = ()


class Located(Frozen):
    """One data source. `at_hand` says whether its registered partition could be looked at, `other` what lies at the
    place there and is not its WIM, `looked` in words where it was looked for.
    """

    source: DataSource
    place: WimPlace | None
    found: Found | None
    state: WimState
    at_hand: bool = False
    other: WimFile | None = None
    looked: tuple[str, ...] = ()


def locate(opened: Opened, sources: Sources, host: Host | None = None) -> dict[int, Located]:
    """data source id -> where its WIM lies. Nothing is changed but a WIM's header that a power cut tore."""
    if not sources.all:
        return {}
    with AtHand(opened) if host is None else AtHand(opened, host) as at_hand:
        search = _Search(opened, sources, at_hand)
        return {source.data_source_id: search.locate(source) for source in sources.all}


def copies(opened: Opened, sources: Sources) -> dict[int, list[WimFile]]:
    """data source id -> every copy of its WIM at its place; where there is none, those found elsewhere.

    Nothing but their headers is looked at.
    """
    if not sources.all:
        return {}
    with AtHand(opened) as at_hand:
        search = _Search(opened, sources, at_hand)
        return {source.data_source_id: [one.file for one in search.copies(source)] for source in sources.all}


class _Search:
    """The search for all data sources of one volume: what is not at its place is looked for once."""

    def __init__(self, opened: Opened, sources: Sources, at_hand: AtHand) -> None:
        self._opened, self._sources, self._at_hand = opened, sources, at_hand
        self._searched: Searched | None = None

    def locate(self, source: DataSource) -> Located:
        place = self._sources.place(source.data_source_id)
        seen = _AtPlace(self._at_hand, place, source.wim_guid)
        candidates = list(seen.candidates)
        looked = seen.looked
        if not any(one.file.image_count >= source.wim_index for one in candidates):
            searched = self._search()
            candidates += [one for one in searched.candidates if one.file.guid == source.wim_guid]
            looked += searched.looked
        found = self._choose(source, _once(candidates))
        state = _state(source, place, seen, found)
        return Located(source=source, place=place, found=found, state=state, at_hand=seen.at_hand,
                       other=seen.other, looked=tuple(looked))

    def copies(self, source: DataSource) -> list[Candidate]:
        """At its place, else elsewhere."""
        seen = _AtPlace(self._at_hand, self._sources.place(source.data_source_id), source.wim_guid)
        return _once(seen.candidates or [one for one in self._search().candidates if one.file.guid == source.wim_guid])

    def _search(self) -> Searched:
        if self._searched is None:
            places = (self._sources.place(source.data_source_id) for source in self._sources.all)
            paths = (safe_parts(place.path) for place in places if place is not None)
            self._searched = search_by_guid(self._opened, self._at_hand, tuple(parts[:-1] for parts in paths if parts))
        return self._searched

    def _choose(self, source: DataSource, candidates: list[Candidate]) -> Found | None:
        """The one that holds the image, lies where it should, holds what pointers need, is called as it should be (a
        spare copy beside it is not), and is the newest.
        """
        if not candidates:
            return None
        ranked = self._ranked(source, candidates) if len(candidates) > 1 else []
        best = ranked[0][0] if ranked else candidates[0]
        return Found(path=best.file.path, how=best.how, at_registered_place=best.at_place,
                     image_count=best.file.image_count, whole=bool(ranked) and ranked[0][1].whole,
                     passed_over=tuple(over for _, over in ranked[1:]))

    def _ranked(self, source: DataSource, candidates: list[Candidate]) -> list[tuple[Candidate, PassedOver]]:
        """The best first; each with why it is not the best."""
        pointers = passes.pointer_rows(self._opened.tree, source.data_source_id)
        hashes, tables = b"".join({sha1 for sha1, _ in pointers}), {table for _, table in pointers}
        place = self._sources.place(source.data_source_id)
        name = None if place is None else place.path.rpartition("\\")[2].casefold()
        rows = []
        for order, one in enumerate(candidates):
            lacks, other_table, error = self._compare(one, hashes, tables)
            has_image = one.file.image_count >= source.wim_index
            renamed = one.file.path.name.casefold() != name
            key = (not has_image, not one.at_place, lacks, renamed, -one.file.image_count, other_table, order)
            rows.append((key, one, lacks, other_table, error))
        rows.sort(key=lambda row: row[0])
        newest = rows[0][1].file.image_count
        return [(one, _passed_over(one, source.wim_index, newest, lacks, error, other_table=other_table))
                for _, one, lacks, other_table, error in rows]

    def _compare(self, one: Candidate, hashes: bytes, tables: set[bytes]) -> tuple[int, bool, Error | None]:
        """How many contents of pointers a WIM lacks, and whether its table is another than the pointers know; all, and
        why, where it cannot be opened.
        """
        try:
            with opened_store(one.file.path, self._opened.options.folders) as store:
                return store.count_lacking(hashes), store.table_hash not in tables, None
        except Error as error:
            return len(hashes) // 20 + 1, True, error


def _passed_over(one: Candidate, wim_index: int, newest: int, lacks: int, error: Error | None, *,
                 other_table: bool) -> PassedOver:
    images, path = one.file.image_count, one.file.path
    if error is not None:
        told = str(error)
        why = f"it {told.removeprefix(f'{path} ')}" if told.startswith(f"{path} ") else told
    elif images < wim_index:
        why = f"it lacks image {wim_index}"
    elif lacks:
        why = f"it lacks the contents of {lacks:,} files"
    elif images < newest:
        why = f"it is older: the number of its images is {images:,}, not {newest:,}"
    else:
        why = "its table is not the one that the pointers know" if other_table else "it would do as well"
    whole = images >= wim_index and not lacks
    return PassedOver(path=path, how=one.how, why=why, whole=whole,
                      damage=error if isinstance(error, Damaged) else None,
                      alike=whole and images >= newest and not other_table)


class _AtPlace:
    """What lies where a data source is registered."""

    def __init__(self, at_hand: AtHand, place: WimPlace | None, guid: bytes) -> None:
        self.candidates: list[Candidate] = []
        self.other: WimFile | None = None
        self.looked: list[str] = []
        self.at_hand = False
        parts = None if place is None or place.is_later else safe_parts(place.path)
        if place is None or place.is_later:
            return
        if parts is None:
            self.looked.append(f"nowhere on its disk, for {place.path!r} is no path of a Windows volume")
            return
        shown = join_path(parts)
        unread = len(at_hand.unread)
        for look in at_hand.registered(place):
            self.at_hand = True
            file = look.wim(parts)
            if file is not None and file.guid == guid:
                self.candidates.append(Candidate(file=file, how=look.how, at_place=True))
            elif file is not None and file.problem:
                self.looked.append(f"{file.path}, which could not be read: {file.problem}")
            elif file is not None:
                self.other = self.other or file
                self.looked.append(f"{file.path}, which is {_what(file)}")
            else:
                self.looked.append(f"its place {shown} on {look.name}")
        self.looked += at_hand.unread[unread:]
        if not self.at_hand:
            self.looked.append(f"no disk at hand that is the one of {place}")


def _what(file: WimFile) -> str:
    return "no WIM" if file.guid is None else f"another WIM (GUID {guid_text(file.guid)})"


def _once(candidates: list[Candidate]) -> list[Candidate]:
    """Each file once, by its first name."""
    seen: dict[object, Candidate] = {}
    for one in candidates:
        seen.setdefault(identity_of(one.file.path) or str(one.file.path).casefold(), one)     # inside a volume: no case
    return list(seen.values())


def _state(source: DataSource, place: WimPlace | None, seen: _AtPlace, found: Found | None) -> WimState:
    if found is not None and found.image_count < source.wim_index:
        return WimState.OLDER
    if found is not None and place is not None and place.is_later:
        return WimState.LATER
    if found is not None and found.at_registered_place:
        return WimState.IN_PLACE
    if seen.other is not None:
        return WimState.REPLACED
    if seen.candidates:
        return WimState.OLDER
    if found is None:
        return WimState.MISSING
    return WimState.MOVED if seen.at_hand else WimState.ELSEWHERE
