"""Why pointers do not lead home: the cause for each data source, from its pointers and what its WIM holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from wimboot.errors import Damaged, Unsupported, advice
from wimboot.formats.reparse import WimPointer
from wimboot.frozen import Frozen
from wimboot.ops.checking.advising import spare_options
from wimboot.tree import StreamFlag, passes
from wimboot.wim import grew_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from wimboot.tree import Tree
    from wimboot.wim import Store

__all__ = ["Cause", "Comparison", "Use", "compare", "counted", "diagnose", "uses_of"]


class Use(NamedTuple):
    """A pointer of the volume: its stream, the size that the file has, what the pointer says."""

    stream: int
    size: int
    pointer: WimPointer


def uses_of(tree: Tree) -> dict[int, list[Use]]:
    """data source id -> every pointer of the volume that names it. Raises FormatError."""
    found: dict[int, list[Use]] = {}
    for stream in passes.flagged_streams(tree, StreamFlag.POINTER):
        pointer = WimPointer.parse(tree.stream_bytes(stream))
        found.setdefault(pointer.data_source_id, []).append(Use(stream, tree.stream(stream).size, pointer))
    return found


class Cause(Frozen):
    """What is wrong with a data source, in words; `uses` are the pointers it is wrong with."""

    id: str
    text: str
    advice: str
    uses: tuple[Use, ...] = ()


@dataclass(slots=True, kw_only=True)
class Comparison:
    """The pointers into one WIM, held against its blob table.

    `moved` lead elsewhere than their blob lies and carry another table's hash, `wrong` carry the present one's and do
    so all the same; `missing` have no blob; nor have those of `wrong_hash`, but another one lies just where they lead;
    that of `other_size` has another size than the file, `unbackable` is stored as Windows' driver does not read it;
    `behind` is how many of the rest carry another table's hash. `hashes` are the blobs that are there, `tables` the
    hashes of other tables that pointers carry.
    """

    count: int = 0
    moved: list[Use] = field(default_factory=list)
    wrong: list[Use] = field(default_factory=list)
    missing: list[Use] = field(default_factory=list)
    wrong_hash: list[Use] = field(default_factory=list)
    other_size: list[Use] = field(default_factory=list)
    unbackable: list[Use] = field(default_factory=list)
    behind: int = 0
    knows_table: bool = False
    hashes: set[bytes] = field(default_factory=set)
    tables: set[bytes] = field(default_factory=set)

    @property
    def sound(self) -> int:
        """How many lead where they should, whichever table they know."""
        return self.count - sum(map(len, (self.moved, self.wrong, self.missing, self.wrong_hash, self.other_size,
                                          self.unbackable)))

    @property
    def relinkable(self) -> int:
        """How many of them a relinking by their hash would change."""
        return len(self.moved) + len(self.wrong) + self.behind


def compare(uses: Iterable[Use], store: Store) -> Comparison:
    """Sort the pointers by what is the matter with them."""
    found = Comparison()
    table_hash, backable = store.table_hash, store.not_backable is None
    for use in uses:
        found.count += 1
        pointer = use.pointer
        known = pointer.version == 1 or pointer.table_hash == table_hash
        found.knows_table |= known
        if not known:
            found.tables.add(pointer.table_hash)
        blob = store.blob(pointer.hash)
        if blob is None:
            found.missing.append(use)
            continue
        found.hashes.add(pointer.hash)
        if use.size != blob.size:
            found.other_size.append(use)
        elif backable and not blob.backable:
            found.unbackable.append(use)
        elif pointer.version == 2 and (pointer.size, pointer.size_in_wim, pointer.offset) != (
            blob.size, blob.size_in_wim, blob.offset,
        ):
            (found.wrong if known else found.moved).append(use)
        elif not known:
            found.behind += 1
    if found.missing:
        _part_wrong_hashes(found, store)
    return found


def _part_wrong_hashes(found: Comparison, store: Store) -> None:
    """Tell pointers whose hash alone is wrong from those whose data is gone: a blob lies just where they lead, and no
    image knows their hash.
    """
    blobs = (blob for sha1 in store.hashes() if (blob := store.blob(sha1)) is not None)
    places = {(blob.size, blob.size_in_wim, blob.offset) for blob in blobs}
    missing, found.missing = found.missing, []
    known = _known_to_images(store)
    for use in missing:
        pointer = use.pointer
        here = pointer.version == 2 and (pointer.size, pointer.size_in_wim, pointer.offset) in places
        (found.wrong_hash if here and pointer.hash not in known else found.missing).append(use)


def _known_to_images(store: Store) -> set[bytes]:
    """What the images refer to: where a pointer's hash is among that, it is the WIM's table that is wrong."""
    known: set[bytes] = set()
    for number in range(1, len(store.images) + 1):
        try:
            known |= passes.hashes(store.load_tree(number, allow_missing=True))
        except (Damaged, Unsupported):
            continue
    return known


def diagnose(
    found: Comparison, store: Store, *, wim_index: int, volume: str, spares: Sequence[Path] = ()
) -> list[Cause]:
    """The one cause that explains most, then what it does not explain. `volume` is what the user calls the target,
    `spares` are copies of the WIM that were named.
    """
    told = partial(advice, volume=volume, wim=store.where, number=wim_index, spares=spare_options(spares),
                   newer=spare_options(spares, "NEWER"))
    causes = [] if (first := _main_cause(found, store, wim_index, told)) is None else [first]
    repair = told("`wimboot verify {volume} --wim {wim} --repair`")
    if found.wrong:
        causes.append(Cause(
            id="pointer-wrong", uses=tuple(found.wrong),
            text=f"{len(found.wrong):,} of {found.count:,} pointers lead elsewhere in {store.where} than their data "
                 "lies, though the WIM is the one that they were made for: they are damaged",
            advice=f"{repair} relinks them by their SHA-1."))
    if found.wrong_hash:
        causes.append(Cause(
            id="pointer-hash", uses=tuple(found.wrong_hash),
            text=f"{len(found.wrong_hash):,} of {found.count:,} pointers have a hash that is none of {store.where}, "
                 "and lead to where it has other data of that size: they were changed, or are damaged",
            advice=told("`wimboot restore {volume} --wim {wim} --image {number}` brings the files back, and all else "
                        "that differs from that image (`wimboot status {volume}` lists it).")))
    if found.other_size:
        causes.append(Cause(
            id="pointer-size", uses=tuple(found.other_size),
            text=f"the pointers of {counted(len(found.other_size), 'file')} name data of another size than the files",
            advice=told("They cannot be relinked: `wimboot restore {volume}` brings them back as the image has them.")))
    if found.unbackable:
        causes.append(Cause(
            id="blob-not-backable", uses=tuple(found.unbackable),
            text=f"{store.where} stores the data of {counted(len(found.unbackable), 'file')} in a form that Windows' "
                 "driver misreads",
            advice=f"{repair} stores it anew."))
    return causes


def _main_cause(found: Comparison, store: Store, wim_index: int, told: Callable[..., str]) -> Cause | None:
    where, images = store.where, len(store.images)
    repair = told("`wimboot verify {volume} --wim {wim} --repair`")
    repair_from = told("`wimboot verify {volume} --wim {wim} --repair {spares}`")
    if found.count and store.not_backable is not None:
        return Cause(
            id="wim-not-backable", text=f"Windows cannot read pointers into {where}: {store.not_backable}",
            advice="Put back the WIM that was there, from a backup or the spare copy. `wimboot apply WIM IMAGE TARGET "
                   "--export NEW` brings an image into a WIM that Windows reads.")
    if found.moved:
        lost = f"; the data of {len(found.missing):,} more is not in it" if found.missing else ""
        partly = found.moved if 2 * len(found.moved) < found.count else ()
        doubtful = ", or its table is damaged" if partly else ""
        return Cause(
            id="wim-rewritten", uses=tuple(found.missing or partly),
            text=f"{where} was rewritten under the same GUID (optimized, pruned or repaired without this volume, or an "
                 f"image was deleted): the data of {len(found.moved):,} of {found.count:,} pointers lies elsewhere "
                 f"now{lost}{doubtful}",
            advice=f"{repair_from} relinks them by their SHA-1 and takes what is missing from the copy."
                   if found.missing else f"{repair} relinks them by their SHA-1.")
    if _is_older(found, store, wim_index):
        lacks = f" and lacks the data of {counted(len(found.missing), 'file')}" if found.missing else ""
        stands = f", the volume stands on image {wim_index}" if wim_index > images else ""
        return Cause(
            id="wim-older", uses=tuple(found.missing),
            text=f"{where} is an older copy of the WIM: it has {counted(images, 'image')}{stands}{lacks}",
            advice=told("Put the newer copy in its place, or name it with --wim; `wimboot sync WIM COPY` brings a copy "
                        "up to date. `wimboot verify {volume} --wim {wim} --repair {newer}` brings the data that is "
                        "missing."))
    if found.missing:
        return Cause(
            id="blob-missing", uses=tuple(found.missing),
            text=f"{where} does not have the data of {len(found.missing):,} of {found.count:,} pointers (the first: "
                 f"{found.missing[0].pointer.hash.hex()}): it was removed from the WIM, or the WIM's table is damaged",
            advice=f"{repair_from} takes it from another copy, or from real files with the same contents.")
    if not 1 <= wim_index <= images:
        return Cause(
            id="image-missing",
            text=f"the volume stands on image {wim_index}, and {where} has {counted(images, 'image')}: that image was "
                 "deleted" + (f", and {found.behind:,} pointers carry the hash of an older blob table"
                              if found.behind else ""),
            advice=f"The data is all there. {repair} lets the volume stand on the nearest image and changes no file; " +
                   told("then `wimboot update {volume}` makes a new one of it. `wimboot restore {volume} --image N` "
                        "makes it equal to another image, and removes what that does not have."))
    return _behind_cause(found, store, told) if found.behind else None


def _behind_cause(found: Comparison, store: Store, told: Callable[..., str]) -> Cause:
    """Of pointers that carry another table's hash, and lead home all the same."""
    repair = told("`wimboot verify {volume} --wim {wim} --repair`")
    if not any(grew_from(store, table) for table in found.tables):
        return Cause(
            id="wim-rewritten",
            text=told("{count:,} pointers carry the hash of a blob table that {wim} never had: it was rewritten "
                      "without this volume, and its images may have other numbers, or its table is damaged (`wimboot "
                      "verify --wim {wim}` tells)", count=found.behind),
            advice=f"Where it is sound, {repair} relinks them and finds the volume's image by its files.")
    return Cause(
        id="behind",
        text=told("{count:,} pointers carry the hash of an older blob table: {wim} grew since, and Windows may refuse "
                  "them; `wimboot relocate {volume} --wim {wim}` brings them up to date", count=found.behind),
        advice=f"{repair} does so, too.")


def _is_older(found: Comparison, store: Store, wim_index: int) -> bool:
    """Whether the WIM is what it was before it grew: its end lies before what it lacks, and its table is not known.

    A WIM only grows at its end, so an older copy is the beginning of the newer one.
    """
    if found.knows_table or not found.count:
        return False
    if found.missing:
        return all(use.pointer.version == 2 and use.pointer.offset >= store.size for use in found.missing)
    return wim_index > len(store.images) and not _unreferred(found, store)


def _unreferred(found: Comparison, store: Store) -> bool:
    """Whether the WIM has data that none of its images refers to: one that did was deleted."""
    table = store.parts[0].table
    return any((row := table.find(sha1)) is not None and not row.reference_count for sha1 in found.hashes)


def counted(number: int, what: str) -> str:
    """A number with its noun, in the plural where that is due."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
