"""Check a volume's pointers against its WIMs, and a WIM against itself. Each problem is named; nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import Damaged, Error, FormatError, Internal, UsageError, advice
from wimboot.events import Emit, Note, Phase, Problem
from wimboot.formats.guid import guid_text
from wimboot.ops.checking.advising import spare_options, written_anew
from wimboot.ops.checking.diagnosis import Use, compare, counted, diagnose, uses_of
from wimboot.ops.checking.findings import Diagnosed, Verified
from wimboot.ops.checking.overlayfiles import read_overlay_files
from wimboot.ops.checking.wims import check_data, verify_store
from wimboot.ops.finding.backing import likely_folders
from wimboot.ops.finding.locating import WimState, locate
from wimboot.ops.mending.copies import whole_copy, whole_spare
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.inside import wim_exists
from wimboot.ops.opening.storing import opened_store
from wimboot.ops.opening.volume import open_volume
from wimboot.ops.opening.wimfiles import wim_guid
from wimboot.storage import HostFolder
from wimboot.wim.errors import WimMissing
from wimboot.windows.sources import Sources
from wimboot.windows.wimplace import told_place

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wimboot.formats.overlaydat import DataSource
    from wimboot.ops.finding.locating import Located
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import VerifyOptions
    from wimboot.tree import Tree
    from wimboot.wim import Store
    from wimboot.windows.wimplace import WimPlace

__all__ = ["NothingToVerify", "verify"]


class NothingToVerify(UsageError):
    """Neither a volume nor a WIM was named."""

    id = "nothing-to-verify"
    sentence = "there is nothing to verify"
    advice = "Name a TARGET, a WIM with --wim, or both."


def verify(options: VerifyOptions, emit: Emit) -> Verified:
    """Check what was named. Raises what opening raises; problems found on the way are events, and in what is returned.

    A WIM that a volume needs and that cannot be opened is a problem of the volume; one that was named alone raises what
    is wrong with it, unless it is damaged.
    """
    verified = Verified(emit=emit, spares=options.spares)
    folders = HostFolder if options.target is None else options.target.folders
    if options.wim is not None and not wim_exists(options.wim, folders):
        raise WimMissing(where=str(options.wim))
    if options.target is not None:
        with open_volume(options.target, emit, write=False, windows=False) as opened:
            emit(Phase(name="volume"))
            try:
                tree = opened.tree
            except Damaged as error:
                verified.tell_error(error, opened.where)
                return verified
            _Check(opened, tree, options, verified, emit).run()
    elif options.wim is not None:
        try:
            with opened_store(options.wim) as store:
                verified.wim = options.wim
                verify_store(store, verified, emit, quick=options.quick, threads=options.threads)
        except Damaged as error:
            spare = whole_spare(options.spares, wim_guid(options.wim), HostFolder)
            hint = error.hint if spare is None else (
                f"{spare} can be read. {written_anew(options.wim, spare, '--force')}")
            verified.tell(Problem(id=error.id, where=str(options.wim), text=str(error), advice=hint))
    else:
        raise NothingToVerify
    return verified


class _Check:
    """One volume under check."""

    def __init__(self, opened: Opened, tree: Tree, options: VerifyOptions, verified: Verified, emit: Emit) -> None:
        self._opened, self._tree, self._options = opened, tree, options
        self._verified, self._emit = verified, emit
        self._place = opened.options.place
        self._located: dict[int, Located] = {}

    def run(self) -> None:
        verified, where = self._verified, self._opened.where
        try:
            uses = uses_of(self._tree)
        except FormatError as error:
            verified.tell_error(error, where)
            return
        verified.pointers = sum(map(len, uses.values()))
        sources = self._overlay(uses)
        self._remind(source for source in sources.waiting if uses.get(source.data_source_id))
        found = self._found(sources)
        for source in sources.all:
            self._source(source, sources.place(source.data_source_id), uses.get(source.data_source_id, []),
                         found.get(source.data_source_id))

    # ---- WimOverlay.dat

    def _overlay(self, uses: dict[int, list[Use]]) -> Sources:
        """Check the table of data sources; the one to go by, which may have to be put right first."""
        contents = Contents(self._tree, self._opened.device, self._opened.volume)
        files = read_overlay_files(contents.read_path)
        flaws = files.flaws(uses, self._place)
        for flaw in flaws:
            self._verified.tell(Problem(id=flaw.id, where=self._opened.where, text=flaw.text, advice=flaw.advice))
        mended, in_force = files.mended(uses), files.in_force.table
        if flaws or mended != in_force:
            self._verified.mended = mended
        known = set() if in_force is None else {source.data_source_id for source in in_force.sources}
        whole = known if mended is None else {source.data_source_id for source in mended.sources}
        for number in sorted(uses.keys() - known):
            if number not in whole:
                self._verified.unknown[number] = [use.pointer.hash for use in uses[number]]
            if in_force is not None:
                self._tell_unknown(number, uses[number])
        return Sources() if mended is None else Sources(overlay=mended)

    def _tell_unknown(self, number: int, uses: list[Use]) -> None:
        self._verified.tell(Problem(
            id="source-unknown", where=self._opened.where, paths=self._paths(uses), facts={"data_source": number},
            text=f"{counted(len(uses), 'pointer')} to data source {number}, which WimOverlay.dat does not have",
            advice=advice("`wimboot verify {volume} --repair --wim WIM` enters it, where WIM has their data.",
                          volume=self._place)))

    def _remind(self, waiting: Iterable[DataSource]) -> None:
        for source in waiting:
            self._emit(Note(id="place-later", warning=True, text=(
                f"data source {source.data_source_id} has no place yet: the system does not start before `wimboot "
                "relocate` has told it")))

    # ---- the WIMs

    def _found(self, sources: Sources) -> dict[int, Path]:
        """data source id -> its WIM: the one named for the sources of its GUID; for all, where it is nobody's.

        Where none of the right GUID is found, one of the recorded name, which is told as what it is.
        """
        opened, named = self._opened, self._options.wim
        found: dict[int, Path] = {}
        self._located = locate(opened, sources)
        for number, one in self._located.items():
            path = None if one.found is None else one.found.path
            if path is None:
                path = one.other.path if one.other is not None else _of_that_name(likely_folders(opened), one.place)
            if path is not None:
                found[number] = path
        if named is not None:
            guid = wim_guid(named, opened.options.folders)
            mine = [source.data_source_id for source in sources.all if source.wim_guid == guid]
            found |= dict.fromkeys(mine or [source.data_source_id for source in sources.all], named)
        return found

    def _is_namesake(self, located: Located) -> bool:
        """Whether the WIM was not found, and what is held against the pointers only has its name."""
        registered = located.place is not None and not located.place.is_later
        return registered and located.found is None and located.other is None and self._options.wim is None

    def _tell_place(self, one: Diagnosed, located: Located) -> None:
        """Whether Windows would find the WIM that was found here, or named."""
        wim = one.wim if located.found is None else located.found.path
        if wim is None or located.place is None or located.place.is_later or self._is_namesake(located):
            return
        if located.state is WimState.MOVED or (located.state is WimState.MISSING and located.at_hand):
            self._tell(one, Problem(
                id="wim-moved", where=self._opened.where,
                text=f"data source {one.data_source_id} has its WIM at {one.place}, and it is not there: Windows would "
                     f"not find it. It was found as {wim}",
                advice=advice("Copy it there; or copy it to where Windows can read it, and let `wimboot relocate "
                              "{volume} --wim WIM` register that place.", volume=self._place)))
        elif not located.at_hand:
            self._emit(Note(id="place-not-at-hand", text=advice(
                "Data source {number} has its WIM at {place}, and no disk at hand is that one: whether Windows would "
                "find it was not checked. It was found as {wim}; where that is its place now, `wimboot relocate "
                "{volume} --wim WIM` registers it.",
                number=one.data_source_id, place=one.place, wim=wim, volume=self._place)))
        elif located.other is not None and located.other.path != wim:
            guid = located.other.guid
            what = "no WIM" if guid is None else f"another WIM, with the GUID {guid_text(guid)}"
            if located.found is not None and located.found.at_registered_place:
                self._emit(Note(id="place-twice", warning=True, text=(
                    f"{located.other.path} lies at the place of data source {one.data_source_id} too, on another disk "
                    f"with the same signature, and is {what}. Its WIM was found as {wim}; Windows takes "
                    "one of two disks with one signature offline, so attach only that disk.")))
                return
            self._tell(one, Problem(
                id="wim-replaced", where=str(located.other.path),
                text=f"it lies where data source {one.data_source_id} has its WIM, and is {what}: Windows refuses the "
                     f"pointers. The WIM (GUID {guid_text(one.guid)}) was found as {wim}",
                advice="Put the WIM there, or tell with `wimboot relocate` where it lies."))

    def _tell_passed_over(self, one: Diagnosed, located: Located) -> None:
        """Other copies of the WIM that are not as good; a damaged one that has its name is what Windows would get."""
        found, wim = located.found, one.wim
        if found is None or wim is None:
            return
        searched = self._options.wim is None
        one.passed_over = tuple((over.path, over.why) for over in found.passed_over if searched)
        name = "" if located.place is None else located.place.path.rpartition("\\")[2].casefold()
        for over in found.passed_over:
            if over.path == wim:
                continue
            if over.damage is None:
                if searched and not over.alike:
                    self._emit(over.note(wim))
                continue
            text = f"{over.why}; the pointers are checked against {wim}"
            hint = f"Where that one is sound: {written_anew(over.path, wim, '--force')}"
            if over.path.name.casefold() == name != found.path.name.casefold():
                self._tell(one, Problem(id=over.damage.id, where=str(over.path), text=text, advice=hint))
            else:
                self._emit(Note(id="passed-over", warning=True, text=(
                    f"{over.path} was passed over: {text}. {hint}")))

    def _source(self, source: DataSource, place: WimPlace | None, uses: list[Use], wim: Path | None) -> None:
        one = Diagnosed(data_source_id=source.data_source_id, guid=source.wim_guid, wim_index=source.wim_index,
                        place="a place of unknown form" if place is None else str(place), pointers=len(uses), wim=wim)
        self._verified.sources.append(one)
        if not uses:
            return
        located = self._located.get(one.data_source_id)
        if located is not None:
            self._tell_place(one, located)
            self._tell_passed_over(one, located)
        if wim is None:
            looked = "; ".join(located.looked) if located is not None else ""
            self._tell(one, Problem(
                id="wim-not-found", where=self._opened.where,
                text=f"the WIM of data source {one.data_source_id} (GUID {guid_text(one.guid)}) was not found; "
                     f"{told_place(place, 'last known at')}; looked at: {looked or 'nothing'}",
                advice="Name it with --wim, or name a folder to search with --search."))
            return
        try:
            with opened_store(wim, self._opened.options.folders) as store:
                self._against(one, uses, store)
        except Internal:
            raise
        except Error as error:
            copy = self._whole(one, uses, wim) if isinstance(error, Damaged) else None
            hint = error.hint if copy is None else (
                f"{copy} can be read and has the data of all these pointers. {written_anew(wim, copy, '--force')}")
            self._tell(one, Problem(id=error.id, where=str(wim), text=str(error), advice=hint))

    def _whole(self, one: Diagnosed, uses: list[Use], wim: Path) -> Path | None:
        """What may take the place of a damaged WIM: a copy that was named, or one that lies at hand."""
        located, options = self._located.get(one.data_source_id), self._options
        spare = whole_spare(options.spares, one.guid, self._opened.options.folders, uses, one.wim_index)
        return spare if spare is not None or located is None else whole_copy(located, wim)

    def _against(self, one: Diagnosed, uses: list[Use], store: Store) -> None:
        if store.guid != one.guid:
            located = self._located.get(one.data_source_id)
            lost = located is not None and self._is_namesake(located)
            why = "it only has the name of that one, which was not found" if lost else "it was replaced by another WIM"
            back = "Name the WIM with --wim, or a folder to search with --search" if lost else (
                "Put back the WIM that was there, or name it with --wim")
            self._tell(one, Problem(
                id="other-wim", where=store.where,
                text=f"it is not the WIM of data source {one.data_source_id}: its GUID is {guid_text(store.guid)}, the "
                     f"volume stands on {guid_text(one.guid)}: {why}",
                advice=advice(
                    "{back}. Where this one has all its data, `wimboot verify {volume} --wim {wim} --repair` relinks "
                    "the volume to it.", back=back, volume=self._place, wim=store.where)))
            return
        self._verified.wim = one.wim
        one.comparison = found = compare(uses, store)
        self._verified.behind |= bool(found.behind or found.moved)
        for cause in diagnose(found, store, wim_index=one.wim_index, volume=self._place, spares=self._options.spares):
            self._tell(one, Problem(
                id=cause.id, where=self._opened.where if cause.uses else store.where, text=cause.text,
                advice=cause.advice, paths=self._paths(cause.uses), facts={
                    "moved": len(found.moved), "missing": len(found.missing), "behind": found.behind}))
        if not self._options.quick:
            self._data(one, uses, store, found.hashes)

    def _data(self, one: Diagnosed, uses: list[Use], store: Store, hashes: set[bytes]) -> None:
        problems = check_data(store, hashes, self._verified, self._emit, self._options.threads)
        if not problems:
            return
        one.damaged = {problem.sha1 for problem in problems}
        paths = self._paths([use for use in uses if use.pointer.hash in one.damaged])
        self._tell(one, Problem(
            id="blob-damaged", where=store.where, paths=paths, facts={"blobs": sorted(one.damaged)},
            text=f"damaged in it: {counted(len(problems), 'blob')} (the first: {problems[0].text}), the data of "
                 f"{counted(len(paths), 'file')} of the volume",
            advice=advice(
                "`wimboot verify {volume} --wim {wim} --repair {spares}` takes it from another copy, or from real "
                "files with the same contents.",
                volume=self._place, wim=store.where, spares=spare_options(self._options.spares))))

    def _tell(self, one: Diagnosed, problem: Problem) -> None:
        one.causes.append(problem.id)
        wim = None if one.wim is None else str(one.wim)
        self._verified.tell(replace(problem, facts={"data_source": one.data_source_id, "wim": wim, **problem.facts}))

    def _paths(self, uses: list[Use] | tuple[Use, ...]) -> tuple[str, ...]:
        tree = self._tree
        links = (tree.links_of(tree.stream_node(use.stream)) for use in uses)
        return tuple(tree.path(names[0]) if names else "a file without a name" for names in links)


def _of_that_name(folders: list[Path], place: WimPlace | None) -> Path | None:
    if place is None:
        return None
    name = place.path.rpartition("\\")[2].casefold()
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.name.casefold() == name and path.is_file():
                    return path
    return None
