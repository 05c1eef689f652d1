"""One NTFS volume: what Windows sees of it, what it takes, what its pointers need, why its real files are real."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from wimboot.errors import Error
from wimboot.events import Emit, silent
from wimboot.formats.blobtable import MAX_POINTER_SIZE
from wimboot.frozen import Frozen
from wimboot.ops.capturing.rules import find_lists
from wimboot.ops.finding.locating import locate
from wimboot.ops.finding.ownwims import own_files
from wimboot.ops.measuring.figures import RealFiles, Share, Start, VolumeFigures
from wimboot.ops.opening.contents import Contents
from wimboot.ops.opening.volume import open_volume
from wimboot.plan.pointing import class_reason
from wimboot.tree import StreamFlag, passes
from wimboot.tree.reasons import Keeps, RealGroup, real_groups
from wimboot.tree.selection import select
from wimboot.wim.usage import pointers_of
from wimboot.windows.expanding import expand_on_mount
from wimboot.windows.identify import System, UnknownWindows, identify
from wimboot.windows.sources import Sources, read_sources
from wimboot.windows.whyreal import WhyReal

if TYPE_CHECKING:
    from pathlib import Path

    from wimboot.ops.finding.locating import Located
    from wimboot.ops.measuring.wims import UsedWims
    from wimboot.ops.opening.volume import Opened
    from wimboot.ops.options import TargetOptions
    from wimboot.tree import Tree

__all__ = ["Asked", "measure_volume"]


class Asked(Frozen):
    """What is wanted of every volume: `named` are WIMs by GUID that the user named, `found_in` the folders in which
    WIMs are looked for that are not elsewhere.
    """

    explain: bool
    config: Path | None
    named: dict[bytes, Path]
    found_in: tuple[Path, ...]


def measure_volume(
    options: TargetOptions, disk: Path, partition: int | None, full: tuple[int, int] | None, asked: Asked,
    wims: UsedWims, emit: Emit
) -> VolumeFigures:
    """Measure one. `full` is (bytes with all blocks, bytes now) of the dynamic VHD that holds it.

    Raises what opening and scanning a volume raise. Shares are without what others share: `UsedWims.figures` tells.
    """
    with (
        open_volume(options, silent, write=False, windows=False, inspect=True) as opened,
        ExitStack() as stores,
    ):
        tree, problems = opened.tree, list[str]()
        contents = Contents(tree, opened.device, opened.volume)
        shares, unregistered = _shares(opened, contents, asked, wims, problems)
        readable = dict.fromkeys(share.wim for share in shares if share.wim is not None and not share.problem)
        contents = contents.through(*(stores.enter_context(wims.opened(wim)) for wim in readable))
        system = _identify(contents, problems)
        classes = Counter(passes.classify(tree, MAX_POINTER_SIZE))
        seen, occupied = passes.sizes(tree)
        facts = opened.facts
        return VolumeFigures(
            where=opened.where,
            disk=disk,
            partition=partition,
            label=facts.label,
            state=opened.volume.state or ("volume-dirty" if facts.dirty else None),
            system=system,
            files=tree.node_count - classes[passes.FOLDER],
            folders=classes[passes.FOLDER],
            pointers=classes[passes.IS_POINTER],
            compact=len(passes.flagged_streams(tree, StreamFlag.COMPACT)),
            seen=seen,
            occupied=occupied,
            used=(facts.total_clusters - facts.free_clusters) * facts.cluster_size,
            size=facts.volume_size,
            shares=shares,
            unregistered=unregistered,
            start=None if full is None or system is None else _start(contents, *full),
            real=_real(opened, contents, system, shares, asked, emit) if asked.explain else None,
            problem=" ".join(problems),
        )


def _shares(
    opened: Opened, contents: Contents, asked: Asked, wims: UsedWims, problems: list[str]
) -> tuple[tuple[Share, ...], int]:
    """What the pointers of each data source need, and how many pointers have none that is registered."""
    pointers = len(passes.flagged_streams(opened.tree, StreamFlag.POINTER))
    try:
        sources = read_sources(contents.read_path, where=opened.where)
    except Error as error:
        problems.append(error.told)
        return (), pointers
    located = _locate(opened, sources, asked.found_in)
    shares = tuple(_share(opened, one, asked, wims) for one in located.values())
    return shares, pointers - sum(share.pointers for share in shares)


def _locate(opened: Opened, sources: Sources, found_in: tuple[Path, ...]) -> dict[int, Located]:
    """Where `info` finds the WIMs; those that it does not, by their GUID below the folders that were named."""
    located = locate(opened, sources)
    if found_in and any(one.found is None for one in located.values()):
        opened.options = replace(opened.options, search=(*opened.options.search, *found_in))
        again = locate(opened, sources)
        return {number: again[number] if one.found is None else one for number, one in located.items()}
    return located


def _share(opened: Opened, located: Located, asked: Asked, wims: UsedWims) -> Share:
    source = located.source
    wim = asked.named.get(source.wim_guid) or (None if located.found is None else wims.called(located.found.path))
    pointers, seen = pointers_of(opened.tree, source.data_source_id)
    share = Share(data_source_id=source.data_source_id, guid=source.wim_guid, image=source.wim_index,
                  place=located.place, state=located.state, wim=wim, looked=located.looked, pointers=pointers,
                  seen=seen)
    if wim is None:
        return share
    try:
        use = wims.used(wim).use(opened.where, opened.tree, source.data_source_id)
    except Error as error:
        return replace(share, problem=error.told)
    return replace(share, apart=use.apart, missing=use.missing)


def _identify(contents: Contents, problems: list[str]) -> System | None:
    try:
        return identify(contents.read_path)
    except UnknownWindows as error:
        problems.append(f"{error}.")
    except Error as error:      # a hive that is a pointer into a WIM that was not found
        problems.append(f"Which Windows it is could not be read: {error}.")
    return None


def _start(contents: Contents, full: int, occupied: int) -> Start:
    try:
        return Start(value=expand_on_mount(contents.read_path), full=full, occupied=occupied)
    except Error as error:
        return Start(value=None, full=full, occupied=occupied, problem=str(error))


def _real(
    opened: Opened, contents: Contents, system: System | None, shares: tuple[Share, ...], asked: Asked, emit: Emit
) -> tuple[RealFiles, ...]:
    wim = next((share.wim for share in shares if share.wim is not None), None)
    lists = find_lists(asked.config, wim, contents.read_path, system, emit, own_files(opened))
    groups = real_groups(opened.tree, select(opened.tree, lists), MAX_POINTER_SIZE)
    return tuple(_real_files(opened.tree, group) for group in groups)


def _real_files(tree: Tree, group: RealGroup) -> RealFiles:
    links = tree.links_of(group.largest)
    return RealFiles(reason=_reason(group), rule=group.rule, files=group.files, seen=group.seen,
                     occupied=group.occupied, largest=tree.path(links[0]) if links else "",
                     largest_size=group.largest_size)


def _reason(group: RealGroup) -> WhyReal | None:
    if group.kind != passes.CANDIDATE:
        return class_reason(group.kind)
    return {Keeps.NOTHING: None, Keeps.EXCLUSION: WhyReal.EXCLUDED, Keeps.RULE: WhyReal.RULE}[group.keeps]
